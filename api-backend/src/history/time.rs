//! Stretches of time that chunks cover.

use crate::time::DAY_MS;

/// A raw chunk's: a quarter of an hour.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;
/// Of one point of a rollup.
pub(super) const SLOT_MS: i64 = 5 * 60 * 1_000;
/// Points of a rollup, which covers a day.
pub(super) const SLOTS: usize = 288;

/// Start of the stretch of `width` that `at` is in.
pub(super) fn floor(at: i64, width: i64) -> i64 {
    at - at.rem_euclid(width)
}

/// The end of it, if `at` is not the start of one.
pub(super) fn ceil(at: i64, width: i64) -> i64 {
    floor(at + width - 1, width)
}

/// Starts of the stretches of `width` that [from, to) touches.
pub(super) fn starts(from: i64, to: i64, width: i64) -> impl Iterator<Item = i64> {
    let first = floor(from, width);
    (0..).map(move |number| first + number * width).take_while(move |start| *start < to)
}

/// Start of the quarter of an hour that `at` is in.
pub fn quarter_of(at: i64) -> i64 {
    floor(at, QUARTER_MS)
}

/// Start of the day (UTC) that `at` is in.
pub fn day_of(at: i64) -> i64 {
    floor(at, DAY_MS)
}
