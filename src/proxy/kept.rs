//! Verified files that are kept, up to a bound. They are named by their content and re-read before they are first served, so
//! what lies in the folder is never taken on trust; and they are served only while the newest metadata lists them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chiron_storage::{BlobError, BlobOptions, BlobStore, Digest, OpenBlob};

use super::refusal::Refusal;
use crate::blocking;
use crate::tuf_client::{Target, TufClient};

/// Bytes that stay free on the disk.
const LEAVE_FREE: u64 = 64 << 20;
/// Files kept open.
const OPEN_FILES: usize = 128;

/// Why the folder of kept files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// As the store says.
    #[error("kept files: {0}")]
    Blob(#[from] BlobError),
    /// The process is stopping.
    #[error("the work did not finish")]
    Lost,
}

/// The kept files.
pub struct Kept {
    blobs: BlobStore,
    /// Bytes. The file that was used last is kept even if it is larger.
    bound: u64,
    used: Mutex<Used>,
}

/// Which files there are, and when each was used, in ticks.
#[derive(Default)]
struct Used {
    files: HashMap<Digest, (u64, u64)>,
    bytes: u64,
    clock: u64,
}

impl Used {
    fn touch(&mut self, digest: Digest, size: u64) {
        self.clock += 1;
        if let Some((before, _)) = self.files.insert(digest, (size, self.clock)) {
            self.bytes -= before;
        }
        self.bytes += size;
    }

    fn forget(&mut self, digest: &Digest) {
        if let Some((size, _)) = self.files.remove(digest) {
            self.bytes -= size;
        }
    }

    /// What must go so that the rest fits, the longest unused first; never what was used last.
    fn surplus(&mut self, bound: u64) -> Vec<Digest> {
        let mut gone = Vec::new();
        while self.bytes > bound && self.files.len() > 1 {
            let oldest = self
                .files
                .iter()
                .min_by_key(|(_, (_, at))| *at)
                .map(|(digest, _)| *digest);
            let Some(oldest) = oldest else { break };
            self.forget(&oldest);
            gone.push(oldest);
        }
        gone
    }
}

impl Kept {
    /// Opens the folder and drops what is over the bound.
    pub async fn open(folder: &Path, bound: u64) -> Result<Self, KeptError> {
        let folder = folder.to_owned();
        let opened = blocking::run(move || {
            std::fs::create_dir_all(&folder).map_err(|source| BlobError::Io {
                path: folder.clone(),
                source,
            })?;
            let options = BlobOptions {
                min_free_bytes: LEAVE_FREE,
                open_files: OPEN_FILES,
            };
            let blobs = BlobStore::open_at(&folder, options)?;
            let there = blobs.list().collect::<Result<Vec<_>, _>>()?;
            Ok::<_, BlobError>((blobs, there))
        });
        let (blobs, there) = opened.await.map_err(|_| KeptError::Lost)??;
        let mut used = Used::default();
        for digest in there {
            if let Some(size) = blobs.size(&digest).await? {
                used.touch(digest, size);
            }
        }
        let kept = Self {
            blobs,
            bound,
            used: Mutex::new(used),
        };
        kept.drop_surplus().await;
        Ok(kept)
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept file, its content compared with its name. One that is damaged is set aside and counts as not there.
    pub async fn get(&self, digest: &Digest) -> Result<Option<OpenBlob>, Refusal> {
        match self.blobs.open(digest).await {
            Ok(blob) => {
                self.used().touch(*digest, blob.size());
                Ok(Some(blob))
            }
            Err(BlobError::NotFound { .. }) => {
                self.used().forget(digest);
                Ok(None)
            }
            Err(BlobError::Corrupt { .. }) => {
                tracing::warn!(%digest, "a kept file is damaged; it is fetched again");
                self.used().forget(digest);
                self.blobs
                    .set_aside(digest)
                    .await
                    .map_err(|error| unusable(&error))?;
                Ok(None)
            }
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Fetches a target to the disk; it is there under its digest when all of it has been verified, and else not.
    pub async fn bring(&self, client: &TufClient, target: &Target) -> Result<(), Refusal> {
        let mut download = client.fetch(target).await?;
        let mut stage = self
            .blobs
            .stage(target.length)
            .await
            .map_err(|error| unusable(&error))?;
        while let Some(chunk) = download.next().await? {
            stage.write(chunk).await.map_err(|error| unusable(&error))?;
        }
        let staged = stage.finish().await.map_err(|error| unusable(&error))?;
        let measured = staged.measured();
        if measured.sha256 != target.sha256 || measured.size != target.length {
            // The client has said that it is whole: this machine's memory or disk is not to be trusted.
            return Err(Refusal::unavailable(
                format!("{} changed on this machine while it was written", target.path),
                "its digest was right when it came and wrong on the disk; check this machine's memory and disk",
            ));
        }
        self.sealed(
            self.blobs
                .seal(staged)
                .await
                .map_err(|error| unusable(&error))?
                .digest,
            target.length,
        )
        .await;
        Ok(())
    }

    /// Keeps a document that has been verified.
    pub async fn put(&self, bytes: Bytes) -> Result<(), Refusal> {
        let size = bytes.len() as u64;
        let blob = self.blobs.put(bytes).await.map_err(|error| unusable(&error))?;
        self.sealed(blob.digest, size).await;
        Ok(())
    }

    async fn sealed(&self, digest: Digest, size: u64) {
        self.used().touch(digest, size);
        self.drop_surplus().await;
    }

    async fn drop_surplus(&self) {
        let surplus = self.used().surplus(self.bound);
        for digest in surplus {
            if let Err(error) = self.blobs.delete(&digest).await {
                tracing::warn!(%digest, %error, "a kept file could not be deleted");
            }
        }
    }
}

fn unusable(error: &BlobError) -> Refusal {
    tracing::error!(%error, "the folder of kept files cannot be used");
    Refusal::unavailable(
        "the proxy cannot write the file to its state folder; its log says why",
        match error {
            BlobError::NoSpace { .. } => "the disk is full; free some space, or lower --keep",
            _ => "see the proxy's log",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let mut used = Used::default();
        let digests: Vec<Digest> = (0..4_u8).map(|n| Digest::of(&[n])).collect();
        for digest in &digests {
            used.touch(*digest, 10);
        }
        used.touch(digests[0], 10);
        assert_eq!(used.bytes, 40);
        assert_eq!(used.surplus(25), [digests[1], digests[2]]);
        assert_eq!(used.bytes, 20);
        assert_eq!(used.surplus(0), [digests[3]]);
        assert_eq!(used.bytes, 10);
    }
}
