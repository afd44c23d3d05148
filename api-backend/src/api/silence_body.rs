//! A silence in JSON, and whether it makes sense.

use jiff::tz::TimeZone;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire_model::limits::{LABEL_CHARS, NAME_CHARS};

use super::Problem;
use super::acknowledge::check_comment;
use super::machine_names::Names;
use crate::silence::{Recurrence, Schedule, Scope, Silence, SilenceKind};
use crate::thresholds::SCOPE_LABELS;
use crate::time::{parse_instant, rfc3339};

/// What a client says of a silence. What it was told beside that may stand in it too.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSilence)]
pub(super) struct SilenceBody {
    /// Absent in what a client creates.
    #[serde(default)]
    pub(super) id: Option<String>,
    /// Of what a client replaces: the one it knows, if it says so.
    #[serde(default)]
    pub(super) version: Option<i64>,
    #[serde(default)]
    kind: SilenceKind,
    pub(super) scope: Scope,
    /// Time or date; default: from now on, when it does not recur.
    #[serde(default)]
    starts_at: Option<String>,
    /// Time or date; may be absent when it recurs.
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    cron: Option<String>,
    /// Only with `cron`.
    #[serde(default)]
    duration_seconds: Option<i64>,
    /// IANA name of the zone of `cron` and of dates; default: the server's.
    #[serde(default)]
    tz: Option<String>,
    comment: String,
    #[serde(default, rename = "created_at")]
    #[schema(value_type = Option<String>)]
    _created_at: IgnoredAny,
    #[serde(default, rename = "created_by")]
    #[schema(value_type = Option<String>)]
    _created_by: IgnoredAny,
    #[serde(default, rename = "active_until")]
    #[schema(value_type = Option<String>)]
    _active_until: IgnoredAny,
    #[serde(default, rename = "next_start_at")]
    #[schema(value_type = Option<String>)]
    _next_start_at: IgnoredAny,
    #[serde(default, rename = "machine_name")]
    #[schema(value_type = Option<String>)]
    _machine_name: IgnoredAny,
    #[serde(default, rename = "host_name")]
    #[schema(value_type = Option<String>)]
    _host_name: IgnoredAny,
}

impl SilenceBody {
    /// What it says, as it would be made now by nobody.
    pub(super) fn silence(self, zone: &TimeZone, now: i64) -> Result<Silence, Problem> {
        let zone = match &self.tz {
            Some(tz) => TimeZone::get(tz).map_err(|_| Problem::unprocessable(format!("tz: there is no time zone \"{tz}\"")))?,
            None => zone.clone(),
        };
        let instant = |name: &str, text: &Option<String>| {
            let parse = |text: &String| parse_instant(text, &zone);
            text.as_ref().map(parse).transpose().map_err(|problem| Problem::unprocessable(format!("{name}: {problem}")))
        };
        let (starts_at, ends_at) = (instant("starts_at", &self.starts_at)?, instant("ends_at", &self.ends_at)?);
        let schedule = match (self.cron, self.duration_seconds) {
            (None, Some(_)) => return Err(Problem::unprocessable("duration_seconds: says how long each time of a cron is")),
            (Some(_), None) => {
                return Err(Problem::unprocessable("duration_seconds: a cron needs to say for how long each time"));
            }
            (Some(cron), Some(duration_seconds)) => {
                let tz = zone.iana_name().ok_or_else(|| Problem::unprocessable("tz: the server's zone has no name, give one"))?;
                let recurrence = Recurrence::parse(&cron, tz, duration_seconds).map_err(Problem::unprocessable)?;
                let always = Schedule { starts_at: None, ends_at: None, recurrence: Some(recurrence) };
                if always.at(now) == Default::default() {
                    return Err(Problem::unprocessable(format!("cron: no day is ever like \"{cron}\"")));
                }
                Schedule { starts_at, ends_at, ..always }
            }
            (None, None) if ends_at.is_none() => {
                return Err(Problem::unprocessable("ends_at: without a cron it has to end"));
            }
            (None, None) => Schedule { starts_at: Some(starts_at.unwrap_or(now)), ends_at, recurrence: None },
        };
        if let (Some(starts_at), Some(ends_at)) = (schedule.starts_at, ends_at)
            && starts_at >= ends_at
        {
            let problem = format!("ends_at: {} is not after {}", rfc3339(ends_at), rfc3339(starts_at));
            return Err(Problem::unprocessable(problem));
        }
        let comment = self.comment.trim().to_owned();
        check_comment(&comment)?;
        if comment.is_empty() {
            return Err(Problem::unprocessable("comment: say why"));
        }
        check_scope(&self.scope, self.kind)?;
        Ok(Silence {
            id: 0,
            version: 1,
            kind: self.kind,
            scope: self.scope,
            schedule,
            comment,
            created_at: now,
            created_by: None,
        })
    }
}

fn check_scope(scope: &Scope, kind: SilenceKind) -> Result<(), Problem> {
    let fail = |detail: String| Err(Problem::unprocessable(detail));
    let is_name = |name: &str, most: usize| (1..=most).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if kind == SilenceKind::Maintenance && (scope.metric.is_some() || scope.severity.is_some()) {
        return fail("scope: a maintenance is of whole machines, without metric and severity".to_owned());
    }
    if !scope.is_of_machines() && scope.metric.is_none() && scope.severity.is_none() {
        return fail("scope: names nothing".to_owned());
    }
    for (field, name) in [("host_id", &scope.host_id), ("metric", &scope.metric)] {
        if name.as_ref().is_some_and(|name| !is_name(name, NAME_CHARS)) {
            return fail(format!("scope.{field}: a name has 1 to {NAME_CHARS} characters"));
        }
    }
    if scope.labels.len() > SCOPE_LABELS {
        return fail(format!("scope.labels: there are more than {SCOPE_LABELS}"));
    }
    if let Some((name, _)) = scope.labels.iter().find(|(name, value)| !is_name(name, LABEL_CHARS) || !is_name(value, LABEL_CHARS))
    {
        return fail(format!("scope.labels: \"{name}\" and its value have 1 to {LABEL_CHARS} characters"));
    }
    Ok(())
}

/// A silence, as a client is told of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Silence)]
pub(super) struct Told {
    id: String,
    version: i64,
    kind: SilenceKind,
    scope: Scope,
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    #[schema(format = DateTime)]
    ends_at: Option<String>,
    /// Minute, hour, day of month, month and day of week.
    cron: Option<String>,
    duration_seconds: Option<i64>,
    tz: Option<String>,
    comment: String,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: Option<String>,
    /// Absent while it is not active.
    #[schema(format = DateTime)]
    active_until: Option<String>,
    /// When it begins to be active; absent when it never will again.
    #[schema(format = DateTime)]
    next_start_at: Option<String>,
    /// Of the machine in its scope, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<String>,
}

impl Told {
    /// At this time.
    pub(super) fn of(silence: Silence, now: i64) -> Told {
        let activity = silence.schedule.at(now);
        let Schedule { starts_at, ends_at, recurrence } = silence.schedule;
        Told {
            id: silence.id.to_string(),
            version: silence.version,
            kind: silence.kind,
            scope: silence.scope,
            starts_at: starts_at.map(rfc3339),
            ends_at: ends_at.map(rfc3339),
            cron: recurrence.as_ref().map(|found| found.text.clone()),
            duration_seconds: recurrence.as_ref().map(|found| found.duration_seconds),
            tz: recurrence.map(|found| found.tz),
            comment: silence.comment,
            created_at: rfc3339(silence.created_at),
            created_by: silence.created_by,
            active_until: activity.until.map(rfc3339),
            next_start_at: activity.next_start.map(rfc3339),
            machine_name: None,
            host_name: None,
        }
    }

    /// And what the machine in its scope is called.
    pub(super) fn with_names(self, Names { machine, host }: Names) -> Told {
        Told { machine_name: machine, host_name: host, ..self }
    }
}
