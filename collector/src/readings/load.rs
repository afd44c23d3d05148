//! Load averages; the kernel shows those of the whole host in every container.

use sysinfo::System;

use super::HostMetrics;
use crate::telemetry::unreadable;

pub(crate) fn read(metrics: &mut HostMetrics) {
    let load = System::load_average().inspect_err(|_| unreadable("load")).ok();
    metrics.set("system.cpu.load_average.1m", load.as_ref().map(|load| load.one));
    metrics.set("system.cpu.load_average.5m", load.as_ref().map(|load| load.five));
    metrics.set("system.cpu.load_average.15m", load.as_ref().map(|load| load.fifteen));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_kernel_says() {
        let mut metrics = HostMetrics::default();
        read(&mut metrics);
        let text = std::fs::read_to_string("/proc/loadavg").unwrap();
        let fifteen: f64 = text.split(' ').nth(2).unwrap().parse().unwrap();
        let read = metrics.values()["system.cpu.load_average.15m"].unwrap();
        assert!((read - fifteen).abs() < 0.2, "{read} {fifteen}");
    }
}
