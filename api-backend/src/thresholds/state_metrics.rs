//! Metrics that no collector sends: the state of a container, as numbers that rules can be about.
//!
//! To add one, write its line in [`wire_model::catalog::DERIVED`] and its value here.

use super::container_state::{ContainerState, Health};

/// The metric of containers that are gone; see [`MISSING_MS`].
pub const MISSING: &str = "container.missing";
/// So long a container that ran and is gone counts as missing: a day. Then it is gone for good.
pub const MISSING_MS: i64 = 86_400_000;

/// A metric of a container that is there, absent (`Some(None)`) where its state does not say; `None` of a metric that is not derived.
pub(super) fn of_container(metric: &str, state: ContainerState) -> Option<Option<f64>> {
    let flag = |is: bool| Some(f64::from(u8::from(is)));
    let failed_with = state.exit_code.filter(|code| *code != 0 && !state.oom_killed);
    Some(match metric {
        "container.stopped" => flag(!state.is_running() && failed_with.is_none() && !state.oom_killed),
        "container.exit_code" => Some(failed_with.filter(|_| !state.is_running()).map_or(0.0, f64::from)),
        "container.oom_killed" => flag(state.oom_killed),
        "container.unhealthy" => flag(state.health == Health::Unhealthy),
        "container.restarts" => state.restarts.map(f64::from),
        MISSING => flag(false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use wire_model::catalog;

    use super::super::container_state::EngineState;
    use super::*;

    #[test]
    fn everything_that_is_derived_of_containers_has_a_value_and_nothing_else_has() {
        let derived = |metric: &catalog::Metric| of_container(metric.name, ContainerState::default()).is_some();
        let containers = |metric: &&catalog::Metric| metric.subject == catalog::Subject::Container;
        assert!(catalog::DERIVED.iter().filter(containers).all(derived));
        assert!(!catalog::CATALOG.iter().any(derived));
    }

    #[test]
    fn an_end_is_told_once() {
        // in the order: stopped, exit code, out of memory, unhealthy, restarts, missing
        let check = |state: ContainerState, expected: [Option<f64>; 6]| {
            let metrics = catalog::DERIVED.iter().filter_map(|metric| of_container(metric.name, state));
            assert_eq!(metrics.collect::<Vec<_>>(), expected, "{state:?}");
        };
        let (no, yes) = (Some(0.0), Some(1.0));
        let running = ContainerState { engine: EngineState::Running, restarts: Some(3), ..ContainerState::default() };
        let exited = ContainerState { engine: EngineState::Exited, exit_code: Some(0), restarts: Some(0), ..running };
        check(ContainerState::default(), [no, no, no, no, None, no]);
        check(running, [no, no, no, no, Some(3.0), no]);
        check(ContainerState { health: Health::Unhealthy, ..running }, [no, no, no, yes, Some(3.0), no]);
        check(ContainerState { engine: EngineState::Created, exit_code: None, ..running }, [yes, no, no, no, Some(3.0), no]);
        check(exited, [yes, no, no, no, no, no]);
        check(ContainerState { exit_code: None, ..exited }, [yes, no, no, no, no, no]);
        check(ContainerState { exit_code: Some(137), ..exited }, [no, Some(137.0), no, no, no, no]);
        check(ContainerState { exit_code: Some(137), oom_killed: true, ..exited }, [no, no, yes, no, no, no]);
        check(ContainerState { exit_code: Some(0), oom_killed: true, ..exited }, [no, no, yes, no, no, no]);
        // a process of it was ended for memory, or its last end was: it runs
        check(ContainerState { oom_killed: true, exit_code: Some(137), ..running }, [no, no, yes, no, Some(3.0), no]);
    }
}
