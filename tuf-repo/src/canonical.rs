//! The bytes that signatures cover: OLPC canonical JSON (section 4.2), ASCII and whole numbers only.

use serde::Serialize;
use serde_json::{Number, Value};

/// Why a value has no canonical form that every client reads alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// It cannot be written as JSON at all.
    #[error("metadata cannot be written as JSON: {0}")]
    Json(String),
    /// Clients differ in how they read fractions and exponents.
    #[error("metadata has a number that is not whole")]
    NotWhole,
    /// JavaScript rounds it, and tuf-js would then refuse the signature.
    #[error(
        "metadata has the number {0}, which is not between -2^53 and 2^53: not every client reads it exactly"
    )]
    NotExact(String),
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
        Value::Number(number) => exact(number),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

/// Whole, and read alike by clients that keep numbers as binary fractions of 64 bits (RFC 8259, section 6).
fn exact(number: &Number) -> Result<(), CanonicalError> {
    const LAST: u64 = (1 << 53) - 1;
    match (number.as_u64(), number.as_i64()) {
        (None, None) => Err(CanonicalError::NotWhole),
        (Some(size), _) if size <= LAST => Ok(()),
        (None, Some(negative)) if negative.unsigned_abs() <= LAST => Ok(()),
        _ => Err(CanonicalError::NotExact(number.to_string())),
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
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::envelope::as_json;

    /// Any value that has a canonical form.
    fn any_value() -> impl Strategy<Value = Value> {
        let text = "[ -~\n]{0,12}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The file says what was signed: nothing is lost between the value, its canonical form and the JSON of the file.
        #[test]
        fn the_file_reads_back_as_the_value(value in any_value()) {
            let signed = canonical(&value).unwrap();
            let read: Value = serde_json::from_slice(&as_json(&signed)).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(canonical(&read).unwrap(), signed);
        }

        /// Two values with one canonical form would let one signature stand for both.
        #[test]
        fn different_values_have_different_forms(one in any_value(), other in any_value()) {
            prop_assert_eq!(one == other, canonical(&one).unwrap() == canonical(&other).unwrap());
        }

        #[test]
        fn the_order_of_fields_does_not_matter(fields in prop::collection::btree_map("[a-c]{0,3}", 0..9, 0..6)) {
            let write = |fields: &[(&String, &i32)]| {
                let inner: Vec<String> = fields.iter().map(|(name, n)| format!("\"{name}\":{n}")).collect();
                serde_json::from_str::<Value>(&format!("{{{}}}", inner.join(","))).unwrap()
            };
            let forward: Vec<_> = fields.iter().collect();
            let backward: Vec<_> = fields.iter().rev().collect();
            prop_assert_eq!(canonical(&write(&forward)), canonical(&write(&backward)));
        }
    }

    #[test]
    fn names_are_sorted_and_only_quotes_are_escaped() {
        let value = json!({"b": 1, "a": "x\n\"\\", "c": [true, null], "B": -1});
        assert_eq!(
            canonical(&value),
            Ok(b"{\"B\":-1,\"a\":\"x\n\\\"\\\\\",\"b\":1,\"c\":[true,null]}".to_vec())
        );
    }

    #[test]
    fn numbers_that_clients_read_differently_are_refused() {
        for text in ["1.5", "1.0", "1e3", "-0.1", "18446744073709551616"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                canonical(&json!([value])),
                Err(CanonicalError::NotWhole),
                "{text}"
            );
        }
        for text in ["9007199254740992", "-9007199254740992", "18446744073709551615"] {
            let value: Value = serde_json::from_str(text).unwrap();
            let error = CanonicalError::NotExact(text.to_owned());
            assert_eq!(canonical(&json!({"a": value})), Err(error));
        }
        for number in [9_007_199_254_740_991_i64, -9_007_199_254_740_991, 0] {
            assert_eq!(canonical(&number), Ok(number.to_string().into_bytes()));
        }
    }

    #[test]
    fn texts_that_clients_read_differently_are_refused() {
        // e with an accent in one code point and in two: tough makes one of the other before it verifies.
        for text in [
            "\u{e9}",
            "e\u{301}",
            "\u{0}",
            "\t",
            "\r",
            "\u{7f}",
            "\u{2028}",
            "\u{1f40d}",
        ] {
            let error = Err(CanonicalError::NotAscii(text.to_owned()));
            assert_eq!(canonical(&json!([text])), error);
            assert_eq!(canonical(&json!({ text: 1 })), error);
        }
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_long_text() {
        let error = canonical(&"\u{e9}".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 1_000);
    }
}
