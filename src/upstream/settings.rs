//! What an upstream is made of: its address, its mode, its bounds.

use std::path::PathBuf;
use std::time::Duration;

use super::RedactedUrl;

/// One upstream, as configured.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Short name for logs, metrics and jobs.
    pub name: String,
    /// How it is used.
    pub mode: Mode,
    /// Where its index is.
    pub index: IndexSource,
    /// PEM file of certificate authorities to trust beside the system's. `None` with [`IndexSource::Pip`]: pip's own
    /// `cert` setting.
    pub ca_file: Option<PathBuf>,
    /// Its bounds.
    pub limits: Limits,
}

/// How an upstream is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A first request for a project or file brings it through the gate.
    #[default]
    OnDemand,
    /// Only what was ingested on purpose is served.
    Curated,
}

/// Where an upstream's index is.
#[derive(Clone, Debug)]
pub enum IndexSource {
    /// Wherever pip on this machine looks ([`super::pip_default`]).
    Pip,
    /// The address of a PEP 503 or PEP 691 index, with its `/simple/`.
    Url(RedactedUrl),
}

/// Bounds on everything that an upstream sends and on how it is asked.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest index page or project JSON, in bytes after decompression. Threat: a page that fills the memory.
    pub page_bytes: u64,
    /// Largest list of projects, in bytes after decompression. Threat: as above.
    pub list_bytes: u64,
    /// Largest `.metadata`, in bytes. Threat: as above, since it is parsed whole.
    pub metadata_bytes: u64,
    /// Most bytes read from a wheel's end to find its `METADATA`. Threat: an endless central directory.
    pub tail_bytes: u64,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer's head, and between two parts of its body. Threat: an upstream that stalls.
    pub stall_timeout: Duration,
    /// Longest time for a page, list or metadata, all its attempts together. Threat: one byte at a time.
    pub page_timeout: Duration,
    /// Longest time for a file, all its attempts together. Threat: one byte at a time.
    pub download_timeout: Duration,
    /// Longest time for the project JSON that fills in what a page lacks; the page waits no longer for it.
    pub fill_timeout: Duration,
    /// Longest time for each question that is asked of pip.
    pub pip_timeout: Duration,
    /// How often in a row a request is tried without one byte of progress. At least 1.
    pub attempts: u32,
    /// How often one file is resumed in all. Threat: an upstream that breaks off after every byte.
    pub resumes: u32,
    /// The first pause is random between 0 and this; each further one doubles the bound ("full jitter").
    pub backoff_base: Duration,
    /// Upper bound of a pause.
    pub backoff_cap: Duration,
    /// Longest `Retry-After` that is waited for; a longer one is handed to the caller at once.
    pub retry_after_cap: Duration,
    /// Requests under way to one host at once, downloads included. At least 1. Threat: being blocked as abusive.
    pub per_host: usize,
    /// Redirects followed for one request. Threat: redirect loops.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page_bytes: 64 << 20,
            list_bytes: 128 << 20,
            metadata_bytes: 4 << 20,
            tail_bytes: 32 << 20,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            page_timeout: Duration::from_mins(1),
            download_timeout: Duration::from_mins(20),
            fill_timeout: Duration::from_secs(10),
            pip_timeout: Duration::from_secs(20),
            attempts: 4,
            resumes: 20,
            backoff_base: Duration::from_millis(200),
            backoff_cap: Duration::from_secs(5),
            retry_after_cap: Duration::from_secs(20),
            per_host: 16,
            redirects: 5,
        }
    }
}
