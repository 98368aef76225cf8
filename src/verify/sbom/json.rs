//! JSON from strangers: size, depth and number of values are counted before anything is parsed, and a key that stands
//! twice in one object is refused, since two readers may take two different ones.

use serde_json::Value;

use super::SbomLimits;

/// Why bytes are not read as a bill of materials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    #[error("{bytes} bytes; {limit} are read")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("values lie more than {0} deep in each other")]
    TooDeep(usize),
    #[error("more than {0} values")]
    TooManyValues(usize),
    #[error("not JSON: {0}")]
    Malformed(String),
    #[error("an object has the same key twice: readers differ in which of the two they take")]
    DuplicateKey,
}

impl JsonError {
    /// The finding's code.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::TooDeep(_) => "too-deep",
            Self::TooManyValues(_) => "too-many-values",
            Self::Malformed(_) => "malformed",
            Self::DuplicateKey => "duplicate-key",
        }
    }
}

/// Reads a document within the limits.
pub(super) fn read(bytes: &[u8], limits: &SbomLimits) -> Result<Value, JsonError> {
    if bytes.len() as u64 > limits.document_bytes {
        return Err(JsonError::TooLarge {
            bytes: bytes.len() as u64,
            limit: limits.document_bytes,
        });
    }
    let members = scan(bytes, limits)?;
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| JsonError::Malformed(error.to_string()))?;
    // In JSON that parsed, each member has one colon outside of strings; the parser keeps one member per key.
    if count_members(&value) == members {
        Ok(value)
    } else {
        Err(JsonError::DuplicateKey)
    }
}

/// Holds a document that was read against narrower bounds.
pub(super) fn within(bytes: &[u8], depth: usize, values: usize) -> Result<(), JsonError> {
    let narrow = SbomLimits {
        depth,
        values,
        ..SbomLimits::default()
    };
    scan(bytes, &narrow).map(|_| ())
}

/// Walks over the bytes once, without parsing; returns how many colons stand outside of strings.
fn scan(bytes: &[u8], limits: &SbomLimits) -> Result<usize, JsonError> {
    let (mut depth, mut values, mut colons) = (0_usize, 1_usize, 0_usize);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(inside) = bytes.get(at) {
                    match inside {
                        b'\\' => at += 1,
                        b'"' => break,
                        _ => {}
                    }
                    at += 1;
                }
            }
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                if depth > limits.depth {
                    return Err(JsonError::TooDeep(limits.depth));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            b':' => colons += 1,
            _ => {}
        }
        if values > limits.values {
            return Err(JsonError::TooManyValues(limits.values));
        }
        at += 1;
    }
    Ok(colons)
}

/// Members of all objects. Recursion is bounded by the depth that was scanned.
fn count_members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_members).sum(),
        Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn small() -> SbomLimits {
        SbomLimits {
            document_bytes: 1_000,
            depth: 4,
            values: 20,
            ..SbomLimits::default()
        }
    }

    #[test]
    fn every_bound_has_its_own_error() {
        let read = |text: &str| read(text.as_bytes(), &small()).map_err(|error| error.code());
        assert!(read(r#"{"a":{"a":[{}]},"b":":{\"[,"}"#).is_ok());
        assert_eq!(read("[[[[[]]]]]"), Err("too-deep"));
        assert_eq!(read(&format!("[{}1]", "1,".repeat(30))), Err("too-many-values"));
        assert_eq!(read(&" ".repeat(1_001)), Err("too-large"));
        for text in ["", "{", "{\"a\"}", "nul", "[1,]", "\"\\", "{}{}", "\u{feff}{}"] {
            assert_eq!(read(text), Err("malformed"), "{text}");
        }
        assert_eq!(read(r#"{"a":1,"a":1}"#), Err("duplicate-key"));
        assert_eq!(read(r#"{"x":[{"a":1,"\u0061":2}]}"#), Err("duplicate-key"));
    }

    #[test]
    fn deep_bytes_are_refused_before_they_are_parsed() {
        let deep = "[".repeat(10_000_000);
        assert_eq!(
            read(deep.as_bytes(), &SbomLimits::default()),
            Err(JsonError::TooDeep(SbomLimits::default().depth))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let ours = read(&bytes, &small());
            let plain = serde_json::from_slice::<Value>(&bytes);
            prop_assert!(ours.is_err() || plain.is_ok());
        }

        #[test]
        fn what_is_written_is_read_back(text in ".{0,40}", number: i64) {
            let value = serde_json::json!({ "t": text, "list": [number, { "u": text }] });
            let limits = SbomLimits::default();
            prop_assert_eq!(read(&serde_json::to_vec(&value).unwrap(), &limits).unwrap(), value);
        }
    }
}
