//! What a snapshot is called.

use std::fmt;
use std::str::FromStr;

use chiron_storage::Digest;
use serde::{Deserialize, Serialize};

/// Bytes of the root hash that the name repeats: enough to tell a fork or another site's log by mistake. What counts is
/// the whole hash, in the manifest.
const PREFIX: usize = 6;

/// A state of a site's log, as people name it: its size and the beginning of its root hash, `1234-ab12cd34ef56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SnapshotId {
    size: u64,
    prefix: [u8; PREFIX],
}

/// Not a snapshot's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a snapshot's name, which looks like 1234-ab12cd34ef56")]
pub struct SnapshotIdError(String);

impl SnapshotId {
    /// The state of a log at `size`, whose root hash is `root`.
    pub fn new(size: u64, root: &Digest) -> Self {
        let mut prefix = [0; PREFIX];
        prefix.copy_from_slice(&root.as_bytes()[..PREFIX]);
        Self { size, prefix }
    }

    /// Entries in the log.
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Whether a log with this root hash at [`Self::size`] may be meant.
    pub fn is_of(self, root: &Digest) -> bool {
        root.as_bytes()[..PREFIX] == self.prefix
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.size, hex::encode(self.prefix))
    }
}

impl FromStr for SnapshotId {
    type Err = SnapshotIdError;

    fn from_str(text: &str) -> Result<Self, SnapshotIdError> {
        let wrong = || SnapshotIdError(text.chars().take(80).collect());
        let (size, prefix) = text.split_once('-').ok_or_else(wrong)?;
        let canonical = size == "0" || (!size.starts_with('0') && size.bytes().all(|b| b.is_ascii_digit()));
        if !canonical || prefix.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; PREFIX];
        hex::decode_to_slice(prefix, &mut bytes).map_err(|_| wrong())?;
        Ok(Self {
            size: size.parse().map_err(|_| wrong())?,
            prefix: bytes,
        })
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = SnapshotIdError;

    fn try_from(text: String) -> Result<Self, SnapshotIdError> {
        text.parse()
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.to_string()
    }
}

impl schemars::JsonSchema for SnapshotId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SnapshotId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(0|[1-9][0-9]*)-[0-9a-f]{12}$" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_name_says_size_and_root() {
        let root = Digest::of(b"x");
        let id = SnapshotId::new(12, &root);
        assert_eq!(id.to_string(), format!("12-{}", &root.to_string()[..12]));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.is_of(&root));
        assert!(!id.is_of(&Digest::of(b"y")));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "12",
            "012-ab12cd34ef56",
            "+1-ab12cd34ef56",
            "12-AB12cd34ef56",
            "12-ab12cd34ef5",
            "12-ab12cd34ef5678",
            "x-ab12cd34ef56",
        ] {
            assert!(text.parse::<SnapshotId>().is_err(), "{text}");
        }
    }
}
