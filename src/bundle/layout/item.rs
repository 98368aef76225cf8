//! The bytes of one item.

use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use chiron_storage::Digest;

use super::documents::Blob;
use super::file::Section;
use crate::bundle::BundleError;

/// An item's bytes, exactly as many as its listing says, not hashed: whoever reads them compares the digest.
#[derive(Debug)]
pub struct RawItem {
    section: Section,
    place: PathBuf,
    blob: Blob,
    read: u64,
}

impl RawItem {
    pub(super) fn new(section: Section, place: PathBuf, blob: Blob) -> Self {
        Self {
            section,
            place,
            blob,
            read: 0,
        }
    }

    /// What its digest must be.
    pub fn expected(&self) -> Digest {
        self.blob.digest
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.blob.size
    }

    fn damaged(&self, why: String) -> io::Error {
        io::Error::other(BundleError::Damaged {
            what: format!("{} in {}", self.blob.digest, self.place.display()),
            why,
        })
    }
}

impl Read for RawItem {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.section.size - self.read;
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let at = self.section.offset + self.read;
        let read = match self.section.file.read_at(&mut buffer[..wanted], at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(source) => {
                return Err(io::Error::other(BundleError::Read {
                    path: self.place.clone(),
                    source,
                }));
            }
            Ok(read) => read,
        };
        if read == 0 {
            return Err(self.damaged(format!(
                "it ends after {} of its {} bytes",
                self.read, self.blob.size
            )));
        }
        self.read += read as u64;
        Ok(read)
    }
}

/// An item's bytes, hashed as they pass. The last read, which gives nothing, fails when they were not the right ones: until
/// then nothing that was read may be believed.
pub struct ItemReader {
    raw: RawItem,
    state: State,
}

enum State {
    Hashing(Context),
    /// The end was reached, and the digest is right.
    Right,
    /// It is not: no later read may look like a good end.
    Wrong(String),
}

impl std::fmt::Debug for ItemReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ItemReader").field(&self.raw).finish()
    }
}

impl ItemReader {
    pub(super) fn new(raw: RawItem) -> Self {
        Self {
            raw,
            state: State::Hashing(Context::new(&SHA256)),
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.raw.size()
    }

    /// All bytes, verified before any is given out.
    ///
    /// Errors: [`BundleError::TooLarge`] over `limit` bytes, [`BundleError::Damaged`], [`BundleError::Read`].
    pub fn read_all(mut self, limit: u64) -> Result<Bytes, BundleError> {
        BundleError::bounded(
            &format!("{} in {}", self.raw.blob.digest, self.raw.place.display()),
            self.size(),
            limit,
        )?;
        let mut bytes = Vec::with_capacity(usize::try_from(self.size()).unwrap_or_default());
        let place = self.raw.place.clone();
        self.read_to_end(&mut bytes)
            .map_err(|error| read_error(&place, error))?;
        Ok(bytes.into())
    }

    /// Reads to the end for the digest alone. `passed` is told of bytes as they pass.
    ///
    /// Errors: as [`Self::read_all`], without a limit.
    pub fn verify(mut self, mut passed: impl FnMut(u64)) -> Result<(), BundleError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => passed(read as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(&self.raw.place, error)),
            }
        }
    }
}

/// Bytes in flight where whole items are read.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;

impl Read for ItemReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.raw.read(buffer)?;
        match &mut self.state {
            State::Hashing(context) if read > 0 => {
                context.update(buffer.get(..read).unwrap_or_default());
                return Ok(read);
            }
            State::Hashing(context) => {
                let found = context.clone().finish();
                self.state = if found.as_ref() == self.raw.expected().as_bytes() {
                    State::Right
                } else {
                    State::Wrong(hex::encode(found.as_ref()))
                };
            }
            State::Right | State::Wrong(_) => {}
        }
        match &self.state {
            State::Wrong(found) => Err(self.raw.damaged(format!("its bytes give {found}"))),
            State::Hashing(_) | State::Right => Ok(0),
        }
    }
}

/// What went wrong while an item was read, out of the error that [`Read`] allows.
pub fn read_error(place: &std::path::Path, error: io::Error) -> BundleError {
    match error.downcast::<BundleError>() {
        Ok(ours) => ours,
        Err(source) => BundleError::Read {
            path: place.to_owned(),
            source,
        },
    }
}
