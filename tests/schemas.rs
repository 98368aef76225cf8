//! Promise: the schemas under `schemas/`, and the table of keys in `docs/configuration.md`, are what the types say.
//!
//! They are generated. After a change of the types, `CHIRON_BLESS=1 cargo test --release --test schemas` writes them
//! again; read the difference before it is committed, since others rely on it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A schema that is published.
struct Published {
    file: &'static str,
    /// Makes it from the types.
    schema: fn() -> Value,
}

/// All of them; a new one is one more line.
const SCHEMAS: &[Published] = &[
    Published {
        file: "config.schema.json",
        schema: chiron::config::schema,
    },
    Published {
        file: "event.schema.json",
        schema: || document::<chiron::catalog::Entry>(chiron::catalog::Entry::SCHEMA),
    },
    Published {
        file: "bundle-manifest.schema.json",
        schema: || document::<chiron::bundle::Manifest>(chiron::bundle::Manifest::SCHEMA),
    },
    Published {
        file: "bundle-listing.schema.json",
        schema: || document::<chiron::bundle::Listing>(chiron::bundle::Listing::SCHEMA),
    },
    Published {
        file: "statement-airgap-report.schema.json",
        schema: || {
            statement::<chiron::snapshot::ReportStatement>(chiron::snapshot::ReportStatement::PREDICATE)
        },
    },
    Published {
        file: "statement-airgap-receipt.schema.json",
        schema: || statement::<chiron::bundle::ReceiptStatement>(chiron::bundle::ReceiptStatement::PREDICATE),
    },
    Published {
        file: "evidence.schema.json",
        schema: || document::<chiron::verify::Evidence>("chiron.evidence/v1"),
    },
    Published {
        file: "advisories-status.schema.json",
        schema: || document::<chiron::api::AdvisoriesStatus>(chiron::api::ADVISORIES_STATUS_SCHEMA),
    },
    Published {
        file: "evidence-advisories.schema.json",
        schema: || facts::<chiron::verify::advisories::AdvisoriesFacts>("advisories"),
    },
    Published {
        file: "evidence-hashes.schema.json",
        schema: || facts::<chiron::verify::HashesFacts>("hashes"),
    },
    Published {
        file: "evidence-sbom.schema.json",
        schema: || facts::<chiron::verify::SbomFacts>("sbom"),
    },
    Published {
        file: "evidence-signature.schema.json",
        schema: || facts::<chiron::verify::signature::SignatureFacts>("signature"),
    },
    Published {
        file: "evidence-structure.schema.json",
        schema: || facts::<chiron::verify::StructureFacts>("structure"),
    },
    Published {
        file: "evidence-reproducibility.schema.json",
        schema: || facts::<chiron::verify::reproducibility::ReproducibilityFacts>("reproducibility"),
    },
    Published {
        file: "rebuild-attempt.schema.json",
        schema: || {
            use chiron::verify::reproducibility::{ATTEMPT_SCHEMA, Attempt};
            document::<Attempt>(ATTEMPT_SCHEMA)
        },
    },
    Published {
        file: "statement-equivalence.schema.json",
        schema: || {
            use chiron::statement::{EQUIVALENCE, predicate::EquivalencePredicate};
            statement::<EquivalencePredicate>(EQUIVALENCE)
        },
    },
    Published {
        file: "statement-rebuild.schema.json",
        schema: || {
            use chiron::statement::{REBUILD_PROVENANCE, predicate::ProvenancePredicate};
            statement::<ProvenancePredicate>(REBUILD_PROVENANCE)
        },
    },
    Published {
        file: "statement-verdict.schema.json",
        schema: || statement::<chiron::policy::Verdict>(chiron::statement::VERDICT),
    },
    Published {
        file: "policy-input.schema.json",
        schema: chiron::policy::input_schema,
    },
    Published {
        file: "policy-decision.schema.json",
        schema: chiron::policy::decision_schema,
    },
    Published {
        file: "tuf-status.schema.json",
        schema: || document::<chiron::api::TufStatus>(chiron::api::TUF_STATUS_SCHEMA),
    },
    Published {
        file: "verdict.schema.json",
        schema: || document::<chiron::policy::Verdict>(chiron::policy::VERDICT_SCHEMA),
    },
];

/// The schema of a document that Chiron writes; `name` is what stands in the document's own `schema`.
fn document<T: schemars::JsonSchema>(name: &str) -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), name.into());
    let mut schema = schema.to_value();
    schema["properties"]["schema"]["const"] = name.into();
    schema
}

/// The schema of the facts of one check's evidence.
fn facts<T: schemars::JsonSchema>(check: &str) -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert(
        "title".to_owned(),
        format!("facts of chiron.evidence/v1, check {check}").into(),
    );
    schema.to_value()
}

/// The schema of an in-toto statement that Chiron signs; `T` is its predicate.
fn statement<T: schemars::JsonSchema>(predicate_type: &str) -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings.into_generator();
    let subject = generator.subschema_for::<chiron::statement::Subject>();
    let predicate = generator.subschema_for::<T>();
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": predicate_type,
        "description": "The payload of a DSSE envelope: an in-toto Statement v1 about one file.",
        "type": "object",
        "properties": {
            "_type": { "type": "string", "const": chiron::statement::STATEMENT_TYPE },
            "subject": { "type": "array", "items": subject, "minItems": 1, "maxItems": 1 },
            "predicateType": { "type": "string", "const": predicate_type },
            "predicate": predicate,
        },
        "required": ["_type", "subject", "predicateType", "predicate"],
        "$defs": generator.definitions(),
    })
}

const KEYS_BEGIN: &str = "<!-- keys: generated by tests/schemas.rs -->\n";
const KEYS_END: &str = "<!-- /keys -->\n";

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares `path` with `generated`, or writes it when that was asked for.
fn assert_is_current(path: &str, generated: &str) {
    let file = in_repository(path);
    if std::env::var_os("CHIRON_BLESS").is_some() {
        fs::write(&file, generated).unwrap();
        return;
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == generated,
        "{path} is not what the types say; if the change is meant, run \
         CHIRON_BLESS=1 cargo test --release --test schemas\n{}",
        first_difference(&kept, generated)
    );
}

fn first_difference(kept: &str, generated: &str) -> String {
    let mut lines = kept.lines().zip(generated.lines()).enumerate();
    lines
        .find(|(_, (kept, generated))| kept != generated)
        .map_or_else(
            || {
                format!(
                    "one goes on where the other ends: {} and {} lines",
                    kept.lines().count(),
                    generated.lines().count()
                )
            },
            |(number, (kept, generated))| {
                format!("line {}:\n  file:  {kept}\n  types: {generated}", number + 1)
            },
        )
}

#[test]
fn every_schema_is_what_the_types_say() {
    for Published { file, schema } in SCHEMAS {
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        assert_is_current(&format!("schemas/{file}"), &text);
    }
}

#[test]
fn no_schema_is_left_behind() {
    let there: BTreeSet<String> = fs::read_dir(in_repository("schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    let known: BTreeSet<String> = SCHEMAS
        .iter()
        .map(|published| published.file.to_owned())
        .collect();
    assert_eq!(there, known);
}

#[test]
fn schemas_say_their_dialect_and_refuse_unknown_keys() {
    fn open_tables(schema: &Value, path: &str, found: &mut Vec<String>) {
        if schema["properties"].is_object() && schema["additionalProperties"] != Value::Bool(false) {
            found.push(path.to_owned());
        }
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            open_tables(inner, &format!("{path}.{key}"), found);
            open_tables(&inner["items"], &format!("{path}.{key}[]"), found);
        }
    }
    let schema = chiron::config::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut found = Vec::new();
    open_tables(&schema, "config", &mut found);
    assert!(found.is_empty(), "these take unknown keys: {found:?}");
}

#[test]
fn the_documentation_lists_every_key() {
    let path = "docs/configuration.md";
    let text = fs::read_to_string(in_repository(path)).unwrap();
    let (before, rest) = text
        .split_once(KEYS_BEGIN)
        .expect("the table's beginning is marked");
    let (_, after) = rest.split_once(KEYS_END).expect("the table's end is marked");
    assert_is_current(
        path,
        &format!(
            "{before}{KEYS_BEGIN}{}{KEYS_END}{after}",
            key_tables(&chiron::config::schema())
        ),
    );
}

/// A table per section: key, default, meaning.
fn key_tables(schema: &Value) -> String {
    let mut text = String::new();
    for (section, about) in schema["properties"].as_object().unwrap() {
        let list = about["items"].is_object();
        let (keys, heading) = if list {
            (&about["items"], format!("[[{section}]]"))
        } else {
            (about, format!("[{section}]"))
        };
        write!(
            text,
            "\n### `{heading}`\n\n{}\n\n| key | default | |\n|---|---|---|\n",
            words(about)
        )
        .unwrap();
        for (key, about) in keys["properties"].as_object().unwrap() {
            let default = match &about["default"] {
                Value::Null
                    if keys["required"]
                        .as_array()
                        .is_some_and(|all| all.contains(&key.as_str().into())) =>
                {
                    "must be given".to_owned()
                }
                Value::Null => "not set".to_owned(),
                default => format!("`{default}`"),
            };
            writeln!(text, "| `{key}` | {default} | {} |", words(about)).unwrap();
        }
    }
    text.push('\n');
    text
}

fn words(about: &Value) -> String {
    let words = about["description"]
        .as_str()
        .expect("every key is described")
        .split_whitespace();
    words.collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
