//! Environment overrides: `CHIRON_SECTION__KEY`, and `CHIRON_UPSTREAM__0__MODE` for the tables of a list.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::check::{is_a, join, known_keys, nearest};
use super::error::Problem;

/// What every override starts with.
pub(super) const PREFIX: &str = "CHIRON_";

/// Short names for two keys that people override most; the long form wins over the file, the short over both.
const SHORT: [(&str, [&str; 2]); 2] = [
    ("CHIRON_DATA_DIR", ["storage", "path"]),
    ("CHIRON_LOG", ["telemetry", "log_filter"]),
];

/// One override, resolved.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Override<'a> {
    /// Long forms first, then in the order of their paths, with indexes in the order of numbers.
    short: bool,
    path: Vec<Segment>,
    name: &'a str,
    text: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(usize),
    Key(String),
}

/// Puts the overrides in `env` into `document` and returns which variable set which key.
///
/// Only names with `__` after the prefix are taken for overrides: Kubernetes puts names such as `CHIRON_PORT` into
/// the environment of a service called chiron. A name whose single `_` should plainly have been `__` is refused,
/// since a policy that is set in vain is worse than one that is not set.
pub(super) fn apply(
    env: &BTreeMap<String, String>,
    document: &mut toml::Table,
    schema: &Json,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut overrides = Vec::new();
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if let Some((_, path)) = SHORT.iter().find(|(short, _)| short == name) {
            if !text.is_empty() {
                let path = path.iter().map(|key| Segment::Key((*key).to_owned())).collect();
                overrides.push(Override {
                    short: true,
                    path,
                    name,
                    text,
                });
            }
        } else if rest.contains("__") {
            overrides.push(Override {
                short: false,
                path: segments(rest),
                name,
                text,
            });
        } else if let Some(meant) = meant(rest, schema) {
            problems.push(problem(
                name,
                &meant,
                format!("unknown variable; for `{meant}` write {}", variable(&meant)),
            ));
        }
    }
    overrides.sort();

    let mut set_by = BTreeMap::new();
    for Override { path, name, text, .. } in overrides {
        let key = render(&path);
        if text.contains('\u{FFFD}') {
            problems.push(problem(name, &key, "found text that is not UTF-8".to_owned()));
            continue;
        }
        let Some(leaf) = resolve(&path, schema) else {
            let nearest = nearest(&key, schema);
            let what = format!(
                "unknown key; the nearest known one is `{nearest}` ({})",
                variable(&nearest)
            );
            problems.push(problem(name, &key, what));
            continue;
        };
        let value = (!(text.is_empty() && is_a(leaf, "null"))).then(|| typed(text, leaf));
        match put(document, &path, value) {
            Ok(()) => {
                set_by.insert(key, name.to_owned());
            }
            Err(what) => problems.push(problem(name, &key, what)),
        }
    }
    set_by
}

/// The name of the variable that overrides `key`.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{PREFIX}{}",
        key.replace('[', ".")
            .replace(']', "")
            .replace('.', "__")
            .to_uppercase()
    )
}

fn problem(name: &str, key: &str, what: String) -> Problem {
    Problem {
        place: format!("environment {name}"),
        key: key.to_owned(),
        what,
    }
}

/// The known key for which `rest` would be the right name if its first `_` were two.
fn meant(rest: &str, schema: &Json) -> Option<String> {
    let (section, key) = rest.split_once('_')?;
    let path = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
    known_keys(schema).contains(&path).then_some(path)
}

fn segments(rest: &str) -> Vec<Segment> {
    rest.split("__")
        .map(|part| match part.parse() {
            Ok(index) => Segment::Index(index),
            Err(_) => Segment::Key(part.to_lowercase()),
        })
        .collect()
}

fn render(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |path, segment| match segment {
        Segment::Index(index) => format!("{path}[{index}]"),
        Segment::Key(key) => join(&path, key),
    })
}

/// The schema of the single value at `path`; `None` if there is no such key or it is not a single value.
fn resolve<'a>(path: &[Segment], schema: &'a Json) -> Option<&'a Json> {
    let leaf = path.iter().try_fold(schema, |schema, segment| match segment {
        Segment::Index(_) => schema.get("items"),
        Segment::Key(key) => schema.get("properties")?.get(key),
    })?;
    (leaf.get("properties").is_none() && leaf.get("items").is_none()).then_some(leaf)
}

/// Text as the type that the schema wants; what cannot be one stays text, which the check then refuses.
fn typed(text: &str, leaf: &Json) -> toml::Value {
    let as_text = || toml::Value::String(text.to_owned());
    if is_a(leaf, "integer") {
        text.parse().map_or_else(|_| as_text(), toml::Value::Integer)
    } else if is_a(leaf, "boolean") {
        text.parse().map_or_else(|_| as_text(), toml::Value::Boolean)
    } else {
        as_text()
    }
}

fn put(document: &mut toml::Table, path: &[Segment], value: Option<toml::Value>) -> Result<(), String> {
    let misplaced = || "the file has something else in this place".to_owned();
    match path {
        [Segment::Key(key)] => {
            match value {
                Some(value) => document.insert(key.clone(), value),
                None => document.remove(key),
            };
            Ok(())
        }
        // One text of a list of texts.
        [Segment::Key(key), Segment::Index(index)] => {
            let list = document
                .entry(key)
                .or_insert_with(|| toml::Value::Array(Vec::new()));
            let list = list.as_array_mut().ok_or_else(misplaced)?;
            let gap = || format!("the entries of `{key}` are numbered without gaps from 0");
            let value = value.ok_or_else(gap)?;
            if *index == list.len() {
                list.push(value);
            } else {
                *list.get_mut(*index).ok_or_else(gap)? = value;
            }
            Ok(())
        }
        [Segment::Key(key), Segment::Index(index), rest @ ..] => {
            let list = document
                .entry(key)
                .or_insert_with(|| toml::Value::Array(Vec::new()));
            let list = list.as_array_mut().ok_or_else(misplaced)?;
            if *index == list.len() {
                list.push(toml::Value::Table(toml::Table::new()));
            }
            let next = variable(&format!("{key}[{}]", list.len()));
            let item = list.get_mut(*index).ok_or_else(|| {
                format!(
                    "the entries of `{key}` are numbered without gaps from 0; the next free one is {next}"
                )
            })?;
            put(item.as_table_mut().ok_or_else(misplaced)?, rest, value)
        }
        [Segment::Key(key), rest @ ..] => {
            let table = document
                .entry(key)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            put(table.as_table_mut().ok_or_else(misplaced)?, rest, value)
        }
        [Segment::Index(_), ..] | [] => Err(misplaced()),
    }
}
