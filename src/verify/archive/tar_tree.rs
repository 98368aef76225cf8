//! The entries of a tar archive, judged one by one: names, modes, and where links lead.

use std::collections::HashSet;

use tar::EntryType;

use super::limits::ArchiveLimits;
use super::names::{NameSet, check_name};
use super::report::Report;
use super::tarball::Contents;

/// Bits of a mode that make a program run as somebody else, and the sticky bit.
const SPECIAL_BITS: u32 = 0o7_000;

/// One entry before it is judged.
pub(super) struct RawEntry<'a> {
    pub(super) kind: EntryType,
    pub(super) name: &'a str,
    pub(super) size: u64,
    /// `None` when the header has no readable one.
    pub(super) mode: Option<u32>,
    pub(super) link: Option<Vec<u8>>,
}

/// What has been seen of the tree, to judge links and names against.
///
/// A link takes its name like a file: nothing can lie below it (`path-conflict`), so nothing is unpacked *through* it.
/// Together with [`symlink_defect`] this keeps what a link's text says and where the file system leads the same.
pub(super) struct Tree {
    names: NameSet,
    files: HashSet<String>,
}

impl Tree {
    /// An empty tree.
    pub(super) fn new(limits: &ArchiveLimits) -> Self {
        Self {
            names: NameSet::new(limits),
            files: HashSet::new(),
        }
    }

    /// Judges one entry; returns whether it is a folder.
    pub(super) fn add(
        &mut self,
        entry: &RawEntry<'_>,
        limits: &ArchiveLimits,
        contents: &mut Contents,
        report: &mut Report,
    ) -> bool {
        let slash = entry.name.ends_with('/');
        let (is_folder, is_link) = match entry.kind {
            EntryType::Regular => (slash, false), // a name with a slash: a folder, as archives before POSIX have it
            EntryType::Directory => (true, false),
            EntryType::Symlink | EntryType::Link => (false, true),
            kind => {
                let detail = format!(
                    "neither file, folder nor link (type {:?})",
                    char::from(kind.as_byte())
                );
                report.entry("special-file", entry.name, detail);
                return false;
            }
        };
        if let Some((code, detail)) = check_name(entry.name, limits) {
            report.entry(code, entry.name, detail);
        }
        if entry.mode.is_none_or(|mode| mode & SPECIAL_BITS != 0) {
            if is_folder {
                contents.special_mode_folders += 1;
            } else {
                report.entry(
                    "special-mode",
                    entry.name,
                    "set-uid, set-gid or sticky bit, or no readable mode",
                );
            }
        }
        if (is_folder || is_link) && entry.size != 0 {
            report.entry("folder-data", entry.name, "a folder or link with content");
        }
        let path = entry.name.trim_end_matches('/').to_owned();
        self.names.add(
            entry.name,
            &if is_folder {
                format!("{path}/")
            } else {
                path.clone()
            },
            report,
        );
        if is_link {
            contents.links += 1;
            self.add_link(entry, path, report);
        } else if !is_folder {
            self.files.insert(path);
        }
        is_folder
    }

    fn add_link(&mut self, entry: &RawEntry<'_>, path: String, report: &mut Report) {
        let Some(target) = entry
            .link
            .as_deref()
            .and_then(|link| std::str::from_utf8(link).ok())
        else {
            report.entry("link-escape", entry.name, "a link without a readable target");
            return;
        };
        if entry.kind == EntryType::Link {
            if !self.files.contains(target.strip_prefix("./").unwrap_or(target)) {
                report.entry(
                    "link-escape",
                    entry.name,
                    format!("a hard link to {target:?}, which is no earlier file of the archive"),
                );
            }
            self.files.insert(path);
        } else if let Some(detail) = symlink_defect(&path, target) {
            report.entry("link-escape", entry.name, detail);
        }
    }
}

/// A symbolic link must stay in the top folder, by its text alone: parent steps only at its front, and fewer of them
/// than there are folders above it.
fn symlink_defect(path: &str, target: &str) -> Option<String> {
    if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0', ':']) {
        return Some(format!("a symbolic link to {target:?}"));
    }
    let depth = path.matches('/').count();
    let mut steps = target
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
        .peekable();
    let mut up = 0;
    while steps.next_if(|step| *step == "..").is_some() {
        up += 1;
    }
    // A link in the top folder itself (depth 1) has nowhere to go up to.
    if up >= depth || steps.any(|step| step == "..") {
        return Some(format!(
            "a symbolic link to {target:?}, which can lead out of the archive"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symlinks_stay_inside_by_their_text() {
        for (path, target) in [
            ("p-1/a", "b"),
            ("p-1/d/a", "../b"),
            ("p-1/d/e/a", "../../b/c"),
            ("p-1/a", "./b"),
        ] {
            assert_eq!(symlink_defect(path, target), None, "{path} -> {target}");
        }
        for (path, target) in [
            ("p-1/a", "../b"),
            ("a", "b/.."),
            ("p-1/d/a", "../../b"),
            ("p-1/a", "/etc/passwd"),
            ("p-1/a", "b/../../c"),
            ("p-1/a", "c:\\x"),
            ("p-1/a", ""),
        ] {
            assert!(symlink_defect(path, target).is_some(), "{path} -> {target}");
        }
    }
}
