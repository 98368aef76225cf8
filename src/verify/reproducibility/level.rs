//! How well a wheel follows from its source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The scale, from nothing known to identical: a later one says all that an earlier one says, from `differs` upwards.
/// `inapplicable`, `not-attempted` and `failed` say nothing about the wheel and are below all that do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// There is no source to hold it against, or the file is source itself.
    Inapplicable,
    /// Nothing was compared yet, or could be.
    #[default]
    NotAttempted,
    /// A rebuild was tried and gave no wheel.
    Failed,
    /// A rebuild gave another wheel.
    Differs,
    /// Every file outside `.dist-info` is byte for byte in the source; nothing was executed.
    Traced,
    /// A rebuild gave the same but for the `Generator` line of `WHEEL`, and `RECORD`, which follows from it.
    Generator,
    /// A rebuild gave the same names, bytes and modes, packed otherwise.
    Container,
    /// A rebuild gave the same file but for the time stamps in its headers.
    Time,
    /// A rebuild gave the same file.
    Bit,
}

impl Level {
    /// All, from the lowest.
    pub const ALL: [Self; 9] = [
        Self::Inapplicable,
        Self::NotAttempted,
        Self::Failed,
        Self::Differs,
        Self::Traced,
        Self::Generator,
        Self::Container,
        Self::Time,
        Self::Bit,
    ];

    /// The word in documents and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inapplicable => "inapplicable",
            Self::NotAttempted => "not-attempted",
            Self::Failed => "failed",
            Self::Differs => "differs",
            Self::Traced => "traced",
            Self::Generator => "generator",
            Self::Container => "container",
            Self::Time => "time",
            Self::Bit => "bit",
        }
    }

    /// Reads the word that [`Self::as_str`] gives; nothing else.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// Whether the wheel was shown to follow from its source.
    pub fn is_pass(self) -> bool {
        self >= Self::Traced
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_order_is_the_scale_and_the_words_are_serdes() {
        assert!(Level::ALL.is_sorted());
        assert!(Level::Bit > Level::Time && Level::Time > Level::Container);
        assert!(Level::Container > Level::Generator && Level::Generator > Level::Traced);
        assert!(Level::Traced > Level::Differs && Level::Differs > Level::Failed);
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
            assert_eq!(Level::parse(level.as_str()), Some(level));
            assert_eq!(level.is_pass(), level > Level::Differs);
        }
        assert_eq!(Level::parse("Bit"), None);
        assert_eq!(Level::parse(""), None);
    }
}
