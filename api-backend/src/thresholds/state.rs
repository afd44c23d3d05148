//! What the evaluator keeps of a host from one sample to the next.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::window::Windows;

/// The state of a host of which no series is beyond its threshold, as text.
const NOTHING: &str = "[]";

/// One series under one threshold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey {
    /// The machine.
    pub machine_id: i64,
    /// The threshold.
    pub threshold_id: i64,
    /// The device; empty for the machine itself.
    pub device: String,
}

/// By machine, threshold and device. By hand: to compare two empty texts costs glibc's `memcmp` 80 ns where it loads by mask (AVX-512), because
/// they point nowhere.
impl Ord for SeriesKey {
    fn cmp(&self, other: &SeriesKey) -> Ordering {
        let devices = || match (self.device.as_str(), other.device.as_str()) {
            ("", _) | (_, "") => self.device.len().cmp(&other.device.len()),
            (one, other) => one.cmp(other),
        };
        (self.machine_id, self.threshold_id).cmp(&(other.machine_id, other.threshold_id)).then_with(devices)
    }
}

impl PartialOrd for SeriesKey {
    fn partial_cmp(&self, other: &SeriesKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a series that is beyond its threshold is doing. Series that are not have no state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesState {
    /// Beyond the value, not yet long enough.
    Waiting {
        /// Time of the first sample beyond it.
        since: i64,
        /// Time of the last one.
        last: i64,
        /// Worst value so far.
        peak: f64,
    },
    /// A violation is open.
    Open {
        /// Time of the sample that opened it.
        opened_at: i64,
        /// Worst value so far.
        peak: f64,
        /// Since when the series is at or behind the recovery value, and the last sample that was; `None` while it is not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovering: Option<(i64, i64)>,
    },
}

/// All states of one host's machines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostState {
    /// In the order of their keys.
    pub(super) series: Vec<(SeriesKey, SeriesState)>,
    /// What conditions over windows look back at; kept apart, because it changes more seldom and is larger.
    pub windows: Windows,
}

impl HostState {
    /// In the order of their keys.
    pub fn states(&self) -> &[(SeriesKey, SeriesState)] {
        &self.series
    }

    /// The states as they are kept with the host, without the windows.
    pub fn to_text(&self) -> String {
        if self.series.is_empty() {
            return NOTHING.to_owned();
        }
        let rows: Vec<_> =
            self.series.iter().map(|(key, state)| (key.machine_id, key.threshold_id, &key.device, state)).collect();
        serde_json::to_string(&rows).expect("a state writes to memory")
    }

    /// From what [`to_text`](HostState::to_text) wrote; the windows are empty.
    pub fn from_text(text: &str) -> Result<HostState, String> {
        if text == NOTHING {
            return Ok(HostState::default());
        }
        let rows: Vec<(i64, i64, String, SeriesState)> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let state = |(machine_id, threshold_id, device, state)| (SeriesKey { machine_id, threshold_id, device }, state);
        let states: BTreeMap<_, _> = rows.into_iter().map(state).collect();
        Ok(HostState { series: states.into_iter().collect(), windows: Windows::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_so_does_one_that_was_written_before_recovering_took_time() {
        let text = r#"[[1,2,"",{"open":{"opened_at":5,"peak":0.9}}],[1,3,"/",{"waiting":{"since":5,"last":7,"peak":0.3}}]]"#;
        let state = HostState::from_text(text).unwrap();
        assert_eq!(state.states()[0].1, SeriesState::Open { opened_at: 5, peak: 0.9, recovering: None });
        assert_eq!(state.to_text(), text);
        let recovering = text.replace("0.9}", "0.9,\"recovering\":[6,8]}");
        let state = HostState::from_text(&recovering).unwrap();
        assert_eq!(state.states()[0].1, SeriesState::Open { opened_at: 5, peak: 0.9, recovering: Some((6, 8)) });
        assert_eq!(state.to_text(), recovering);
        assert!(HostState::from_text("[1]").is_err());
    }
}
