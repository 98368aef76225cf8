//! What compiles and is still likely to be a mistake: conditions that admit by the absence of objections, and fields of
//! the input that do not exist.

use serde::Serialize;
use serde_json::Value;

use super::Policy;
use super::input::input_schema;
use super::syntax::{Part, Place, RuleSyntax, plain};

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Warning {
    /// File, line and column.
    pub place: String,
    /// Stable, kebab-case.
    pub code: &'static str,
    /// What it is about, and what to write instead.
    pub message: String,
}

/// Looks through the site's own rules.
pub fn lint(policy: &Policy) -> Vec<Warning> {
    let schema = input_schema();
    let mut warnings = Vec::new();
    for module in policy
        .modules()
        .iter()
        .filter(|module| module.file.starts_with("site/"))
    {
        for rule in &module.rules {
            admits_by_absence(rule, &mut warnings);
            unknown_fields(rule, &schema, &mut warnings);
        }
    }
    warnings.sort();
    warnings.dedup();
    warnings
}

/// `admit if count(deny) == 0` admits whatever the rules for `deny` did not understand: an input without the field
/// that a rule looks at makes that rule undefined, and nothing is denied.
fn admits_by_absence(rule: &RuleSyntax, warnings: &mut Vec<Warning>) {
    for (operand, place) in &rule.counted_to_zero {
        // A list of the input may well be empty; a set of objections proves nothing by being so.
        if !operand.starts_with("input.") {
            warnings.push(Warning {
                place: place.to_string(),
                code: "absence",
                message: format!(
                    "count({operand}) == 0 also holds when no rule understood the input; write what must be true instead: `admit if {{ structure_ok; hashes_ok; … }}`"
                ),
            });
        }
    }
}

fn unknown_fields(rule: &RuleSyntax, schema: &Value, warnings: &mut Vec<Warning>) {
    for (path, place) in &rule.references {
        let [Part::Name(root), rest @ ..] = path.as_slice() else {
            continue;
        };
        if root == "input" && !in_test(rule) {
            check(rest, path, schema, schema, place, warnings);
        }
    }
}

/// Tests make inputs of their own.
fn in_test(rule: &RuleSyntax) -> bool {
    rule.path
        .split('.')
        .any(|name| name.starts_with("test_") || name.ends_with("_test"))
}

/// Walks the path down the schema, until the schema says nothing more.
fn check(rest: &[Part], path: &[Part], at: &Value, root: &Value, place: &Place, warnings: &mut Vec<Warning>) {
    let at = resolved(at, root);
    let Some((part, rest)) = rest.split_first() else {
        return;
    };
    if at["properties"].is_object() {
        let Part::Name(name) = part else { return };
        match at["properties"].get(name) {
            Some(below) => check(rest, path, below, root, place, warnings),
            None if at["additionalProperties"] == Value::Bool(false) => {
                let known = at["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, _)| key.as_str());
                let nearest = known.max_by(|a, b| {
                    strsim::normalized_damerau_levenshtein(a, name)
                        .total_cmp(&strsim::normalized_damerau_levenshtein(b, name))
                });
                warnings.push(Warning {
                    place: place.to_string(),
                    code: "unknown-field",
                    message: format!(
                        "{} is not part of the input, so what depends on it is undefined; the nearest known field is `{}`",
                        plain(path),
                        nearest.unwrap_or_default()
                    ),
                });
            }
            None => {}
        }
    } else if at["items"].is_object() {
        check(rest, path, &at["items"], root, place, warnings);
    } else if at["additionalProperties"].is_object() {
        check(rest, path, &at["additionalProperties"], root, place, warnings);
    }
}

/// Follows `$ref`, and the one branch of `anyOf` that is not null.
fn resolved<'a>(at: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(name) = at["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return resolved(&root["$defs"][name], root);
    }
    let branches = at["anyOf"].as_array().into_iter().flatten();
    let mut real = branches.filter(|branch| branch["type"] != "null");
    match (real.next(), real.next()) {
        (Some(only), None) => resolved(only, root),
        _ => at,
    }
}
