//! Tables and numbers as reports carry them: rounded to what the store keeps, which also keeps the JSON short.

use wire_model::{Cell, Table, catalog};

use crate::fit;

/// Columns of one table: attributes first, the first of which names the row, then metrics of the catalog.
#[derive(Debug)]
pub(crate) struct Columns {
    names: Vec<String>,
    resolutions: Vec<f64>,
}

impl Columns {
    pub(crate) fn new(attributes: &[&str], metrics: &[&str]) -> Columns {
        Columns {
            names: attributes.iter().chain(metrics).map(|name| (*name).to_owned()).collect(),
            resolutions: metrics.iter().map(|name| resolution(name)).collect(),
        }
    }

    /// An empty table.
    pub(crate) fn table(&self) -> Table {
        Table { columns: self.names.clone(), rows: Vec::new() }
    }

    /// One row of a device table. The attributes are cut to the limits; names are made distinct by [`fit::table`].
    pub(crate) fn row<const N: usize>(&self, attributes: &[&str], metrics: [Option<f64>; N]) -> Vec<Cell> {
        debug_assert_eq!((attributes.len() + N, N), (self.names.len(), self.resolutions.len()));
        let (name, others) = attributes.split_first().expect("a table has a column that names its rows");
        let mut row = Vec::with_capacity(self.names.len());
        row.push(Cell::Text(fit::name(name).into_owned()));
        row.extend(others.iter().map(|text| Cell::Text(fit::text(text).into_owned())));
        row.extend(self.numbers(metrics));
        row
    }

    /// Metrics as cells.
    pub(crate) fn numbers<const N: usize>(&self, metrics: [Option<f64>; N]) -> impl Iterator<Item = Cell> {
        metrics
            .into_iter()
            .zip(&self.resolutions)
            .map(|(value, resolution)| Cell::from(value.map(|value| rounded(value, *resolution))))
    }
}

/// The catalog's resolution of a metric.
pub(crate) fn resolution(name: &str) -> f64 {
    catalog::find(name).map_or_else(|| unreachable!("{name} is not in the catalog"), |metric| metric.resolution)
}

/// `value` to the nearest multiple of `resolution`, in the fewest decimals.
pub(crate) fn rounded(value: f64, resolution: f64) -> f64 {
    if resolution >= 1.0 {
        return (value / resolution).round() * resolution;
    }
    // dividing by the whole number leaves the shortest decimals: 3 / 10 is 0.3, 3 × 0.1 is not
    let steps = (1.0 / resolution).round();
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_catalogs_resolution_and_no_more_decimals() {
        for (value, resolution, expected) in [
            (0.123_456, 1e-4, "0.1235"),
            (0.3, 1e-4, "0.3"),
            (0.1 + 0.2, 0.1, "0.3"),
            (7.005, 1e-2, "7.01"),
            (6143.0, 4096.0, "4096"),
            (6145.0, 4096.0, "8192"),
            (1234.5, 1.0, "1235"),
            (-0.04, 0.1, "-0"),
        ] {
            assert_eq!(rounded(value, resolution).to_string(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_not_finite_is_absent() {
        let columns = Columns::new(&["interface"], &["system.network.receive", "system.network.transmit"]);
        let row = columns.row(&["eth0"], [Some(f64::NAN), Some(1.4)]);
        assert_eq!(row, [Cell::from("eth0"), Cell::Null, Cell::Number(1.0)]);
    }
}
