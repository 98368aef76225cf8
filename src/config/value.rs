//! Values with a unit: sizes and periods. Their text form always names the unit, so nobody guesses.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a size or period was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not {allowed}")]
pub struct ValueError {
    /// What was written.
    pub found: String,
    /// What is allowed, with an example.
    pub allowed: &'static str,
}

/// A number of bytes. Text form: digits and one of `B`, `kB`, `MB`, `GB`, `TB` (thousands) or `KiB`, `MiB`, `GiB`,
/// `TiB` (1,024s); without a unit, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

impl ByteSize {
    pub(super) const FORMAT: &'static str = "byte-size";
    pub(super) const ALLOWED: &'static str = "a size such as \"512KiB\", \"256MiB\" or \"4GiB\"";
    const PATTERN: &'static str = r"^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)?$";
    /// Largest first, so that `Display` takes the largest unit that divides.
    const UNITS: [(&'static str, u64); 9] = [
        ("TiB", 1 << 40),
        ("TB", 1_000_000_000_000),
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("kB", 1_000),
        ("B", 1),
    ];

    /// `n` bytes.
    pub const fn bytes_of(n: u64) -> Self {
        Self(n)
    }
    /// `n` × 2²⁰ bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
    /// `n` × 2³⁰ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A length of time. Text form: digits with a unit, `ms`, `s`, `m`, `h` or `d`, several in a row allowed (`1h30m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(Duration);

impl Period {
    pub(super) const FORMAT: &'static str = "period";
    pub(super) const ALLOWED: &'static str = "a time such as \"500ms\", \"12s\", \"10m\" or \"7d\"";
    const PATTERN: &'static str = r"^([0-9]+(ms|s|m|h|d))+$";
    /// Longest first; in milliseconds.
    const UNITS: [(&'static str, u64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];

    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n * 86_400))
    }
    /// The same as a `std` duration.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refused = || ValueError {
            found: text.to_owned(),
            allowed: Self::ALLOWED,
        };
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let unit = unit.trim_start_matches(' ');
        let factor = if unit.is_empty() && digits.len() == text.len() {
            1
        } else {
            Self::UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(refused)?
                .1
        };
        number.checked_mul(factor).map(Self).ok_or_else(refused)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = Self::UNITS
            .into_iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for Period {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refused = || ValueError {
            found: text.to_owned(),
            allowed: Self::ALLOWED,
        };
        let mut millis: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() || text.is_empty() {
            let digits_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
            let (digits, tail) = rest.split_at(digits_end);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let number: u64 = digits.parse().map_err(|_| refused())?;
            let factor = Self::UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(refused)?
                .1;
            millis = number
                .checked_mul(factor)
                .and_then(|part| millis.checked_add(part))
                .ok_or_else(refused)?;
            rest = tail;
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in Self::UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

/// serde's and schemars' sides of a value that is written as text.
macro_rules! as_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = ValueError;
            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": Self::FORMAT, "pattern": Self::PATTERN})
            }
        }
    };
}

as_text!(ByteSize);
as_text!(Period);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_say_their_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("1kB", 1_000),
            ("1KiB", 1_024),
            ("256MiB", 256 << 20),
            ("256 MiB", 256 << 20),
            ("4GiB", 4 << 30),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize::bytes_of(bytes)), "{text}");
        }
    }

    #[test]
    fn odd_sizes_are_refused_with_an_example() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "1mib",
            "1 ",
            "1 MiB ",
            "99999999999TiB",
            "１MiB",
        ] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert_eq!(
                error.to_string(),
                format!("\"{text}\" is not {}", ByteSize::ALLOWED)
            );
        }
    }

    #[test]
    fn periods_say_their_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("12s", 12_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            let period = text.parse::<Period>().expect(text);
            assert_eq!(period.duration(), Duration::from_millis(millis), "{text}");
            assert_eq!(period.to_string(), text);
        }
    }

    #[test]
    fn odd_periods_are_refused_with_an_example() {
        for text in [
            "",
            "12",
            "s",
            "-1s",
            "1.5h",
            "12 s",
            "1y",
            "99999999999999d",
            "1s2",
        ] {
            let error = text.parse::<Period>().expect_err(text);
            assert_eq!(
                error.to_string(),
                format!("\"{text}\" is not {}", Period::ALLOWED)
            );
        }
    }

    proptest! {
        #[test]
        fn sizes_come_back(bytes: u64) {
            let size = ByteSize::bytes_of(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn periods_come_back(millis in 0_u64..=u64::MAX / 2) {
            let period = Period(Duration::from_millis(millis));
            prop_assert_eq!(period.to_string().parse(), Ok(period));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,24}") {
            if let Ok(size) = text.parse::<ByteSize>() {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string().parse(), Ok(period));
            }
        }
    }
}
