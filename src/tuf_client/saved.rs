//! `trusted.json`: what is written, how it is known to be whole, and how it is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use chiron_storage::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The first word of `trusted.json`: what it is, before its digest.
const FORMAT: &str = "chiron.tuf-state/v1";
/// Bytes of `trusted.json`. Threat: a folder that somebody else fills.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// Versions below which nothing is believed any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Floors {
    pub root: u64,
    pub timestamp: u64,
    pub snapshot: u64,
    /// As the snapshot names them: `targets.json`, `bin-0f.json`, …
    pub meta: BTreeMap<String, u64>,
    /// The keys of timestamp and snapshot that these versions were signed under. When the root exchanges them, the versions
    /// start anew (section 5.3.11: recovery from a fast-forward attack).
    pub keys: [BTreeSet<String>; 2],
}

/// The content of `trusted.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) floors: Floors,
    /// Version and SHA-256 of what each root of the chain signs.
    pub(super) roots: BTreeMap<u64, Digest>,
    /// `timestamp.json`, `snapshot.json`, `targets.json`, as they came.
    pub(super) metadata: BTreeMap<String, String>,
    /// When a refresh last ended well. A clock that is behind it is not believed.
    pub(super) verified_at: Option<Timestamp>,
}

impl Floors {
    /// Whether another process has seen something newer. A newer root may begin its versions anew.
    pub(super) fn is_behind(&self, theirs: &Self) -> bool {
        (theirs.root, theirs.timestamp, theirs.snapshot) > (self.root, self.timestamp, self.snapshot)
    }
}

pub(super) fn render(saved: &Saved) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(saved)?;
    let mut text = format!("{FORMAT} {}\n", Digest::of(&body)).into_bytes();
    text.extend_from_slice(&body);
    Ok(text)
}

pub(super) fn parse(text: &[u8]) -> Result<Saved, &'static str> {
    let end = text
        .iter()
        .position(|&c| c == b'\n')
        .ok_or("trusted.json is cut short")?;
    let head = std::str::from_utf8(&text[..end]).map_err(|_| "trusted.json is damaged")?;
    let (format, digest) = head.split_once(' ').ok_or("trusted.json is damaged")?;
    if format != FORMAT {
        return Err("trusted.json was written by another version of Chiron, or is damaged");
    }
    let body = &text[end + 1..];
    if digest.parse() != Ok(Digest::of(body)) {
        return Err("trusted.json is damaged: its digest is not that of its content");
    }
    serde_json::from_slice(body).map_err(|_| "trusted.json was written by another version of Chiron")
}

/// Writes aside, syncs, renames, syncs the folder: a crash leaves the old file or the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn saved() -> Saved {
        Saved {
            floors: Floors {
                root: 2,
                timestamp: 9,
                snapshot: 8,
                meta: BTreeMap::from([("targets.json".to_owned(), 1)]),
                keys: [BTreeSet::from(["a".to_owned()]), BTreeSet::new()],
            },
            metadata: BTreeMap::from([("timestamp.json".to_owned(), "{\"é\": \"\\n\"}".to_owned())]),
            verified_at: Some(Timestamp::UNIX_EPOCH),
            ..Saved::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(parse(&render(&saved()).unwrap()), Ok(saved()));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let text = render(&saved()).unwrap();
        for place in 0..text.len() {
            let mut damaged = text.clone();
            damaged[place] ^= 1;
            assert!(parse(&damaged).is_err(), "byte {place}");
            assert!(parse(&text[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn newer_is_judged_by_the_root_first() {
        let at = |root, timestamp| Floors {
            root,
            timestamp,
            ..Floors::default()
        };
        assert!(at(1, 4).is_behind(&at(1, 5)));
        assert!(!at(1, 4).is_behind(&at(1, 4)));
        // After a recovery versions begin anew under a newer root.
        assert!(!at(2, 4).is_behind(&at(1, 900)));
    }
}
