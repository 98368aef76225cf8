//! The file that signatures are about.

use std::fs::File;
use std::os::unix::fs::FileExt;

use chiron_storage::Digest;
use sha2::{Digest as _, Sha384, Sha512};

use super::bounds::MAX_MESSAGE_BYTES;
use super::finding::{Code, Flaw};
use crate::package::DistributionFilename;

/// Bytes read at a time.
const CHUNK: usize = 1024 * 1024;

/// A file whose hashes check is done. Nearly every signature needs its name and digest only; the bytes are read for
/// plain signatures that are not over SHA-256.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The name it is published under.
    pub name: &'a DistributionFilename,
    /// As measured, never as claimed.
    pub sha256: Digest,
    /// The bytes.
    pub file: &'a File,
    /// In bytes.
    pub size: u64,
}

impl Signed<'_> {
    /// SHA-384 of the bytes.
    pub(super) fn sha384(&self) -> Result<Vec<u8>, Flaw> {
        let mut hash = Sha384::new();
        self.each(|chunk| hash.update(chunk))?;
        Ok(hash.finalize().to_vec())
    }

    /// SHA-512 of the bytes.
    pub(super) fn sha512(&self) -> Result<Vec<u8>, Flaw> {
        let mut hash = Sha512::new();
        self.each(|chunk| hash.update(chunk))?;
        Ok(hash.finalize().to_vec())
    }

    /// All bytes, up to [`MAX_MESSAGE_BYTES`].
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Flaw> {
        if self.size > MAX_MESSAGE_BYTES {
            let detail = format!(
                "this kind of signature is checked in memory, for files up to {MAX_MESSAGE_BYTES} bytes; this one has \
                 {}: sign an attestation or with an ECDSA key instead",
                self.size
            );
            return Err(Flaw::new(Code::Unreadable, detail));
        }
        let mut bytes = Vec::new();
        self.each(|chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    fn each(&self, mut take: impl FnMut(&[u8])) -> Result<(), Flaw> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.size {
            let want = usize::try_from((self.size - at).min(CHUNK as u64)).unwrap_or(CHUNK);
            self.file
                .read_exact_at(&mut buffer[..want], at)
                .map_err(|error| {
                    Flaw::new(Code::Unreadable, format!("the file could not be read: {error}"))
                })?;
            take(&buffer[..want]);
            at += want as u64;
        }
        Ok(())
    }
}
