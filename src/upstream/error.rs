//! What can go wrong with an upstream. Every variant says what happened, at which address, and what follows.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::ShownUrl;
use super::pip_default::PipError;

/// A failed request. `Clone`, so that one failure can be given to every waiter of a flight.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No index address could be found. The upstream cannot be used until the configuration says one.
    #[error(transparent)]
    Pip(#[from] PipError),
    /// The client cannot be built from its configuration; nothing was sent.
    #[error("cannot set up the connection to {url}: {what}{}", path.as_ref().map(|p| format!(" ({})", p.display())).unwrap_or_default())]
    Setup {
        /// The index.
        url: ShownUrl,
        /// What is wrong.
        what: String,
        /// The file that was read, if one was.
        path: Option<PathBuf>,
    },
    /// The address must not be asked; nothing was sent to it.
    #[error("did not ask {url}: {why}")]
    Refused {
        /// The address that a page or a redirect named.
        url: ShownUrl,
        /// The rule it breaks.
        why: &'static str,
    },
    /// No answer came: no connection, or it broke before the answer's head. May be tried again.
    #[error("no answer from {url}")]
    Connect {
        /// The address asked.
        url: ShownUrl,
        /// What the connection said.
        #[source]
        source: Arc<reqwest::Error>,
    },
    /// An answer took too long. May be tried again.
    #[error("{url} {what} ({limit:?})")]
    TimedOut {
        /// The address asked.
        url: ShownUrl,
        /// Which of the time-outs it was.
        what: &'static str,
        /// The bound that was passed.
        limit: Duration,
    },
    /// The body ended early. May be tried again.
    #[error("the answer of {url} broke off after {received} bytes")]
    Truncated {
        /// The address asked.
        url: ShownUrl,
        /// Bytes that did arrive.
        received: u64,
        /// What the connection said; `None` when it ended in good order but too early.
        #[source]
        source: Option<Arc<reqwest::Error>>,
    },
    /// The server cannot answer now (429 or 5xx). May be tried again.
    #[error("{url} answered {status}: it cannot serve this now")]
    Busy {
        /// The address asked.
        url: ShownUrl,
        /// Its status.
        status: StatusCode,
        /// When it asks to be tried again, from now.
        retry_after: Option<Duration>,
    },
    /// The file is no longer the one whose first part was received. Begin again.
    #[error("{url} changed while it was being read")]
    Changed {
        /// The address asked.
        url: ShownUrl,
    },
    /// Access is refused (401, 403, 407): the configuration lacks credentials, or the index forbids this file.
    #[error("{url} answered {status}: access is refused")]
    Denied {
        /// The address asked.
        url: ShownUrl,
        /// Its status.
        status: StatusCode,
    },
    /// A file that was listed is not there (404, 410).
    #[error("{url} is not there")]
    NotFound {
        /// The address asked.
        url: ShownUrl,
    },
    /// Any other status. Not tried again.
    #[error("{url} answered {status}, which is no answer to this request")]
    Unexpected {
        /// The address asked.
        url: ShownUrl,
        /// Its status.
        status: StatusCode,
    },
    /// What came contradicts what was announced for it. Nothing of it may be used.
    #[error("{url} lied about its {what}: {claimed} was announced, {got} came")]
    Lied {
        /// The address asked.
        url: ShownUrl,
        /// `size` or `sha256`.
        what: &'static str,
        /// The announced value.
        claimed: String,
        /// The value found.
        got: String,
    },
    /// The body is longer than allowed. The rest was not read.
    #[error("{url} is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// The address asked.
        url: ShownUrl,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The answer cannot be understood.
    #[error("cannot understand the answer of {url}: {why}")]
    Malformed {
        /// The address asked.
        url: ShownUrl,
        /// What is wrong with it.
        why: String,
    },
    /// The server does not answer range requests: metadata of a wheel can only be had with the whole wheel.
    #[error("{url} does not serve ranges; its metadata needs the whole file")]
    RangesUnsupported {
        /// The address asked.
        url: ShownUrl,
    },
    /// Upstream offers no metadata apart from the file, and the file is not a wheel to read it from by ranges.
    #[error("{url} has no metadata that can be read apart from it")]
    NoMetadata {
        /// The file.
        url: ShownUrl,
    },
}

impl UpstreamError {
    /// Whether the same request may well succeed later, with nothing changed here.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Truncated { .. }
            | Self::Busy { .. }
            | Self::Changed { .. } => true,
            Self::Pip(_)
            | Self::Setup { .. }
            | Self::Refused { .. }
            | Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Unexpected { .. }
            | Self::Lied { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::RangesUnsupported { .. }
            | Self::NoMetadata { .. } => false,
        }
    }

    /// When upstream asks to be tried again, from now, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
