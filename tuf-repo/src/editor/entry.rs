//! One target in the form in which its bin lists it.

use crate::canonical::{CanonicalError, canonical};
use crate::envelope::as_json;
use crate::metadata::TargetFile;
use crate::target_path::TargetPath;

/// One line of `targets` in canonical form: `"files/demo/demo-1.0.tar.gz":{"hashes":…,"length":…}`.
///
/// A store keeps these bytes, so that a bin of thousands of targets is joined and not built again when one of them changes.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetEntry(Box<[u8]>);

/// The bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored target is not what was stored; rebuild the signed repository's tables")]
pub struct EntryError;

impl TargetEntry {
    /// The entry of this target.
    pub fn of(path: &TargetPath, file: &TargetFile) -> Result<Self, CanonicalError> {
        let file = canonical(file)?;
        // A path has no character that JSON escapes.
        let mut entry = Vec::with_capacity(path.as_str().len() + file.len() + 3);
        entry.push(b'"');
        entry.extend_from_slice(path.as_str().as_bytes());
        entry.extend_from_slice(b"\":");
        entry.extend_from_slice(&file);
        Ok(Self(entry.into()))
    }

    /// What a store keeps.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What an entry says.
    pub fn read(entry: &[u8]) -> Result<(TargetPath, TargetFile), EntryError> {
        let (path, file) = split(entry).ok_or(EntryError)?;
        let path = path.parse().map_err(|_| EntryError)?;
        let file = serde_json::from_slice(&as_json(file)).map_err(|_| EntryError)?;
        Ok((path, file))
    }
}

impl AsRef<[u8]> for TargetEntry {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for TargetEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The path that an entry begins with, and the object that it ends with; `None` if it is no entry.
pub(super) fn split(entry: &[u8]) -> Option<(&str, &[u8])> {
    let rest = entry.strip_prefix(b"\"")?;
    let end = rest.iter().position(|&byte| byte == b'"')?;
    let (path, rest) = rest.split_at_checked(end)?;
    let file = rest.strip_prefix(b"\":")?;
    let path = std::str::from_utf8(path).ok()?;
    (!path.is_empty() && file.first() == Some(&b'{') && file.last() == Some(&b'}')).then_some((path, file))
}
