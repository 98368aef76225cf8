//! What a document claims to be, by the fields that each format demands of itself.

use serde_json::Value;

use super::facts::Format;

/// A format and version that can be validated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    CycloneDx14,
    CycloneDx15,
    CycloneDx16,
    CycloneDx17,
    Spdx22,
    Spdx23,
    Spdx30,
}

/// Why a document is none of those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnknownFormat {
    #[error("neither CycloneDX nor SPDX in JSON: only these can be validated")]
    Format,
    #[error("{0} {1:?} is not a version that can be validated here ({2})")]
    Version(&'static str, String, &'static str),
}

impl UnknownFormat {
    /// The finding's code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Format => "unknown-format",
            Self::Version(..) => "unknown-version",
        }
    }
}

impl Kind {
    pub(super) fn format(self) -> Format {
        match self {
            Self::CycloneDx14 | Self::CycloneDx15 | Self::CycloneDx16 | Self::CycloneDx17 => {
                Format::Cyclonedx
            }
            Self::Spdx22 | Self::Spdx23 | Self::Spdx30 => Format::Spdx,
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::CycloneDx14 => "1.4",
            Self::CycloneDx15 => "1.5",
            Self::CycloneDx16 => "1.6",
            Self::CycloneDx17 => "1.7",
            Self::Spdx22 => "2.2",
            Self::Spdx23 => "2.3",
            Self::Spdx30 => "3.0",
        }
    }
}

/// Reads the claim.
pub(super) fn sniff(document: &Value) -> Result<Kind, UnknownFormat> {
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    if text("bomFormat") == Some("CycloneDX") {
        let version = text("specVersion").unwrap_or_default();
        return match version {
            "1.4" => Ok(Kind::CycloneDx14),
            "1.5" => Ok(Kind::CycloneDx15),
            "1.6" => Ok(Kind::CycloneDx16),
            "1.7" => Ok(Kind::CycloneDx17),
            _ => Err(unknown("CycloneDX", version, "1.4 to 1.7")),
        };
    }
    if let Some(version) = text("spdxVersion") {
        return match version {
            "SPDX-2.2" => Ok(Kind::Spdx22),
            "SPDX-2.3" => Ok(Kind::Spdx23),
            _ => Err(unknown("SPDX", version, "2.2, 2.3, 3.0.1")),
        };
    }
    match text("@context") {
        Some("https://spdx.org/rdf/3.0.1/spdx-context.jsonld") => Ok(Kind::Spdx30),
        Some(context) if context.starts_with("https://spdx.org/rdf/") => {
            Err(unknown("SPDX", context, "2.2, 2.3, 3.0.1"))
        }
        _ => Err(UnknownFormat::Format),
    }
}

fn unknown(format: &'static str, version: &str, known: &'static str) -> UnknownFormat {
    UnknownFormat::Version(format, version.chars().take(100).collect(), known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_read_and_others_refused_by_their_own_code() {
        for (document, kind) in [
            (
                json!({"bomFormat": "CycloneDX", "specVersion": "1.4"}),
                Kind::CycloneDx14,
            ),
            (
                json!({"bomFormat": "CycloneDX", "specVersion": "1.7"}),
                Kind::CycloneDx17,
            ),
            (json!({"spdxVersion": "SPDX-2.2"}), Kind::Spdx22),
            (
                json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}),
                Kind::Spdx30,
            ),
        ] {
            assert_eq!(sniff(&document), Ok(kind), "{document}");
        }
        for (document, code) in [
            (
                json!({"bomFormat": "CycloneDX", "specVersion": "1.3"}),
                "unknown-version",
            ),
            (json!({"bomFormat": "CycloneDX"}), "unknown-version"),
            (json!({"spdxVersion": "SPDX-2.1"}), "unknown-version"),
            (
                json!({"@context": "https://spdx.org/rdf/4.0.0/spdx-context.jsonld"}),
                "unknown-version",
            ),
            (json!({"specVersion": "1.5"}), "unknown-format"),
            (json!([]), "unknown-format"),
            (json!(null), "unknown-format"),
        ] {
            assert_eq!(
                sniff(&document).map_err(|error| error.code()),
                Err(code),
                "{document}"
            );
        }
    }
}
