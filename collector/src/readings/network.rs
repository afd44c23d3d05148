//! Network interfaces of the host: `/proc/1/net/dev`, because `/proc/net` is that of the reader's own network namespace.
//! Interfaces of containers are left out: their traffic stands in the containers' rows, and there may be hundreds.

use std::collections::HashMap;
use std::time::Instant;

use wire_model::Table;

use crate::columns::Columns;
use crate::fit;
use crate::host_root::{HostRoot, TickFile};
use crate::rates::{Former, per_second};
use crate::telemetry::unreadable;

/// Docker's, Podman's and Kubernetes' ends of containers, and the bridges between them.
const OF_CONTAINERS: [&str; 7] = ["veth", "cali", "cni", "lxc", "docker", "podman", "flannel"];
/// Docker names a network's bridge `br-` and twelve hex digits of its id.
const BRIDGE: &str = "br-";
const BRIDGE_ID_DIGITS: usize = 12;
const METRICS: [&str; 6] = [
    "system.network.receive",
    "system.network.transmit",
    "system.network.receive.errors",
    "system.network.transmit.errors",
    "system.network.receive.dropped",
    "system.network.transmit.dropped",
];

pub(crate) struct Network {
    file: TickFile,
    columns: Columns,
    former: Former<HashMap<String, Counters>>,
}

/// Counters of one interface since it came up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counters {
    pub(crate) received_bytes: u64,
    pub(crate) transmitted_bytes: u64,
    receive_errors: u64,
    transmit_errors: u64,
    receive_dropped: u64,
    transmit_dropped: u64,
}

impl Network {
    pub(crate) fn new(host: &HostRoot) -> Network {
        Network {
            file: TickFile::new(host.first_of(&["proc/1/net/dev", "proc/net/dev"])),
            columns: Columns::new(&["interface"], &METRICS),
            former: Former::default(),
        }
    }

    pub(crate) fn read(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Option<Table> {
        let Ok(text) = self.file.read(buffer) else {
            unreadable("network");
            self.former.forget();
            return None;
        };
        let mut interfaces: Vec<_> = interfaces(text).filter(|(name, _)| is_of_the_host(name)).collect();
        interfaces.sort_unstable_by_key(|(name, _)| *name);
        let kept = interfaces.iter().map(|(name, counters)| ((*name).to_owned(), *counters)).collect();
        let former = self.former.replace(now, kept);
        let mut table = self.columns.table();
        table.rows.extend(interfaces.iter().map(|(name, counters)| {
            let former = former.as_ref().and_then(|(former, elapsed)| Some((former.get(*name)?, *elapsed)));
            self.columns.row(&[name], former.map_or([None; 6], |(former, elapsed)| rates(former, counters, elapsed)))
        }));
        fit::table(&mut table, 0);
        Some(table)
    }
}

/// The lines of a `net/dev` file (proc_pid_net(5)) but for the loopback.
pub(crate) fn interfaces(text: &str) -> impl Iterator<Item = (&str, Counters)> {
    text.lines().filter_map(parse).filter(|(name, _)| *name != "lo")
}

/// One line; `None` for the two lines of titles. Old kernels leave no space behind the colon.
fn parse(line: &str) -> Option<(&str, Counters)> {
    let (name, fields) = line.rsplit_once(':')?;
    let mut numbers = [0_u64; 12];
    let mut fields = fields.split_ascii_whitespace();
    for number in &mut numbers {
        *number = fields.next()?.parse().ok()?;
    }
    let [received_bytes, _, receive_errors, receive_dropped, _, _, _, _, transmitted_bytes, _, transmit_errors, transmit_dropped] =
        numbers;
    let counters =
        Counters { received_bytes, transmitted_bytes, receive_errors, transmit_errors, receive_dropped, transmit_dropped };
    Some((name.trim(), counters))
}

fn is_of_the_host(name: &str) -> bool {
    let bridge = name.strip_prefix(BRIDGE);
    let of_docker = bridge.is_some_and(|id| id.len() == BRIDGE_ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    !of_docker && !OF_CONTAINERS.iter().any(|prefix| name.starts_with(prefix))
}

fn rates(before: &Counters, now: &Counters, elapsed: f64) -> [Option<f64>; 6] {
    let rate = |counter: fn(&Counters) -> u64| per_second(counter(before), counter(now), elapsed);
    [
        rate(|counters| counters.received_bytes),
        rate(|counters| counters.transmitted_bytes),
        rate(|counters| counters.receive_errors),
        rate(|counters| counters.transmit_errors),
        rate(|counters| counters.receive_dropped),
        rate(|counters| counters.transmit_dropped),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:  291896    2961    0    0    0     0          0         0   291896    2961    0    0    0     0       0          0
  eth0: 603079944   25738    1    2    0     0          0         0  2170297   19625    3    4    0     0       0          0
eth0:1:7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0
 short: 1 2 3
  odd: x 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

    #[test]
    fn lines_are_read_whatever_their_spacing() {
        let eth0 = Counters {
            received_bytes: 603_079_944,
            transmitted_bytes: 2_170_297,
            receive_errors: 1,
            transmit_errors: 3,
            receive_dropped: 2,
            transmit_dropped: 4,
        };
        let alias = Counters { received_bytes: 7, transmitted_bytes: 9, ..Counters::default() };
        assert_eq!(interfaces(DEV).collect::<Vec<_>>(), [("eth0", eth0), ("eth0:1", alias)]);
    }

    #[test]
    fn interfaces_of_containers_are_left_out() {
        for (name, of_the_host) in [
            ("eth0", true),
            ("bond0.100", true),
            ("br-lan", true),
            ("br-0123456789ab", false),
            ("br-0123456789abc", true),
            ("veth12ab", false),
            ("docker0", false),
            ("docker_gwbridge", false),
            ("cali123", false),
            ("wg0", true),
        ] {
            assert_eq!(is_of_the_host(name), of_the_host, "{name}");
        }
    }

    #[test]
    fn a_counter_that_goes_back_has_no_rate() {
        let before = Counters { received_bytes: 1000, transmitted_bytes: 1000, ..Counters::default() };
        let now = Counters { received_bytes: 3000, transmitted_bytes: 10, receive_errors: 1, ..Counters::default() };
        assert_eq!(rates(&before, &now, 2.0), [Some(1000.0), None, Some(0.5), Some(0.0), Some(0.0), Some(0.0)]);
    }
}
