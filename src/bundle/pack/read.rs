//! Reading a pack: only what our writer could have made.

use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;

use super::frame::{Unpack, damaged};
use crate::bundle::BundleError;
use crate::bundle::ustar::{self, BLOCK_LEN, padding};

/// How much of a pack is read.
#[derive(Debug, Clone, Copy)]
pub struct PackLimits {
    /// Bytes once unpacked, exactly: as the listing says, and below the limit of its kind.
    pub unpacked: u64,
    /// Members at most.
    pub members: usize,
    /// Bytes of one member at most.
    pub member_bytes: u64,
}

/// A pack's members, one after the other. After an error it is at its end; unless it came to its end without one, nothing
/// of it may be believed.
pub struct PackReader<R: Read> {
    from: Unpack<R>,
    limits: PackLimits,
    seen: HashSet<String>,
    over: bool,
}

/// Reads a pack; `what` is what messages call it.
///
/// Errors: [`BundleError::Damaged`]; the iterator's also [`BundleError::TooLarge`].
pub fn read_pack<R: Read>(what: &str, from: R, limits: PackLimits) -> Result<PackReader<R>, BundleError> {
    Ok(PackReader {
        from: Unpack::new(what, from, limits.unpacked)?,
        limits,
        seen: HashSet::new(),
        over: false,
    })
}

impl<R: Read> PackReader<R> {
    fn member(&mut self) -> Result<Option<(String, Bytes)>, BundleError> {
        let mut header = [0; BLOCK_LEN];
        self.from.fill(&mut header)?;
        if ustar::is_zero(&header) {
            let mut second = [0; BLOCK_LEN];
            self.from.fill(&mut second)?;
            if !ustar::is_zero(&second) {
                return Err(self.damaged("its archive does not end where it says so"));
            }
            self.from.end()?;
            return Ok(None);
        }
        let (name, size) = ustar::read(&header).map_err(|error| self.damaged(error))?;
        if self.seen.len() >= self.limits.members {
            return Err(self.too_large(self.seen.len() as u64 + 1, self.limits.members as u64, "members"));
        }
        if size > self.limits.member_bytes {
            return Err(self.too_large(size, self.limits.member_bytes, "bytes in one member"));
        }
        // Before memory is asked for: the whole is bounded, and so is each part of it.
        if size > self.from.left() {
            return Err(self.damaged(format!("{name} goes beyond its end")));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.from.fill(&mut bytes)?;
        let mut filling = [0; BLOCK_LEN];
        let filling = &mut filling[..usize::try_from(padding(size)).unwrap_or_default()];
        self.from.fill(filling)?;
        if !ustar::is_zero(filling) {
            return Err(self.damaged(format!("what follows {name} is not zero")));
        }
        if !self.seen.insert(name.clone()) {
            return Err(self.damaged(format!("{name} is in it twice")));
        }
        Ok(Some((name, bytes.into())))
    }

    fn damaged(&self, why: impl std::fmt::Display) -> BundleError {
        damaged(self.from.what(), why)
    }

    fn too_large(&self, found: u64, limit: u64, unit: &'static str) -> BundleError {
        BundleError::TooLarge {
            what: self.from.what().to_owned(),
            found,
            limit,
            unit,
        }
    }
}

impl<R: Read> Iterator for PackReader<R> {
    type Item = Result<(String, Bytes), BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let member = self.member().transpose();
        self.over = !matches!(member, Some(Ok(_)));
        member
    }
}
