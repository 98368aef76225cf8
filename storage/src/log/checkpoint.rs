//! Signed checkpoints: origin, size and root, and who says so.

use signed_note::{Note, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::Hash;

use super::{LogError, LogKey};
use crate::digest::Digest;

/// What a valid checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Entries in the tree.
    pub size: u64,
    /// The tree's root hash (RFC 6962).
    pub root: Digest,
}

/// Signs the tree head with the log's key.
pub(super) fn sign(key: &LogKey, size: u64, root: Digest) -> Result<Vec<u8>, LogError> {
    let body = tlog_tiles::Checkpoint::new(key.origin(), size, Hash(*root.as_bytes()), "")
        .map_err(|error| invalid(&error.to_string()))?;
    let mut note = Note::new(&body.to_bytes(), &[]).map_err(|error| invalid(&error.to_string()))?;
    note.add_sigs(&[key.signer()])
        .map_err(|error| invalid(&error.to_string()))?;
    Ok(note.to_bytes())
}

/// Reads a signed checkpoint; `verifier` is the log's public key, `origin+hash+base64`.
///
/// Threats: a tree head from someone else (no signature by that key), and one of another log that the
/// same key signs (its origin is not the key's name).
pub fn open_checkpoint(verifier: &str, note: &[u8]) -> Result<Checkpoint, LogError> {
    let verifier = StandardVerifier::new(verifier).map_err(|error| LogError::Key {
        detail: error.to_string(),
    })?;
    let origin = verifier.name().to_owned();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let note = Note::from_bytes(note).map_err(|error| invalid(&error.to_string()))?;
    note.verify(&known).map_err(|error| invalid(&error.to_string()))?;
    let body = body(&note)?;
    if body.origin != origin {
        return Err(invalid("its origin is not the key's name"));
    }
    Ok(body)
}

/// Reads a checkpoint whose signature somebody else answers for: these very bytes were verified already, as a TUF target.
/// Whose key signed it is not looked at.
pub fn read_checkpoint(note: &[u8]) -> Result<Checkpoint, LogError> {
    let note = Note::from_bytes(note).map_err(|error| invalid(&error.to_string()))?;
    body(&note)
}

fn body(note: &Note) -> Result<Checkpoint, LogError> {
    let body =
        tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|error| invalid(&error.to_string()))?;
    Ok(Checkpoint {
        origin: body.origin().to_owned(),
        size: body.size(),
        root: Digest::from_bytes(body.hash().0),
    })
}

fn invalid(detail: &str) -> LogError {
    LogError::Checkpoint {
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn signed_and_opened() {
        let key = LogKey::generate("example.org/log").unwrap();
        let note = sign(&key, 7, Digest::of(b"root")).unwrap();
        let opened = open_checkpoint(key.verifier(), &note).unwrap();
        let expected = Checkpoint {
            origin: "example.org/log".to_owned(),
            size: 7,
            root: Digest::of(b"root"),
        };
        assert_eq!(opened, expected);
        assert_eq!(read_checkpoint(&note).unwrap(), expected);
        assert!(read_checkpoint(&note[1..note.len() - 1]).is_err());
        let text = String::from_utf8(note).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["example.org/log", "7"]);
        assert_eq!(lines[3], "");
        assert!(lines[4].starts_with("\u{2014} example.org/log "), "{text}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn refuses_another_key_and_a_changed_text() {
        let key = LogKey::generate("example.org/log").unwrap();
        let other = LogKey::generate("example.org/log").unwrap();
        let note = sign(&key, 7, Digest::of(b"root")).unwrap();
        let wrong_key = open_checkpoint(other.verifier(), &note);
        assert!(matches!(wrong_key, Err(LogError::Checkpoint { .. })));
        for at in 0..note.len() {
            let mut changed = note.clone();
            changed[at] ^= 1;
            assert!(open_checkpoint(key.verifier(), &changed).is_err(), "byte {at}");
        }
        assert!(matches!(
            open_checkpoint("nonsense", &note),
            Err(LogError::Key { .. })
        ));
    }

    #[test]
    fn refuses_another_log_signed_by_the_same_key() {
        let key = LogKey::generate("example.org/log").unwrap();
        let body = tlog_tiles::Checkpoint::new("example.org/other", 7, Hash([1; 32]), "").unwrap();
        let mut note = Note::new(&body.to_bytes(), &[]).unwrap();
        note.add_sigs(&[key.signer()]).unwrap();
        let opened = open_checkpoint(key.verifier(), &note.to_bytes());
        assert!(matches!(opened, Err(LogError::Checkpoint { .. })));
    }
}
