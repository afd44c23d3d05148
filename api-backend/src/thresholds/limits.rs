//! A rule's two values, seen from the values as they come.
//!
//! What is compared is what history keeps: values rounded to the catalog's resolution, so that history evaluated again says the same. Rounding
//! keeps order; so there is one value from which on rounded ones are beyond, and it is looked up once instead of rounding each value.

use super::{Direction, Quantity, Threshold};
use crate::history::scale::Scale;

/// Where values are beyond a rule's value, and where they are recovered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// 1, or −1 where the lesser value is the worse one: so turned, greater is always worse.
    turn: f64,
    /// Least turned value that is beyond once it is rounded.
    beyond: f64,
    /// Greatest turned value that is recovered once it is rounded.
    recovered: f64,
    scale: Scale,
}

impl Limits {
    pub(super) fn of(rule: &Threshold) -> Limits {
        let turn = match rule.direction {
            Direction::Above => 1.0,
            Direction::Below => -1.0,
        };
        // what a window says is not kept, and made of what is
        let scale = if rule.quantity == Quantity::Value { Scale::of(&rule.metric) } else { Scale::AsIs };
        Limits {
            turn,
            beyond: least(|turned| rule.is_beyond(scale.rounded_value(turned * turn))),
            recovered: least(|turned| !rule.is_recovered(scale.rounded_value(turned * turn))).next_down(),
            scale,
        }
    }

    /// Whether the value violates; not if it is absent.
    pub(super) fn is_beyond(&self, value: f64) -> bool {
        value * self.turn >= self.beyond
    }

    /// Whether the value ends a violation.
    pub(super) fn is_recovered(&self, value: f64) -> bool {
        value * self.turn <= self.recovered
    }

    /// The value as it is told.
    pub(super) fn rounded(&self, value: f64) -> f64 {
        self.scale.rounded_value(value)
    }

    /// The worst rounded value so far, with one more that need not be rounded.
    pub(super) fn worst(&self, peak: f64, value: f64) -> f64 {
        if value * self.turn <= peak * self.turn {
            return peak;
        }
        let value = self.rounded(value);
        if value * self.turn > peak * self.turn { value } else { peak }
    }
}

/// The least number of which something is true that is true of all greater ones; infinity when it is true of none.
fn least(is_true: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (order(-f64::MAX), order(f64::INFINITY));
    while low < high {
        // rounded down: `midpoint` rounds towards 0, and would stay at `high` among the negative ones
        let middle = (low & high) + ((low ^ high) >> 1);
        if is_true(number(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    number(low)
}

/// A number's place among all numbers.
fn order(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

/// The number at a place.
fn number(order: i64) -> f64 {
    f64::from_bits((order ^ ((order >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::Kind;
    use super::*;

    /// Of every kind of resolution, and one that the catalog does not know.
    const METRICS: [&str; 6] = [
        "system.cpu.utilization",
        "system.memory.usage",
        "system.disk.read.operations",
        "hw.temperature",
        "system.process.count",
        "custom.metric",
    ];

    fn value() -> impl Strategy<Value = f64> {
        // short ones, so that values meet the limits; those right beside them; and any
        let short = (-2_000i32..2_000, select(vec![1e-5, 1e-4, 0.05, 0.5, 1.0, 2_048.0]));
        prop_oneof![
            8 => short.prop_map(|(n, unit)| f64::from(n) * unit),
            4 => (-40_000i32..40_000).prop_map(|n| (f64::from(n) / 20_000.0).next_up()),
            4 => (-40_000i32..40_000).prop_map(|n| (f64::from(n) / 20_000.0).next_down()),
            2 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
            1 => select(vec![f64::MAX, -f64::MAX, f64::MIN_POSITIVE, -0.0]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn values_are_compared_as_if_they_were_rounded_first(
            metric in select(METRICS.to_vec()), below in any::<bool>(), limit in value(), recovery in value(), value in value(), peak in value(),
        ) {
            let direction = if below { Direction::Below } else { Direction::Above };
            let rule = Threshold { recovery_value: recovery, ..Threshold::new(Kind::Host, metric, direction, limit) };
            let (limits, scale) = (Limits::of(&rule), Scale::of(metric));
            let round = |value: f64| scale.rounded_value(value);
            let around = [limit, recovery].map(|limit| [limit, limit.next_up(), limit.next_down()]);
            // reports have no others
            for value in around.into_iter().flatten().chain([value]).filter(|value| value.is_finite()) {
                prop_assert_eq!(limits.is_beyond(value), rule.is_beyond(round(value)), "{} {:?}", value, rule);
                prop_assert_eq!(limits.is_recovered(value), rule.is_recovered(round(value)), "{} {:?}", value, rule);
                prop_assert_eq!(limits.worst(round(peak), value), rule.worse(round(peak), round(value)));
            }
            prop_assert!(!limits.is_beyond(f64::NAN) && !limits.is_recovered(f64::NAN));
        }
    }

    #[test]
    fn a_share_that_is_told_as_the_limit_is_not_beyond_it() {
        let limits = Limits::of(&Threshold::new(Kind::Host, "system.cpu.utilization", Direction::Above, 0.9));
        for (value, is_beyond) in [(0.9, false), (0.900_04, false), (0.900_06, true)] {
            assert_eq!((limits.is_beyond(value), limits.is_recovered(value)), (is_beyond, !is_beyond), "{value}");
        }
        assert_eq!(limits.rounded(0.900_06), 0.9001);
    }

    #[test]
    fn what_never_ends_is_recovered() {
        let rule = Threshold {
            quantity: Quantity::TimeUntilFull,
            window_seconds: 600,
            ..Threshold::new(Kind::Host, "system.memory.utilization", Direction::Below, 3_600.0)
        };
        let limits = Limits::of(&rule);
        assert!(limits.is_recovered(f64::INFINITY) && !limits.is_beyond(f64::INFINITY));
        assert!(limits.is_beyond(3_600f64.next_down()) && !limits.is_beyond(3_600.0));
    }
}
