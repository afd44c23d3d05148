//! Time since the host booted; the kernel shows the host's in every container.

use sysinfo::System;

use super::HostMetrics;
use crate::telemetry::unreadable;

pub(crate) fn read(metrics: &mut HostMetrics) {
    let uptime = System::uptime().inspect_err(|_| unreadable("uptime")).ok();
    metrics.set("system.uptime", uptime.map(|seconds| seconds as f64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_kernel_says() {
        let mut metrics = HostMetrics::default();
        read(&mut metrics);
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!((metrics.values()["system.uptime"].unwrap() - uptime).abs() < 5.0);
    }
}
