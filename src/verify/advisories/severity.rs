//! How bad an advisory is: from its CVSS vectors, else from the word its database gives, else *unknown*.

use std::str::FromStr as _;

use cvss::Cvss;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How bad. Ordered: of two records about one vulnerability the greater counts, and a stated severity, also `none`,
/// counts over *unknown*, which says nothing.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody stated one: its own value, never taken for a low one.
    #[default]
    Unknown,
    /// A score of 0.
    None,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 to 10.
    Critical,
}

impl Severity {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The band of a CVSS score (CVSS v3.1, section 5; used for every version, as v2 has no `critical` of its own).
    fn of_score(score: f64) -> Self {
        match score {
            s if s >= 9.0 => Self::Critical,
            s if s >= 7.0 => Self::High,
            s if s >= 4.0 => Self::Medium,
            s if s > 0.0 => Self::Low,
            _ => Self::None,
        }
    }

    /// A word as the databases write it (`MODERATE` is GitHub's medium).
    fn of_word(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "critical" => Some(Self::Critical),
            "high" | "important" => Some(Self::High),
            "medium" | "moderate" => Some(Self::Medium),
            "low" => Some(Self::Low),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// Longest CVSS vector that is read, bytes; real ones have under 200.
const MAX_VECTOR_BYTES: usize = 512;

/// Vectors of one record that are read. Threat: time.
const MAX_VECTORS: usize = 64;

/// Severity and highest score of a record, an `affected` entry's own vectors included.
pub(super) fn severity_of(record: &Value) -> (Severity, Option<f64>) {
    let affected = record["affected"].as_array().into_iter().flatten();
    let everywhere = std::iter::once(record).chain(affected);
    let mut worst = Severity::Unknown;
    let mut score: Option<f64> = None;
    let mut vectors = 0;
    for place in everywhere {
        for one in place["severity"].as_array().into_iter().flatten() {
            vectors += 1;
            if vectors > MAX_VECTORS {
                return (worst, score);
            }
            let Some(found) = one["score"].as_str().and_then(score_of) else {
                continue;
            };
            worst = worst.max(Severity::of_score(found));
            score = Some(score.map_or(found, |known| known.max(found)));
        }
        // The word counts where no vector was given, or none could be read.
        for words in [&place["database_specific"], &place["ecosystem_specific"]] {
            if score.is_none()
                && let Some(word) = words["severity"].as_str().and_then(Severity::of_word)
            {
                worst = worst.max(word);
            }
        }
    }
    (worst, score)
}

/// A vector's score, one decimal; a bare number is taken too, since some databases write one.
fn score_of(vector: &str) -> Option<f64> {
    if vector.len() > MAX_VECTOR_BYTES {
        return None;
    }
    let score = match vector.parse::<f64>() {
        Ok(number) => number,
        Err(_) => Cvss::from_str(vector).ok()?.score(),
    };
    (0.0..=10.0)
        .contains(&score)
        .then(|| (score * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(vector: &str) -> (Severity, Option<f64>) {
        severity_of(&json!({ "severity": [{ "type": "CVSS", "score": vector }] }))
    }

    #[test]
    fn vectors_of_every_version_have_a_score() {
        for (vector, severity, score) in [
            (
                "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
                Severity::Critical,
                9.8,
            ),
            (
                "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N",
                Severity::Medium,
                6.1,
            ),
            (
                "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
                Severity::Critical,
                9.3,
            ),
            ("AV:N/AC:L/Au:N/C:P/I:P/A:P", Severity::High, 7.5),
            (
                "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N",
                Severity::None,
                0.0,
            ),
        ] {
            assert_eq!(of(vector), (severity, Some(score)), "{vector}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_not_low() {
        for vector in [
            "",
            "CVSS:3.1/",
            "CVSS:9.9/AV:N",
            "AV:N",
            "eleven",
            "11",
            "-1",
            "NaN",
        ] {
            assert_eq!(of(vector), (Severity::Unknown, None), "{vector}");
        }
        assert_eq!(severity_of(&json!({})), (Severity::Unknown, None));
        assert_eq!(
            severity_of(&json!({ "severity": "high" })),
            (Severity::Unknown, None)
        );
    }

    #[test]
    fn the_databases_word_stands_in_for_a_vector() {
        let word = json!({ "database_specific": { "severity": "MODERATE" } });
        assert_eq!(severity_of(&word), (Severity::Medium, None));
        let both = json!({
            "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
            "database_specific": { "severity": "LOW" },
        });
        assert_eq!(severity_of(&both), (Severity::Critical, Some(9.8)));
        let inside = json!({ "affected": [{ "severity": [{ "score": "9.1" }] }] });
        assert_eq!(severity_of(&inside), (Severity::Critical, Some(9.1)));
    }

    proptest! {
        #[test]
        fn any_vector_is_a_score_or_nothing(vector in "(CVSS:[0-9]\\.[0-9]/)?([A-Z]{1,3}:[A-Z]/?){0,12}") {
            let (severity, score) = of(&vector);
            prop_assert_eq!(severity == Severity::Unknown, score.is_none());
            prop_assert!(score.is_none_or(|s| (0.0..=10.0).contains(&s)));
        }
    }
}
