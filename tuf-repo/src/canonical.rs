//! The bytes that signatures cover: OLPC canonical JSON (section 4.2), ASCII and whole numbers only.

use serde::Serialize;
use serde_json::Value;

/// Why a value has no canonical form that every client reads alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// It cannot be written as JSON at all.
    #[error("metadata cannot be written as JSON: {0}")]
    Json(String),
    /// Clients differ in how they read fractions and exponents.
    #[error("metadata has a number that is not whole")]
    NotWhole,
    /// Some clients normalise Unicode before they verify, and would then refuse the signature.
    #[error("metadata has the text {0:?}, which is not printable ASCII")]
    NotAscii(String),
}

/// The canonical form of `value`.
///
/// A line feed is allowed beside printable ASCII, since keys are written in PEM.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|error| CanonicalError::Json(error.to_string()))?;
    check(&value)?;
    sigstore_tuf::canonical_json::to_canonical_bytes(&value).map_err(|_| CanonicalError::NotWhole)
}

fn check(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::String(text) => ascii(text),
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            ascii(name)?;
            check(value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn ascii(text: &str) -> Result<(), CanonicalError> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')) {
        Ok(())
    } else {
        Err(CanonicalError::NotAscii(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_and_only_quotes_are_escaped() {
        let value = json!({"b": 1, "a": "x\n\"\\", "c": [true, null]});
        assert_eq!(
            canonical(&value),
            Ok(b"{\"a\":\"x\n\\\"\\\\\",\"b\":1,\"c\":[true,null]}".to_vec())
        );
    }

    #[test]
    fn what_clients_read_differently_is_refused() {
        assert_eq!(canonical(&json!({"a": 1.5})), Err(CanonicalError::NotWhole));
        assert!(matches!(
            canonical(&json!({"é": 1})),
            Err(CanonicalError::NotAscii(_))
        ));
        assert!(matches!(
            canonical(&json!(["a\u{0}"])),
            Err(CanonicalError::NotAscii(_))
        ));
    }
}
