//! The official schemas, embedded (`schemas/vendor`), compiled once in a process, and never completed from elsewhere.

use std::sync::LazyLock;

use jsonschema::{Draft, PatternOptions, Registry, Validator};
use serde_json::Value;

use super::format::Kind;
use crate::verify::archive::shown;

/// Steps that one look-around pattern may take back. Ends patterns that a string makes slow.
const BACKTRACK_STEPS: usize = 100_000;

/// Schemas that CycloneDX's refer to, under the names that they use for them.
const CYCLONEDX_PARTS: [(&str, &str); 3] = [
    (
        "http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json",
        include_str!("../../../schemas/vendor/cyclonedx/spdx.SNAPSHOT.schema.json"),
    ),
    (
        "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json",
        include_str!("../../../schemas/vendor/cyclonedx/jsf-0.82.SNAPSHOT.schema.json"),
    ),
    (
        "http://cyclonedx.org/schema/cryptography-defs.SNAPSHOT.schema.json",
        include_str!("../../../schemas/vendor/cyclonedx/cryptography-defs.SNAPSHOT.schema.json"),
    ),
];

/// Why a document could not be called valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SchemaError {
    /// The document breaks the rules of its format.
    #[error("{path}: {what}")]
    Invalid { path: String, what: String },
    /// This build's own schema cannot be used: nothing is known about the document.
    #[error("the built-in schema cannot be used: {0}")]
    Unusable(String),
}

type Compiled = LazyLock<Result<Validator, String>>;

macro_rules! compiled {
    ($name:ident, $file:literal, $parts:expr) => {
        static $name: Compiled = LazyLock::new(|| {
            compile(
                include_str!(concat!("../../../schemas/vendor/", $file)),
                $parts,
            )
        });
    };
}

compiled!(
    CYCLONEDX_14,
    "cyclonedx/bom-1.4.SNAPSHOT.schema.json",
    &CYCLONEDX_PARTS
);
compiled!(
    CYCLONEDX_15,
    "cyclonedx/bom-1.5.SNAPSHOT.schema.json",
    &CYCLONEDX_PARTS
);
compiled!(
    CYCLONEDX_16,
    "cyclonedx/bom-1.6.SNAPSHOT.schema.json",
    &CYCLONEDX_PARTS
);
compiled!(
    CYCLONEDX_17,
    "cyclonedx/bom-1.7.SNAPSHOT.schema.json",
    &CYCLONEDX_PARTS
);
compiled!(SPDX_22, "spdx/2.2-schema.json", &[]);
compiled!(SPDX_23, "spdx/2.3-schema.json", &[]);
compiled!(SPDX_30, "spdx/3.0-schema.json", &[]);

/// Holds a document against the official schema of the version that it declares. `format` keywords are annotations, as
/// the specification of JSON Schema has it.
pub(super) fn validate(kind: Kind, document: &Value) -> Result<(), SchemaError> {
    let compiled = match kind {
        Kind::CycloneDx14 => &CYCLONEDX_14,
        Kind::CycloneDx15 => &CYCLONEDX_15,
        Kind::CycloneDx16 => &CYCLONEDX_16,
        Kind::CycloneDx17 => &CYCLONEDX_17,
        Kind::Spdx22 => &SPDX_22,
        Kind::Spdx23 => &SPDX_23,
        Kind::Spdx30 => &SPDX_30,
    };
    let validator = match &**compiled {
        Ok(validator) => validator,
        Err(error) => return Err(SchemaError::Unusable(error.clone())),
    };
    validator.validate(document).map_err(|error| {
        let path = error.instance_path().to_string();
        SchemaError::Invalid {
            path: if path.is_empty() {
                "the document".to_owned()
            } else {
                shown(&path)
            },
            // Masked: the value itself may be megabytes long, or a secret.
            what: shown(&error.masked_with("the value").to_string()),
        }
    })
}

fn compile(schema: &str, parts: &[(&str, &str)]) -> Result<Validator, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let schema = parse(schema)?;
    let mut registry = Registry::new();
    for (uri, part) in parts {
        let resource = Draft::Draft7.create_resource(parse(part)?);
        registry = registry.add(*uri, resource).map_err(|error| error.to_string())?;
    }
    let registry = registry.prepare().map_err(|error| error.to_string())?;
    jsonschema::options()
        .offline()
        .with_registry(&registry)
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_STEPS))
        .should_validate_formats(false)
        .build(&schema)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_schema_compiles_and_tells_good_from_bad() {
        for (kind, version) in [
            (Kind::CycloneDx14, "1.4"),
            (Kind::CycloneDx15, "1.5"),
            (Kind::CycloneDx16, "1.6"),
            (Kind::CycloneDx17, "1.7"),
        ] {
            let bill = json!({"bomFormat": "CycloneDX", "specVersion": version, "version": 1, "components": [
                {"type": "library", "name": "a", "licenses": [{"license": {"id": "MIT"}}]}]});
            assert_eq!(validate(kind, &bill), Ok(()), "{version}");
            let bad = json!({"bomFormat": "CycloneDX", "specVersion": version, "version": 1, "components": [{"name": "a"}]});
            let error = validate(kind, &bad).unwrap_err();
            assert!(
                matches!(&error, SchemaError::Invalid { path, .. } if path == "/components/0"),
                "{error}"
            );
            // The reference into another vendored schema is followed, not skipped.
            let bad = json!({"bomFormat": "CycloneDX", "specVersion": version, "version": 1, "components": [
                {"type": "library", "name": "a", "licenses": [{"license": {"id": "No-Such-Licence"}}]}]});
            assert!(
                matches!(validate(kind, &bad), Err(SchemaError::Invalid { .. })),
                "{version}"
            );
        }
        for kind in [Kind::Spdx22, Kind::Spdx23, Kind::Spdx30] {
            let error = validate(kind, &json!({"x": 1})).unwrap_err();
            assert!(matches!(error, SchemaError::Invalid { .. }), "{kind:?}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_the_value() {
        let bad = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": "x".repeat(100_000)});
        let error = validate(Kind::CycloneDx16, &bad).unwrap_err().to_string();
        assert!(error.starts_with("/version") && error.len() < 1_000, "{error}");
    }
}
