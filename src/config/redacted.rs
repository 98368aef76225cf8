//! Secrets that cannot be printed by accident.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

/// What stands in place of a secret.
const MASK: &str = "****";

/// A secret text: `Debug`, `Display` and serialisation show `****`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Redacted(String);

impl Redacted {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }
    /// The secret itself; for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// An `http` or `https` address whose password never shows: `Debug`, `Display` and serialisation write `****` for it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// The address with its credentials; for the one place that connects.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl RedactedUrl {
    pub(super) const FORMAT: &'static str = "uri";
    pub(super) const ALLOWED: &'static str =
        "an http or https address such as \"https://index.example/simple/\"";
}

/// Why an address was refused. It never repeats the address, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not {}", RedactedUrl::ALLOWED)]
pub struct UrlError {
    found: &'static str,
}

impl FromStr for RedactedUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(|_| UrlError {
            found: "text that is no URL",
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError {
                found: "a URL of another scheme",
            });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError {
                found: "a URL with a query or fragment",
            });
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for RedactedUrl {
    type Error = UrlError;
    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.password().is_none() && self.0.username().is_empty() {
            return self.0.fmt(f);
        }
        // A user name may itself be a token, so both go.
        let mut shown = self.0.clone();
        let masked = shown.set_username(MASK).is_ok() && shown.set_password(None).is_ok();
        if masked { shown.fmt(f) } else { f.write_str(MASK) }
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RedactedUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for RedactedUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HttpUrl".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": Self::FORMAT, "pattern": "^https?://"})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_secret_shows_nowhere() {
        let secret = Redacted::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "**** ****");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"****\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn credentials_of_an_address_show_nowhere() {
        let url: RedactedUrl = "https://ci:hunter2@index.example/simple/".parse().unwrap();
        let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!shown.contains("hunter2") && !shown.contains("ci"), "{shown}");
        assert!(shown.starts_with("https://****@index.example/simple/"), "{shown}");
        assert_eq!(url.expose().password(), Some("hunter2"));
    }

    #[test]
    fn an_address_without_credentials_shows_whole() {
        let url: RedactedUrl = "http://127.0.0.1:3141/root/simple/".parse().unwrap();
        assert_eq!(url.to_string(), "http://127.0.0.1:3141/root/simple/");
    }

    #[test]
    fn other_addresses_are_refused_without_being_repeated() {
        for text in [
            "",
            "index.example",
            "file:///srv/simple",
            "ftp://u:hunter2@h/",
            "https://u:hunter2@h/?x=1",
        ] {
            let error = text.parse::<RedactedUrl>().expect_err(text).to_string();
            assert!(
                error.contains("http or https") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
