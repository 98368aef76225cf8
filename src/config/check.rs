//! Holds a parsed document against the schema, so that every refusal can name the key, what was found and what is
//! allowed. serde alone would stop at the first error and not say which key it was about.

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use tracing_subscriber::EnvFilter;

use super::Config;
use super::owned::OwnedPattern;
use super::redacted::RedactedUrl;
use super::value::{ByteSize, Period};

/// The JSON schema (draft 2020-12) of `chiron.toml`, generated from [`Config`]; `schemas/config.schema.json` is its copy.
pub fn schema() -> Json {
    let generator = SchemaSettings::draft2020_12()
        .with(|s| s.inline_subschemas = true)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "chiron.toml".into());
    schema.to_value()
}

/// A finding: the key's path and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: String,
    pub(super) what: String,
}

/// Everything in `document` that `schema` does not allow.
pub(super) fn check(document: &toml::Table, schema: &Json) -> Vec<Finding> {
    let mut walk = Walk {
        root: schema,
        findings: Vec::new(),
    };
    walk.table(document, schema, "");
    walk.findings
}

struct Walk<'a> {
    root: &'a Json,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn value(&mut self, value: &toml::Value, schema: &Json, path: &str) {
        if schema["properties"].is_object() {
            match value {
                toml::Value::Table(table) => self.table(table, schema, path),
                other => self.found(
                    path,
                    format!("found {}, but this is a table", describe(other, false)),
                ),
            }
        } else if schema["items"].is_object() {
            match value {
                toml::Value::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.value(item, &schema["items"], &format!("{path}[{index}]"));
                    }
                }
                other => {
                    let found = describe(other, false);
                    let what = if schema["items"]["properties"].is_object() {
                        format!("found {found}, but this is a list of tables: write [[{path}]]")
                    } else {
                        format!("found {found}, but this is a list: write [\"...\"]")
                    };
                    self.found(path, what);
                }
            }
        } else if let Err(what) = leaf(value, schema) {
            self.found(path, what);
        }
    }

    fn table(&mut self, table: &toml::Table, schema: &Json, path: &str) {
        for (key, value) in table {
            let here = join(path, key);
            if let Some(known) = schema["properties"].get(key) {
                self.value(value, known, &here);
            } else {
                let nearest = nearest(&here, self.root);
                self.found(
                    &here,
                    format!("unknown key; the nearest known one is `{nearest}`"),
                );
            }
        }
        for required in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
        {
            if !table.contains_key(required) {
                self.found(
                    &join(path, required),
                    "missing, and there is no default".to_owned(),
                );
            }
        }
    }

    fn found(&mut self, key: &str, what: String) {
        self.findings.push(Finding {
            key: key.to_owned(),
            what,
        });
    }
}

/// `section` and `key` as one path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn leaf(value: &toml::Value, schema: &Json) -> Result<(), String> {
    let secret = schema["format"] == RedactedUrl::FORMAT;
    let refused = |allowed: &str| Err(format!("found {}, allowed is {allowed}", describe(value, secret)));
    let choices = choices(schema);
    if !choices.is_empty() {
        let listed = choices
            .iter()
            .map(|choice| format!("\"{choice}\""))
            .collect::<Vec<_>>()
            .join(", ");
        return match value.as_str() {
            Some(text) if choices.contains(&text) => Ok(()),
            _ => refused(&format!("one of {listed}")),
        };
    }
    if is_a(schema, "integer") {
        let low = schema["minimum"].as_i64().unwrap_or(0);
        let high = schema["maximum"].as_i64().unwrap_or(i64::from(u32::MAX));
        return match value.as_integer() {
            Some(number) if (low..=high).contains(&number) => Ok(()),
            _ => refused(&format!("a whole number from {low} to {high}")),
        };
    }
    if is_a(schema, "boolean") {
        return if value.is_bool() {
            Ok(())
        } else {
            refused("true or false")
        };
    }
    let (good, allowed) = text_rule(schema["format"].as_str().unwrap_or_default());
    match value.as_str() {
        Some(text) if good(text) => Ok(()),
        _ => refused(allowed),
    }
}

/// How a text of this `format` is recognised, and how to say what is allowed.
fn text_rule(format: &str) -> (fn(&str) -> bool, &'static str) {
    match format {
        ByteSize::FORMAT => (|text| text.parse::<ByteSize>().is_ok(), ByteSize::ALLOWED),
        Period::FORMAT => (|text| text.parse::<Period>().is_ok(), Period::ALLOWED),
        RedactedUrl::FORMAT => (|text| text.parse::<RedactedUrl>().is_ok(), RedactedUrl::ALLOWED),
        OwnedPattern::FORMAT => (|text| text.parse::<OwnedPattern>().is_ok(), OwnedPattern::ALLOWED),
        "socket-address" => (
            |text| text.parse::<std::net::SocketAddr>().is_ok(),
            "an IP address and a port such as \"127.0.0.1:8080\" or \"[::1]:8080\" (port 0 takes a free one)",
        ),
        "upstream-name" => (
            |text| {
                (1..=63).contains(&text.len())
                    && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                    && text
                        .bytes()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
            },
            "a short name of lower-case letters, digits, \".\", \"_\" and \"-\"",
        ),
        "log-origin" => (
            |text| (1..=255).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic() && c != b'+'),
            "up to 255 visible ASCII characters without spaces and without \"+\"",
        ),
        "log-filter" => (
            |text| EnvFilter::builder().parse(text).is_ok(),
            "a level (error, warn, info, debug, trace, off) or levels by module such as \"info,chiron::upstream=debug\"",
        ),
        _ => (|text| !text.is_empty(), "a text that is not empty"),
    }
}

/// The allowed texts of an enumeration; empty if it is none.
fn choices(schema: &Json) -> Vec<&str> {
    let listed = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str);
    let described = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|branch| {
            let one = branch["const"].as_str();
            one.into_iter().chain(
                branch["enum"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Json::as_str),
            )
        });
    listed.chain(described).collect()
}

/// Whether `schema` allows the JSON type `name`, alone or beside others.
pub(super) fn is_a(schema: &Json, name: &str) -> bool {
    match &schema["type"] {
        Json::String(one) => one == name,
        Json::Array(several) => several.iter().any(|one| one == name),
        _ => false,
    }
}

fn describe(value: &toml::Value, secret: bool) -> String {
    match value {
        toml::Value::String(_) if secret => "a text".to_owned(), // it may hold a password
        toml::Value::String(text) => format!("\"{}\"", text.escape_debug()),
        toml::Value::Integer(number) => format!("the number {number}"),
        toml::Value::Float(number) => format!("the number {number}"),
        toml::Value::Boolean(truth) => truth.to_string(),
        toml::Value::Datetime(date) => format!("the date {date}"),
        toml::Value::Array(_) => "a list".to_owned(),
        toml::Value::Table(_) => "a table".to_owned(),
    }
}

/// All key paths of the schema: sections, and keys as `section.key`; a list's index is left out.
pub(super) fn known_keys(schema: &Json) -> Vec<String> {
    let mut keys = Vec::new();
    collect_keys(schema, "", &mut keys);
    keys
}

fn collect_keys(schema: &Json, path: &str, keys: &mut Vec<String>) {
    let inner = if schema["items"].is_object() {
        &schema["items"]
    } else {
        schema
    };
    for (key, sub) in inner["properties"].as_object().into_iter().flatten() {
        let here = join(path, key);
        collect_keys(sub, &here, keys);
        keys.push(here);
    }
}

/// The known key that is most like `path`: alike in its last part first, then in its section.
pub(super) fn nearest(path: &str, schema: &Json) -> String {
    let written = plain(path);
    let (written_section, written_key) = split(&written);
    known_keys(schema)
        .into_iter()
        .map(|known| {
            let (section, key) = split(&known);
            let alike = strsim::normalized_damerau_levenshtein(key, written_key);
            let neighbourly = strsim::normalized_damerau_levenshtein(section, written_section);
            (alike + 0.3 * neighbourly, known)
        })
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or_else(String::new, |(_, known)| known)
}

/// Without list indexes, and with the separators that the keys use.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut in_index = false;
    for c in path.chars() {
        match c {
            '[' => in_index = true,
            ']' => in_index = false,
            '-' => plain.push('_'),
            _ if !in_index => plain.extend(c.to_lowercase()),
            _ => {}
        }
    }
    plain
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

#[cfg(test)]
mod tests;
