//! What a container's row says of it beside its values: the engine's words, from which rules on states are answered.
//!
//! It fits one whole number, which is what history keeps of it, so whatever is derived from it is derived from stored reports alike.

use wire_model::Cell;

use super::readings::RUNNING_STATES;

/// A container in one report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContainerState {
    /// The engine's word for what it does.
    pub engine: EngineState,
    /// What its health check says.
    pub health: Health,
    /// The engine says that it was ended, or a process of it, because memory ran out. Unknown counts as no.
    pub oom_killed: bool,
    /// What it ended with; `None` while it runs, before it ever did, and where it is not known. 255 stands for whatever is not within 0 to 255.
    pub exit_code: Option<u8>,
    /// Restarts by the engine itself since the container was made, up to [`RESTARTS_MAX`]; `None` where they are not known.
    pub restarts: Option<u32>,
}

/// The engine's word for what a container does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineState {
    /// The report does not say: it counts as running.
    #[default]
    Unknown,
    /// It never ran.
    Created,
    /// It runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended, and the engine is about to start it again.
    Restarting,
    /// It ended.
    Exited,
    /// The engine could not take it down.
    Dead,
    /// Any other word: it does not run.
    Other,
}

/// What a container's health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// It has none, or the report does not say.
    #[default]
    None,
    /// It started lately.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// More restarts count as so many.
pub const RESTARTS_MAX: u32 = (1 << 24) - 2;

/// In the order of their numbers.
const ENGINE_STATES: [EngineState; 8] = {
    use EngineState::{Created, Dead, Exited, Other, Paused, Restarting, Running, Unknown};
    [Unknown, Created, Running, Paused, Restarting, Exited, Dead, Other]
};
const HEALTHS: [Health; 4] = [Health::None, Health::Starting, Health::Healthy, Health::Unhealthy];

/// Bits of a packed state, from which on each field stands.
const HEALTH_AT: u32 = 3;
const OOM_AT: u32 = 5;
const EXIT_CODE_AT: u32 = 6;
const EXIT_CODE_KNOWN_AT: u32 = 14;
const RESTARTS_AT: u32 = 15;
const END: u32 = RESTARTS_AT + 24;

impl ContainerState {
    /// From a row's attributes, by their names: `state`, `health`, `oom_killed`, `exit_code`, `restarts`.
    pub(super) fn of<'a>(attribute: impl Fn(&str) -> Option<&'a Cell>) -> ContainerState {
        let text = |name| attribute(name).and_then(Cell::text);
        let number = |name| attribute(name).and_then(Cell::number);
        ContainerState {
            engine: text("state").map_or(EngineState::Unknown, EngineState::of),
            health: text("health").map_or(Health::None, Health::of),
            oom_killed: number("oom_killed").is_some_and(|flag| flag != 0.0),
            exit_code: number("exit_code").map(exit_code),
            restarts: number("restarts").map(restarts),
        }
    }

    /// Whether it has processes, so that there are values.
    pub fn is_running(self) -> bool {
        self.engine.is_running()
    }

    /// As history keeps it: bits 0 to 2 the engine's word, 3 and 4 health, 5 out of memory, 6 to 13 the exit code if bit 14 says that it is
    /// known, and from 15 on one more than the restarts, 0 where they are not known.
    pub fn pack(self) -> u64 {
        self.engine as u64
            | (self.health as u64) << HEALTH_AT
            | u64::from(self.oom_killed) << OOM_AT
            | u64::from(self.exit_code.unwrap_or_default()) << EXIT_CODE_AT
            | u64::from(self.exit_code.is_some()) << EXIT_CODE_KNOWN_AT
            | self.restarts.map_or(0, |restarts| u64::from(restarts.min(RESTARTS_MAX)) + 1) << RESTARTS_AT
    }

    /// From what [`pack`](ContainerState::pack) made; `None` of anything else.
    #[expect(clippy::cast_possible_truncation, reason = "each field is cut to its bits")]
    pub fn unpack(packed: u64) -> Option<ContainerState> {
        let field = |from: u32, to: u32| (packed >> from) & ((1 << (to - from)) - 1);
        let restarts = field(RESTARTS_AT, END);
        let state = ContainerState {
            engine: ENGINE_STATES[field(0, HEALTH_AT) as usize],
            health: HEALTHS[field(HEALTH_AT, OOM_AT) as usize],
            oom_killed: field(OOM_AT, EXIT_CODE_AT) == 1,
            exit_code: (field(EXIT_CODE_KNOWN_AT, RESTARTS_AT) == 1).then_some(field(EXIT_CODE_AT, EXIT_CODE_KNOWN_AT) as u8),
            restarts: restarts.checked_sub(1).map(|restarts| restarts as u32),
        };
        (state.pack() == packed).then_some(state)
    }
}

impl EngineState {
    fn of(word: &str) -> EngineState {
        match word {
            "created" => EngineState::Created,
            "running" => EngineState::Running,
            "paused" => EngineState::Paused,
            "restarting" => EngineState::Restarting,
            "exited" => EngineState::Exited,
            "dead" => EngineState::Dead,
            _ => EngineState::Other,
        }
    }

    /// The engine's word, as far as it is one of those that are kept apart.
    pub fn as_str(self) -> &'static str {
        match self {
            EngineState::Unknown => "unknown",
            EngineState::Created => "created",
            EngineState::Running => "running",
            EngineState::Paused => "paused",
            EngineState::Restarting => "restarting",
            EngineState::Exited => "exited",
            EngineState::Dead => "dead",
            EngineState::Other => "other",
        }
    }

    fn is_running(self) -> bool {
        self == EngineState::Unknown || RUNNING_STATES.contains(&self.as_str())
    }
}

impl Health {
    fn of(word: &str) -> Health {
        match word {
            "starting" => Health::Starting,
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            _ => Health::None,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0 to 255")]
fn exit_code(code: f64) -> u8 {
    if (0.0..=255.0).contains(&code) && code.fract() == 0.0 { code as u8 } else { u8::MAX }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast takes the nearest there is")]
fn restarts(count: f64) -> u32 {
    (count as u32).min(RESTARTS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cells: &[(&str, Cell)]) -> ContainerState {
        ContainerState::of(|name| cells.iter().find(|(other, _)| *other == name).map(|(_, cell)| cell))
    }

    #[test]
    fn a_row_is_read_and_what_it_does_not_say_is_unknown() {
        assert_eq!(of(&[]), ContainerState::default());
        assert!(of(&[]).is_running() && of(&[("state", Cell::Null)]).is_running());
        assert_eq!(of(&[]).pack(), 0);
        let ended = of(&[
            ("state", "exited".into()),
            ("health", "unhealthy".into()),
            ("oom_killed", Cell::Number(1.0)),
            ("exit_code", Cell::Number(137.0)),
            ("restarts", Cell::Number(3.0)),
        ]);
        let expected = ContainerState {
            engine: EngineState::Exited,
            health: Health::Unhealthy,
            oom_killed: true,
            exit_code: Some(137),
            restarts: Some(3),
        };
        assert_eq!(ended, expected);
        assert_eq!(ended.pack(), 5 | 3 << 3 | 1 << 5 | 137 << 6 | 1 << 14 | 4 << 15);
    }

    #[test]
    fn only_the_engines_own_words_run() {
        for (word, is_running) in [
            ("running", true),
            ("paused", true),
            ("restarting", true),
            ("created", false),
            ("exited", false),
            ("dead", false),
            ("removing", false),
            ("other", false),
            ("unknown", false),
        ] {
            assert_eq!(of(&[("state", word.into())]).is_running(), is_running, "{word}");
        }
    }

    #[test]
    fn numbers_beyond_their_fields_are_the_nearest() {
        for (code, expected) in [(0.0, 0), (255.0, 255), (256.0, 255), (-1.0, 255), (0.5, 255), (3_221_225_786.0, 255)] {
            assert_eq!(of(&[("exit_code", Cell::Number(code))]).exit_code, Some(expected), "{code}");
        }
        let most = f64::from(RESTARTS_MAX);
        for (count, expected) in [(-1.0, 0), (most - 1.0, RESTARTS_MAX - 1), (most, RESTARTS_MAX), (most + 1.0, RESTARTS_MAX)] {
            assert_eq!(of(&[("restarts", Cell::Number(count))]).restarts, Some(expected), "{count}");
        }
    }

    #[test]
    fn every_state_comes_back_and_is_a_number_that_chunks_keep_whole() {
        for engine in ENGINE_STATES {
            for health in HEALTHS {
                for oom_killed in [false, true] {
                    for exit_code in [None, Some(0), Some(1), Some(u8::MAX)] {
                        for restarts in [None, Some(0), Some(7), Some(RESTARTS_MAX)] {
                            let state = ContainerState { engine, health, oom_killed, exit_code, restarts };
                            assert!(state.pack() < 1 << END);
                            assert_eq!(ContainerState::unpack(state.pack()), Some(state));
                        }
                    }
                }
            }
        }
        assert_eq!(ContainerState::unpack(1 << END), None);
        assert_eq!(ContainerState::unpack(1 << EXIT_CODE_AT), None, "a code that is not known");
    }
}
