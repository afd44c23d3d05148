//! Which machines and devices a rule is for.

use std::collections::BTreeMap;

use wildmatch::WildMatch;

use super::{Kind, Threshold};

/// What rules look at to tell whether they are for a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its number.
    pub id: i64,
    /// What it is.
    pub kind: Kind,
    /// Its labels, as [`labels`] gathers them.
    pub labels: BTreeMap<String, String>,
}

/// What the labels of a container are gathered from.
#[derive(Clone, Copy, Debug)]
pub struct OwnLabels<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it was made of.
    pub image: Option<&'a str>,
    /// Those that the engine knows.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

const COMPOSE_PROJECT: &str = "com.docker.compose.project";
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// Labels by which rules find a machine: the host's and `host.name`; of a container also its own, `container.name`, `image`, and
/// `compose.project` and `compose.service` where it has them. The later ones win.
pub fn labels(host_name: &str, host: &BTreeMap<String, String>, container: Option<OwnLabels<'_>>) -> BTreeMap<String, String> {
    let mut all = host.clone();
    let mut add = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
    if let Some(OwnLabels { name, image, labels }) = container {
        for (name, value) in labels.into_iter().flatten() {
            add(name, value);
        }
        let compose = |label: &str| labels.and_then(|labels| labels.get(label)).map(String::as_str);
        let known =
            [("image", image), ("compose.project", compose(COMPOSE_PROJECT)), ("compose.service", compose(COMPOSE_SERVICE))];
        for (name, value) in known {
            if let Some(value) = value {
                add(name, value);
            }
        }
        add("container.name", name);
    }
    add("host.name", host_name);
    all
}

/// Whether a text is a pattern: `*` stands for any characters, `?` for one.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether a name is what a text says, or of its pattern.
pub fn matches(text: &str, name: &str) -> bool {
    text == name || is_pattern(text) && WildMatch::new(text).matches(name)
}

/// Whether some labels have all that is wanted, with these values or values of these patterns.
pub fn has_labels<'w>(labels: &BTreeMap<String, String>, wanted: impl IntoIterator<Item = (&'w String, &'w String)>) -> bool {
    wanted.into_iter().all(|(name, text)| labels.get(name).is_some_and(|value| matches(text, value)))
}

impl Threshold {
    /// Whether it is for a machine, and for this device of it (`None`: the machine itself).
    pub fn is_for(&self, machine: &Machine, device: Option<&str>) -> bool {
        self.kind == machine.kind
            && self.machine_id.is_none_or(|id| id == machine.id)
            && has_labels(&machine.labels, &self.labels)
            && self.device.as_deref().is_none_or(|text| device.is_some_and(|name| matches(text, name)))
    }

    /// How specific its scope is; the greater one wins. One machine beats labels, and more labels beat fewer; then a named device beats
    /// a pattern, and that every device; then the older rule wins.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let device = self.device.as_deref().map_or(0, |text| if is_pattern(text) { 1 } else { 2 });
        (self.machine_id.is_some(), self.labels.len(), device, std::cmp::Reverse(self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Direction;
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_container_has_its_hosts_labels_and_its_own() {
        let own = texts(&[("rack", "of its own"), (COMPOSE_PROJECT, "shop"), (COMPOSE_SERVICE, "web"), ("image", "not this")]);
        let container = OwnLabels { name: "shop-web-1", image: Some("nginx:1.27"), labels: Some(&own) };
        let all = labels("db-01", &texts(&[("rack", "a1"), ("role", "db")]), Some(container));
        let known = [
            ("rack", "of its own"),
            ("role", "db"),
            ("image", "nginx:1.27"),
            ("compose.project", "shop"),
            ("compose.service", "web"),
            ("container.name", "shop-web-1"),
            ("host.name", "db-01"),
        ];
        for (name, value) in known {
            assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(labels("db-01", &texts(&[("rack", "a1")]), None), texts(&[("rack", "a1"), ("host.name", "db-01")]));
    }

    #[test]
    fn patterns_match_whole_names() {
        let check = |text, name, expected| assert_eq!(matches(text, name), expected, "{text} {name}");
        check("/data", "/data", true);
        check("/data", "/data2", false);
        check("/data*", "/data", true);
        check("/data*", "/data/a/b", true);
        check("/data*", "/mnt/data", false);
        check("nvme?n1", "nvme0n1", true);
        check("nvme?n1", "nvme10n1", false);
        check("*", "", true);
        check("/[a]", "/[a]", true);
    }

    #[test]
    fn every_part_of_a_scope_has_to_fit() {
        let machine = Machine { id: 7, kind: Kind::Host, labels: texts(&[("rack", "a1"), ("role", "db")]) };
        let rule = Threshold::new(Kind::Host, "system.filesystem.utilization", Direction::Above, 0.9);
        let check =
            |rule: Threshold, device, expected| assert_eq!(rule.is_for(&machine, device), expected, "{rule:?} {device:?}");
        check(rule.clone(), None, true);
        check(rule.clone(), Some("/"), true);
        check(Threshold { kind: Kind::Container, ..rule.clone() }, None, false);
        check(Threshold { machine_id: Some(7), ..rule.clone() }, None, true);
        check(Threshold { machine_id: Some(8), ..rule.clone() }, None, false);
        check(Threshold { labels: texts(&[("rack", "a*"), ("role", "db")]), ..rule.clone() }, None, true);
        check(Threshold { labels: texts(&[("rack", "a1"), ("role", "web")]), ..rule.clone() }, None, false);
        check(Threshold { labels: texts(&[("row", "*")]), ..rule.clone() }, None, false);
        check(Threshold { device: Some("/d*".to_owned()), ..rule.clone() }, Some("/data"), true);
        check(Threshold { device: Some("/d*".to_owned()), ..rule }, None, false);
    }
}
