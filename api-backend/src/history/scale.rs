//! How finely a metric is kept: values are rounded to whole units of the catalog's resolution.

use wire_model::catalog;

/// What one unit is. Its number stands in chunks, so what a chunk holds does not change with the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Values stand as they came: the catalog does not know the metric.
    AsIs,
    /// A unit is 10⁻ⁿ.
    Decimal(u8),
    /// A unit is 2ⁿ.
    Binary(u8),
}

/// Digits behind the point at most.
const DIGITS_MAX: u8 = 15;
/// Number of the first binary scale.
const BINARY: u8 = 64;
const BITS_MAX: u8 = 62;
/// Powers of ten by their exponents: every one of them is exact.
const POWERS: [f64; DIGITS_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl Scale {
    /// Of a metric by its name.
    pub(crate) fn of(metric: &str) -> Scale {
        catalog::find(metric).map_or(Scale::AsIs, |metric| Scale::with_resolution(metric.resolution))
    }

    fn with_resolution(resolution: f64) -> Scale {
        let decimal = (0..=DIGITS_MAX).map(Scale::Decimal);
        let binary = (1..=BITS_MAX).map(Scale::Binary);
        decimal.chain(binary).find(|scale| scale.value(1.0) == resolution).unwrap_or(Scale::AsIs)
    }

    /// As it stands in a chunk.
    pub(super) fn number(self) -> u8 {
        match self {
            Scale::AsIs => 0,
            Scale::Decimal(digits) => 1 + digits,
            Scale::Binary(bits) => BINARY + bits,
        }
    }

    /// From what [`number`](Scale::number) said.
    pub(super) fn with_number(number: u8) -> Option<Scale> {
        match number {
            0 => Some(Scale::AsIs),
            1..=16 => Some(Scale::Decimal(number - 1)),
            BINARY..=126 => Some(Scale::Binary(number - BINARY)),
            _ => None,
        }
    }

    /// A value in units: a whole number unless values stand as they came. What is no number stays none.
    pub(super) fn units(self, value: f64) -> f64 {
        let units = match self {
            Scale::AsIs => return value + 0.0,
            Scale::Decimal(digits) => (value * POWERS[usize::from(digits)]).round(),
            Scale::Binary(bits) => (value / power_of_two(bits)).round(),
        };
        if value.is_nan() {
            return value;
        }
        // not −0, and what is too large for the multiplication stays as large as it can be
        if units.is_finite() { units + 0.0 } else { f64::MAX.copysign(value) }
    }

    /// A value as it is kept.
    pub(crate) fn rounded_value(self, value: f64) -> f64 {
        self.value(self.units(value))
    }

    /// So many units in those of another scale: a chunk may be older than the catalog.
    pub(super) fn convert(self, units: f64, to: Scale) -> f64 {
        if self == to { units } else { to.units(self.value(units)) }
    }

    /// A mean of units as it is kept: whole, unless values stand as they came.
    pub(super) fn rounded(self, units: f64) -> f64 {
        match self {
            Scale::AsIs => units,
            Scale::Decimal(_) | Scale::Binary(_) => units.round() + 0.0,
        }
    }

    /// The value of so many units. The nearest number to the decimal one, so that 0.3 stays 0.3.
    pub(super) fn value(self, units: f64) -> f64 {
        match self {
            Scale::AsIs => units,
            Scale::Decimal(digits) => units / POWERS[usize::from(digits)],
            Scale::Binary(bits) => units * power_of_two(bits),
        }
    }
}

/// A value of a metric as it is stored.
pub fn rounded(metric: &str, value: f64) -> f64 {
    Scale::of(metric).rounded_value(value)
}

fn power_of_two(bits: u8) -> f64 {
    (1u64 << bits) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_resolution_of_the_catalog_has_a_scale() {
        for metric in catalog::CATALOG {
            let scale = Scale::of(metric.name);
            assert_ne!(scale, Scale::AsIs, "{}: {}", metric.name, metric.resolution);
            assert_eq!(scale.value(1.0), metric.resolution);
            assert_eq!(Scale::with_number(scale.number()), Some(scale));
        }
        assert_eq!(Scale::of("custom.metric"), Scale::AsIs);
        assert_eq!(Scale::with_number(Scale::AsIs.number()), Some(Scale::AsIs));
        assert_eq!((Scale::with_number(17), Scale::with_number(63), Scale::with_number(127)), (None, None, None));
    }

    #[test]
    fn values_are_rounded_and_read_as_people_write_them() {
        let scale = Scale::of("system.cpu.utilization");
        assert_eq!((scale.units(0.30004), scale.value(3000.0)), (3000.0, 0.3));
        assert_eq!(scale.units(-0.0).to_bits(), 0);
        assert_eq!(scale.units(f64::MAX), f64::MAX);
        assert!([scale, Scale::Binary(3), Scale::AsIs].iter().all(|scale| scale.rounded_value(f64::NAN).is_nan()));
        assert_eq!(Scale::of("system.memory.usage").units(10_000.0), 2.0);
    }

    proptest! {
        #[test]
        fn what_is_rounded_stays(value in -1e9f64..1e9, digits in 0u8..=4, bits in 1u8..=12) {
            for scale in [Scale::Decimal(digits), Scale::Binary(bits), Scale::AsIs] {
                let units = scale.units(value);
                prop_assert_eq!(scale.units(scale.value(units)), units);
                // half a unit, and what numbers of this size do not have digits for
                let most = scale.value(0.5) + 2.0 * f64::EPSILON * value.abs();
                prop_assert!((scale.value(units) - value).abs() <= most);
            }
        }
    }
}
