//! Checking proofs offline: no database, no trust in who sent them.

use tlog_tiles::Hash;

use super::LogError;
use crate::digest::Digest;

/// Hashes that a proof in a tree of 2^64 entries can need (threat: a proof of a million hashes).
const MAX_PROOF_HASHES: usize = 65;

/// The hash of an entry as a leaf of the tree: SHA-256 of a zero byte and the entry (RFC 6962, 2.1).
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest::from_bytes(tlog_tiles::record_hash(entry).0)
}

/// Checks that entry `number`, whose leaf hash is `leaf`, is in the tree of `size` entries with `root`.
pub fn verify_inclusion(
    proof: &[Digest],
    number: u64,
    leaf: Digest,
    size: u64,
    root: Digest,
) -> Result<(), LogError> {
    let proof = to_hashes(proof)?;
    tlog_tiles::check_record(&proof, size, to_hash(root), number, to_hash(leaf)).map_err(invalid)
}

/// Checks that the tree of `to` entries with `to_root` begins with the tree of `from` entries with
/// `from_root`: nothing was taken back or changed.
pub fn verify_consistency(
    proof: &[Digest],
    from: u64,
    from_root: Digest,
    to: u64,
    to_root: Digest,
) -> Result<(), LogError> {
    let proof = to_hashes(proof)?;
    if from > 0 {
        return tlog_tiles::check_tree(&proof, to, to_hash(to_root), from, to_hash(from_root))
            .map_err(invalid);
    }
    // Every tree begins with the empty tree, whose root is the hash of nothing.
    let empty = Digest::from_bytes(tlog_tiles::EMPTY_HASH.0);
    if !proof.is_empty() || from_root != empty || (to == 0 && to_root != empty) {
        return Err(LogError::Proof {
            detail: "the empty tree has a fixed root and needs no proof".to_owned(),
        });
    }
    Ok(())
}

fn to_hash(digest: Digest) -> Hash {
    Hash(*digest.as_bytes())
}

fn to_hashes(proof: &[Digest]) -> Result<Vec<Hash>, LogError> {
    if proof.len() > MAX_PROOF_HASHES {
        return Err(LogError::Proof {
            detail: format!("{} hashes; at most {MAX_PROOF_HASHES} can be needed", proof.len()),
        });
    }
    Ok(proof.iter().copied().map(to_hash).collect())
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn invalid(error: tlog_tiles::Error) -> LogError {
    LogError::Proof {
        detail: error.to_string(),
    }
}
