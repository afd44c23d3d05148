//! From the Docker API's words to ours.

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use jiff::Timestamp;

use super::inventory::Container;
use crate::fit;

/// What the list alone says; enough while an inspection does not answer.
pub(super) fn from_summary(summary: &ContainerSummary) -> Option<Container> {
    let name = summary.names.iter().flatten().next().map_or("", |name| name.trim_start_matches('/'));
    Some(Container {
        id: summary.id.clone()?,
        name: fit::name(name).into_owned(),
        image: fit::text(summary.image.as_deref().unwrap_or_default()).into_owned(),
        state: summary.state.as_ref().map(ToString::to_string).unwrap_or_default(),
        health: health_in_status(summary.status.as_deref().unwrap_or_default()),
        started_at: None,
        restarts: None,
        exit_code: None,
        oom_killed: None,
        labels: fit::labels(summary.labels.iter().flatten()),
        pid: None,
        host_network: summary.host_config.as_ref().and_then(|host| host.network_mode.as_deref()) == Some("host"),
    })
}

/// All of it.
pub(super) fn from_inspection(inspected: &ContainerInspectResponse) -> Option<Container> {
    let state = inspected.state.as_ref();
    let config = inspected.config.as_ref();
    let image = config.and_then(|config| config.image.as_deref()).or(inspected.image.as_deref()).unwrap_or_default();
    let health = state.and_then(|state| state.health.as_ref()?.status).map(|status| status.to_string());
    let network = inspected.host_config.as_ref().and_then(|host| host.network_mode.as_deref());
    let mut container = Container {
        id: inspected.id.clone()?,
        name: fit::name(inspected.name.as_deref().unwrap_or_default().trim_start_matches('/')).into_owned(),
        image: fit::text(image).into_owned(),
        state: state.and_then(|state| state.status).map(|status| status.to_string()).unwrap_or_default(),
        health: health.filter(|health| !matches!(health.as_str(), "" | "none")),
        started_at: state.and_then(|state| unix_ms(state.started_at.as_deref()?)),
        restarts: inspected.restart_count,
        exit_code: None,
        oom_killed: state.and_then(|state| state.oom_killed),
        labels: fit::labels(config.and_then(|config| config.labels.as_ref()).into_iter().flatten()),
        pid: state.and_then(|state| state.pid).filter(|pid| *pid > 0),
        host_network: network == Some("host"),
    };
    // the engine says 0 of those that run, too
    container.exit_code = state.and_then(|state| state.exit_code).filter(|_| container.has_ended());
    Some(container)
}

/// Whether a container has changed, as far as the list can tell, since it was inspected.
pub(super) fn is_as_listed(known: &Container, listed: &Container) -> bool {
    // the list shows the health of running containers only
    let same_health = known.health == listed.health || listed.state != "running";
    known.state == listed.state && known.name == listed.name && same_health && known.started_at.is_some()
}

/// `Up 5 minutes (healthy)`, `(health: starting)`; the list says it nowhere else.
fn health_in_status(status: &str) -> Option<String> {
    let (_, health) = status.strip_suffix(')')?.rsplit_once('(')?;
    let health = health.strip_prefix("health: ").unwrap_or(health);
    matches!(health, "healthy" | "unhealthy" | "starting").then(|| health.to_owned())
}

/// RFC 3339; the year 1 stands for "never".
fn unix_ms(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond).filter(|at| *at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_read_from_the_status() {
        for (status, health) in [
            ("Up 5 minutes (healthy)", Some("healthy")),
            ("Up 5 minutes (unhealthy)", Some("unhealthy")),
            ("Up 1 second (health: starting)", Some("starting")),
            ("Up 5 minutes (Paused)", None),
            ("Exited (0) 5 minutes ago", None),
            ("Up 5 minutes", None),
            ("", None),
        ] {
            assert_eq!(health_in_status(status).as_deref(), health, "{status}");
        }
    }

    #[test]
    fn times_are_unix_ms_and_never_is_absent() {
        assert_eq!(unix_ms("2026-11-21T09:37:42.873520505Z"), Some(1_795_253_862_873));
        assert_eq!(unix_ms("2026-11-21T10:37:42+01:00"), Some(1_795_253_862_000));
        assert_eq!(unix_ms("0001-01-01T00:00:00Z"), None);
        assert_eq!(unix_ms(""), None);
    }

    #[test]
    fn an_inspection_is_cut_to_the_limits() {
        let long = "x".repeat(1000);
        let text = format!(
            r#"{{"Id":"f3c669f4b0cf58061ef5","Name":"/{long}","RestartCount":3,"Image":"sha256:1",
            "State":{{"Status":"running","Pid":1279,"StartedAt":"2026-11-21T09:37:42.8Z","Health":{{"Status":"starting"}}}},
            "HostConfig":{{"NetworkMode":"host"}},"Config":{{"Image":"nginx:1.27","Labels":{{"{long}":"{long}","a":"b"}}}}}}"#
        );
        let container = from_inspection(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((container.name.len(), container.labels.len(), container.short_id()), (128, 2, "f3c669f4b0cf"));
        assert!(container.labels.iter().all(|(key, value)| key.len() <= 256 && value.len() <= 256));
        assert_eq!((container.state.as_str(), container.health.as_deref()), ("running", Some("starting")));
        assert_eq!((container.image.as_str(), container.restarts, container.pid), ("nginx:1.27", Some(3), Some(1279)));
        assert!(container.host_network && container.is_alive());
        let stopped =
            r#"{"Id":"a","State":{"Status":"exited","Pid":0,"StartedAt":"0001-01-01T00:00:00Z","Health":{"Status":"none"}}}"#;
        let container = from_inspection(&serde_json::from_str(stopped).unwrap()).unwrap();
        assert_eq!((container.pid, container.started_at, container.health, container.name.as_str()), (None, None, None, "?"));
        assert_eq!((container.exit_code, container.oom_killed), (None, None));
    }

    #[test]
    fn only_what_ended_has_an_exit_code() {
        let of = |state: &str| {
            let text = format!(
                r#"{{"Id":"a","State":{{"Status":"{state}","ExitCode":137,"OOMKilled":true,"StartedAt":"2026-11-21T09:37:42Z"}}}}"#
            );
            from_inspection(&serde_json::from_str(&text).unwrap()).unwrap()
        };
        for (state, exit_code) in
            [("exited", Some(137)), ("dead", Some(137)), ("running", None), ("restarting", None), ("created", None)]
        {
            let container = of(state);
            assert_eq!((container.exit_code, container.oom_killed), (exit_code, Some(true)), "{state}");
        }
    }
}
