//! How long a registry is waited for, how often it is asked again, and how much of its words is read.

use std::time::Duration;

/// Bounds of the talk with one registry.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Blobs that travel at once. Threat: registries that ban eager clients; sockets.
    pub jobs: usize,
    /// Attempts in a row without progress.
    pub attempts: u32,
    /// Failures of one transfer altogether, with progress between them. Threat: a registry that drops every connection
    /// after one byte.
    pub failures: u32,
    /// The pause after the first failure; it doubles.
    pub backoff_base: Duration,
    /// The longest pause of our own choice.
    pub backoff_cap: Duration,
    /// The longest `Retry-After` that is waited for.
    pub retry_after_cap: Duration,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Silence within an answer, and of an upload that takes no more bytes.
    pub stall_timeout: Duration,
    /// From the last byte of an upload until the registry has stored it: it reads the blob again to hash it.
    pub commit_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 4,
            attempts: 5,
            failures: 50,
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(15),
            retry_after_cap: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(10),
        }
    }
}

/// Bytes of an answer that says why not. Threat: memory.
pub(super) const MAX_ERROR_BYTES: usize = 64 << 10;
/// Characters of the registry's own words that are repeated. Threat: a screen full of them.
pub(super) const MAX_MESSAGE_CHARS: usize = 300;
/// Bytes of a token document. Threat: memory.
pub(super) const MAX_TOKEN_BYTES: usize = 1 << 20;
/// Redirects of one request. Registries send blobs from a second host; more than a few is a circle.
pub(super) const MAX_REDIRECTS: usize = 5;
/// Documents of one kind that are read about one file, and pages of a list of referrers. Threat: a list without an end.
pub(super) const MAX_REFERRERS: usize = 1_000;
/// Bytes of one document beside a file (attestation, bill of materials, verdict). Threat: memory.
pub(super) const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Files of one release. Threat: a pull without an end.
pub(super) const MAX_RELEASE_FILES: usize = 2_000;
