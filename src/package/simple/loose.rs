//! JSON values of any type, read without ever failing for their type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A string, borrowed from the page where it has no escapes.
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Loose::deserialize(deserializer)? {
            Loose::Text(text) => Ok(Self(text)),
            _ => Ok(Self(Cow::Borrowed(""))),
        }
    }
}

/// Any JSON value, cut down to what a page can need; reading one never fails for its type.
pub(super) enum Loose<'a> {
    Null,
    Bool(bool),
    Number(u64),
    Text(Cow<'a, str>),
    /// The members whose values are strings or numbers.
    Map(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    Other,
}

impl<'a> Loose<'a> {
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn into_field(self, key: &str) -> Option<String> {
        match self {
            Self::Map(fields) => fields
                .into_iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.into_owned()),
            _ => None,
        }
    }
}

/// Members of a map kept by [`Loose`]; real ones have below ten.
const MAX_MEMBERS: usize = 64;

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor {
            maps: true,
            lifetime: PhantomData,
        })
    }
}

/// A value inside a map: deeper maps are walked over without recursion, so depth cannot exhaust anything.
struct Member<'a>(Loose<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(LooseVisitor {
                maps: false,
                lifetime: PhantomData,
            })
            .map(Member)
    }
}

struct LooseVisitor<'a> {
    maps: bool,
    lifetime: PhantomData<&'a ()>,
}

impl<'de: 'a, 'a> Visitor<'de> for LooseVisitor<'a> {
    type Value = Loose<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Loose::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Loose::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Loose::Other)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        // Only `api-version: 1.0` written as a number is of use, and only inside a map.
        Ok(if self.maps {
            Loose::Other
        } else {
            Loose::Text(Cow::Owned(value.to_string()))
        })
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Loose::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if !self.maps {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Loose::Other);
        }
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Text<'de>, Member<'de>>()? {
            let value = match value.0 {
                Loose::Text(text) => text,
                Loose::Number(number) => Cow::Owned(number.to_string()),
                _ => continue,
            };
            if members.len() < MAX_MEMBERS {
                members.push((key.0, value));
            }
        }
        Ok(Loose::Map(members))
    }
}
