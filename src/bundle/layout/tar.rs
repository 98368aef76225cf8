//! One tar volume: the members in their fixed order, each behind the one header that its name and size have.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::documents::{Blob, OCI_LAYOUT};
use super::file::{INDEX_JSON, LAYOUT_FILE, blob_name, read_exact_at};
use super::head::{self, Head, Small, check_blob, damaged};
use crate::bundle::dsse::SignedManifest;
use crate::bundle::limits::MAX_OCI_DOCUMENT_BYTES;
use crate::bundle::ustar::{self, BLOCK, BLOCK_LEN, TRAILER, TRAILER_LEN, padding};
use crate::bundle::{BundleError, Item};

/// Bytes of the first header in which a file may differ and still be one of our volumes, damaged.
const ALIKE: usize = 16;

/// Where an item lies: the first eight bytes of its digest, and where its bytes begin.
pub(super) type Place = (u64, u64);

/// A tar volume that was read through, its items' bytes apart.
pub(super) struct Found {
    pub(super) head: Head,
    /// Where the listing's bytes begin.
    pub(super) listing_at: u64,
    /// Sorted.
    pub(super) items: Box<[Place]>,
}

/// The first bytes of a digest, to look items up by. Two may share them: the header says which it is.
pub(super) fn key(item: &Item) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&item.digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// A tar that is read from front to back.
struct Members<'a> {
    path: &'a Path,
    file: &'a File,
    length: u64,
    at: u64,
}

impl Members<'_> {
    fn failed(&self, source: io::Error) -> BundleError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.damaged("it ends early");
        }
        BundleError::Read {
            path: self.path.to_owned(),
            source,
        }
    }

    fn damaged(&self, why: impl std::fmt::Display) -> BundleError {
        damaged(&self.path.display().to_string(), why)
    }

    /// Goes over the next member, which must be this one, and says where its bytes begin.
    fn skip(&mut self, name: &str, size: u64) -> Result<u64, BundleError> {
        let expected = ustar::header(name, size).map_err(|error| self.damaged(error))?;
        let mut found = [0; BLOCK_LEN];
        read_exact_at(self.file, &mut found, self.at).map_err(|error| self.failed(error))?;
        if found != expected {
            return Err(match ustar::read(&found) {
                Ok((other, bytes)) => self.damaged(format!(
                    "at byte {} there is {other} of {bytes} bytes instead of {name} of {size} bytes",
                    self.at
                )),
                Err(error) => self.damaged(format!("{error} at byte {}", self.at)),
            });
        }
        let begins = self.at + BLOCK;
        let end = begins.saturating_add(size);
        let mut zeros = [0; BLOCK_LEN];
        let zeros = &mut zeros[..usize::try_from(padding(size)).unwrap_or_default()];
        if end.saturating_add(zeros.len() as u64) > self.length {
            return Err(self.damaged("it ends early"));
        }
        read_exact_at(self.file, zeros, end).map_err(|error| self.failed(error))?;
        if !ustar::is_zero(zeros) {
            return Err(self.damaged(format!("what follows {name} is not zero")));
        }
        self.at = end + zeros.len() as u64;
        Ok(begins)
    }

    /// The next member, which must have this name, and whose size is told by its header alone.
    fn read_named(&mut self, name: &str) -> Result<Bytes, BundleError> {
        let mut found = [0; BLOCK_LEN];
        read_exact_at(self.file, &mut found, self.at).map_err(|error| self.failed(error))?;
        let (other, size) =
            ustar::read(&found).map_err(|error| self.damaged(format!("{error} at byte {}", self.at)))?;
        if other != name {
            return Err(self.damaged(format!("there is {other} where {name} belongs")));
        }
        self.read(name, size)
    }

    fn read(&mut self, name: &str, size: u64) -> Result<Bytes, BundleError> {
        BundleError::bounded(
            &format!("{name} in {}", self.path.display()),
            size,
            MAX_OCI_DOCUMENT_BYTES,
        )?;
        let begins = self.skip(name, size)?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        read_exact_at(self.file, &mut bytes, begins).map_err(|error| self.failed(error))?;
        Ok(bytes.into())
    }

    /// Two blocks of zeros, and nothing behind them.
    fn end(&mut self) -> Result<(), BundleError> {
        let mut zeros = [0; TRAILER_LEN];
        if self.length < self.at.saturating_add(TRAILER) {
            return Err(self.damaged("it ends early"));
        }
        read_exact_at(self.file, &mut zeros, self.at).map_err(|error| self.failed(error))?;
        if !ustar::is_zero(&zeros) || self.length != self.at + TRAILER {
            return Err(self.damaged(format!("it goes on at byte {}, where it must end", self.at)));
        }
        Ok(())
    }
}

impl Small for Members<'_> {
    fn blob(&mut self, what: &str, blob: Blob) -> Result<Option<Bytes>, BundleError> {
        let bytes = self.read(&blob_name(&blob.digest), blob.size)?;
        check_blob(what, blob, &bytes).map(|()| Some(bytes))
    }
}

/// Reads a tar volume: its documents, and every header and every filling byte up to its end.
pub(super) fn open(path: &Path, file: &File, length: u64) -> Result<Found, BundleError> {
    let place = path.display().to_string();
    let mut members = Members {
        path,
        file,
        length,
        at: 0,
    };
    check_is_one_of_ours(&members)?;
    let layout = members.read(LAYOUT_FILE, OCI_LAYOUT.len() as u64)?;
    if layout != OCI_LAYOUT {
        return Err(members.damaged(format!(
            "{LAYOUT_FILE} is not the one of an OCI image layout 1.0.0"
        )));
    }
    let index = members.read_named(INDEX_JSON)?;
    let at = head::named_by_index_json(&place, &index)?;
    let image_index = members.read(&blob_name(&at.digest), at.size)?;
    check_blob(&format!("the image index of {place}"), at, &image_index)?;
    let manifests = head::named_by_image_index(&place, &image_index)?;
    let [manifest] = manifests[..] else {
        return Err(members.damaged(format!(
            "its image index names {} volumes instead of one",
            manifests.len()
        )));
    };
    let Some(head) = head::read(&place, manifest, &mut members)? else {
        return Err(members.damaged("it ends early"));
    };
    let signed = SignedManifest::parse_unverified(&head.envelope)?;
    head::check_indexes(&place, &signed, &manifests, &image_index, &index)?;
    let listing_at = members.at - padding(head.listing.size) - head.listing.size;
    let mut items = Vec::with_capacity(head.items.len());
    for item in &head.items {
        let begins = members.skip(&blob_name(&item.digest), item.size)?;
        items.push((key(item), begins));
    }
    members.end()?;
    items.sort_unstable();
    Ok(Found {
        head,
        listing_at,
        items: items.into(),
    })
}

/// A file that is something else altogether is no damaged volume.
fn check_is_one_of_ours(members: &Members<'_>) -> Result<(), BundleError> {
    let not_ours = || BundleError::NotABundle {
        path: members.path.to_owned(),
        why: "it is no volume of a bundle".to_owned(),
    };
    let expected =
        ustar::header(LAYOUT_FILE, OCI_LAYOUT.len() as u64).map_err(|error| members.damaged(error))?;
    let mut found = [0; BLOCK_LEN];
    if members.length < BLOCK {
        return Err(not_ours());
    }
    read_exact_at(members.file, &mut found, 0).map_err(|error| members.failed(error))?;
    let differing = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    if differing > ALIKE {
        return Err(not_ours());
    }
    Ok(())
}
