//! When a silence is active.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Shortest and longest time that a recurring silence is active each time.
pub const DURATION_SECONDS_MIN: i64 = 60;
/// A week.
pub const DURATION_SECONDS_MAX: i64 = 7 * 86_400;
/// Times that run into each other are told as one, but no more than so many.
const JOINED: usize = 100;

/// From when to when, or again and again in between. Times are Unix ms.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Not before this time.
    pub starts_at: Option<i64>,
    /// Not at this time and later.
    pub ends_at: Option<i64>,
    /// Not all the time in between, but each time anew.
    pub recurrence: Option<Recurrence>,
}

/// Begins when a clock on the wall shows certain times.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrence {
    cron: Cron,
    zone: TimeZone,
    /// The expression: minute, hour, day of month, month, day of week.
    pub text: String,
    /// IANA name of the clock's zone.
    pub tz: String,
    /// For how long each time, by time that passes.
    pub duration_seconds: i64,
}

/// What a schedule says at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// It is active, and will be until this time.
    pub until: Option<i64>,
    /// It begins to be active at this time; later than `until`.
    pub next_start: Option<i64>,
}

impl Recurrence {
    /// Reads an expression of five fields. The problem begins with the name of the field in REST.
    ///
    /// Where clocks are moved: a time of the day that is skipped is when the clock has been moved, one that comes twice counts the first time; but with a
    /// wildcard for minute or hour it is each time that the clock shows (as in Vixie's cron).
    pub fn parse(text: &str, tz: &str, duration_seconds: i64) -> Result<Recurrence, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let is_five = text.split_whitespace().count() == 5;
        let cron = parser.parse(text).ok().filter(|_| is_five);
        let cron = cron
            .ok_or_else(|| format!("cron: \"{text}\" is not five fields of minute, hour, day of month, month and day of week"))?;
        let zone = TimeZone::get(tz).map_err(|_| format!("tz: there is no time zone \"{tz}\""))?;
        if !(DURATION_SECONDS_MIN..=DURATION_SECONDS_MAX).contains(&duration_seconds) {
            return Err(format!(
                "duration_seconds: {duration_seconds} is not within {DURATION_SECONDS_MIN} and {DURATION_SECONDS_MAX}"
            ));
        }
        Ok(Recurrence { cron, zone, text: text.to_owned(), tz: tz.to_owned(), duration_seconds })
    }

    /// The first start at this time or later.
    fn next(&self, at: i64) -> Option<i64> {
        // croner looks at whole seconds
        let start = self.zoned(at.saturating_add(999).div_euclid(1_000))?;
        self.cron.find_next_occurrence(&start, true).ok().map(|found| found.timestamp().as_millisecond())
    }

    /// The last start at this time or earlier.
    fn previous(&self, at: i64) -> Option<i64> {
        let start = self.zoned(at.div_euclid(1_000))?;
        self.cron.find_previous_occurrence(&start, true).ok().map(|found| found.timestamp().as_millisecond())
    }

    fn zoned(&self, seconds: i64) -> Option<Zoned> {
        Some(Timestamp::from_second(seconds).ok()?.to_zoned(self.zone.clone()))
    }
}

impl Schedule {
    /// Whether it is active now and for how long, and when it begins next.
    pub fn at(&self, now: i64) -> Activity {
        let (first, end) = (self.starts_at.unwrap_or(i64::MIN), self.ends_at.unwrap_or(i64::MAX));
        let Some(recurrence) = &self.recurrence else {
            let is_active = (first..end).contains(&now);
            return Activity { until: is_active.then_some(end), next_start: (now < first && first < end).then_some(first) };
        };
        let duration_ms = recurrence.duration_seconds * 1_000;
        let started = recurrence.previous(now.min(end)).filter(|start| *start >= first && *start < end);
        let mut until = started.map(|start| start + duration_ms).filter(|until| now < *until && now < end);
        let mut next = recurrence.next(now.saturating_add(1).max(first));
        for _ in 0..JOINED {
            let (Some(joined), Some(start)) = (until, next) else { break };
            if start > joined || start >= end {
                break;
            }
            until = Some(start + duration_ms);
            next = recurrence.next(start + 1);
        }
        Activity { until: until.map(|until| until.min(end)), next_start: next.filter(|start| *start < end) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::rfc3339;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn recurring(cron: &str, tz: &str, minutes: i64) -> Schedule {
        let recurrence = Recurrence::parse(cron, tz, minutes * 60).unwrap();
        Schedule { starts_at: None, ends_at: None, recurrence: Some(recurrence) }
    }

    /// All times that it is active from one time to another, looking at every minute.
    fn times(schedule: &Schedule, from: &str, to: &str) -> Vec<(String, String)> {
        let mut times: Vec<(i64, i64)> = Vec::new();
        for now in (at(from)..at(to)).step_by(60_000) {
            if schedule.at(now).until.is_some() {
                match times.last_mut() {
                    Some((_, until)) if *until == now => *until = now + 60_000,
                    _ => times.push((now, now + 60_000)),
                }
            }
        }
        let text = |ms: i64| rfc3339(ms)[5..16].to_owned();
        times.into_iter().map(|(from, until)| (text(from), text(until))).collect()
    }

    fn check(schedule: &Schedule, from: &str, to: &str, expected: &[(&str, &str)]) {
        let found = times(schedule, from, to);
        let found: Vec<_> = found.iter().map(|(from, until)| (from.as_str(), until.as_str())).collect();
        assert_eq!(found, expected, "{schedule:?}");
    }

    #[test]
    fn once_is_half_open() {
        let once = Schedule { starts_at: Some(1_000), ends_at: Some(2_000), recurrence: None };
        let check = |now, until, next_start| assert_eq!(once.at(now), Activity { until, next_start }, "{now}");
        check(999, None, Some(1_000));
        check(1_000, Some(2_000), None);
        check(1_999, Some(2_000), None);
        check(2_000, None, None);
    }

    #[test]
    fn each_time_anew_within_its_ends() {
        let nightly = recurring("30 2 * * *", "Europe/Berlin", 60);
        check(
            &nightly,
            "2026-01-10T00:00:00Z",
            "2026-01-12T00:00:00Z",
            &[("01-10T01:30", "01-10T02:30"), ("01-11T01:30", "01-11T02:30")],
        );
        let night = at("2026-01-10T01:30:00Z");
        let (hour, day) = (3_600_000, 86_400_000);
        assert_eq!(nightly.at(night), Activity { until: Some(night + hour), next_start: Some(night + day) });
        assert_eq!(nightly.at(night + hour - 1), Activity { until: Some(night + hour), next_start: Some(night + day) });
        assert_eq!(nightly.at(night + hour), Activity { until: None, next_start: Some(night + day) });
        assert_eq!(nightly.at(night - 1), Activity { until: None, next_start: Some(night) });
        let between = Schedule { starts_at: Some(night + 1), ends_at: Some(night + day + hour / 2), ..nightly.clone() };
        assert_eq!(between.at(night + 2), Activity { until: None, next_start: Some(night + day) }, "it had begun before");
        assert_eq!(between.at(night + day), Activity { until: Some(night + day + hour / 2), next_start: None });
        assert_eq!(between.at(night + day + hour / 2), Activity::default());
        assert_eq!(between.at(night - day), Activity { until: None, next_start: Some(night + day) });
        let weekend = recurring("0 22 * * FRI", "UTC", 2 * 24 * 60);
        check(&weekend, "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z", &[("01-09T22:00", "01-11T22:00")]);
    }

    #[test]
    fn a_night_of_23_hours_has_its_window() {
        // 02:00 to 03:00 is skipped in Berlin at 01:00 UTC
        let (from, to) = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
        check(&recurring("30 2 * * *", "Europe/Berlin", 60), from, to, &[("03-29T01:00", "03-29T02:00")]);
        check(&recurring("0 1 * * *", "Europe/Berlin", 180), from, to, &[("03-29T00:00", "03-29T03:00")]);
        check(&recurring("0 3 * * *", "Europe/Berlin", 60), from, to, &[("03-29T01:00", "03-29T02:00")]);
        let hourly = times(&recurring("0 * * * *", "Europe/Berlin", 10), from, to);
        assert_eq!(hourly.len(), 24, "every hour that there is");
        // Cuba moves its clocks at midnight: the day begins at one
        let (from, to) = ("2026-03-07T12:00:00Z", "2026-03-08T12:00:00Z");
        check(&recurring("0 0 * * *", "America/Havana", 30), from, to, &[("03-08T05:00", "03-08T05:30")]);
    }

    #[test]
    fn a_night_of_25_hours_has_its_window_once() {
        // 02:00 to 03:00 comes twice in Berlin, from 00:00 and from 01:00 UTC
        let (from, to) = ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        check(&recurring("30 2 * * *", "Europe/Berlin", 60), from, to, &[("10-25T00:30", "10-25T01:30")]);
        check(&recurring("0 1 * * *", "Europe/Berlin", 180), from, to, &[("10-24T23:00", "10-25T02:00")]);
        let hourly = times(&recurring("0 * * * *", "Europe/Berlin", 10), from, to);
        assert_eq!(hourly.len(), 24, "every hour that there is");
        assert!(hourly.contains(&("10-25T00:00".into(), "10-25T00:10".into())));
        assert!(hourly.contains(&("10-25T01:00".into(), "10-25T01:10".into())));
    }

    #[test]
    fn times_that_run_into_each_other_are_one() {
        let always = recurring("*/10 * * * *", "UTC", 10);
        let now = at("2026-01-10T00:05:00Z");
        let activity = always.at(now);
        assert_eq!(activity.until, Some(at("2026-01-10T00:10:00Z") + 100 * 600_000));
        let twice = recurring("0,20 1 * * *", "UTC", 30);
        check(&twice, "2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z", &[("01-10T01:00", "01-10T01:50")]);
        let activity = twice.at(at("2026-01-10T01:10:00Z"));
        assert_eq!(activity.until, Some(at("2026-01-10T01:50:00Z")));
        assert_eq!(activity.next_start, Some(at("2026-01-11T01:00:00Z")));
    }

    #[test]
    fn what_never_comes_is_never_active() {
        let never = recurring("0 0 30 2 *", "UTC", 60);
        assert_eq!(never.at(at("2026-01-10T00:05:00Z")), Activity::default());
        let leap = recurring("0 0 29 2 *", "UTC", 60);
        assert_eq!(leap.at(at("2026-01-10T00:05:00Z")).next_start, Some(at("2028-02-29T00:00:00Z")));
    }

    #[test]
    fn expressions_have_five_fields() {
        let check = |cron: &str, tz: &str, seconds: i64, field: &str| {
            let found = Recurrence::parse(cron, tz, seconds);
            assert_eq!(found.err().map(|problem| problem[..field.len()].to_owned()).unwrap_or_default(), field, "{cron}");
        };
        check("0 2 * * 1-5", "UTC", 60, "");
        check("0 2 * * MON#1", "UTC", 60, "");
        for cron in
            ["", "0 2 * *", "0 0 2 * * 1", "0 0 2 * * 1 2027", "@daily", "60 2 * * *", "0 24 * * *", "x 2 * * *", "0 2 * * 1 UTC"]
        {
            check(cron, "UTC", 60, "cron");
        }
        check("0 2 * * *", "Mars/Base", 60, "tz");
        check("0 2 * * *", "UTC", 59, "duration_seconds");
        check("0 2 * * *", "UTC", DURATION_SECONDS_MAX, "");
        check("0 2 * * *", "UTC", DURATION_SECONDS_MAX + 1, "duration_seconds");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Against looking at each second of a day and a half before for a start: what the clock shows then is what the expression says.
        #[test]
        fn it_is_what_the_clock_on_the_wall_says(
            hour in 3_i8..24, minute in 0_i8..60, minutes in 1_i64..600, day in 0_i64..400, second in 0_i64..86_400,
            zone in prop_oneof!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"],
        ) {
            // from 3 in the morning on these clocks are not moved
            let schedule = recurring(&format!("{minute} {hour} * * *"), &zone, minutes);
            let now = at("2026-01-01T00:00:00Z") + (day * 86_400 + second) * 1_000;
            let zone = TimeZone::get(&zone).unwrap();
            let today = Timestamp::from_millisecond(now).unwrap().to_zoned(zone.clone()).date();
            let starts: Vec<i64> = (-2..=2)
                .map(|days| today.checked_add(jiff::Span::new().days(days)).unwrap())
                .map(|date| date.at(hour, minute, 0, 0).to_zoned(zone.clone()).unwrap().timestamp().as_millisecond())
                .collect();
            let duration_ms = minutes * 60_000;
            let until = starts.iter().map(|start| start + duration_ms).find(|until| (until - duration_ms..*until).contains(&now));
            let next_start = starts.iter().copied().find(|start| *start > now);
            prop_assert_eq!(schedule.at(now), Activity { until, next_start });
        }
    }
}
