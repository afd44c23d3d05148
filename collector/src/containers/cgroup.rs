//! Where a container's control groups are, and their reading.

use std::io;

use super::cgroup_v1::CgroupV1;
use super::cgroup_v2::CgroupV2;
use super::inventory::Container;
use super::usage::{Traffic, Usage};
use crate::host_root::{HostRoot, TickFile};
use crate::readings::network::interfaces;

const ROOT: &str = "sys/fs/cgroup";
/// Ticks after which limits are read again; they change by `docker update` only.
const LIMITS_EVERY: u32 = 15;

/// The open files of one running container.
pub(super) struct Cgroup {
    version: Version,
    network: Option<TickFile>,
    ticks: u32,
}

enum Version {
    V1(Box<CgroupV1>),
    V2(Box<CgroupV2>),
}

impl Cgroup {
    /// Finds the control groups; `None` where they cannot be reached.
    ///
    /// The container's id has to stand in the path: a process id alone may be that of a stranger, when the container is
    /// gone or the engine runs on another machine.
    pub(super) fn find(host: &HostRoot, container: &Container) -> Option<Cgroup> {
        let listed = container.pid.and_then(|pid| host.text(&format!("proc/{pid}/cgroup")));
        let own = listed.as_deref().map(|text| paths(text, &container.id)).unwrap_or_default();
        let version = if host.path(format!("{ROOT}/cgroup.controllers")).exists() {
            let folder = own.iter().filter(|path| path.controllers.is_empty()).map(|path| path.folder.clone());
            let folder = folder.chain(usual_folders(&container.id));
            let folder = folder.map(|folder| host.path(format!("{ROOT}{folder}"))).find(|folder| folder.is_dir())?;
            Version::V2(Box::new(CgroupV2::new(&folder)))
        } else {
            let folder = |controller: &str| {
                let folder = own.iter().filter(|path| path.controllers.split(',').any(|name| name == controller));
                let folder = folder.map(|path| path.folder.clone()).chain(usual_folders(&container.id)).collect::<Vec<_>>();
                controller_mounts(controller).iter().find_map(|mount| {
                    folder.iter().map(|folder| host.path(format!("{ROOT}/{mount}{folder}"))).find(|folder| folder.is_dir())
                })
            };
            Version::V1(Box::new(CgroupV1::new(folder)?))
        };
        // only a process that is surely the container's shows the container's traffic
        let pid = container.pid.filter(|_| !own.is_empty() && !container.host_network);
        let network = pid.map(|pid| TickFile::new(host.path(format!("proc/{pid}/net/dev"))));
        Some(Cgroup { version, network, ticks: 0 })
    }

    /// Reads all of it. An error means that the container is gone.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Usage> {
        let with_limits = self.ticks.is_multiple_of(LIMITS_EVERY);
        self.ticks = self.ticks.wrapping_add(1);
        let mut usage = match &mut self.version {
            Version::V1(cgroup) => cgroup.read(with_limits, buffer)?,
            Version::V2(cgroup) => cgroup.read(with_limits, buffer)?,
        };
        usage.network = self.network.as_mut().and_then(|file| Some(traffic(file.read(buffer).ok()?)));
        Ok(usage)
    }
}

/// One line of `/proc/PID/cgroup`, cgroups(7): the controllers of a v1 hierarchy, or none for v2.
#[derive(Debug, PartialEq)]
struct CgroupPath {
    controllers: String,
    folder: String,
}

/// The control groups of a container, without what it made below its own.
fn paths(text: &str, id: &str) -> Vec<CgroupPath> {
    let path = |line: &str| {
        let mut fields = line.splitn(3, ':');
        let controllers = fields.nth(1)?;
        let folder = fields.next()?;
        // relative to a namespace of ours that starts below: the usual folders are tried instead
        if folder.contains("/..") {
            return None;
        }
        let end = folder.find(id).filter(|_| !id.is_empty())? + id.len();
        let end = folder[end..].find('/').map_or(folder.len(), |slash| end + slash);
        Some(CgroupPath { controllers: controllers.to_owned(), folder: folder[..end].to_owned() })
    };
    text.lines().filter_map(path).collect()
}

/// Where the engine puts them by default: driver cgroupfs, driver systemd, Podman.
fn usual_folders(id: &str) -> [String; 3] {
    [format!("/docker/{id}"), format!("/system.slice/docker-{id}.scope"), format!("/machine.slice/libpod-{id}.scope")]
}

/// A controller may be mounted together with its twin, with or without links.
fn controller_mounts(controller: &str) -> Vec<String> {
    let together = match controller {
        "cpu" | "cpuacct" => vec!["cpu,cpuacct".to_owned(), "cpuacct,cpu".to_owned()],
        _ => Vec::new(),
    };
    std::iter::once(controller.to_owned()).chain(together).collect()
}

fn traffic(net_dev: &str) -> Traffic {
    interfaces(net_dev).fold(Traffic::default(), |sum, (_, counters)| Traffic {
        in_bytes: sum.in_bytes.wrapping_add(counters.received_bytes),
        out_bytes: sum.out_bytes.wrapping_add(counters.transmitted_bytes),
    })
}

/// A folder of sample files, for tests: `(path, content)`.
#[cfg(test)]
pub(super) fn sample_tree(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let host = HostRoot::new(folder.path());
    (folder, host)
}

#[cfg(test)]
mod tests {
    use super::super::inventory::container;
    use super::*;

    const ID: &str = "f3c669f4b0cf58061ef5e0229fd44fe0d9e31823451db1cafe148a3e8079f04e";

    #[test]
    fn paths_end_at_the_containers_own_group() {
        for (line, expected) in [
            (format!("0::/system.slice/docker-{ID}.scope"), Some(("", format!("/system.slice/docker-{ID}.scope")))),
            (format!("0::/system.slice/docker-{ID}.scope/init.scope"), Some(("", format!("/system.slice/docker-{ID}.scope")))),
            (format!("4:memory:/docker/{ID}"), Some(("memory", format!("/docker/{ID}")))),
            (format!("4:cpu,cpuacct:/a:b/{ID}/x"), Some(("cpu,cpuacct", format!("/a:b/{ID}")))),
            (format!("0::/../docker-{ID}.scope"), None),
            ("0::/user.slice".to_owned(), None),
            ("garbage".to_owned(), None),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(controllers, folder)| CgroupPath { controllers: controllers.to_owned(), folder })
                .collect();
            assert_eq!(paths(&line, ID), expected, "{line}");
        }
        assert_eq!(paths("0::/x", ""), []);
    }

    #[test]
    fn a_stranger_with_the_same_process_id_is_not_measured() {
        let (_folder, host) = sample_tree(&[
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/user.slice/cpu.stat", "usage_usec 1\n"),
            ("proc/77/cgroup", "0::/user.slice\n"),
            ("proc/77/net/dev", "eth0: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n"),
        ]);
        let stranger = Container { pid: Some(77), ..container(ID, "web", "running") };
        assert!(Cgroup::find(&host, &stranger).is_none());
    }

    #[test]
    fn it_is_found_by_its_process_or_in_the_usual_places() {
        let v2 = |folder: &str| format!("sys/fs/cgroup/{folder}/cpu.stat");
        let custom = format!("slice/{ID}");
        for (folder, listed, found) in [
            (custom.clone(), format!("0::/{custom}\n"), true),
            (format!("docker/{ID}"), String::new(), true),
            (format!("system.slice/docker-{ID}.scope"), format!("0::/../docker-{ID}.scope\n"), true),
            (custom, String::new(), false),
        ] {
            let (_folder, host) = sample_tree(&[
                ("sys/fs/cgroup/cgroup.controllers", ""),
                (&v2(&folder), "usage_usec 5\n"),
                ("proc/77/cgroup", &listed),
            ]);
            let container = Container { pid: Some(77), ..container(ID, "web", "running") };
            let cgroup = Cgroup::find(&host, &container);
            assert_eq!(cgroup.is_some(), found, "{folder}");
            if let Some(mut cgroup) = cgroup {
                assert_eq!(cgroup.read(&mut Vec::new()).unwrap().cpu_ns, Some(5000));
            }
        }
    }

    #[test]
    fn traffic_is_that_of_all_interfaces_but_the_loopback() {
        let (_folder, host) = sample_tree(&[
            ("sys/fs/cgroup/cgroup.controllers", ""),
            (&format!("sys/fs/cgroup/docker/{ID}/cpu.stat"), "usage_usec 5\n"),
            ("proc/77/cgroup", &format!("0::/docker/{ID}\n")),
            (
                "proc/77/net/dev",
                "titles\n lo: 9 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0\neth0: 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\neth1: 10 0 0 0 0 0 0 0 20 0 0 0 0 0 0 0\n",
            ),
        ]);
        let mut container = Container { pid: Some(77), ..container(ID, "web", "running") };
        let mut usage = Cgroup::find(&host, &container).unwrap().read(&mut Vec::new()).unwrap();
        assert_eq!(usage.network, Some(Traffic { in_bytes: 11, out_bytes: 22 }));
        container.host_network = true;
        usage = Cgroup::find(&host, &container).unwrap().read(&mut Vec::new()).unwrap();
        assert_eq!(usage.network, None, "the host's traffic is not its own");
    }
}
