//! Proofs as files, to be checked far from the log and without it.
//!
//! Two formats, both of lines: C2SP `tlog-proof` says that an entry is in the tree of a checkpoint; the body of a C2SP
//! `tlog-witness` request (`add-checkpoint`) says that the tree of a checkpoint begins with a smaller one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Checkpoint, MAX_ENTRY_BYTES, leaf_hash, open_checkpoint, verify_consistency, verify_inclusion};
use crate::digest::Digest;
use crate::log::LogError;

/// Bytes of a proof: an entry of 65,535 in base64, 64 hashes, and a checkpoint with witnesses' signatures.
///
/// Threat: endless data in a file that somebody sent.
pub const MAX_PROOF_BYTES: usize = 256 << 10;

/// Hashes in a proof: the height of a tree of 2^64 entries.
const MAX_HASHES: usize = 64;

/// The first line of an inclusion proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that was read. Nothing in it is believed before it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofFile {
    /// That an entry is in the tree.
    Inclusion(InclusionProof),
    /// That the tree begins with a smaller one.
    Consistency(ConsistencyProof),
}

/// C2SP `tlog-proof`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry itself. The format has room for what the application needs; what stands there is authenticated only by being
    /// the leaf that the proof is about.
    pub entry: Option<Vec<u8>>,
    /// The entry's number.
    pub number: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, byte for byte.
    pub checkpoint: Vec<u8>,
}

/// The body of `add-checkpoint` of C2SP `tlog-witness`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Entries of the smaller tree.
    pub old: u64,
    /// RFC 6962, section 2.1.2.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint of the larger tree, byte for byte.
    pub checkpoint: Vec<u8>,
}

/// Why a file is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// Not read.
    #[error("it has {0} bytes; a proof has at most {MAX_PROOF_BYTES}")]
    TooLong(usize),
    /// It begins like no proof.
    #[error("its first line is neither \"{HEADER}\" nor \"old SIZE\"")]
    Kind,
    /// It begins like one.
    #[error("line {line} is not {expected}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Threat: work without end.
    #[error("it holds more than {MAX_HASHES} hashes, and no tree is that high")]
    Hashes,
}

impl ProofFile {
    /// Reads a proof of either kind. Each has one spelling; other spellings of the same proof are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(ProofFileError::TooLong(bytes.len()));
        }
        let mut lines = Lines { rest: bytes, line: 0 };
        let first = lines.next().ok_or(ProofFileError::Kind)?;
        if first == HEADER.as_bytes() {
            return lines.inclusion().map(Self::Inclusion);
        }
        let old = first.strip_prefix(b"old ").ok_or(ProofFileError::Kind)?;
        let old = number(old).ok_or(lines.expected("\"old\" and a size"))?;
        let (hashes, checkpoint) = lines.tail()?;
        Ok(Self::Consistency(ConsistencyProof {
            old,
            hashes,
            checkpoint,
        }))
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Inclusion(proof) => proof.to_bytes(),
            Self::Consistency(proof) => proof.to_bytes(),
        }
    }
}

impl InclusionProof {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        if let Some(entry) = &self.entry {
            head += "extra ";
            head += &BASE64_STANDARD.encode(entry);
            head += "\n";
        }
        write(
            head + &format!("index {}\n", self.number),
            &self.hashes,
            &self.checkpoint,
        )
    }

    /// Checks that `entry` is in the tree of the checkpoint, and that `verifier` (`origin+hash+base64`) signed the checkpoint.
    pub fn verify(&self, entry: &[u8], verifier: &str) -> Result<Checkpoint, LogError> {
        let checkpoint = open_checkpoint(verifier, &self.checkpoint)?;
        let (leaf, root) = (leaf_hash(entry), checkpoint.root);
        verify_inclusion(&self.hashes, self.number, leaf, checkpoint.size, root)?;
        Ok(checkpoint)
    }
}

impl ConsistencyProof {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(format!("old {}\n", self.old), &self.hashes, &self.checkpoint)
    }

    /// Checks that the tree of the checkpoint begins with the tree of `old_root`, and that `verifier` signed the checkpoint.
    pub fn verify(&self, old_root: Digest, verifier: &str) -> Result<Checkpoint, LogError> {
        let checkpoint = open_checkpoint(verifier, &self.checkpoint)?;
        if self.old > checkpoint.size {
            return Err(LogError::OutOfRange {
                asked: self.old,
                size: checkpoint.size,
            });
        }
        verify_consistency(&self.hashes, self.old, old_root, checkpoint.size, checkpoint.root)?;
        Ok(checkpoint)
    }
}

fn write(mut head: String, hashes: &[Digest], checkpoint: &[u8]) -> Vec<u8> {
    for hash in hashes {
        head += &BASE64_STANDARD.encode(hash.as_bytes());
        head += "\n";
    }
    head += "\n";
    [head.as_bytes(), checkpoint].concat()
}

/// Lines that end with a line feed, and which one was read last.
struct Lines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        self.line += 1;
        Some(line)
    }

    fn expected(&self, expected: &'static str) -> ProofFileError {
        ProofFileError::Line {
            line: self.line.max(1),
            expected,
        }
    }

    fn inclusion(mut self) -> Result<InclusionProof, ProofFileError> {
        const INDEX: &str = "\"index\" and the number of an entry";
        let mut line = self.next().ok_or(self.expected(INDEX))?;
        let mut entry = None;
        if let Some(text) = line.strip_prefix(b"extra ") {
            let decoded = BASE64_STANDARD.decode(text).ok();
            let good = decoded.filter(|entry| entry.len() <= MAX_ENTRY_BYTES);
            entry = Some(good.ok_or(self.expected("\"extra\" and an entry of the log in base64"))?);
            line = self.next().ok_or(self.expected(INDEX))?;
        }
        let index = line.strip_prefix(b"index ").and_then(number);
        let number = index.ok_or(self.expected(INDEX))?;
        let (hashes, checkpoint) = self.tail()?;
        Ok(InclusionProof {
            entry,
            number,
            hashes,
            checkpoint,
        })
    }

    /// The hashes, an empty line, and the checkpoint, which is all that is left.
    fn tail(mut self) -> Result<(Vec<Digest>, Vec<u8>), ProofFileError> {
        const HASH: &str = "32 bytes in base64, or empty before the checkpoint";
        let mut hashes = Vec::new();
        loop {
            let line = self.next().ok_or(self.expected(HASH))?;
            if line.is_empty() {
                return Ok((hashes, self.rest.to_vec()));
            }
            if hashes.len() == MAX_HASHES {
                return Err(ProofFileError::Hashes);
            }
            let decoded = BASE64_STANDARD.decode(line).ok();
            let hash = decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            hashes.push(Digest::from_bytes(hash.ok_or(self.expected(HASH))?));
        }
    }
}

/// ASCII digits, without zeros in front.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = text.bytes().all(|digit| digit.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
