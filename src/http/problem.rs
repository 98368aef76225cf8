//! Errors as HTTP: the one place where they get a status. RFC 9457 documents for uv and for scripts,
//! reason phrases for pip and twine, which print nothing else.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chiron_storage::{BlobError, DbError};
use http::{HeaderValue, StatusCode, header};
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use super::advice::first;
use crate::catalog::{CatalogError, FileRow, FileState};
use crate::ingest::IngestError;
use crate::mirror::MirrorError;
use crate::upstream::UpstreamError;

/// An answer that says no.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: String,
    detail: String,
    retry_after: Option<u32>,
    challenge: bool,
}

/// The document (RFC 9457, section 3).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemDocument<'a> {
    /// `urn:chiron:problem:…`; stable.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// Seconds after which a client should come back for a verdict or a free place.
const COME_BACK: u32 = 2;

/// Characters of a reason phrase: long enough to say why and what to do, short enough for any client's line buffer.
const MAX_PHRASE: usize = 400;

/// Characters of the facts in a reason phrase.
const MAX_FACT: usize = 160;

impl Problem {
    /// A problem with a stable name (`urn:chiron:problem:{kind}`).
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let (title, detail) = (title.into(), detail.into());
        Self {
            status,
            kind,
            title,
            detail,
            retry_after: None,
            challenge: false,
        }
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// 401 with a challenge.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authorised", detail);
        Self {
            challenge: true,
            ..problem
        }
    }

    /// 503: the verdict is still being worked out. Not a judgment; the client's retry will succeed.
    pub fn pending(filename: &str) -> Self {
        let detail = format!(
            "{filename} is being fetched and checked, which may include a rebuild from its source; ask again in {COME_BACK} seconds, it goes on meanwhile"
        );
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "verdict-pending",
            "The verdict is not out yet",
            detail,
        );
        Self {
            retry_after: Some(COME_BACK),
            ..problem
        }
    }

    /// 503: a task of ours was lost; asking again starts it anew.
    pub fn broke_off(what: &str) -> Self {
        let detail = format!("the work on {what} broke off; asking again starts it anew");
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "broke-off",
            "The work broke off",
            detail,
        );
        Self {
            retry_after: Some(COME_BACK),
            ..problem
        }
    }

    /// The answer for a file that is not admitted.
    pub fn denied(row: &FileRow) -> Self {
        let name = &row.judged.filename;
        let reasons = match (&row.note, row.judged.reasons.as_slice()) {
            (Some(note), []) => note.clone(),
            (_, reasons) => reasons
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
        };
        if row.is_damaged() {
            return Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
                format!("The stored copy of {name} is damaged and is not served"),
                format!("{reasons}. An operator can fetch it again with `chiron scrub --repair`"),
            );
        }
        if row.state == FileState::Admitted {
            return Self::new(
                StatusCode::FORBIDDEN,
                "not-admitted",
                format!("upstream sent other bytes for {name} than it promises"),
                format!(
                    "what came has sha256 {} and is served under that digest only",
                    row.judged.sha256
                ),
            );
        }
        let word = match row.state {
            FileState::Refused => "refused",
            FileState::Revoked => "revoked",
            FileState::Quarantined | FileState::Admitted => "quarantined",
        };
        let codes = row
            .judged
            .reasons
            .iter()
            .map(|r| (r.check.as_str(), r.code.as_str()));
        let remedy = first(codes, name).unwrap_or_else(|| format!("`chiron explain {name}` says more"));
        // Installers print the phrase and nothing else: what is wrong must leave room for what to do.
        let fact: String = reasons.chars().take(MAX_FACT).collect();
        Self::new(
            StatusCode::FORBIDDEN,
            "not-admitted",
            format!("{name} was {word} by this index: {fact}; to do: {remedy}"),
            format!(
                "{name} was {word}: {reasons}. To do: {remedy}. `chiron explain {name}` shows every check and what would change it"
            ),
        )
    }

    /// What went wrong and what to do, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDocument {
            kind: format!("urn:chiron:problem:{}", self.kind),
            title: &self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.challenge {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"chiron\", charset=\"UTF-8\""),
            );
        }
        if let Ok(phrase) = ReasonPhrase::try_from(phrase(&self.title)) {
            response.extensions_mut().insert(phrase);
        }
        response
    }
}

/// RFC 9112, section 4: printable, one line. What comes from outside (a filename, an archive's entry) may hold anything.
fn phrase(title: &str) -> Vec<u8> {
    title
        .bytes()
        .map(|b| if (b' '..=b'~').contains(&b) { b } else { b'?' })
        .take(MAX_PHRASE)
        .collect()
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "a request failed inside Chiron");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Chiron failed",
        "the daemon's log says why; `chiron doctor` checks the usual causes",
    )
}

fn full(detail: &str) -> Problem {
    let title = "The disk is full";
    let detail = format!(
        "{detail}; nothing was changed. Free space, or run `chiron gc`; if /readyz then says that it only reads, restart it"
    );
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", title, detail)
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error {
            DbError::NoSpace { .. } => full(&error.to_string()),
            DbError::Poisoned { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "read-only",
                "A write could not be made durable; Chiron only reads until it is restarted",
                error.to_string(),
            ),
            other => internal(&other),
        }
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NoSpace { .. } => full(&error.to_string()),
            BlobError::TooLarge { limit, .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The file is too large",
                format!("files are taken in up to {limit} bytes (limits.file, server.max_body)"),
            ),
            BlobError::Corrupt { .. } | BlobError::NotFound { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "damaged",
                "The stored copy is damaged and is not served",
                format!("{error}. An operator can fetch it again with `chiron scrub --repair`"),
            ),
            other => internal(&other),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Db(error) => error.into(),
            CatalogError::NoSuchFile { .. } | CatalogError::BeyondLog { .. } => {
                Self::not_found(error.to_string())
            }
            CatalogError::WrongState { .. } | CatalogError::NameTaken { .. } => Self::new(
                StatusCode::CONFLICT,
                "conflict",
                "Not possible in this state",
                error.to_string(),
            ),
            other => internal(&other),
        }
    }
}

impl From<&UpstreamError> for Problem {
    fn from(error: &UpstreamError) -> Self {
        // Not a judgment, and the client may well succeed later.
        let problem = Self::new(
            StatusCode::BAD_GATEWAY,
            "upstream-failed",
            "The upstream index could not be asked",
            // An upstream's address is nobody's business: it may be private, and hold a name and a password.
            "the daemon's log and `chiron status` say why; what is here already is served on",
        );
        tracing::warn!(%error, "a client was told that upstream could not be asked");
        Self {
            retry_after: Some(5),
            ..problem
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        Self::from(&error)
    }
}

impl From<&IngestError> for Problem {
    fn from(error: &IngestError) -> Self {
        match error {
            IngestError::Upstream(error) => error.into(),
            IngestError::Blob(BlobError::NoSpace { .. }) => full(&error.to_string()),
            IngestError::Catalog(CatalogError::Db(error)) => error.clone().into(),
            IngestError::Catalog(CatalogError::OtherMetadata { filename }) => Self::broke_off(filename),
            IngestError::Blob(BlobError::TooLarge { limit, .. }) => {
                Self::from(BlobError::TooLarge { limit: *limit })
            }
            other => internal(other),
        }
    }
}

impl From<Arc<MirrorError>> for Problem {
    fn from(error: Arc<MirrorError>) -> Self {
        match &*error {
            MirrorError::Ingest(error) => error.into(),
            MirrorError::Upstream(error) => error.into(),
            MirrorError::Down(error) => Self::from(&**error),
            MirrorError::BrokeOff { what, .. } => Self::broke_off(what),
            MirrorError::Catalog(CatalogError::Db(error)) => error.clone().into(),
            MirrorError::Catalog(_) | MirrorError::Blob(_) | MirrorError::Filename(_) => internal(&*error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_phrase_is_one_short_printable_line() {
        let hostile = format!("a\r\nSet-Cookie: x=1 é {}", "z".repeat(500));
        let phrase = phrase(&hostile);
        assert_eq!(phrase.len(), MAX_PHRASE);
        assert!(phrase.starts_with(b"a??Set-Cookie: x=1 ??"));
        assert!(ReasonPhrase::try_from(phrase).is_ok());
    }
}
