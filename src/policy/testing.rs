//! `test_*` rules of a policy, run as OPA runs them: a test passes when its value is `true`.

use serde::Serialize;
use serde_json::{Value, json};

use super::{EvaluateError, Policy};

/// One test of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The rule's path, without `data.`.
    pub name: String,
    /// Where it stands.
    pub place: String,
    /// It is `true`.
    pub passed: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Runs every rule whose name begins with `test_`, in the order of their names.
pub fn test(policy: &Policy) -> Vec<TestResult> {
    let mut tests: Vec<(String, String)> = policy
        .modules()
        .iter()
        .flat_map(|module| &module.rules)
        .filter(|rule| {
            rule.path
                .rsplit('.')
                .next()
                .is_some_and(|name| name.starts_with("test_"))
        })
        .map(|rule| (rule.path.clone(), rule.place.to_string()))
        .collect();
    tests.sort();
    tests.dedup_by(|a, b| a.0 == b.0);
    tests
        .into_iter()
        .map(|(name, place)| run(policy, name, place))
        .collect()
}

fn run(policy: &Policy, name: String, place: String) -> TestResult {
    let input = regorus::Value::new_object();
    let why = match policy.values(input, &[format!("data.{name}")]) {
        Ok(values) if values == [Value::Bool(true)] => None,
        Ok(values) => Some(format!("it is {} and not true", json!(values.first()))),
        Err(EvaluateError::Undefined(_)) => Some("it is undefined: something in it does not hold".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    TestResult {
        name,
        place,
        passed: why.is_none(),
        why,
    }
}
