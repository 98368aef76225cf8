//! Why a registry could not be used, or is not believed.

use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

use crate::bundle::BundleError;

/// What went wrong between this machine and a registry. Nothing in here repeats a password or a token.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// What was named is no place in a registry.
    #[error("`{text}` names no place in a registry: {why}")]
    Reference {
        /// As given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Docker's configuration does not give the credentials that it promises.
    #[error("the credentials for {registry} cannot be had: {why}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// What failed; never what a helper printed on its standard output.
        why: String,
    },
    /// The connections cannot be set up: certificates.
    #[error("cannot set up the connection to {registry}: {why}")]
    Setup {
        /// Host and port.
        registry: String,
        /// Why.
        why: String,
    },
    /// The registry wants other credentials, or this account may not do this.
    #[error("the registry refuses {what}: HTTP {status}{}", said(message))]
    Denied {
        /// Which request.
        what: String,
        /// 401 or 403.
        status: StatusCode,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// The registry does not have it.
    #[error("the registry does not have {what}{}", said(message))]
    NotFound {
        /// What was asked for.
        what: String,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// No connection, or it broke, or nothing came for too long.
    #[error("{what}: {why}")]
    Network {
        /// Which request.
        what: String,
        /// Every cause, outermost first.
        why: String,
    },
    /// The registry asks to come back later, or fails on its side.
    #[error("{what}: the registry answers HTTP {status}{}{}", later(*retry_after), said(message))]
    Busy {
        /// Which request.
        what: String,
        /// 408, 429 or 5xx.
        status: StatusCode,
        /// What its `Retry-After` asks for.
        retry_after: Option<Duration>,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// Any other "no".
    #[error("{what}: the registry answers HTTP {status}{}", said(message))]
    Refused {
        /// Which request.
        what: String,
        /// Its status.
        status: StatusCode,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// What came is not what its digest, its size or the signed manifest says.
    #[error("the registry lies about {what}: {why}")]
    Lied {
        /// Which document or blob.
        what: String,
        /// What was expected and what came.
        why: String,
    },
    /// An answer that the specification does not know, or that is not followed.
    #[error("{what}: {why}")]
    Strange {
        /// Which request.
        what: String,
        /// What came.
        why: String,
    },
    /// The place in the registry holds something else.
    #[error("{place} is neither a bundle nor a release: {why}")]
    NotOurs {
        /// As given.
        place: String,
        /// What it is.
        why: String,
    },
    /// A file of this machine cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// `read`, `write`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder to pull into holds something else.
    #[error("{} is in the way: {why}", path.display())]
    InTheWay {
        /// Which.
        path: PathBuf,
        /// What it holds.
        why: String,
    },
    /// The bundle itself.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The process is stopping.
    #[error("the work did not finish: the process is stopping")]
    Stopped,
}

impl OciError {
    /// Whether trying again can help.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Busy { .. })
    }

    /// What the registry asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<crate::blocking::Lost> for OciError {
    fn from(_: crate::blocking::Lost) -> Self {
        Self::Stopped
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

fn later(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |after| {
        format!(", try again in {} s", after.as_secs())
    })
}

/// The causes of an error in one line; reqwest's own text hides them, and has the address, which the caller says.
pub(super) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}
