//! Scopes, versions and who made them, through REST and ingest, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, cpu_rule, now_ms, on_every_database, report};
use wire_model::{Cell, HostReport};

const FILESYSTEM: &str = "system.filesystem.utilization";

/// A rule of a scope, a device and a value.
fn rule(scope: Value, metric: &str, device: Option<&str>, value: f64) -> Value {
    json!({"scope": scope, "metric": metric, "device": device, "direction": "above", "value": value})
}

fn labelled(report: HostReport, labels: &[(&str, &str)]) -> HostReport {
    let mut report = report;
    report.host.labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    report
}

/// Thresholds of open violations, by what they are of.
async fn open(backend: &Backend, of: impl Fn(&Value) -> String) -> BTreeMap<String, String> {
    let open = backend.items("/violations?state=open").await;
    open.iter().map(|one| (of(one), one["threshold_id"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn labels_find_their_hosts_and_a_none_switches_off() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let scope = |labels: Value| json!({"kind": "host", "labels": labels});
        let mut rules = [
            cpu_rule(0.5, 0.5, 0),
            rule(scope(json!({"rack": "a*"})), "system.cpu.utilization", None, 0.8),
            json!({"scope": scope(json!({"rack": "a*", "role": "batch"})), "metric": "system.cpu.utilization", "direction": "above", "effect": "none"}),
        ];
        for rule in &mut rules {
            rule["severity"] = json!("warning");
        }
        let ids = backend.only_thresholds(&rules).await;
        let at = now_ms() - 20_000;
        let fleet = |at: i64, cpu: f64| {
            [
                labelled(report("plain", at, cpu, &[]), &[]),
                labelled(report("a1", at, cpu, &[]), &[("rack", "a1")]),
                labelled(report("b1", at, cpu, &[]), &[("rack", "b1")]),
                labelled(report("batch", at, cpu, &[]), &[("rack", "a2"), ("role", "batch")]),
            ]
        };
        backend.ingest(&fleet(at, 0.7)).await;
        let host = |one: &Value| one["host_id"].as_str().unwrap().to_owned();
        let expected = |pairs: &[(&str, &str)]| pairs.iter().map(|(host, id)| ((*host).to_owned(), (*id).to_owned())).collect::<BTreeMap<_, _>>();
        assert_eq!(open(&backend, host).await, expected(&[("plain", &ids[0]), ("b1", &ids[0])]));
        backend.ingest(&fleet(at + 2_000, 0.9)).await;
        assert_eq!(open(&backend, host).await, expected(&[("plain", &ids[0]), ("a1", &ids[1]), ("b1", &ids[0])]));
        let machine = backend.items("/machines?q=a1").await[0]["id"].as_str().unwrap().to_owned();
        let in_force = backend.items(&format!("/machines/{machine}/thresholds")).await;
        assert_eq!((in_force.len(), &in_force[0]["origin"], &in_force[0]["threshold"]["id"]), (1, &json!("labels"), &json!(ids[1])));
        assert!((in_force[0]["distance"].as_f64().unwrap() + 0.1).abs() < 1e-9, "{}", in_force[0]);
        // the label goes, and with it the rule
        backend.ingest(&[labelled(report("a1", at + 4_000, 0.9, &[]), &[])]).await;
        assert_eq!(open(&backend, host).await["a1"], ids[0]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn containers_are_found_by_their_image_and_devices_by_pattern() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend
            .only_thresholds(&[
                rule(
                    json!({"kind": "container", "labels": {"image": "nginx:*", "host.name": "a*"}}),
                    "container.memory.utilization",
                    None,
                    0.4,
                ),
                rule(json!({"kind": "host"}), FILESYSTEM, Some("/data*"), 0.4),
                rule(json!({"kind": "host"}), FILESYSTEM, Some("/data1"), 0.6),
            ])
            .await;
        let mut one = report("a", now_ms() - 20_000, 0.1, &[("web", "running", 0.5), ("job", "running", 0.5)]);
        let containers = one.tables.get_mut("container").unwrap();
        containers.columns.push("image".to_owned());
        for (row, image) in containers.rows.iter_mut().zip(["nginx:1.27", "redis:8"]) {
            row.push(Cell::Text(image.into()));
        }
        let filesystems = one.tables.get_mut("filesystem").unwrap();
        let row = |device: &str| {
            let mut row = filesystems.rows[0].clone();
            row[0] = Cell::Text(device.into());
            row
        };
        let rows = ["/", "/data1", "/data2", "/data3"].map(row);
        filesystems.rows = rows.into();
        backend.ingest(&[one]).await;
        let series = |one: &Value| format!("{} {}", one["machine_name"].as_str().unwrap(), one["device"].as_str().unwrap_or("-"));
        let expected = [("web -", &ids[0]), ("a.example /data2", &ids[1]), ("a.example /data3", &ids[1])];
        assert_eq!(open(&backend, series).await, expected.map(|(series, id)| (series.to_owned(), id.clone())).into());
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_change_is_a_version_with_who_and_when() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let defaults = backend.items("/thresholds").await;
        let first = format!("/thresholds/{}/versions", defaults[0]["id"].as_str().unwrap());
        let versions = backend.items(&first).await;
        assert_eq!((versions.len(), &versions[0]["changed_at"]), (1, &Value::Null));
        let said = |known: &Value| {
            let mut said = known.clone();
            for told in ["changed_at", "changed_by", "machine_name", "host_name"] {
                assert_eq!(said.as_object_mut().unwrap().remove(told), Some(Value::Null), "{known}");
            }
            said
        };
        assert_eq!(versions[0]["threshold"], said(&defaults[0]));

        let before = now_ms();
        let url = format!("{}/api/v1/thresholds", backend.base);
        let request = backend.client.post(&url).header("X-Operator", "jana").json(&cpu_rule(0.95, 0.95, 0));
        // the default rule says the same of other values
        assert_eq!(request.send().await.unwrap().status(), StatusCode::CONFLICT);
        let ids = backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let path = format!("/thresholds/{}", ids[0]);
        let mut changed = backend.get(&path).await.1;
        (changed["value"], changed["recovery_value"], changed["note"]) = (json!(0.6), json!(0.6), json!("after the new fans"));
        let put = |body: Value, who: &'static str| {
            backend
                .client
                .put(format!("{url}/{}", ids[0]))
                .header("X-Forwarded-User", who)
                .header("X-Operator", "page")
                .json(&body)
                .send()
        };
        assert_eq!(put(changed.clone(), "kim").await.unwrap().status(), StatusCode::OK);
        let stale = put(changed.clone(), "kim").await.unwrap();
        assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED, "the body names the version that it changes");
        assert_eq!(put(changed, &"x".repeat(129).leak()[..]).await.unwrap().status(), StatusCode::BAD_REQUEST);
        backend.ingest(&[report("a", now_ms() - 20_000, 0.7, &[])]).await;
        let violation = backend.items("/violations?state=open").await.remove(0);
        assert_eq!((&violation["threshold_version"], &violation["threshold_value"]), (&json!(2), &json!(0.6)));
        assert_eq!(backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);

        let versions = backend.items(&format!("{path}/versions")).await;
        let told =
            |version: &Value| (version["version"].clone(), version["changed_by"].clone(), version["threshold"]["value"].clone());
        let expected =
            [(json!(3), Value::Null, Value::Null), (json!(2), json!("kim"), json!(0.6)), (json!(1), Value::Null, json!(0.5))];
        assert_eq!(versions.iter().map(told).collect::<Vec<_>>(), expected);
        assert!(
            versions.iter().all(|version| version["changed_at"].as_str().unwrap() >= api_backend::time::rfc3339(before).as_str())
        );
        assert_eq!(backend.get("/thresholds/4711/versions").await.0, StatusCode::NOT_FOUND);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_is_listed_with_who_changed_it_and_its_machine_and_may_be_sent_back_so() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.ingest(&[report("a", now_ms() - 20_000, 0.1, &[("web", "running", 0.5)])]).await;
        let machines = backend.items("/machines").await;
        let of = |kind: &str| machines.iter().find(|machine| machine["kind"] == kind).unwrap()["id"].clone();
        let ids = backend
            .only_thresholds(&[
                rule(json!({"machine_id": of("container")}), "container.cpu.usage", None, 8.0),
                rule(json!({"machine_id": of("host")}), "system.cpu.utilization", None, 0.9),
                rule(json!({"kind": "host"}), "system.cpu.utilization", None, 0.95),
            ])
            .await;
        let listed = backend.items("/thresholds").await;
        let names = |rule: &Value| (rule["machine_name"].clone(), rule["host_name"].clone());
        let expected = [("web".into(), "a.example".into()), ("a.example".into(), "a.example".into()), (Value::Null, Value::Null)];
        assert_eq!(listed.iter().map(names).collect::<Vec<_>>(), expected);
        let path = format!("/thresholds/{}", ids[0]);
        assert_eq!(backend.get(&path).await.1, listed[0]);
        let request = backend.client.put(format!("{}/api/v1{path}", backend.base)).header("X-Operator", "jana");
        let answer = request.json(&listed[0]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "what was told stands in what is sent");
        let changed = backend.get(&path).await.1;
        assert_eq!((&changed["changed_by"], &changed["version"]), (&json!("jana"), &json!(2)));
        assert!(changed["changed_at"].as_str() >= listed[0]["changed_at"].as_str(), "{changed}");
        let mut unknown = changed;
        unknown["colour"] = json!("red");
        assert!(backend.call(Method::PUT, &path, Some(&unknown)).await.0.is_client_error());

        let silence = json!({"scope": {"machine_id": of("container")}, "ends_at": "2999-01-01", "comment": "work"});
        assert_eq!(backend.call(Method::POST, "/silences", Some(&silence)).await.0, StatusCode::CREATED);
        let silence = backend.items("/silences").await.remove(0);
        assert_eq!(names(&silence), expected[0]);
        let path = format!("/silences/{}", silence["id"].as_str().unwrap());
        assert_eq!(backend.get(&path).await.1, silence);
        assert_eq!(backend.call(Method::PUT, &path, Some(&silence)).await.0, StatusCode::OK);
        backend.stop().await;
    })
    .await;
}
