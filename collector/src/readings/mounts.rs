//! Which filesystems there are: `/proc/1/mountinfo`, proc_pid_mountinfo(5).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Filesystems that hold no files of their own, and images, which are always full. tmpfs is memory and shows there; FUSE
/// mounts of desktops and of lxcfs have no size.
const PSEUDO: [&str; 38] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "none",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "udf",
];

/// A filesystem where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) path: PathBuf,
    pub(super) kind: String,
}

/// One line of mountinfo.
struct Line {
    id: u64,
    parent: u64,
    device: String,
    path: PathBuf,
    kind: String,
}

/// The filesystems of a mount table, each once, at its shortest mount point that is not covered by another mount.
pub(super) fn filesystems(mountinfo: &[u8]) -> Vec<Mount> {
    let lines: Vec<Line> = mountinfo.split(|byte| *byte == b'\n').filter_map(parse).collect();
    let mut by_device: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in lines.iter().filter(|line| is_real(line) && is_visible(line, &lines)) {
        let shortest = by_device.entry(&line.device).or_insert(line);
        if length(line) < length(shortest) {
            *shortest = line;
        }
    }
    let mut mounts: Vec<_> =
        by_device.into_values().map(|line| Mount { path: line.path.clone(), kind: line.kind.clone() }).collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    mounts
}

fn length(line: &Line) -> usize {
    line.path.as_os_str().len()
}

/// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw,errors=continue`; optional fields, none or
/// several, end with the dash.
fn parse(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut number = || str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let device = str::from_utf8(fields.next()?).ok()?.to_owned();
    let path = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    let kind = String::from_utf8_lossy(fields.skip_while(|field| *field != b"-").nth(1)?).into_owned();
    path.is_absolute().then_some(Line { id, parent, device, path, kind })
}

/// `\040` is a space: the kernel writes space, tab, newline and backslash in octal.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, others)) = rest.split_first() {
        let octal = others.get(..3).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) if *first == b'\\' => {
                path.push(byte);
                rest = &others[3..];
            }
            _ => {
                path.push(*first);
                rest = others;
            }
        }
    }
    path
}

/// An overlay is a container's root, unless it is the host's own.
fn is_real(line: &Line) -> bool {
    PSEUDO.binary_search(&line.kind.as_str()).is_err() || (line.kind == "overlay" && line.path == Path::new("/"))
}

/// Whether a walk to the path ends on this mount: nothing is mounted on it, and no sibling of it or of its parents lies
/// in between.
fn is_visible(line: &Line, lines: &[Line]) -> bool {
    let covers = |other: &&Line, parent: u64, mount: &Line| {
        other.parent == parent && other.id != mount.id && other.id != parent && mount.path.starts_with(&other.path)
    };
    if lines.iter().any(|other| other.parent == line.id && other.id != line.id && other.path == line.path) {
        return false;
    }
    let mut mount = line;
    // each step goes up one mount; more steps than mounts would be a circle, which a kernel does not have
    for _ in 0..lines.len() {
        if lines.iter().any(|other| covers(&other, mount.parent, mount) && other.path != mount.path) {
            return false;
        }
        match lines.iter().find(|other| other.id == mount.parent && other.id != mount.id) {
            Some(parent) => mount = parent,
            None => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(mountinfo: &str) -> Vec<String> {
        filesystems(mountinfo.as_bytes()).iter().map(|mount| format!("{} {}", mount.path.display(), mount.kind)).collect()
    }

    #[test]
    fn the_list_of_pseudo_filesystems_is_sorted() {
        assert!(PSEUDO.is_sorted());
    }

    #[test]
    fn pseudo_filesystems_are_left_out_and_real_ones_stay() {
        let host = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
28 27 0:28 / /run rw - tmpfs tmpfs rw
30 27 259:1 / /var/lib/my\\040data rw,relatime shared:2 master:3 propagate_from:4 - xfs /dev/nvme0n1p1 rw
31 27 0:40 / /mnt/nfs rw - nfs4 server:/export rw
32 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
33 27 0:52 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw,lowerdir=/x
34 27 0:60 / /mnt/s3 rw - fuse.s3fs s3fs rw
35 27 0:61 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw
";
        assert_eq!(paths(host), ["/ ext4", "/mnt/nfs nfs4", "/mnt/s3 fuse.s3fs", "/var/lib/my data xfs"]);
        assert_eq!(paths("27 1 0:30 / / rw - overlay overlay rw\n"), ["/ overlay"], "the host's own root");
    }

    #[test]
    fn a_filesystem_shows_once_at_its_shortest_mount_point() {
        let bound = "\
27 1 254:0 / / rw - ext4 /dev/vda rw
40 27 254:0 /srv /export/srv rw - ext4 /dev/vda rw
41 27 254:1 /a /data/long rw - btrfs /dev/vdb rw
42 27 254:1 /b /data rw - btrfs /dev/vdb rw
";
        assert_eq!(paths(bound), ["/ ext4", "/data btrfs"]);
    }

    #[test]
    fn what_is_covered_by_another_mount_cannot_be_measured_there() {
        let over = "\
27 1 254:0 / / rw - ext4 /dev/vda rw
40 27 254:1 / /mnt rw - ext4 /dev/vdb rw
41 40 254:2 / /mnt rw - xfs /dev/vdc rw
";
        assert_eq!(paths(over), ["/ ext4", "/mnt xfs"], "mounted over it");
        let above = "\
27 1 254:0 / / rw - ext4 /dev/vda rw
40 27 254:1 / /mnt/deep rw - ext4 /dev/vdb rw
41 27 254:2 / /mnt rw - xfs /dev/vdc rw
42 40 254:3 / /mnt/deep/er rw - xfs /dev/vdd rw
";
        assert_eq!(paths(above), ["/ ext4", "/mnt xfs"], "mounted above it later");
        let nested = "\
27 1 254:0 / / rw - ext4 /dev/vda rw
41 27 254:2 / /mnt rw - xfs /dev/vdc rw
40 41 254:1 / /mnt/deep rw - ext4 /dev/vdb rw
43 27 254:3 / /mnt2 rw - ext4 /dev/vdd rw
";
        assert_eq!(paths(nested), ["/ ext4", "/mnt xfs", "/mnt/deep ext4", "/mnt2 ext4"], "nothing is covered");
    }

    #[test]
    fn odd_lines_do_no_harm() {
        for line in [
            "",
            "garbage",
            "1 2 3",
            "27 1 254:0 / relative rw - ext4 x rw",
            "27 1 254:0 / / rw ext4",
            "a b 254:0 / / rw - ext4 x rw",
        ] {
            assert_eq!(paths(line), Vec::<String>::new(), "{line}");
        }
        assert_eq!(paths("27 27 254:0 / / rw - ext4 x rw"), ["/ ext4"], "a mount that is its own parent");
        assert_eq!(unescape(b"a\\134b\\04"), b"a\\b\\04");
        assert_eq!(unescape(b"a\\999"), b"a\\999");
    }
}
