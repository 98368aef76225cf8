//! Percent-encoding, as the URIs of places use it (RFC 3986, section 2).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// What stands for itself: RFC 3986's unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// As [`UNRESERVED`], and the separators of a path, and the colon that RFC 7512 leaves alone too.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/').remove(b':').remove(b'@').remove(b'+');

/// The bytes as one part of a URI.
pub fn part(bytes: &[u8]) -> impl fmt::Display + '_ {
    percent_encode(bytes, UNRESERVED)
}

/// The bytes as a path in a URI.
pub fn path(bytes: &[u8]) -> impl fmt::Display + '_ {
    percent_encode(bytes, PATH)
}

/// The bytes that a part stands for. A `%` that begins no pair of hex digits stands for nothing.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let pair = rest.get(at + 1..at + 3)?;
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = &rest[at + 3..];
    }
    Some(percent_decode_str(text).collect())
}

/// The text that a part stands for: no control characters (threat: a line break forges a line of a listing or log).
pub fn text(part: &str) -> Option<String> {
    let text = String::from_utf8(bytes(part)?).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_pair_and_control_characters_are_refused() {
        for wrong in ["%", "%4", "%zz", "a%2", "%%41"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert_eq!(text("a%0ab"), None);
        assert_eq!(text("a%20b").as_deref(), Some("a b"));
        assert_eq!(text("%ff"), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(raw in any::<Vec<u8>>()) {
            prop_assert_eq!(bytes(&part(&raw).to_string()), Some(raw.clone()));
            prop_assert_eq!(bytes(&path(&raw).to_string()), Some(raw));
        }
    }
}
