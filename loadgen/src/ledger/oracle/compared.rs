//! What of a series is compared: its values, rounded, or what they say over a window.

use wire_model::catalog;

use super::super::store::Rule;
use super::{Said, Sample};
use crate::values::round;

/// Parts of a window, of each of which the first value counts.
const CELLS: i64 = 16;

/// The history of a series as a rule sees it.
pub(super) fn compared(rule: &Rule, history: &[Sample]) -> Vec<Sample> {
    let resolution = catalog::find(&rule.metric).map(|metric| metric.resolution);
    let mut values: Vec<(i64, f64)> = Vec::new();
    let mut compared = history.to_vec();
    for sample in &mut compared {
        match sample.said {
            Said::Nothing => {}
            // its window is forgotten
            Said::Gone | Said::Stopped | Said::Changed => values.clear(),
            Said::Value(value) => {
                let value = resolution.map_or(value, |resolution| round(value, resolution));
                if rule.quantity == "value" {
                    sample.said = Said::Value(value);
                    continue;
                }
                // a counter that fell is another one
                if rule.metric == "container.restarts" && begin_of_last_cell(rule, &values).is_some_and(|last| value < last) {
                    values.clear();
                }
                values.push((sample.at, value));
                sample.said = over_window(rule, &values).map_or(Said::Nothing, Said::Value);
            }
        }
    }
    compared
}

fn cell(rule: &Rule, at: i64) -> i64 {
    at.div_euclid(rule.window_ms / CELLS)
}

fn begin_of_last_cell(rule: &Rule, values: &[(i64, f64)]) -> Option<f64> {
    let (last, _) = values.last()?;
    values.iter().rev().take_while(|(at, _)| cell(rule, *at) == cell(rule, *last)).last().map(|(_, value)| *value)
}

/// By a line through the first value of each cell and the last value; `None` while they do not reach back over half the window.
fn over_window(rule: &Rule, values: &[(i64, f64)]) -> Option<f64> {
    let now = *values.last()?;
    let within: Vec<_> = values.iter().rev().take_while(|(at, _)| cell(rule, *at) > cell(rule, now.0) - CELLS).collect();
    let mut points: Vec<(i64, f64)> = Vec::new();
    for value in within.into_iter().rev() {
        if points.last().is_none_or(|(at, _)| cell(rule, *at) != cell(rule, value.0)) {
            points.push(*value);
        }
    }
    if points.last()?.0 != now.0 {
        points.push(now);
    }
    if (now.0 - points[0].0) * 2 < rule.window_ms {
        return None;
    }
    let slope = slope(&points, now.0);
    match rule.quantity.as_str() {
        "time_until_full" if now.1 >= 1.0 => Some(0.0),
        "time_until_full" if slope > 0.0 => Some((1.0 - now.1) / slope),
        "time_until_full" => Some(f64::INFINITY),
        _ => Some(slope * (rule.window_ms / 1_000) as f64),
    }
}

/// Least squares, per second, the oldest point first.
fn slope(points: &[(i64, f64)], now: i64) -> f64 {
    let (mut times, mut values) = (0.0, 0.0);
    let seconds = |at: i64| (at - now) as f64 / 1_000.0;
    for (at, value) in points {
        times += seconds(*at);
        values += value;
    }
    let (time_mean, value_mean) = (times / points.len() as f64, values / points.len() as f64);
    let (mut both, mut square) = (0.0, 0.0);
    for (at, value) in points {
        let aside = seconds(*at) - time_mean;
        both += aside * (value - value_mean);
        square += aside * aside;
    }
    both / square
}

#[cfg(test)]
mod tests {
    use super::super::tests::rule;
    use super::Said::{Gone, Nothing, Value};
    use super::*;

    fn check(quantity: &str, metric: &str, samples: &[(i64, Said)], expected: &[Said]) {
        let rule = Rule { quantity: quantity.to_owned(), window_ms: 160_000, metric: metric.to_owned(), ..rule(true, 0) };
        let history: Vec<_> =
            samples.iter().map(|(second, said)| Sample { at: second * 1_000, gap_ms: 10_000, said: *said }).collect();
        let said: Vec<_> = compared(&rule, &history).iter().map(|sample| sample.said).collect();
        assert_eq!(said, expected, "{quantity} {samples:?}");
    }

    #[test]
    fn a_line_says_how_much_changes_and_when_it_is_full() {
        // 0.001 a second
        let growing = [(0, Value(0.5)), (40, Value(0.54)), (80, Value(0.58)), (120, Nothing), (130, Gone), (140, Value(0.7))];
        check("change", "a.b", &growing[..2], &[Nothing, Nothing]);
        let change = |samples: &[(i64, Said)]| {
            let rule = Rule { quantity: "change".to_owned(), window_ms: 160_000, metric: "a.b".to_owned(), ..rule(true, 0) };
            let values: Vec<_> = samples
                .iter()
                .map(|(second, said)| (second * 1_000, if let Value(value) = said { *value } else { 0.0 }))
                .collect();
            over_window(&rule, &values)
        };
        assert!((change(&growing[..3]).unwrap() - 0.16).abs() < 1e-12);
        check("time_until_full", "a.b", &[(0, Value(0.5)), (80, Value(0.5))], &[Nothing, Value(f64::INFINITY)]);
        check("time_until_full", "a.b", &[(0, Value(0.5)), (80, Value(0.75))], &[Nothing, Value(80.0)]);
        check("time_until_full", "a.b", &[(0, Value(0.5)), (80, Value(1.0))], &[Nothing, Value(0.0)]);
        check("time_until_full", "a.b", &[(0, Value(0.5)), (10, Gone), (80, Value(0.75))], &[Nothing, Gone, Nothing]);
        check("change", "container.restarts", &[(0, Value(5.0)), (80, Value(4.0))], &[Nothing, Nothing]);
    }

    #[test]
    fn values_are_rounded() {
        check("value", "system.cpu.utilization", &[(0, Value(0.500_04))], &[Value(0.5)]);
        check("value", "a.b", &[(0, Value(0.500_04))], &[Value(0.500_04)]);
    }
}
