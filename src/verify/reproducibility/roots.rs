//! Where in a source tree packages may lie.
//!
//! Content alone proves little: a source archive holds examples, test data and vendored copies, and a file that is
//! harmless as `examples/os.py` is not harmless as `os.py`. So importable files count only under a *root*, a folder from
//! which builds install, at exactly their own path below it.

use std::collections::{BTreeSet, HashSet};

use crate::verify::archive::SourceFile;

/// The words of which a root's path may be made. Measured on the corpus **[m]**: `""`, `src` and `lib` are all that real
/// sdists use; `python` and `py` hold the Python part of projects in several languages. Not in the list on purpose:
/// `test`, `examples`, `docs`, `vendor`, `third_party`, `build` and the project's own name, whose modules
/// (`foo/types.py`) would become top-level ones.
const ROOT_WORDS: [&str; 5] = ["src", "lib", "python", "py", "source"];
/// Folders of a root's path at most: `src/python` and `python/src` are seen, three in a row are not.
const MAX_ROOT_DEPTH: usize = 2;

/// Folders that hold programs, below any folder from which something is installed.
const SCRIPT_FOLDERS: [&str; 4] = ["bin", "script", "scripts", "tools"];
/// Folders from which nothing is installed to another place: their content is there to be read or to be tested with.
const NEVER_INSTALLED: [&str; 14] = [
    "test",
    "tests",
    "testing",
    "testdata",
    "test_data",
    "data",
    "example",
    "examples",
    "sample",
    "samples",
    "doc",
    "docs",
    "fixture",
    "fixtures",
];

/// The roots that a source tree has: the top (empty) always, and every folder made of [`ROOT_WORDS`] that is not a
/// package itself (has no `__init__.py`: moving its modules up would rename them).
pub(super) fn roots(files: &[SourceFile]) -> BTreeSet<String> {
    let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut found = BTreeSet::from([String::new()]);
    for file in files {
        let mut end = 0;
        for (depth, word) in file.path.split('/').enumerate() {
            end += word.len() + usize::from(depth > 0);
            // What comes last is the file itself.
            if depth >= MAX_ROOT_DEPTH || end == file.path.len() || !ROOT_WORDS.contains(&word) {
                break;
            }
            let root = &file.path[..end];
            if !found.contains(root) && !paths.contains(format!("{root}/__init__.py").as_str()) {
                found.insert(root.to_owned());
            }
        }
    }
    found
}

/// `path` below `root`.
pub(super) fn below(root: &str, path: &str) -> String {
    if root.is_empty() {
        path.to_owned()
    } else {
        format!("{root}/{path}")
    }
}

/// The rest of `path` below `root`, if it lies there.
pub(super) fn strip_root<'p>(root: &str, path: &'p str) -> Option<&'p str> {
    if root.is_empty() {
        return Some(path);
    }
    path.strip_prefix(root)?.strip_prefix('/')
}

/// Whether `tail` is the end of `path`, at a folder's border.
pub(super) fn is_tail(path: &str, tail: &str) -> bool {
    path.strip_suffix(tail)
        .is_some_and(|before| !tail.is_empty() && (before.is_empty() || before.ends_with('/')))
}

/// Whether a program may be installed from this path: from the top, from a root, or from a folder of programs.
pub(super) fn is_script_place(path: &str, roots: &BTreeSet<String>) -> bool {
    let Some((folder, _)) = path.rsplit_once('/') else {
        return true;
    };
    let last = folder.rsplit('/').next().unwrap_or(folder);
    roots.contains(folder) || (SCRIPT_FOLDERS.contains(&last) && !is_never_installed(path))
}

/// Whether a folder on the way to this file says that it is not there to be installed.
pub(super) fn is_never_installed(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders
        .split('/')
        .any(|folder| NEVER_INSTALLED.contains(&folder.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn found(paths: &[&str]) -> Vec<String> {
        let files: Vec<SourceFile> = paths
            .iter()
            .map(|path| SourceFile {
                path: (*path).to_owned(),
                sha256: None,
                as_script: None,
            })
            .collect();
        roots(&files).into_iter().collect()
    }

    #[test]
    fn roots_are_few_and_no_packages() {
        assert_eq!(found(&["setup.py", "pkg/a.py", "examples/os.py"]), [""]);
        assert_eq!(found(&["src/pkg/a.py", "tests/src/x.py"]), ["", "src"]);
        assert_eq!(found(&["src/python/pkg/a.py"]), ["", "src", "src/python"]);
        assert_eq!(found(&["src/lib/python/pkg/a.py"]), ["", "src", "src/lib"]);
        assert_eq!(
            found(&["py/__init__.py", "py/path.py"]),
            [""],
            "a package called py"
        );
        assert_eq!(found(&["src"]), [""], "a file called src");
        assert_eq!(found(&["libs/a.py", "Src/b.py"]), [""]);
    }

    #[test]
    fn programs_come_from_where_programs_are() {
        let roots = BTreeSet::from([String::new(), "src".to_owned()]);
        for good in ["tool", "bin/tool", "src/tool", "pkg/scripts/tool", "tools/x.py"] {
            assert!(is_script_place(good, &roots), "{good}");
        }
        for bad in [
            "tests/bin/python",
            "examples/tool",
            "pkg/tool",
            "docs/scripts/x",
            "data/bin/x",
        ] {
            assert!(!is_script_place(bad, &roots), "{bad}");
        }
    }

    #[test]
    fn tails_end_at_a_folders_border() {
        assert!(is_tail("src/pkg/x.py", "pkg/x.py"));
        assert!(is_tail("pkg/x.py", "pkg/x.py"));
        assert!(!is_tail("tests/notpkg/x.py", "pkg/x.py"));
        assert!(!is_tail("tests/data/evil.py", "pkg/x.py"));
        assert!(!is_tail("x.py", "pkg/x.py"));
        assert!(!is_tail("x.py", ""));
    }

    proptest! {
        #[test]
        fn a_tail_is_a_run_of_whole_folders(path in "[ab]{1,2}(/[ab]{1,2}){0,4}", tail in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let (path_words, words): (Vec<_>, Vec<_>) = (path.split('/').collect(), tail.split('/').collect());
            prop_assert_eq!(is_tail(&path, &tail), path_words.ends_with(&words));
        }

        #[test]
        fn what_is_put_below_a_root_comes_out_again(root in "([ab]{1,2}(/[ab]){0,2})?", path in "[ab](/[ab]){0,2}") {
            let whole = below(&root, &path);
            prop_assert!(is_tail(&whole, &path));
            prop_assert_eq!(strip_root(&root, &whole), Some(path.as_str()));
        }
    }
}
