//! SHA-256 names what Python's world pins; BLAKE3 is the store's own quick check when it scrubs.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes in either digest.
pub const DIGEST_BYTES: usize = 32;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// The text before the colon names another algorithm.
    #[error("the algorithm is not {expected}")]
    Algorithm {
        /// The algorithm that this type holds.
        expected: &'static str,
    },
    /// Not exactly 64 hexadecimal digits.
    #[error("a digest is 64 hexadecimal digits")]
    Hex,
}

/// A SHA-256 digest: 32 bytes, shown as 64 lower-case hexadecimal digits.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

/// A BLAKE3 digest: 32 bytes, shown as 64 lower-case hexadecimal digits.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake3([u8; DIGEST_BYTES]);

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; DIGEST_BYTES];
        out.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(out)
    }
}

impl Blake3 {
    /// The BLAKE3 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

macro_rules! thirty_two_bytes {
    ($type:ident, $algorithm:literal, $title:literal) => {
        impl $type {
            /// Takes 32 bytes that are already a digest.
            pub const fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; DIGEST_BYTES * 2];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $type {
            type Err = ParseDigestError;

            /// Accepts 64 hexadecimal digits of either case, alone or after the algorithm's name and a colon.
            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                let hexadecimal = match text.split_once(':') {
                    None => text,
                    Some((algorithm, rest)) if algorithm.eq_ignore_ascii_case($algorithm) => rest,
                    Some(_) => {
                        return Err(ParseDigestError::Algorithm {
                            expected: $algorithm,
                        });
                    }
                };
                let mut bytes = [0; DIGEST_BYTES];
                hex::decode_to_slice(hexadecimal, &mut bytes).map_err(|_| ParseDigestError::Hex)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "title": $title, "pattern": "^[0-9a-f]{64}$" })
            }
        }
    };
}

thirty_two_bytes!(Digest, "sha256", "SHA-256, 64 hexadecimal digits");
thirty_two_bytes!(Blake3, "blake3", "BLAKE3, 64 hexadecimal digits");

/// `#[serde(with = "chiron_storage::digest::prefixed")]`: writes `sha256:HEX`, reads both forms.
pub mod prefixed {
    use super::Digest;
    use schemars::{Schema, SchemaGenerator, json_schema};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `sha256:HEX`.
    pub fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("sha256:{digest}"))
    }

    /// Reads `sha256:HEX` or plain hexadecimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        Digest::deserialize(deserializer)
    }

    /// For `#[schemars(schema_with = "chiron_storage::digest::prefixed::schema")]`.
    pub fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Both {
        plain: Digest,
        #[serde(with = "prefixed")]
        prefixed: Digest,
    }

    #[test]
    fn known_answers() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(
            Blake3::of(b"").to_string(),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
        assert_eq!(format!("{:?}", Digest::of(b"")), EMPTY);
        assert_eq!(format!("{:.12}", Digest::of(b"")), &EMPTY[..12]);
    }

    #[test]
    fn json_has_both_forms() {
        let both = Both {
            plain: Digest::of(b""),
            prefixed: Digest::of(b""),
        };
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(
            text,
            format!(r#"{{"plain":"{EMPTY}","prefixed":"sha256:{EMPTY}"}}"#)
        );
        assert_eq!(serde_json::from_str::<Both>(&text).unwrap(), both);
        let value = serde_json::to_value(&both).unwrap();
        assert_eq!(serde_json::from_value::<Both>(value).unwrap(), both);
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        for text in [
            "",
            "sha256:",
            &EMPTY[1..],
            &format!("{EMPTY}0"),
            &format!(" {EMPTY}"),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(ParseDigestError::Hex), "{text:?}");
        }
        let other = format!("md5:{EMPTY}").parse::<Digest>();
        assert_eq!(other, Err(ParseDigestError::Algorithm { expected: "sha256" }));
        assert!(format!("blake3:{EMPTY}").parse::<Blake3>().is_ok());
    }

    proptest! {
        #[test]
        fn text_round_trip(bytes: [u8; 32], upper: bool, prefix: bool) {
            let digest = Digest::from_bytes(bytes);
            let mut text = digest.to_string();
            if upper { text = text.to_uppercase(); }
            if prefix { text = format!("sha256:{text}"); }
            prop_assert_eq!(text.parse::<Digest>().unwrap(), digest);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert!(text.to_lowercase().ends_with(&digest.to_string()));
            }
        }
    }
}
