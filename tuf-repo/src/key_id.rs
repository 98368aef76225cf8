//! What a key is called: the SHA-256 of its canonical form (section 4.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// SHA-256 of a key object's canonical JSON. Text form: 64 lower-case hex digits, and no other.
///
/// Threat: two spellings of one key counted as two keys towards a threshold. Upper case is therefore refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 32]);

/// The text is not 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key id: 64 lower-case hex digits")]
pub struct KeyIdError(String);

impl KeyId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let parse = || {
            let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
            }
            Some(Self(bytes))
        };
        parse().ok_or_else(|| KeyIdError(text.to_owned()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyIdError;
    fn try_from(text: String) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let bytes = std::array::from_fn(|index| u8::try_from(index * 8).unwrap());
        let id = KeyId::from_bytes(bytes);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(
            text.to_uppercase().parse::<KeyId>(),
            Err(KeyIdError(text.to_uppercase()))
        );
        assert_eq!(id.as_bytes(), &bytes);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(KeyIdError(text.to_owned())));
        }
    }
}
