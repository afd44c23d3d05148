//! Who reports: the host's id, name and facts, read once at the start.

use anyhow::Context;
use wire_model::HostInfo;

use crate::Config;
use crate::fit;
use crate::host_root::HostRoot;
use crate::kept::Kept;

/// Says who this host is. Its id is `HOST_ID`, else its machine-id, else one that was made for it at its first start.
pub(crate) fn identify(config: &Config, host: &HostRoot, kept: &Kept) -> anyhow::Result<HostInfo> {
    let id = match config.host_id.clone().or_else(|| machine_id(host)) {
        Some(id) => id,
        None => kept.host_id().context("give the host an id, or set HOST_ID")?,
    };
    let name = match config.host_name.clone().or_else(|| host.line("proc/sys/kernel/hostname")) {
        Some(name) => name,
        None => id.clone(),
    };
    Ok(HostInfo {
        id: fit::name(&id).into_owned(),
        name: fit::name(&name).into_owned(),
        labels: config.host_labels.clone(),
        os: operating_system(host).map(|os| fit::text(&os).into_owned()),
        kernel: host.line("proc/sys/kernel/osrelease").map(|kernel| fit::text(&kernel).into_owned()),
        cpus: None,
        collector: Some(env!("CARGO_PKG_VERSION").to_owned()),
    })
}

/// machine-id(5): empty in images, `uninitialized` until the first boot is through.
fn machine_id(host: &HostRoot) -> Option<String> {
    host.line("etc/machine-id").filter(|id| id != "uninitialized")
}

fn operating_system(host: &HostRoot) -> Option<String> {
    ["etc/os-release", "usr/lib/os-release"].iter().find_map(|path| pretty_name(&host.text(path)?))
}

/// `PRETTY_NAME` of os-release(5): shell quoting of at most one level.
fn pretty_name(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?.trim();
    let unquoted = match value.as_bytes() {
        [quote @ (b'"' | b'\''), .., end] if quote == end && value.len() >= 2 => &value[1..value.len() - 1],
        _ => value,
    };
    let mut name = String::with_capacity(unquoted.len());
    let mut chars = unquoted.chars();
    while let Some(c) = chars.next() {
        name.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[test]
    fn os_release_is_read_as_the_shell_would() {
        for (text, name) in [
            ("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n", Some("Debian GNU/Linux 12 (bookworm)")),
            ("PRETTY_NAME='Alpine Linux v3.22'", Some("Alpine Linux v3.22")),
            ("PRETTY_NAME=Arch", Some("Arch")),
            ("PRETTY_NAME=\"A \\\"B\\\"\"", Some("A \"B\"")),
            ("PRETTY_NAME=\"\"", None),
            ("PRETTY_NAME=\"", Some("\"")),
            ("NAME=x", None),
        ] {
            assert_eq!(pretty_name(text).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn the_id_is_the_set_one_else_the_machines_else_a_made_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
        fs::write(root.join("proc/sys/kernel/hostname"), "db-01\n").unwrap();
        let kept = Kept::open(&folder.path().join("spool")).unwrap();
        let arguments = |more: &[&str]| {
            let fixed = ["collector", "--bootstrap-server=a:1", "--host-root", root.to_str().unwrap()];
            Config::try_parse_from(fixed.iter().chain(more)).unwrap()
        };
        let id = |more: &[&str]| identify(&arguments(more), &HostRoot::new(&root), &kept).unwrap().id;
        let made = id(&[]);
        assert_eq!(made.len(), 36);
        fs::write(root.join("etc/machine-id"), "\n").unwrap();
        assert_eq!(id(&[]), made, "an empty machine-id is none");
        fs::write(root.join("etc/machine-id"), "4c4c4544\n").unwrap();
        assert_eq!(id(&[]), "4c4c4544");
        assert_eq!(id(&["--host-id=db"]), "db");
        let info = identify(&arguments(&["--host-labels=rack=a1"]), &HostRoot::new(&root), &kept).unwrap();
        assert_eq!((info.name.as_str(), info.os, info.labels["rack"].as_str()), ("db-01", None, "a1"));
    }
}
