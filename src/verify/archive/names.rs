//! Entry names: which are safe to unpack anywhere, and which would fall on each other somewhere.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use unicode_normalization::UnicodeNormalization;

use super::limits::ArchiveLimits;
use super::report::{Report, is_invisible};

/// Finds what is wrong with one name taken by itself. `name` is as the archive has it; a trailing slash (a folder)
/// is allowed.
pub(super) fn check_name(name: &str, limits: &ArchiveLimits) -> Option<(&'static str, &'static str)> {
    if name.len() > limits.name_bytes {
        return Some(("name-length", "the name is longer than any file system takes"));
    }
    if name.is_empty() {
        return Some(("empty-name", "an entry without a name"));
    }
    if name.contains(is_invisible) {
        return Some((
            "control-character",
            "the name has a control or invisible character",
        ));
    }
    if name.contains('\\') {
        return Some((
            "backslash",
            "the name has a backslash, which is a separator on Windows only",
        ));
    }
    if name.starts_with('/') {
        return Some(("absolute-path", "the name starts at the root of the file system"));
    }
    let bytes = name.as_bytes();
    if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return Some(("drive-letter", "the name starts with a Windows drive"));
    }
    if name.contains(':') {
        return Some((
            "colon",
            "the name has a colon, which names another stream of a file on Windows",
        ));
    }
    let path = name.strip_suffix('/').unwrap_or(name);
    let mut depth = 0;
    for component in path.split('/') {
        depth += 1;
        match component {
            ".." => {
                return Some((
                    "parent-path",
                    "the name leads out of the folder it is unpacked in",
                ));
            }
            "" | "." => return Some(("unclean-path", "the name has an empty or '.' component")),
            _ => {}
        }
    }
    (depth > limits.name_depth).then_some(("path-depth", "the name lies too many folders deep"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    /// A folder that has an entry of its own.
    Folder,
    /// A folder that is only implied by what lies in it.
    Implied,
}

/// All names of an archive, as the least discerning file system would see them: without regard to case, Unicode form,
/// and the dots and blanks that Windows drops at the end of a name.
///
/// Memory: every name twice, and every folder once; as many folders as entries are allowed (threat: a few long names of
/// folders in folders imply millions).
pub(super) struct NameSet {
    /// Folded path → what it is, and which of `entries` made it so.
    seen: HashMap<Box<str>, (Kind, usize)>,
    entries: Vec<Box<str>>,
    folders_left: u64,
    /// The folder whose parents are already in `seen`; entries of one folder mostly follow each other.
    last_folder: String,
}

impl NameSet {
    /// An empty set that takes as many folders as `limits` allows entries.
    pub(super) fn new(limits: &ArchiveLimits) -> Self {
        Self {
            seen: HashMap::new(),
            entries: Vec::new(),
            folders_left: limits.entries,
            last_folder: String::new(),
        }
    }

    /// Adds an entry under the path it is unpacked to, and notes a collision with an earlier one.
    ///
    /// `entry` is its name in the archive; `path` is where an installer puts it (they differ under `*.data/purelib`).
    pub(super) fn add(&mut self, entry: &str, path: &str, report: &mut Report) {
        let (kind, path) = match path.strip_suffix('/') {
            Some(folder) => (Kind::Folder, folder),
            None => (Kind::File, path),
        };
        let index = self.entries.len();
        self.entries.push(entry.into());
        let key = fold(path);
        self.add_parents(entry, index, &key, report);
        match self.seen.entry(key.into()) {
            Entry::Vacant(vacant) => {
                vacant.insert((kind, index));
            }
            Entry::Occupied(mut occupied) => match (*occupied.get(), kind) {
                ((Kind::Implied, _), Kind::Folder) => {
                    occupied.insert((kind, index));
                }
                ((Kind::File, other), Kind::File) | ((Kind::Folder, other), Kind::Folder) => {
                    let (code, detail) = collision(entry, &self.entries[other]);
                    report.entry(code, entry, detail);
                }
                ((_, other), _) => {
                    let other = &self.entries[other];
                    report.entry(
                        "path-conflict",
                        entry,
                        format!("{other:?} makes the same name a file and a folder"),
                    );
                }
            },
        }
    }

    fn add_parents(&mut self, entry: &str, index: usize, key: &str, report: &mut Report) {
        let Some((folder, _)) = key.rsplit_once('/') else {
            return;
        };
        if folder == self.last_folder {
            return;
        }
        self.last_folder.clear();
        self.last_folder.push_str(folder);
        let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
        for end in ends {
            match self.seen.get(&folder[..end]) {
                Some((Kind::File, other)) => {
                    let other = &self.entries[*other];
                    report.entry(
                        "path-conflict",
                        entry,
                        format!("it lies in {other:?}, which is a file"),
                    );
                }
                Some(_) => {}
                None if self.folders_left == 0 => {
                    report.entry(
                        "entry-count",
                        entry,
                        "the names imply more folders than entries are allowed",
                    );
                    return;
                }
                None => {
                    self.folders_left -= 1;
                    self.seen.insert(folder[..end].into(), (Kind::Implied, index));
                }
            }
        }
    }
}

/// Names the way in which two different entries fall on each other.
fn collision(entry: &str, other: &str) -> (&'static str, String) {
    if entry == other {
        ("duplicate-name", "two entries have this name".to_owned())
    } else if entry.to_lowercase() == other.to_lowercase() {
        ("case-collision", format!("differs only by case from {other:?}"))
    } else if entry.is_ascii() && other.is_ascii() {
        (
            "install-collision",
            format!("is unpacked to the same path as {other:?}"),
        )
    } else {
        (
            "unicode-collision",
            format!("differs only by Unicode form from {other:?}"),
        )
    }
}

/// The path as the least discerning file system sees it.
pub(super) fn fold(path: &str) -> String {
    let folded: String = if path.is_ascii() {
        path.to_ascii_lowercase()
    } else {
        // Upper-casing first makes one of what only has a common capital (ß and ss, final sigma).
        path.nfkc()
            .collect::<String>()
            .to_uppercase()
            .to_lowercase()
            .nfkc()
            .collect()
    };
    if !needs_trim(&folded) {
        return folded;
    }
    let trimmed: Vec<&str> = folded
        .split('/')
        .map(|component| component.trim_end_matches(['.', ' ']))
        .collect();
    trimmed.join("/")
}

/// Whether a name ends in this suffix (`pth`, `data`), whatever its case.
pub(super) fn has_suffix(name: &str, suffix: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, found)| found.eq_ignore_ascii_case(suffix))
}

fn needs_trim(path: &str) -> bool {
    path.split('/').any(|component| component.ends_with(['.', ' ']))
}

/// Where an installer puts an entry, relative to site-packages: `*.data/purelib/x` and `*.data/platlib/x` become `x`;
/// everything else keeps its name (the other schemes lead elsewhere).
pub(super) fn installed_path<'n>(name: &'n str, data_folder: Option<&str>) -> Cow<'n, str> {
    let Some(inside) = data_folder
        .and_then(|folder| name.strip_prefix(folder))
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Cow::Borrowed(name);
    };
    let library = inside
        .strip_prefix("purelib/")
        .or_else(|| inside.strip_prefix("platlib/"));
    match library {
        Some(path) if !path.is_empty() => Cow::Borrowed(path),
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::verify::archive::report::Report;

    fn codes(names: &[&str]) -> Vec<&'static str> {
        let (mut set, mut report) = (NameSet::new(&ArchiveLimits::default()), Report::default());
        for name in names {
            set.add(name, name, &mut report);
        }
        report
            .finish(String::new(), None)
            .findings
            .iter()
            .map(|finding| finding.code)
            .collect()
    }

    fn code(name: &str) -> Option<&'static str> {
        check_name(name, &ArchiveLimits::default()).map(|(code, _)| code)
    }

    #[test]
    fn single_names() {
        for good in ["a", "a/b.py", "pkg/é.py", "pkg/", "a b/c", "..a", "a..", "日本/x"] {
            assert_eq!(code(good), None, "{good}");
        }
        assert_eq!(code(""), Some("empty-name"));
        assert_eq!(code("a\0b"), Some("control-character"));
        assert_eq!(code("a\nb"), Some("control-character"));
        assert_eq!(code("a\u{202e}yp."), Some("control-character"));
        assert_eq!(code("a\\b"), Some("backslash"));
        assert_eq!(code("/etc/passwd"), Some("absolute-path"));
        assert_eq!(code("C:/x"), Some("drive-letter"));
        assert_eq!(code("a.py:s"), Some("colon"));
        assert_eq!(code("../x"), Some("parent-path"));
        assert_eq!(code("a/.."), Some("parent-path"));
        assert_eq!(code("a/../b"), Some("parent-path"));
        assert_eq!(code("a//b"), Some("unclean-path"));
        assert_eq!(code("./b"), Some("unclean-path"));
        assert_eq!(code("/"), Some("absolute-path"));
        assert_eq!(code(&"a".repeat(1_025)), Some("name-length"));
        assert_eq!(code(&"a/".repeat(100)), Some("path-depth"));
    }

    #[test]
    fn collisions() {
        assert_eq!(codes(&["a", "a"]), ["duplicate-name"]);
        assert_eq!(codes(&["a/", "a/"]), ["duplicate-name"]);
        assert_eq!(codes(&["pkg/A.py", "pkg/a.py"]), ["case-collision"]);
        assert_eq!(codes(&["é", "É"]), ["case-collision"]);
        assert_eq!(codes(&["e\u{301}", "\u{e9}"]), ["unicode-collision"]);
        assert_eq!(codes(&["ﬁle", "file"]), ["unicode-collision"]);
        assert_eq!(codes(&["straße", "strasse"]), ["unicode-collision"]);
        assert_eq!(codes(&["a.py", "a.py."]), ["install-collision"]);
        assert_eq!(codes(&["a", "a/b"]), ["path-conflict"]);
        assert_eq!(codes(&["a/b", "A"]), ["path-conflict"]);
        assert_eq!(codes(&["a/b", "a/"]), Vec::<&str>::new());
        assert_eq!(
            codes(&["a/", "a/b", "a/c", "d/e/f", "d/e/g", "d/h"]),
            Vec::<&str>::new()
        );
        assert_eq!(
            codes(&["A/b", "a/c"]),
            Vec::<&str>::new(),
            "folders may be spelled in two ways; files may not"
        );
    }

    #[test]
    fn implied_folders_are_bounded() {
        let limits = ArchiveLimits {
            entries: 10,
            ..ArchiveLimits::default()
        };
        let (mut set, mut report) = (NameSet::new(&limits), Report::default());
        set.add("a/b/c/d/e/f", "a/b/c/d/e/f", &mut report);
        assert!(report.stop_if_bad().is_ok());
        set.add("1/2/3/4/5/6/7", "1/2/3/4/5/6/7", &mut report);
        assert_eq!(report.finish(String::new(), None).findings[0].code, "entry-count");
    }

    #[test]
    fn libraries_under_data_fall_on_the_root() {
        let data = Some("p-1.data");
        assert_eq!(installed_path("p-1.data/purelib/p/x.py", data), "p/x.py");
        assert_eq!(installed_path("p-1.data/platlib/p/x.py", data), "p/x.py");
        assert_eq!(installed_path("p-1.data/scripts/x", data), "p-1.data/scripts/x");
        assert_eq!(installed_path("p-1.data/purelib/", data), "p-1.data/purelib/");
        assert_eq!(installed_path("p/x.py", data), "p/x.py");
    }

    proptest! {
        #[test]
        fn folding_is_stable(path in "\\PC{0,40}") {
            let once = fold(&path);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn accepted_names_stay_inside(path in "[a./\\\\:A-Z]{0,12}") {
            if code(&path).is_none() {
                let joined = std::path::Path::new("/base").join(&path);
                prop_assert!(joined.starts_with("/base"));
                prop_assert!(joined.components().all(|c| !matches!(c, std::path::Component::ParentDir)));
            }
        }
    }
}
