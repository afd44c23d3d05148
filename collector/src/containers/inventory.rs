//! The containers of a host as the engine describes them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// All containers, those that run first; [`limits::CONTAINERS`](wire_model::limits::CONTAINERS) at most.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    pub(crate) containers: Vec<Arc<Container>>,
    /// Containers beyond the limit.
    pub(crate) left_out: usize,
}

/// One container. Texts are within the limits of the wire format, except the id, which is the engine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// 64 hex digits; also the name of its control group.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    /// The engine's word: created, running, paused, restarting, removing, exited, dead.
    pub(crate) state: String,
    /// healthy, unhealthy or starting, for those that are checked.
    pub(crate) health: Option<String>,
    /// Unix ms.
    pub(crate) started_at: Option<i64>,
    pub(crate) restarts: Option<i64>,
    /// Of a container that ended and does not run again.
    pub(crate) exit_code: Option<i64>,
    /// The engine saw memory run out, since the container was started last.
    pub(crate) oom_killed: Option<bool>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Its first process, in the process ids of the engine's host.
    pub(crate) pid: Option<i64>,
    /// It has the host's interfaces, so traffic is not its own.
    pub(crate) host_network: bool,
}

impl Container {
    /// Whether it has processes, so that there is something to measure.
    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused")
    }

    /// Whether it ran and no longer does, so that what it ended with says something.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "exited" | "dead")
    }

    /// The id as people know it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

impl Inventory {
    /// Sorts and bounds.
    pub(crate) fn new(mut containers: Vec<Arc<Container>>, limit: usize) -> Inventory {
        containers.sort_by(|a, b| (!a.is_alive(), &a.name, &a.id).cmp(&(!b.is_alive(), &b.name, &b.id)));
        let left_out = containers.len().saturating_sub(limit);
        containers.truncate(limit);
        Inventory { containers, left_out }
    }
}

#[cfg(test)]
pub(super) fn container(id: &str, name: &str, state: &str) -> Container {
    Container {
        id: id.to_owned(),
        name: name.to_owned(),
        image: "busybox".to_owned(),
        state: state.to_owned(),
        health: None,
        started_at: None,
        restarts: None,
        exit_code: None,
        oom_killed: None,
        labels: BTreeMap::new(),
        pid: None,
        host_network: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_containers_come_first_and_the_rest_is_counted() {
        let all = |count: usize| -> Vec<_> {
            (0..count)
                .map(|i| Arc::new(container(&format!("{i}"), &format!("c{i:03}"), if i % 2 == 0 { "exited" } else { "running" })))
                .collect()
        };
        for (count, limit, left_out) in [(9, 10, 0), (10, 10, 0), (11, 10, 1)] {
            let inventory = Inventory::new(all(count), limit);
            assert_eq!((inventory.containers.len(), inventory.left_out), (count - left_out, left_out));
            let alive: Vec<_> = inventory.containers.iter().map(|container| container.is_alive()).collect();
            assert!(alive.is_sorted_by(|a, b| a >= b), "{alive:?}");
            assert_eq!(inventory.containers[0].name, "c001");
        }
    }
}
