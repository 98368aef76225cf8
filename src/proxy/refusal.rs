//! How the proxy says no, so that the words reach the person in front of the installer.
//!
//! Files: 403 with a reason phrase (pip prints it) and a problem document (uv prints title and detail). Pages: 409, since uv
//! takes 401 and 403 on a page for missing credentials and says nothing else. pip says nothing about a page that it cannot get,
//! whatever the status; but it prints the media type of a page that it cannot read. So pip, and nobody else, gets the problem
//! document as an unreadable page: it lists nothing, nothing can be installed from it, and the reason is on the screen.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::file::Wanted;
use crate::http::Problem;
use crate::tuf_client::{Check, TufClientError};

/// Characters of a reason in a header. Long enough for file, versions and what to do.
const MAX_REASON: usize = 400;

/// An answer that says no; it may be the answer to many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    kind: &'static str,
    title: String,
    detail: String,
}

impl Refusal {
    pub fn new(
        status: StatusCode,
        kind: &'static str,
        title: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            title: title.into(),
            detail: detail.into(),
        }
    }

    /// A judgment: asking again changes nothing.
    pub fn denied(kind: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, kind, title, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// Upstream did not do its part; asking again may help.
    pub fn unavailable(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream-unreachable",
            title,
            detail,
        )
    }

    /// Nobody vouches for the file, and nobody may be asked to.
    pub fn unsigned(wanted: &Wanted) -> Self {
        let name = &wanted.filename;
        Self::denied(
            "unsigned",
            format!("{name} is not signed, and this proxy hands out nothing else"),
            format!(
                "no role of the signed repository lists {name} with sha256 {}; it was never admitted, or it was revoked",
                wanted.sha256
            ),
        )
    }

    /// To who asked for a file.
    pub fn of_file(self) -> Response {
        tracing::warn!(
            status = self.status.as_u16(),
            kind = self.kind,
            "refused: {}",
            self.title
        );
        Problem::new(self.status, self.kind, self.title, self.detail).into_response()
    }

    /// To who asked for a page.
    pub fn of_page(mut self, headers: &HeaderMap) -> Response {
        if self.status == StatusCode::NOT_FOUND {
            return Problem::not_found(self.detail).into_response();
        }
        if self.status == StatusCode::FORBIDDEN {
            self.status = StatusCode::CONFLICT;
        }
        let title = self.title.clone();
        let mut response = self.of_file();
        if is_pip(headers)
            && let Ok(value) =
                HeaderValue::try_from(format!("application/problem+json; reason=\"{}\"", quoted(&title)))
        {
            *response.status_mut() = StatusCode::OK;
            response.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
            response.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        response
    }
}

fn is_pip(headers: &HeaderMap) -> bool {
    headers
        .get(header::USER_AGENT)
        .is_some_and(|agent| agent.as_bytes().starts_with(b"pip/"))
}

/// Text for a quoted parameter: one printable line.
fn quoted(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' | '\\' => '\'',
            ' '..='~' => c,
            _ => '?',
        })
        .take(MAX_REASON)
        .collect()
}

impl From<TufClientError> for Refusal {
    fn from(error: TufClientError) -> Self {
        let text = error.to_string();
        match &error {
            TufClientError::Refused { check, .. } => Self::denied(
                "tuf-refused",
                // pip prints this and nothing else, uv this and the detail.
                format!("{text}; to do: {}", remedy(*check)),
                format!("nothing of it was handed out (TUF check: {check})"),
            ),
            TufClientError::Unreachable { .. } => Self::unavailable(
                format!("upstream could not be asked: {text}"),
                "without it nothing is known to be the newest, so nothing is handed out; try again",
            ),
            TufClientError::State { .. } | TufClientError::Setup(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "state-unusable",
                "the proxy's own state cannot be used; its log says why",
                text,
            ),
        }
    }
}

fn remedy(check: Check) -> &'static str {
    match check {
        Check::Rollback => {
            "do not install; upstream shows an older state than before. After a restored backup its operator runs `chiron tuf publish --versions-from N`"
        }
        Check::Expired => {
            "look at this machine's clock; if it is right, upstream's operator runs `chiron tuf status` and `chiron tuf publish`"
        }
        Check::RootChain => "upstream's operator looks at the chain of roots with `chiron tuf status`",
        Check::NotFound => {
            "try again; if it stays so, upstream's operator runs `chiron scrub --repair` for files, `chiron tuf publish --repair` for metadata"
        }
        _ => {
            "do not install; somebody between here and the signer changed it, or upstream's storage is damaged (its operator: `chiron tuf status`, `chiron scrub`)"
        }
    }
}

pub async fn nothing_here() -> Problem {
    Problem::not_found("nothing is served under this path; the index is at /simple/")
}

pub async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        "the proxy is read only",
    )
}

/// The answer with an empty body, for what was refused before a page existed.
pub fn moved(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::try_from(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal() -> Refusal {
        Refusal::from(TufClientError::Refused {
            check: Check::Rollback,
            file: "timestamp.json".to_owned(),
            why: "it is at version 3 \"é\"".to_owned(),
        })
    }

    #[test]
    fn pip_is_told_in_the_one_place_that_it_prints() {
        let mut pip = HeaderMap::new();
        pip.insert(header::USER_AGENT, HeaderValue::from_static("pip/26.3 {}"));
        let answer = refusal().of_page(&pip);
        assert_eq!(answer.status(), StatusCode::OK);
        let media = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(
            media.starts_with(
                "application/problem+json; reason=\"timestamp.json is refused: it is at version 3 '?'"
            ),
            "{media}"
        );
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn others_get_a_status_that_says_no() {
        assert_eq!(
            refusal().of_page(&HeaderMap::new()).status(),
            StatusCode::CONFLICT
        );
        assert_eq!(refusal().of_file().status(), StatusCode::FORBIDDEN);
        let missing = Refusal::not_found("no project x").of_page(&HeaderMap::new());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }
}
