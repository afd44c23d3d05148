//! Which machine a container is: recreated with a new id it stays the same one.

use std::collections::{BTreeMap, HashSet};

use crate::report::Table;

/// Characters of an identity: a database index holds it.
pub const IDENTITY_CHARS: usize = 255;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// The identity of each row of a container table, in row order, unique within the table.
///
/// `compose:project/service/number` where compose made it, else `name:NAME`; at most [`IDENTITY_CHARS`] long and without
/// trailing spaces, which MySQL ignores when it compares. `docker compose run` starts one-off containers with the number
/// of a running one: those go by name, and so does whatever else would collide.
pub fn container_identities(table: &Table) -> Vec<String> {
    let name = table.column("name");
    let labels = table.column("labels");
    let mut taken = HashSet::new();
    let mut identities = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        let name = name.and_then(|column| row[column].text()).unwrap_or_default();
        let labels = labels.and_then(|column| row[column].labels());
        let identity = labels
            .and_then(compose_identity)
            .filter(|identity| !taken.contains(identity))
            .unwrap_or_else(|| format!("name:{name}"));
        taken.insert(identity.clone());
        identities.push(identity);
    }
    identities
}

fn compose_identity(labels: &BTreeMap<String, String>) -> Option<String> {
    if labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let (project, service, number) = (labels.get(PROJECT)?, labels.get(SERVICE)?, labels.get(NUMBER)?);
    let identity = format!("compose:{project}/{service}/{}", number.trim());
    (identity.chars().count() <= IDENTITY_CHARS).then_some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Cell;

    fn labels(pairs: &[(&str, &str)]) -> Cell {
        Cell::Labels(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_identity_is_bounded_and_has_no_trailing_space() {
        for (project, number, expected) in
            [(242, "1", "compose:"), (243, "1", "compose:"), (244, "1", "name:x"), (1, "1 ", "compose:p/s/1")]
        {
            let labels = labels(&[(PROJECT, &"p".repeat(project)), (SERVICE, "s"), (NUMBER, number)]);
            let table = Table { columns: vec!["name".into(), "labels".into()], rows: vec![vec!["x".into(), labels]] };
            let identity = container_identities(&table).remove(0);
            assert!(identity.starts_with(expected) && !identity.ends_with(' '), "{project} {identity}");
        }
    }

    #[test]
    fn compose_containers_keep_their_identity_and_one_offs_go_by_name() {
        let web = [(PROJECT, "shop"), (SERVICE, "web"), (NUMBER, "1"), (ONE_OFF, "False")];
        let mut one_off = web;
        one_off[3].1 = "True";
        let table = Table {
            columns: vec!["name".into(), "labels".into()],
            rows: vec![
                vec!["shop-web-1".into(), labels(&web)],
                vec!["shop-web-run-1".into(), labels(&one_off)],
                vec!["copy-of-web".into(), labels(&web)],
                vec!["plain".into(), Cell::Null],
            ],
        };
        assert_eq!(container_identities(&table), ["compose:shop/web/1", "name:shop-web-run-1", "name:copy-of-web", "name:plain"]);
    }
}
