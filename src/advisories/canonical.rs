//! The content address: the same records give the same digest, whatever order, blanks or archive they came in.

use chiron_storage::{Digest, Measure};
use serde_json::Value;

/// A document without blanks, the keys of every object sorted.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// `serde_json` reads no deeper than 128 levels, so this goes no deeper either.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (at, (key, value)) in pairs.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                text(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, out);
            }
            out.push(b']');
        }
        Value::String(string) => text(string, out),
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

fn text(string: &str, out: &mut Vec<u8>) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(out, string);
}

/// Hashes lines, each a kind, a name and what stands for its content.
pub(super) struct Tally(Measure);

impl Tally {
    pub(super) fn new() -> Self {
        let mut tally = Self(Measure::new(u64::MAX));
        tally.line("chiron.advisories/v1", "", "");
        tally
    }

    /// Adds a line. Each field is led by its length, so that no two lists of lines are one text.
    pub(super) fn line(&mut self, kind: &str, name: &str, content: &str) {
        for field in [kind, name, content] {
            let head = (field.len() as u64).to_be_bytes();
            // There is no limit to be over.
            let _ = self.0.update(&head);
            let _ = self.0.update(field.as_bytes());
        }
    }

    pub(super) fn digest(self) -> Digest {
        self.0.finish().sha256
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_blanks_do_not_matter() {
        let one: Value = serde_json::from_str(r#"{"b":[1,{"y":"\u00e9","x":null}],"a":1.5}"#).unwrap();
        let two: Value =
            serde_json::from_str(" { \"a\": 1.5, \"b\": [1, {\"x\":null,\"y\":\"é\"}] }").unwrap();
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(
            canonical(&one),
            r#"{"a":1.5,"b":[1,{"x":null,"y":"é"}]}"#.as_bytes()
        );
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let digest = |lines: &[[&str; 3]]| {
            let mut tally = Tally::new();
            for [kind, name, content] in lines {
                tally.line(kind, name, content);
            }
            tally.digest()
        };
        assert_ne!(digest(&[["record", "ab", "c"]]), digest(&[["record", "a", "bc"]]));
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back(key in "\\PC{0,8}", text in any::<String>(), number in any::<i64>()) {
            let value = json!({ key: [text, number, { "z": true, "a": null }] });
            prop_assert_eq!(serde_json::from_slice::<Value>(&canonical(&value)).unwrap(), value);
        }
    }
}
