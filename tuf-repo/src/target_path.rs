//! What targets are called, and where clients look for them (section 3.2.2; section 6.2, consistent targets).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::limits::MAX_PATH_BYTES;

/// The path of a target, as metadata lists it: `files/demo/demo-1.0.tar.gz`.
///
/// 1 to 512 bytes: segments of `A-Z`, `a-z`, `0-9` and `-._+!~` between single `/`, none of which begins with a dot.
/// Threats: a path that leads out of a client's folder (`..`), that is spelled differently in a URL (`%`, `?`, `#`, spaces),
/// that two clients normalise differently (what is not ASCII, `.` segments), or that matches a delegation in one client
/// and not in another (`*`, `?`, `[`). No such path can exist here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(Box<str>);

/// The text cannot be the path of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the path of a target: segments of A-Z, a-z, 0-9 and -._+!~, without a dot in front, between \
     single slashes, {MAX_PATH_BYTES} bytes in all"
)]
pub struct TargetPathError(String);

impl TargetPath {
    /// Signed by `trust`; the others are in the bins.
    const TRUST: &'static str = "trust/";

    /// Where the log's checkpoint is.
    pub fn checkpoint() -> Self {
        Self("log/checkpoint".into())
    }

    /// A distribution file.
    pub fn file(project: &str, filename: &str) -> Result<Self, TargetPathError> {
        format!("files/{project}/{filename}").parse()
    }

    /// A project's page.
    pub fn index(project: &str) -> Result<Self, TargetPathError> {
        format!("simple/{project}/index.json").parse()
    }

    /// A document of trust: `trusted_root.json`, `policy.json`.
    pub fn trust(name: &str) -> Result<Self, TargetPathError> {
        format!("{}{name}", Self::TRUST).parse()
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Decides the bin: the SHA-256 of the path's bytes (section 4.5, `path_hash_prefixes`).
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Whether the role `trust` signs it, and no bin does.
    pub fn is_trust(&self) -> bool {
        self.0
            .strip_prefix(Self::TRUST)
            .is_some_and(|name| !name.contains('/'))
    }

    fn is_good(text: &str) -> bool {
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-._+!~".contains(&c);
        text.len() <= MAX_PATH_BYTES
            && text
                .split('/')
                .all(|segment| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain))
    }
}

impl FromStr for TargetPath {
    type Err = TargetPathError;

    fn from_str(text: &str) -> Result<Self, TargetPathError> {
        if Self::is_good(text) {
            Ok(Self(text.into()))
        } else {
            Err(TargetPathError(text.chars().take(MAX_PATH_BYTES).collect()))
        }
    }
}

impl TryFrom<String> for TargetPath {
    type Error = TargetPathError;
    fn try_from(text: String) -> Result<Self, TargetPathError> {
        text.parse()
    }
}

impl From<TargetPath> for String {
    fn from(path: TargetPath) -> Self {
        path.0.into_string()
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A target with its content's digest, as clients ask for it: under a name that changes when the content does.
///
/// Two shapes are in use. `dir/HASH.file` is the specification's, and python-tuf, tuf-js and sigstore-tuf ask for it;
/// tough asks for `HASH.dir/file`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsistentTarget {
    /// Which target.
    pub path: TargetPath,
    /// Of the content.
    pub sha256: [u8; 32],
}

impl ConsistentTarget {
    /// What `text` may mean: nothing, one target, or two.
    ///
    /// Two when both its first and its last segment begin with a digest; that takes a project whose file's name begins with
    /// 64 hex digits and a dot. At most one of them exists; the first is the specification's shape. Which it is does not
    /// touch safety: a client compares what it gets with the digest that it asked for.
    pub fn candidates(text: &str) -> impl Iterator<Item = Self> {
        let (folder, file) = match text.rsplit_once('/') {
            Some((folder, file)) => (Some(folder), file),
            None => (None, text),
        };
        let beside = Self::split(file).and_then(|(sha256, file)| {
            let path = match folder {
                Some(folder) => format!("{folder}/{file}").parse(),
                None => file.parse(),
            };
            path.ok().map(|path| Self { path, sha256 })
        });
        let before = folder
            .and_then(|_| Self::split(text))
            .and_then(|(sha256, rest)| rest.parse().ok().map(|path| Self { path, sha256 }));
        beside.into_iter().chain(before)
    }

    /// `dir/HASH.file` (python-tuf, tuf-js, sigstore-tuf).
    pub fn beside_file(&self) -> String {
        let hash = hex::encode(self.sha256);
        match self.path.as_str().rsplit_once('/') {
            Some((folder, file)) => format!("{folder}/{hash}.{file}"),
            None => format!("{hash}.{}", self.path),
        }
    }

    /// `HASH.dir/file` (tough).
    pub fn before_path(&self) -> String {
        format!("{}.{}", hex::encode(self.sha256), self.path)
    }

    /// The digest before the first dot, in lower case, and what follows.
    fn split(text: &str) -> Option<([u8; 32], &str)> {
        let (digits, rest) = text.split_once('.')?;
        if digits.len() != 64 || digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        let mut sha256 = [0; 32];
        hex::decode_to_slice(digits, &mut sha256).ok()?;
        Some((sha256, rest))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    const PATH: &str =
        "[A-Za-z0-9_+!~-][A-Za-z0-9._+!~-]{0,12}(/[A-Za-z0-9_+!~-][A-Za-z0-9._+!~-]{0,12}){0,3}";

    proptest! {
        #[test]
        fn good_paths_are_read_back(text in PATH) {
            let path: TargetPath = text.parse().unwrap();
            prop_assert_eq!(path.to_string(), text);
        }

        #[test]
        fn what_is_read_is_safe_everywhere(text in "[ -~é]{0,40}") {
            if let Ok(path) = text.parse::<TargetPath>() {
                prop_assert_eq!(path.as_str(), text.as_str());
                prop_assert!(!text.starts_with('/') && !text.ends_with('/'));
                prop_assert!(!text.contains("//") && !text.contains("/.") && !text.starts_with('.'));
                prop_assert!(!text.contains(['%', '?', '#', '*', '[', '\\', ' ', ':', '@']));
            }
        }

        #[test]
        fn both_shapes_lead_back(text in PATH, sha256 in any::<[u8; 32]>()) {
            let target = ConsistentTarget { path: text.parse().unwrap(), sha256 };
            for shape in [target.beside_file(), target.before_path()] {
                prop_assert!(ConsistentTarget::candidates(&shape).any(|found| found == target), "{}", shape);
            }
        }

        #[test]
        fn candidates_say_where_they_are(text in "[0-9a-f]{64}\\.[a-c./]{0,6}|[a-c/.]{0,4}[0-9a-f]{64}\\.[a-c./]{0,6}") {
            for found in ConsistentTarget::candidates(&text) {
                prop_assert!(found.beside_file() == text || found.before_path() == text);
            }
        }
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = format!("a/{}", "b".repeat(MAX_PATH_BYTES - 1));
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            ".hidden",
            "a/.hidden",
            "a\\b",
            "a b",
            "a%2fb",
            "a?b",
            "a#b",
            "a*",
            "[a]",
            "é",
            "e\u{301}",
            "a\0",
            "a\nb",
            "c:d",
            "~/../a",
            &long,
        ] {
            assert_eq!(
                text.parse::<TargetPath>(),
                Err(TargetPathError(text.chars().take(MAX_PATH_BYTES).collect())),
                "{text:?}"
            );
        }
        assert!("b".repeat(MAX_PATH_BYTES).parse::<TargetPath>().is_ok());
    }

    #[test]
    fn targets_are_where_the_layout_says() {
        let file = TargetPath::file("demo", "demo-1!2.0+local-py3-none-any.whl").unwrap();
        assert_eq!(file.as_str(), "files/demo/demo-1!2.0+local-py3-none-any.whl");
        assert_eq!(
            TargetPath::index("demo").unwrap().as_str(),
            "simple/demo/index.json"
        );
        assert_eq!(TargetPath::checkpoint().as_str(), "log/checkpoint");
        assert_eq!("log/checkpoint".parse(), Ok(TargetPath::checkpoint()));
        assert!(TargetPath::file("..", "demo-1.0.zip").is_err());
        assert!(TargetPath::index("").is_err());
    }

    #[test]
    fn trust_signs_its_own_folder_only() {
        for (text, trust) in [
            ("trust/policy.json", true),
            ("trust/a/b", false),
            ("trust", false),
            ("trusted/policy.json", false),
            ("files/trust/trust-1.0.zip", false),
        ] {
            assert_eq!(text.parse::<TargetPath>().unwrap().is_trust(), trust, "{text}");
        }
    }

    #[test]
    fn the_hash_that_decides_the_bin_is_of_the_path() {
        // printf 'log/checkpoint' | sha256sum
        assert_eq!(
            hex::encode(TargetPath::checkpoint().hash()),
            "e17faf55491635277112b12b62d3fbda1c0d3de075f3b88f507e6e66f73b9a8c"
        );
    }

    #[test]
    fn a_name_that_reads_both_ways_gives_both() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let both: Vec<String> = ConsistentTarget::candidates(&format!("{a}.files/demo/{b}.demo-1.0.zip"))
            .map(|target| target.path.to_string())
            .collect();
        assert_eq!(
            both,
            [
                format!("{a}.files/demo/demo-1.0.zip"),
                format!("files/demo/{b}.demo-1.0.zip")
            ]
        );
    }

    #[test]
    fn what_has_no_digest_names_nothing() {
        let (upper, short) = ("A".repeat(64), "a".repeat(63));
        for text in [
            "files/demo/demo-1.0.zip".to_owned(),
            format!("files/demo/{upper}.demo-1.0.zip"),
            format!("files/demo/{short}.demo-1.0.zip"),
            format!("{upper}.files/demo/demo-1.0.zip"),
            format!("files/{}.demo/demo-1.0.zip", "a".repeat(64)),
            format!("{}.", "a".repeat(64)),
            format!("{}.../a", "a".repeat(64)),
            format!("../{}.a", "a".repeat(64)),
            format!("/{}.a", "a".repeat(64)),
            String::new(),
        ] {
            assert_eq!(ConsistentTarget::candidates(&text).count(), 0, "{text}");
        }
    }
}
