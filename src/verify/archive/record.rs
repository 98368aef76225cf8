//! `RECORD`: the wheel's own list of its files, held against the archive in both directions.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chiron_storage::Digest;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::report::{Report, Stop};
use super::zip::Member;

/// The hash algorithms that may stand in `RECORD`: "sha256 or better" (binary distribution format, PEP 376 and 427).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Self::Sha256),
            "sha384" => Some(Self::Sha384),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// One file as `RECORD` describes it.
#[derive(Debug)]
pub(super) struct Row<'r> {
    algorithm: Algorithm,
    /// URL-safe base64 without padding.
    encoded: &'r str,
}

/// The running hashes of one member: SHA-256 always, for the checks that come later, and the one that its row asks for
/// if that is another.
pub(super) struct Hasher {
    sha256: Sha256,
    stronger: Stronger,
}

enum Stronger {
    None,
    Sha384(Sha384),
    Sha512(Sha512),
}

/// The hashes of one member.
pub(super) struct Hashed {
    pub(super) sha256: Digest,
    stronger: Option<Vec<u8>>,
}

impl Row<'_> {
    /// Whether the hash is this row's. Compared as text: only the one proper encoding passes.
    pub(super) fn matches(&self, hashed: &Hashed) -> bool {
        let encoded = match &hashed.stronger {
            None => URL_SAFE_NO_PAD.encode(hashed.sha256.as_bytes()),
            Some(stronger) => URL_SAFE_NO_PAD.encode(stronger),
        };
        encoded == self.encoded
    }
}

impl Hasher {
    /// Starts the hashes of a member; `None`: a file that has no row.
    pub(super) fn new(row: Option<&Row<'_>>) -> Self {
        Self {
            sha256: Sha256::new(),
            stronger: match row.map(|row| row.algorithm) {
                None | Some(Algorithm::Sha256) => Stronger::None,
                Some(Algorithm::Sha384) => Stronger::Sha384(Sha384::new()),
                Some(Algorithm::Sha512) => Stronger::Sha512(Sha512::new()),
            },
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.stronger {
            Stronger::None => {}
            Stronger::Sha384(hash) => hash.update(bytes),
            Stronger::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Hashed {
        Hashed {
            sha256: Digest::from_bytes(self.sha256.finalize().into()),
            stronger: match self.stronger {
                Stronger::None => None,
                Stronger::Sha384(hash) => Some(hash.finalize().to_vec()),
                Stronger::Sha512(hash) => Some(hash.finalize().to_vec()),
            },
        }
    }
}

/// Files that cannot be in `RECORD` with a hash: itself, and the signatures over it.
pub(super) fn is_exempt(name: &str, dist_info: &str) -> bool {
    name.strip_prefix(dist_info)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|file| matches!(file, "RECORD" | "RECORD.jws" | "RECORD.p7s"))
}

/// Reads `RECORD` and compares it with the archive's names and sizes. The rows it returns have the hashes, which are
/// compared when the members are unpacked; every file of `members` that is not exempt has its row.
///
/// Met in 241 real wheels **[m]**: three columns always, sizes always, SHA-256 only, no padding, folders never listed.
/// So nothing looser is accepted, but for an empty size (allowed by PEP 376), which is counted.
pub(super) fn read<'r>(
    bytes: &'r [u8],
    members: &[Member<'r>],
    dist_info: &str,
    report: &mut Report,
) -> Result<HashMap<&'r str, Row<'r>>, Stop> {
    let text = std::str::from_utf8(bytes).map_err(|_| report.stop("record-syntax", "RECORD is not UTF-8"))?;
    let files: HashMap<&str, &Member<'_>> = members
        .iter()
        .filter(|member| !member.is_folder())
        .map(|member| (member.name, member))
        .collect();
    let mut seen: HashMap<&str, Option<Row<'r>>> = HashMap::with_capacity(files.len());
    let mut without_size = 0_u64;
    let mut counts = [0_u64; 3];
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    for (number, line) in lines.enumerate() {
        if line.is_empty() {
            continue;
        }
        let Some((path, hash, size)) = split_row(line) else {
            report.archive(
                "record-syntax",
                format!("line {} of RECORD is not path,hash,size", number + 1),
            );
            continue;
        };
        // The archive's own name for the file: lives as long as the directory, and has no quotes.
        let Some((name, member)) = files.get_key_value(path.as_ref()) else {
            report.entry(
                "record-unknown-entry",
                &path,
                "RECORD lists it and the archive does not have it",
            );
            continue;
        };
        let row = read_row(name, member, hash, size, dist_info, &mut without_size, report);
        if let Some(row) = &row {
            counts[row.algorithm as usize] += 1;
        }
        if seen.insert(name, row).is_some() {
            report.entry("record-duplicate", name, "RECORD lists it twice");
        }
    }
    for member in members {
        if !member.is_folder() && !is_exempt(member.name, dist_info) && !seen.contains_key(member.name) {
            report.entry(
                "record-missing-entry",
                member.name,
                "the archive has it and RECORD does not list it",
            );
        }
    }
    let [sha256, sha384, sha512] = counts;
    report.fact(
        "record",
        serde_json::json!({ "sha256": sha256, "sha384": sha384, "sha512": sha512, "without_size": without_size }),
    );
    report.stop_if_bad()?;
    Ok(seen
        .into_iter()
        .filter_map(|(name, row)| Some((name, row?)))
        .collect())
}

fn read_row<'r>(
    name: &str,
    member: &Member<'_>,
    hash: &'r str,
    size: &str,
    dist_info: &str,
    without_size: &mut u64,
    report: &mut Report,
) -> Option<Row<'r>> {
    if is_exempt(name, dist_info) {
        if !hash.is_empty() || !size.is_empty() {
            report.entry(
                "record-syntax",
                name,
                "a file that cannot be hashed in RECORD has a hash there",
            );
        }
        return None;
    }
    if size.is_empty() {
        *without_size += 1;
    } else if !size.bytes().all(|byte| byte.is_ascii_digit()) || size.parse() != Ok(member.size) {
        report.entry(
            "record-size",
            name,
            format!("RECORD says {size:?} bytes, the archive {}", member.size),
        );
    }
    let Some((algorithm, encoded)) = hash.split_once('=') else {
        report.entry("record-no-hash", name, "RECORD has no hash for it");
        return None;
    };
    let Some(algorithm) = Algorithm::parse(algorithm) else {
        report.entry(
            "record-weak-hash",
            name,
            format!("{algorithm:?} is not sha256, sha384 or sha512"),
        );
        return None;
    };
    Some(Row { algorithm, encoded })
}

/// Splits a line into path, hash and size. Only a path may stand in quotes (`"a,b"`, with `""` for one quote); anything
/// that CSV readers treat in different ways is refused.
fn split_row(line: &str) -> Option<(Cow<'_, str>, &str, &str)> {
    let (path, rest) = if let Some(quoted) = line.strip_prefix('"') {
        let end = closing_quote(quoted)?;
        (
            Cow::Owned(quoted[..end].replace("\"\"", "\"")),
            quoted[end + 1..].strip_prefix(',')?,
        )
    } else {
        let (path, rest) = line.split_once(',')?;
        (Cow::Borrowed(path), rest)
    };
    let (hash, size) = rest.split_once(',')?;
    let plain = |text: &str| !text.contains([',', '"', '\r']);
    (plain(hash) && plain(size) && (line.starts_with('"') || plain(&path))).then_some((path, hash, size))
}

/// Position of the quote that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at).peekable();
    while let Some(at) = quotes.next() {
        if quotes.next_if_eq(&(at + 1)).is_none() {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows() {
        let row = |line| split_row(line).map(|(path, hash, size)| (path.into_owned(), hash, size));
        assert_eq!(row("a/b.py,sha256=x,3"), Some(("a/b.py".into(), "sha256=x", "3")));
        assert_eq!(row("a/RECORD,,"), Some(("a/RECORD".into(), "", "")));
        assert_eq!(row(r#""a,b",sha256=x,3"#), Some(("a,b".into(), "sha256=x", "3")));
        assert_eq!(
            row(r#""a""b",sha256=x,3"#),
            Some(("a\"b".into(), "sha256=x", "3"))
        );
        for bad in [
            "",
            "a",
            "a,b",
            "a,b,c,d",
            r#""a,b,c"#,
            r#""a"b,c,d"#,
            r#"a"b,c,d"#,
            r#"a,"b",c"#,
            "a\r,b,c",
        ] {
            assert_eq!(row(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_proper_encoding_of_a_hash_passes() {
        let encoded = URL_SAFE_NO_PAD.encode(Sha256::digest(b"abc"));
        let check = |encoded: &str| {
            let row = Row {
                algorithm: Algorithm::Sha256,
                encoded,
            };
            let mut hasher = Hasher::new(Some(&row));
            hasher.update(b"a");
            hasher.update(b"bc");
            row.matches(&hasher.finish())
        };
        assert!(check(&encoded));
        assert!(!check(&format!("{encoded}=")));
        assert!(!check(&encoded.to_uppercase()));
        assert!(!check(""));
    }

    proptest! {
        /// What Python's csv module writes for a path reads back as that path.
        #[test]
        fn paths_read_back(path in "[a-z,\"/ ]{0,12}") {
            let written = if path.contains([',', '"']) { format!("\"{}\"", path.replace('"', "\"\"")) } else { path.clone() };
            let line = format!("{written},sha256=x,1");
            let (read, hash, size) = split_row(&line).unwrap();
            prop_assert_eq!((read.as_ref(), hash, size), (path.as_str(), "sha256=x", "1"));
        }
    }
}
