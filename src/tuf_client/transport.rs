//! Where metadata and targets come from: a host, or a folder. Bounded in bytes and in time, and believing nothing.

use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sigstore_tuf::Repository;
use sigstore_tuf::transport::FetchFuture;

use super::error::{Check, TufClientError};
use super::http::{Answer, Http, Patience};
use super::keys;
use super::source::Source;
use crate::blocking;

/// Bytes of delegated metadata kept in memory, so that a new snapshot brings only what changed. Every use is verified anew.
const KEPT_BYTES: u64 = 64 << 20;
/// Files expected among them; only a hint for the tables.
const KEPT_FILES: usize = 1_024;
/// Bytes of delegated metadata that the updater may hold, as JSON; parsed it takes some times as much. Threat: memory, in a
/// proxy that runs for months in front of a million targets.
const GIVEN_BYTES: u64 = 48 << 20;
/// Bytes of a metadata file's name. Threat: names without end in delegations.
const MAX_NAME: usize = 200;

/// Why something did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection, or it broke.
    #[error("{0}")]
    Failed(String),
    /// Nothing came for this long.
    #[error("nothing came for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// It came, but more slowly than a file may.
    #[error("it came too slowly")]
    TooSlow,
    /// An answer that is neither the file nor that there is none.
    #[error("the answer was HTTP status {0}")]
    Status(u16),
    /// As [`FetchError::Status`], with the host's words for it. They are unsigned, and can only be a reason not to have something.
    #[error("the answer was HTTP status {status}: {title}")]
    Said {
        /// HTTP's.
        status: u16,
        /// Of the problem document.
        title: String,
    },
    /// Endless data.
    #[error("it is longer than the {limit} bytes that it may have")]
    TooLong {
        /// Bytes.
        limit: u64,
    },
    /// A name that leads elsewhere.
    #[error("its name is not one that is asked for")]
    Name,
    /// See [`keys`].
    #[error("{0}")]
    OneKeyTwice(String),
}

impl FetchError {
    pub(super) fn about(&self, file: &str) -> TufClientError {
        let why = self.to_string();
        match self {
            Self::TooLong { .. } => TufClientError::refused(Check::TooLong, file, why),
            Self::Name => TufClientError::refused(Check::Malformed, file, why),
            // The host has it, and says why it will not give it out: asking again changes nothing.
            Self::Said { status: 500, title } => TufClientError::refused(
                Check::NotFound,
                file,
                format!("the repository does not give it out: {title}"),
            ),
            Self::OneKeyTwice(_) => TufClientError::refused(Check::OneKeyTwice, file, why),
            _ => TufClientError::Unreachable {
                file: file.to_owned(),
                why,
            },
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<String, Bytes> for ByBytes {
    fn weight(&self, name: &String, bytes: &Bytes) -> u64 {
        (name.len() + bytes.len()) as u64
    }
}

/// What the updater fetches through, and what remembers the name of the last file for the error's sentence.
pub(super) struct Transport {
    source: Source,
    http: Option<Http>,
    kept: Cache<String, Bytes, ByBytes>,
    last: Mutex<String>,
    /// Bytes of delegated metadata that the updater was given since it was made.
    given: AtomicU64,
}

/// The updater's handle on it.
pub(super) struct Shared(pub(super) Arc<Transport>);

/// A target's bytes on their way.
pub(super) enum Body {
    Http(Answer),
    File(tokio::fs::File),
}

impl Transport {
    pub(super) fn new(source: Source, patience: Patience) -> Result<Self, TufClientError> {
        let http = match &source {
            Source::Http { metadata, .. } => {
                Some(Http::new(metadata, patience).map_err(TufClientError::Setup)?)
            }
            Source::Folder { .. } => None,
        };
        Ok(Self {
            source,
            http,
            kept: Cache::with_weighter(KEPT_FILES, KEPT_BYTES, ByBytes),
            last: Mutex::default(),
            given: AtomicU64::new(0),
        })
    }

    /// Whether the updater holds so much delegated metadata that it should be made anew. It forgets none of it by itself.
    pub(super) fn is_heavy(&self) -> bool {
        self.given.load(Ordering::Relaxed) > GIVEN_BYTES
    }

    /// An updater begins with nothing.
    pub(super) fn begin(&self) {
        self.given.store(0, Ordering::Relaxed);
    }

    /// The metadata file that was asked for last.
    pub(super) fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, name: &str) {
        name.clone_into(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether a file is in memory already.
    pub(super) fn has(&self, name: &str) -> bool {
        self.kept.contains_key(name)
    }

    /// Fetches a delegated role's file into memory, unbelieved. That it fails is found again by who needs it.
    pub(super) async fn prefetch(&self, name: &str) {
        let limit = chiron_tuf::limits::MAX_TARGETS_BYTES;
        if let Ok(Some(bytes)) = self.fetch(name, limit).await
            && keys::each_stands_once(&bytes).is_ok()
        {
            self.kept.insert(name.to_owned(), bytes);
        }
    }

    /// A delegated role's file, unbelieved, for who goes through all of them; it is not kept.
    pub(super) async fn role(&self, name: &str) -> Result<Bytes, TufClientError> {
        let limit = chiron_tuf::limits::MAX_TARGETS_BYTES;
        let fetched = match self.kept.get(name) {
            Some(kept) => Ok(Some(kept)),
            None => self.fetch(name, limit).await,
        };
        let bytes = fetched.map_err(|error| error.about(name))?.ok_or_else(|| {
            TufClientError::refused(
                Check::NotFound,
                name,
                "signed metadata names it, and the repository does not have it",
            )
        })?;
        match keys::each_stands_once(&bytes) {
            Ok(()) => Ok(bytes),
            Err(why) => Err(TufClientError::refused(Check::OneKeyTwice, name, why)),
        }
    }

    /// See [`super::TufClient::first_root`].
    pub(super) async fn first_root(&self) -> Result<Bytes, TufClientError> {
        let name = "1.root.json";
        let fetched = self.fetch(name, chiron_tuf::limits::MAX_ROOT_BYTES).await;
        fetched
            .map_err(|error| error.about(name))?
            .ok_or_else(|| TufClientError::refused(Check::NotFound, name, "the repository does not have it"))
    }

    /// What did not verify must not be found again.
    pub(super) fn forget(&self, name: &str) {
        self.kept.remove(name);
    }

    async fn metadata(&self, name: &str, limit: u64) -> Result<Option<Bytes>, FetchError> {
        self.note(name);
        if let Some(kept) = self.kept.get(name) {
            self.given.fetch_add(kept.len() as u64, Ordering::Relaxed);
            return Ok(Some(kept));
        }
        let Some(bytes) = self.fetch(name, limit).await? else {
            return Ok(None);
        };
        keys::each_stands_once(&bytes).map_err(FetchError::OneKeyTwice)?;
        if is_delegated(name) {
            self.given.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.kept.insert(name.to_owned(), bytes.clone());
        }
        Ok(Some(bytes))
    }

    async fn fetch(&self, name: &str, limit: u64) -> Result<Option<Bytes>, FetchError> {
        if !is_plain(name) {
            return Err(FetchError::Name);
        }
        match (&self.source, &self.http) {
            (Source::Http { metadata, .. }, Some(http)) => {
                let url = metadata.join(name).map_err(|_| FetchError::Name)?;
                http.document(url, limit).await
            }
            (Source::Folder { metadata, .. }, _) => {
                let path = metadata.join(name);
                blocking::run(move || read(&path, limit))
                    .await
                    .map_err(|lost| FetchError::Failed(lost.to_string()))?
            }
            (Source::Http { .. }, None) => Err(FetchError::Failed("there is no connection".to_owned())),
        }
    }

    /// A target by the name that it has in the repository, of at most `length` bytes.
    pub(super) async fn target(&self, relative: &str, length: u64) -> Result<Option<Body>, FetchError> {
        match (&self.source, &self.http) {
            (Source::Http { targets, .. }, Some(http)) => {
                let url = targets.join(relative).map_err(|_| FetchError::Name)?;
                Ok(http.file(url, length).await?.map(Body::Http))
            }
            (Source::Folder { targets, .. }, _) => {
                match tokio::fs::File::open(targets.join(relative)).await {
                    Ok(file) => Ok(Some(Body::File(file))),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(FetchError::Failed(error.to_string())),
                }
            }
            (Source::Http { .. }, None) => Err(FetchError::Failed("there is no connection".to_owned())),
        }
    }
}

fn read(path: &Path, limit: u64) -> Result<Option<Bytes>, FetchError> {
    let failed = |error: std::io::Error| FetchError::Failed(error.to_string());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(FetchError::TooLong { limit });
    }
    Ok(Some(bytes.into()))
}

/// One segment without anything that a URL or a path gives a meaning: no `/`, `..`, `?`, `#`, `:`. `%` comes from
/// percent-encoded role names.
fn is_plain(name: &str) -> bool {
    name.len() <= MAX_NAME
        && !name.starts_with('.')
        && !name.contains("..")
        && name
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.~%".contains(&c))
}

/// `N.ROLE.json` of a delegated role: it never changes, and is kept.
fn is_delegated(name: &str) -> bool {
    let role = name.strip_suffix(".json").and_then(|stem| stem.split_once('.'));
    role.is_some_and(|(version, role)| {
        version.bytes().all(|c| c.is_ascii_digit())
            && !matches!(role, "root" | "timestamp" | "snapshot" | "targets")
    })
}

impl Repository for Shared {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move {
            let fetched = self.0.metadata(name, max_length).await;
            match fetched {
                Ok(bytes) => Ok(bytes.map(|bytes| bytes.to_vec())),
                Err(error) => Err(sigstore_tuf::Error::transport_with_source(
                    "the fetch failed",
                    error,
                )),
            }
        })
    }

    /// Targets do not go through the updater, which would hold them in memory whole.
    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_folder() {
        for name in ["timestamp.json", "12.bin-0f.json", "3.a%2Fb.json"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "../1.root.json",
            "a/b.json",
            "http:x",
            ".hidden",
            "1..json",
            "a?b",
            "a#b",
            "é.json",
            "\0",
        ] {
            assert!(!is_plain(name), "{name}");
        }
        assert!(!is_plain(&"1".repeat(201)));
    }

    #[test]
    fn only_delegated_metadata_is_kept() {
        assert!(is_delegated("12.bin-0f.json") && is_delegated("1.bins.json"));
        for name in [
            "timestamp.json",
            "1.root.json",
            "2.snapshot.json",
            "3.targets.json",
            "bins.json",
        ] {
            assert!(!is_delegated(name), "{name}");
        }
    }
}
