//! Typed tables: a family's name, an order-preserving key and a typed value.
//!
//! Order: the byte order of encoded keys is the order of the keys (for tuples, field by field).
//! A text field that is not the last ends with one NUL byte, so that `("numpy", 1)` and
//! `("numpy-stl", 1)` never share a prefix; texts in keys therefore hold no NUL.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::{DIGEST_BYTES, Digest};

/// Bytes that are not what the table's type says, or a key that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A stored key has the wrong length or form.
    #[error("a stored key is not a {expected}")]
    Key {
        /// What the table's type expects.
        expected: &'static str,
    },
    /// A text that goes into a key holds a NUL byte, which separates fields.
    #[error("a text in a key holds a NUL byte")]
    Nul,
    /// A value cannot be written as, or read from, JSON of the table's type.
    #[error("a value is not of the table's type: {0}")]
    Value(String),
}

/// A key whose encoded bytes sort as the keys do.
pub trait Key: Sized {
    /// Appends the encoded key, in the form that stands at the end of a key.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads what [`Key::encode`] wrote, all of it.
    fn decode(bytes: &[u8]) -> Result<Self, CodecError>;

    /// Appends the encoded key in the form that may be followed by another field.
    fn encode_field(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Splits what [`Key::encode_field`] wrote from the fields that follow.
    fn decode_field(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError>;

    /// The encoded key.
    fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::with_capacity(48);
        self.encode(&mut out)?;
        Ok(out)
    }

    /// The encoded first field(s) with their separator: the prefix of every key that begins with them.
    fn to_prefix(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::with_capacity(48);
        self.encode_field(&mut out)?;
        Ok(out)
    }

    /// The smallest encoded key after this one: where the page after it starts.
    fn to_successor(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = self.to_bytes()?;
        out.push(0);
        Ok(out)
    }
}

macro_rules! fixed_width_key {
    ($type:ty, $width:expr, $name:literal, $to:expr, $from:expr) => {
        impl Key for $type {
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                out.extend_from_slice(&$to(self));
                Ok(())
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                match Self::decode_field(bytes)? {
                    (key, []) => Ok(key),
                    _ => Err(CodecError::Key { expected: $name }),
                }
            }

            fn encode_field(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                self.encode(out)
            }

            fn decode_field(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError> {
                let (head, rest) = bytes
                    .split_first_chunk::<{ $width }>()
                    .ok_or(CodecError::Key { expected: $name })?;
                Ok(($from(*head), rest))
            }
        }
    };
}

fixed_width_key!(
    u64,
    8,
    "64-bit number",
    |n: &u64| n.to_be_bytes(),
    u64::from_be_bytes
);
fixed_width_key!(
    u32,
    4,
    "32-bit number",
    |n: &u32| n.to_be_bytes(),
    u32::from_be_bytes
);
fixed_width_key!(u8, 1, "8-bit number", |n: &u8| n.to_be_bytes(), u8::from_be_bytes);
fixed_width_key!(
    Digest,
    DIGEST_BYTES,
    "SHA-256",
    |d: &Digest| *d.as_bytes(),
    Digest::from_bytes
);

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if self.as_bytes().contains(&0) {
            return Err(CodecError::Nul);
        }
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let text = std::str::from_utf8(bytes).map_err(|_| CodecError::Key { expected: "text" })?;
        if text.contains('\0') {
            return Err(CodecError::Key { expected: "text" });
        }
        Ok(text.to_owned())
    }

    fn encode_field(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.encode(out)?;
        out.push(0);
        Ok(())
    }

    fn decode_field(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        let end = bytes.iter().position(|byte| *byte == 0).ok_or(CodecError::Key {
            expected: "text and a NUL byte",
        })?;
        Ok((Self::decode(&bytes[..end])?, &bytes[end + 1..]))
    }
}

macro_rules! tuple_key {
    ($($head:ident $position:tt),+ ; $last:ident $last_position:tt) => {
        impl<$($head: Key,)+ $last: Key> Key for ($($head,)+ $last,) {
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                $(self.$position.encode_field(out)?;)+
                self.$last_position.encode(out)
            }

            #[allow(non_snake_case)] // one binding per type parameter
            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                $(let ($head, bytes) = $head::decode_field(bytes)?;)+
                Ok(($($head,)+ $last::decode(bytes)?,))
            }

            fn encode_field(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
                $(self.$position.encode_field(out)?;)+
                self.$last_position.encode_field(out)
            }

            #[allow(non_snake_case)] // one binding per type parameter
            fn decode_field(bytes: &[u8]) -> Result<(Self, &[u8]), CodecError> {
                $(let ($head, bytes) = $head::decode_field(bytes)?;)+
                let ($last, bytes) = $last::decode_field(bytes)?;
                Ok((($($head,)+ $last,), bytes))
            }
        }
    };
}

tuple_key!(A 0; B 1);
tuple_key!(A 0, B 1; C 2);
tuple_key!(A 0, B 1, C 2; D 3);

/// A value as stored: JSON for whatever serde can write, the bytes themselves for [`Raw`].
pub trait Value: Sized {
    /// The bytes to store.
    fn to_stored(&self) -> Result<Vec<u8>, CodecError>;

    /// Reads what [`Value::to_stored`] wrote.
    fn from_stored(bytes: &[u8]) -> Result<Self, CodecError>;
}

impl<T: Serialize + DeserializeOwned> Value for T {
    fn to_stored(&self) -> Result<Vec<u8>, CodecError> {
        serde_json::to_vec(self).map_err(|error| CodecError::Value(error.to_string()))
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, CodecError> {
        serde_json::from_slice(bytes).map_err(|error| CodecError::Value(error.to_string()))
    }
}

/// A value that is stored as its own bytes: a document, a Merkle node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw(pub Bytes);

impl Value for Raw {
    fn to_stored(&self) -> Result<Vec<u8>, CodecError> {
        Ok(self.0.to_vec())
    }

    fn from_stored(bytes: &[u8]) -> Result<Self, CodecError> {
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

impl From<Vec<u8>> for Raw {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// A typed column family. Declare it as a constant; name the family in
/// [`DbOptions::families`](crate::DbOptions::families).
pub struct Table<K, V> {
    family: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Table<K, V> {
    /// The table of that family.
    pub const fn new(family: &'static str) -> Self {
        Self {
            family,
            types: PhantomData,
        }
    }

    /// The family's name.
    pub const fn family(&self) -> &'static str {
        self.family
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Table<K, V> {}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.family).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        "[\u{1}-\u{ff}a-c]{0,6}"
    }

    #[test]
    fn a_name_is_no_prefix_of_a_longer_one() {
        let prefix = "numpy".to_owned().to_prefix().unwrap();
        let stl = ("numpy-stl".to_owned(), 1u64).to_bytes().unwrap();
        assert!(!stl.starts_with(&prefix));
        assert_eq!(prefix, b"numpy\0");
    }

    #[test]
    fn refuses_nul_and_wrong_lengths() {
        assert_eq!("a\0b".to_owned().to_bytes(), Err(CodecError::Nul));
        assert!(u64::decode(&[0; 7]).is_err());
        assert!(u64::decode(&[0; 9]).is_err());
        assert!(<(String, u64)>::decode(b"no separator").is_err());
        assert!(String::decode(&[0xff]).is_err());
    }

    #[test]
    fn raw_is_stored_as_is_and_the_rest_as_json() {
        assert_eq!(Raw::from(vec![0, 255]).to_stored().unwrap(), [0, 255]);
        assert_eq!("a".to_owned().to_stored().unwrap(), br#""a""#);
        assert!(u64::from_stored(b"true").is_err());
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_bytes(
            a in (text(), any::<u64>(), text()),
            b in (text(), any::<u64>(), text()),
        ) {
            prop_assert_eq!(a.cmp(&b), a.to_bytes().unwrap().cmp(&b.to_bytes().unwrap()));
            prop_assert_eq!(&<(String, u64, String)>::decode(&a.to_bytes().unwrap()).unwrap(), &a);
        }

        #[test]
        fn digest_keys_sort_as_their_bytes(
            a in (any::<[u8; 32]>(), any::<u32>()),
            b in (any::<[u8; 32]>(), any::<u32>()),
        ) {
            let a = (Digest::from_bytes(a.0), a.1);
            let b = (Digest::from_bytes(b.0), b.1);
            prop_assert_eq!(a.cmp(&b), a.to_bytes().unwrap().cmp(&b.to_bytes().unwrap()));
            prop_assert_eq!(<(Digest, u32)>::decode(&a.to_bytes().unwrap()).unwrap(), a);
        }

        #[test]
        fn successor_is_next(key in text(), other in text()) {
            let after = key.to_successor().unwrap();
            prop_assert!(key.to_bytes().unwrap() < after);
            prop_assert_eq!(other > key, other.to_bytes().unwrap() >= after);
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            if let Ok(key) = <(String, u64, Digest)>::decode(&bytes) {
                prop_assert_eq!(key.to_bytes().unwrap(), bytes);
            }
        }
    }
}
