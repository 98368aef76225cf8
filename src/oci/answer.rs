//! The head of a registry's answer, and its body still to be read.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};
use jiff::Timestamp;
use oci_client::errors::OciEnvelope;
use url::Url;

use super::OciError;
use super::error::causes;
use super::limits::{MAX_ERROR_BYTES, MAX_MESSAGE_CHARS};
use crate::upstream::parse_retry_after;

/// An answer whose body has not been read.
pub(super) struct Answer {
    /// Which request, for messages.
    pub(super) what: String,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where the redirects ended.
    pub(super) url: Url,
    response: reqwest::Response,
    stall: Duration,
}

impl Answer {
    pub(super) fn new(what: String, url: Url, response: reqwest::Response, stall: Duration) -> Self {
        Self {
            what,
            status: response.status(),
            headers: response.headers().clone(),
            url,
            response,
            stall,
        }
    }

    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length`.
    pub(super) fn declared_length(&self) -> Option<u64> {
        self.header(&header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// The next part of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, OciError> {
        match tokio::time::timeout(self.stall, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(OciError::Network {
                what: self.what.clone(),
                why: causes(error),
            }),
            Err(_) => Err(OciError::Network {
                what: self.what.clone(),
                why: format!("nothing came for {} s", self.stall.as_secs()),
            }),
        }
    }

    /// The whole body, up to `limit` bytes.
    pub(super) async fn body(mut self, limit: usize) -> Result<Bytes, OciError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(OciError::Strange {
                    what: self.what,
                    why: format!("the answer has more than {limit} bytes"),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// This answer if it says yes, else what it says.
    pub(super) async fn good(self) -> Result<Self, OciError> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.into_error().await)
        }
    }

    /// What an answer that is not 2xx says.
    pub(super) async fn into_error(self) -> OciError {
        let status = self.status;
        let retry_after = self
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| parse_retry_after(value, Timestamp::now()));
        let what = self.what.clone();
        // The words are an extra: that they cannot be read is no other error.
        let message = match self.body(MAX_ERROR_BYTES).await {
            Ok(body) => message(&body),
            Err(_) => String::new(),
        };
        match status.as_u16() {
            401 | 403 => OciError::Denied {
                what,
                status,
                message,
            },
            404 => OciError::NotFound { what, message },
            408 | 425 | 429 | 500 | 502..=504 | 507..=599 => OciError::Busy {
                what,
                status,
                retry_after,
                message,
            },
            _ => OciError::Refused {
                what,
                status,
                message,
            },
        }
    }
}

/// The registry's own words (distribution specification, "Error codes"), in one line.
fn message(body: &[u8]) -> String {
    let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body) else {
        return String::new();
    };
    let words: Vec<String> = envelope
        .errors
        .iter()
        .map(|error| {
            let code = serde_json::to_value(&error.code)
                .ok()
                .and_then(|code| code.as_str().map(ToOwned::to_owned))
                .unwrap_or_default();
            format!("{code}: {}", error.message)
        })
        .collect();
    words
        .join("; ")
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_words_are_one_short_line() {
        let body = br#"{"errors":[{"code":"MANIFEST_INVALID","message":"no\u001b[2J"},{"code":"OWN","message":"x"}]}"#;
        assert_eq!(message(body), "MANIFEST_INVALID: no[2J; OWN: x");
        assert_eq!(message(b"<html>"), "");
        let long = format!(
            r#"{{"errors":[{{"code":"DENIED","message":"{}"}}]}}"#,
            "x".repeat(9_000)
        );
        assert_eq!(message(long.as_bytes()).chars().count(), MAX_MESSAGE_CHARS);
    }
}
