//! What the command line gives `log verify` as files: keys, checkpoints, proofs, distribution files. All bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use chiron_storage::log::{MAX_PROOF_BYTES, ProofFile};
use chiron_storage::{Digest, Measure};

use crate::cli::exit::Failure;

/// Bytes of a checkpoint, with the signatures of many witnesses. Threat: endless data in a file that somebody sent.
pub const MAX_CHECKPOINT_BYTES: u64 = 64 << 10;

/// Bytes of a key: an origin and 33 bytes in base64.
const MAX_KEY_BYTES: u64 = 4 << 10;

/// Bytes read from a distribution file at a time.
const READ_BYTES: usize = 256 << 10;

/// The whole file, if it has at most `limit` bytes.
pub fn read(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: &std::io::Error| Failure::file("read", path, error);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::usage(format_args!(
            "{} is longer than {limit} bytes: {what} is not",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The log's key, as it is or in a file.
pub fn key(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if is_key(text) {
        return Ok(text.to_owned());
    }
    let path = Path::new(text);
    let bytes = read(path, MAX_KEY_BYTES, "a key")?;
    let key = String::from_utf8_lossy(&bytes).trim().to_owned();
    if is_key(&key) {
        return Ok(key);
    }
    Err(
        Failure::usage(format_args!("{} holds no key of a log", path.display()))
            .next("give what `chiron log key` printed, or the file that it was written to"),
    )
}

/// `NAME+HASH+BASE64` (C2SP signed-note).
fn is_key(text: &str) -> bool {
    let mut fields = text.splitn(3, '+');
    let (name, hash, key) = (fields.next(), fields.next(), fields.next());
    let hash = hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|c| c.is_ascii_hexdigit()));
    name.is_some_and(|name| !name.is_empty()) && hash && key.is_some() && !text.contains(char::is_whitespace)
}

/// A proof.
pub fn proof(path: &Path) -> Result<ProofFile, Failure> {
    let bytes = read(path, MAX_PROOF_BYTES as u64, "a proof")?;
    ProofFile::parse(&bytes).map_err(|error| {
        Failure::integrity(format_args!("{} is no proof: {error}", path.display()))
            .next("make it again: chiron log prove FILE --out PROOF")
    })
}

/// The SHA-256 of a file of any length.
pub fn sha256(path: &Path) -> Result<Digest, Failure> {
    let failed = |error: &std::io::Error| Failure::file("read", path, error);
    let mut file = File::open(path).map_err(|error| failed(&error))?;
    let mut measure = Measure::new(u64::MAX);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(measure.finish().sha256),
            Ok(read) => measure.update(&buffer[..read]).map_err(Failure::internal)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn a_key_is_given_as_it_is_or_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.key");
        std::fs::write(&path, "example.org/log+01234567+AbCd\n").unwrap();
        let expected = "example.org/log+01234567+AbCd";
        assert_eq!(key(&format!(" {expected}\n")).unwrap(), expected);
        assert_eq!(key(path.to_str().unwrap()).unwrap(), expected);
        for text in [
            "nothing",
            "a b+01234567+AbCd",
            "+01234567+AbCd",
            "a+0123+AbCd",
            "a+01234567",
            "a+b\nc+d",
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                key(path.to_str().unwrap()).unwrap_err().status,
                ExitStatus::Usage,
                "{text}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(key(path.to_str().unwrap()).unwrap_err().status, ExitStatus::Usage);
    }

    #[test]
    fn a_file_is_hashed_whole_and_a_long_one_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = vec![7; READ_BYTES + 1];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(sha256(&path).unwrap(), Digest::of(&bytes));
        assert_eq!(read(&path, bytes.len() as u64, "it").unwrap(), bytes);
        let failure = read(&path, READ_BYTES as u64, "a key").unwrap_err();
        assert!(failure.what.ends_with("a key is not"), "{failure}");
        assert_eq!(proof(&path).unwrap_err().status, ExitStatus::Usage);
        std::fs::write(&path, "not a proof").unwrap();
        assert_eq!(proof(&path).unwrap_err().status, ExitStatus::Integrity);
    }
}
