//! A target from async code.

use chiron_storage::{BlobStore, Digest};

use super::PlainError;
use super::target::{Content, Target};
use crate::blocking;

/// A blob whose bytes were just verified, ready to be copied.
pub(super) async fn blob(
    blobs: &BlobStore,
    filename: &str,
    sha256: Digest,
    size: u64,
) -> Result<Content, PlainError> {
    let file = blobs.file(&sha256).await.map_err(|source| PlainError::Blob {
        filename: filename.to_owned(),
        source,
    })?;
    Ok(Content::Blob { file, size, sha256 })
}

/// A target from async code: collects what is to be written and hands it to a blocking thread in bundles.
pub(super) struct Feed {
    target: Target,
    waiting: Vec<(String, Content)>,
    held: usize,
}

impl Feed {
    /// Open files that wait to be copied, at most. Threat: the limit of open files of the process.
    const MAX_WAITING: usize = 64;
    /// Bytes of documents that wait, at most.
    const MAX_HELD: usize = 8 << 20;

    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            waiting: Vec::new(),
            held: 0,
        }
    }

    /// Takes one file; see [`Target::put`].
    pub(super) async fn put(mut self, path: String, content: impl Into<Content>) -> Result<Self, PlainError> {
        let content = content.into();
        if let Content::Bytes(bytes) = &content {
            self.held += bytes.len();
        }
        self.waiting.push((path, content));
        if self.waiting.len() < Self::MAX_WAITING && self.held < Self::MAX_HELD {
            return Ok(self);
        }
        Ok(Self::new(self.end().await?))
    }

    /// Writes what waits.
    pub(super) async fn end(self) -> Result<Target, PlainError> {
        let Self {
            mut target, waiting, ..
        } = self;
        blocking::run(move || {
            for (path, content) in waiting {
                target.put(&path, content)?;
            }
            Ok(target)
        })
        .await?
    }
}
