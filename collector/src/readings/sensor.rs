//! Temperatures: hwmon of sysfs, which every container sees as the host does. Some sensors take their time (I²C, drives
//! that sleep), so they are read aside.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sysinfo::Components;
use wire_model::Table;

use crate::columns::Columns;
use crate::fit;
use crate::slow_calls::SlowCalls;
use crate::telemetry::unreadable;

/// Looking for sensors reads every file of all of them; in between, only the temperatures are read.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(crate) struct Sensors {
    columns: Columns,
    calls: SlowCalls<(), Vec<Reading>>,
}

struct Reading {
    name: String,
    celsius: Option<f64>,
}

impl Sensors {
    pub(crate) fn new() -> anyhow::Result<Sensors> {
        let kept = Mutex::new((Components::new()?, None::<Instant>));
        let read = move |(): &()| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let (components, looked_at) = &mut *kept;
            if looked_at.is_none_or(|then| then.elapsed() >= LOOK_EVERY) {
                components.refresh(true);
                *looked_at = Some(Instant::now());
            } else {
                components.iter_mut().for_each(sysinfo::Component::refresh);
            }
            let reading = |component: &sysinfo::Component| Reading {
                name: component.label().to_owned(),
                celsius: component.temperature().map(f64::from),
            };
            components.iter().map(reading).collect()
        };
        Ok(Sensors { columns: Columns::new(&["sensor"], &["hw.temperature"]), calls: SlowCalls::new("sensors", read) })
    }

    pub(crate) fn begin(&mut self) {
        self.calls.begin(std::iter::once(()));
    }

    pub(crate) fn finish(&mut self, patience: Duration) -> Option<Table> {
        match self.calls.finish(patience).remove(&()) {
            Some(readings) => Some(table(&self.columns, readings)),
            None => {
                unreadable("sensor");
                None
            }
        }
    }
}

/// Two drives of one kind have the same label; the order of their names tells them apart.
fn table(columns: &Columns, mut readings: Vec<Reading>) -> Table {
    readings.sort_by(|a, b| a.name.cmp(&b.name));
    let mut table = columns.table();
    table.rows = readings.iter().map(|reading| columns.row(&[&reading.name], [reading.celsius])).collect();
    fit::table(&mut table, 0);
    table
}

#[cfg(test)]
mod tests {
    use wire_model::Cell;

    use super::*;

    #[test]
    fn sensors_have_distinct_names_and_one_without_a_value_stays() {
        let reading = |name: &str, celsius| Reading { name: name.to_owned(), celsius };
        let readings =
            vec![reading("nvme Composite", Some(41.849_998)), reading("coretemp", None), reading("nvme Composite", Some(30.0))];
        let table = table(&Columns::new(&["sensor"], &["hw.temperature"]), readings);
        assert_eq!(table.rows[0], [Cell::from("coretemp"), Cell::Null]);
        assert_eq!(table.rows[1], [Cell::from("nvme Composite"), Cell::Number(41.8)]);
        assert_eq!(table.rows[2], [Cell::from("nvme Composite#2"), Cell::Number(30.0)]);
    }

    #[test]
    fn this_machine_answers() {
        let mut sensors = Sensors::new().unwrap();
        sensors.begin();
        assert!(sensors.finish(Duration::from_secs(5)).is_some(), "a machine without sensors has an empty table");
    }
}
