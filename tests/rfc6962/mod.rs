//! RFC 6962 hashing and proofs, and C2SP signed notes, written from those documents: no code is shared with Chiron.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

pub type Hash = [u8; 32];

pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// MTH of RFC 6962, section 2.1.
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node(&root_of(left), &root_of(right))
        }
    }
}

/// PATH of section 2.1.1.
pub fn path_of(n: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut path, beside) = if n < half {
        (path_of(n, left), root_of(right))
    } else {
        (path_of(n - half, right), root_of(left))
    };
    path.push(beside);
    path
}

/// SUBPROOF of section 2.1.2.
pub fn consistency_of(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![root_of(leaves)] };
    }
    let half = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(half);
    let (mut proof, beside) = if m <= half {
        (consistency_of(m, left, whole), root_of(right))
    } else {
        (consistency_of(m - half, right, false), root_of(left))
    };
    proof.push(beside);
    proof
}

#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub origin: String,
    pub size: usize,
    pub root: Hash,
}

/// Opens a checkpoint with a verifier key: C2SP signed-note and tlog-checkpoint.
pub fn open(note: &str, vkey: &str) -> Option<Head> {
    let mut fields = vkey.splitn(3, '+');
    let (name, id) = (fields.next()?, u32::from_str_radix(fields.next()?, 16).ok()?);
    let key = BASE64_STANDARD.decode(fields.next()?).ok()?;
    let full_id = sha256(&[name.as_bytes(), b"\n", &key]);
    if key[0] != 1 || full_id[..4] != id.to_be_bytes() {
        return None;
    }
    let (text, signatures) = note.split_once("\n\n")?;
    let text = format!("{text}\n");
    let signed = signatures.lines().any(|line| {
        let Some((who, signature)) = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.split_once(' '))
        else {
            return false;
        };
        let signature = BASE64_STANDARD.decode(signature).unwrap_or_default();
        let ours = who == name && signature.len() == 68 && signature[..4] == id.to_be_bytes();
        ours && UnparsedPublicKey::new(&ED25519, &key[1..])
            .verify(text.as_bytes(), &signature[4..])
            .is_ok()
    });
    let mut lines = text.lines();
    let (origin, size) = (lines.next()?.to_owned(), lines.next()?.parse().ok()?);
    let root = BASE64_STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
    (signed && origin == name).then_some(Head { origin, size, root })
}
