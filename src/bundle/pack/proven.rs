//! Single log entries, each with its proof: the members `N.entry` and `N.proof`, by number.

use chiron_storage::Digest;
use chiron_storage::digest::DIGEST_BYTES;

use super::frame::damaged;
use super::write::{PackWriter, Packed};
use super::{PackLimits, read_pack};
use crate::bundle::BundleError;
use crate::bundle::limits::MAX_PACK_BYTES;

/// Hashes of one proof at most: a tree of 2^64 leaves.
const MAX_PROOF_HASHES: usize = 64;

/// Takes entries by ascending number.
#[derive(Debug)]
pub struct ProvenWriter {
    pack: PackWriter,
    count: u64,
    last: Option<u64>,
}

impl Default for ProvenWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ProvenWriter {
    /// None yet.
    pub fn new() -> Self {
        Self {
            pack: PackWriter::new(MAX_PACK_BYTES),
            count: 0,
            last: None,
        }
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether another entry of so many bytes would still go in.
    pub fn has_room(&self, entry_bytes: usize) -> bool {
        let proof = MAX_PROOF_HASHES * DIGEST_BYTES;
        self.pack.has_room(&[entry_bytes as u64, proof as u64])
    }

    /// Takes the next entry, with its audit path (RFC 6962, section 2.1.1), leaf first.
    ///
    /// Errors: [`BundleError::TooLarge`] beyond what one pack holds, [`BundleError::Damaged`] out of order.
    pub fn push(&mut self, number: u64, entry: &[u8], proof: &[Digest]) -> Result<(), BundleError> {
        if self.last.is_some_and(|last| last >= number) {
            return Err(damaged(
                "a pack of proven entries",
                format!("{number} is out of order"),
            ));
        }
        let proof: Vec<u8> = proof.iter().flat_map(|hash| *hash.as_bytes()).collect();
        self.pack.add(&format!("{number}.entry"), entry)?;
        self.pack.add(&format!("{number}.proof"), &proof)?;
        self.last = Some(number);
        self.count += 1;
        Ok(())
    }

    /// Ends the archive and compresses it; [`Packed::count`] is that of the entries.
    ///
    /// Errors: [`BundleError::Damaged`] when the compressor fails.
    pub fn finish(self) -> Result<Packed, BundleError> {
        Ok(Packed {
            count: self.count,
            ..self.pack.finish()?
        })
    }
}

/// The entries of such a pack: number, bytes, proof. Nothing is proven by reading; the caller verifies. `packed` was held
/// against its digest; `count` and `unpacked` are what the listing says.
///
/// Errors: [`BundleError::TooLarge`], [`BundleError::Damaged`], and those of `each`.
pub fn read_proven(
    what: &str,
    packed: &[u8],
    count: u64,
    unpacked: u64,
    mut each: impl FnMut(u64, &[u8], &[Digest]) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    BundleError::bounded(what, unpacked, MAX_PACK_BYTES)?;
    let limits = PackLimits {
        unpacked,
        members: usize::MAX,
        member_bytes: MAX_PACK_BYTES,
    };
    let mut members = read_pack(what, packed, limits)?;
    let mut last = None;
    let mut found = 0_u64;
    while let Some(member) = members.next() {
        let (name, entry) = member?;
        let number = name
            .strip_suffix(".entry")
            .and_then(|number| number.parse::<u64>().ok())
            .filter(|number| name == format!("{number}.entry"))
            .ok_or_else(|| damaged(what, format!("{name} is no entry's name")))?;
        if last.is_some_and(|last| last >= number) {
            return Err(damaged(what, format!("{name} is out of order")));
        }
        last = Some(number);
        let (proof_name, proof) = members
            .next()
            .ok_or_else(|| damaged(what, format!("{name} has no proof")))??;
        if proof_name != format!("{number}.proof") {
            return Err(damaged(what, format!("{proof_name} follows {name}")));
        }
        let (hashes, rest) = proof.as_chunks::<DIGEST_BYTES>();
        if !rest.is_empty() || hashes.len() > MAX_PROOF_HASHES {
            return Err(damaged(what, format!("{proof_name} is no proof")));
        }
        let hashes: Vec<Digest> = hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect();
        found += 1;
        each(number, &entry, &hashes)?;
    }
    if found != count {
        return Err(damaged(
            what,
            format!("it has {found} entries instead of {count}"),
        ));
    }
    Ok(())
}
