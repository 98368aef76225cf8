//! The trace: every file of a wheel outside `.dist-info` held against the files of its source. Nothing is executed.
//!
//! What it shows is that a wheel brings nothing that is not in the source, and puts nothing where the source does not
//! have it. What it does not show: that the wheel has all that the source has ([`TraceFacts::left_out`] counts), nor that
//! its `.dist-info` is right (entry points and requirements are the structure's and the policy's).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chiron_storage::Digest;

use super::facts::{Missing, MissingFile, TraceFacts};
use super::roots::{below, is_never_installed, is_script_place, is_tail, roots, strip_root};
use crate::verify::archive::{SourceFile, Wanted, runs_at_start_up};
use crate::verify::{ContentEntry, Contents};

/// Missing files that are listed by name; all are counted.
const LISTED_MISSING: usize = 50;
/// Files of one name that are looked at for a script, a header or a data file (threat: a source with a hundred thousand
/// files of one name, against a wheel with as many).
const MAX_NAMESAKES: usize = 64;
/// Data files with these endings are code to some interpreter or loader, and count only at exactly their own path.
const CODE_ENDINGS: [&str; 12] = [
    "py", "pyc", "pyo", "pyw", "pth", "so", "pyd", "dll", "dylib", "exe", "egg", "whl",
];

/// Where an installer puts a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'n> {
    /// Beside the packages, under this path.
    Library(&'n str),
    /// Among the programs.
    Script(&'n str),
    /// Among the C headers.
    Header(&'n str),
    /// Under the environment's own root.
    Data(&'n str),
}

fn place<'n>(name: &'n str, contents: &Contents) -> Option<Place<'n>> {
    let below = |folder: &str| name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    if below(&contents.dist_info).is_some() {
        return None;
    }
    let Some(inside) = contents.data.as_deref().and_then(below) else {
        return Some(Place::Library(name));
    };
    // The structure check lets no other scheme pass.
    Some(match inside.split_once('/') {
        Some(("purelib" | "platlib", path)) => Place::Library(path),
        Some(("scripts", path)) => Place::Script(path),
        Some(("headers", path)) => Place::Header(path),
        Some((_, path)) => Place::Data(path),
        None => Place::Data(inside),
    })
}

/// What has to be known of the source's files to trace this wheel.
pub(super) fn wanted(contents: &Contents) -> Wanted {
    let mut wanted = Wanted::default();
    for entry in &contents.entries {
        match place(&entry.name, contents) {
            None => continue,
            Some(Place::Script(path)) => drop(wanted.scripts.insert(base(path).to_owned())),
            Some(_) => {}
        }
        wanted.sizes.insert(entry.size);
    }
    wanted
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn top(path: &str) -> &str {
    path.split_once('/').map_or(path, |(top, _)| top)
}

fn ending(path: &str) -> String {
    base(path)
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default()
}

/// The source, by what is asked of it.
struct Source<'s> {
    files: &'s [SourceFile],
    by_path: HashMap<&'s str, &'s SourceFile>,
    by_base: HashMap<&'s str, Vec<&'s SourceFile>>,
    contents: HashSet<(&'s str, Digest)>,
    roots: BTreeSet<String>,
}

impl<'s> Source<'s> {
    fn new(files: &'s [SourceFile]) -> Self {
        let mut by_base: HashMap<&str, Vec<&SourceFile>> = HashMap::new();
        for file in files {
            let namesakes = by_base.entry(base(&file.path)).or_default();
            if namesakes.len() < MAX_NAMESAKES {
                namesakes.push(file);
            }
        }
        let contents = files
            .iter()
            .filter_map(|file| Some((base(&file.path), file.sha256?)));
        Self {
            files,
            by_path: files.iter().map(|file| (file.path.as_str(), file)).collect(),
            by_base,
            contents: contents.collect(),
            roots: roots(files),
        }
    }

    fn has(&self, path: &str, sha256: Digest) -> bool {
        self.by_path
            .get(path)
            .is_some_and(|file| file.sha256 == Some(sha256))
    }

    fn namesakes(&self, path: &str) -> impl Iterator<Item = &'s SourceFile> + '_ {
        self.by_base.get(base(path)).into_iter().flatten().copied()
    }

    /// Why a file that should be at `at` does not count, for people.
    fn why(&self, entry: &ContentEntry, at: &str) -> Missing {
        if self.contents.contains(&(base(&entry.name), entry.sha256)) {
            Missing::Misplaced
        } else if self.by_path.contains_key(at) {
            Missing::Changed
        } else if ["so", "pyd", "dll", "dylib"].contains(&ending(&entry.name).as_str())
            || base(&entry.name).contains(".so.")
        {
            Missing::Native
        } else {
            Missing::Absent
        }
    }
}

/// Traces a wheel in the files of its source.
pub(super) fn trace(contents: &Contents, files: &[SourceFile]) -> TraceFacts {
    let source = Source::new(files);
    let placed: Vec<(&ContentEntry, Place<'_>)> = contents
        .entries
        .iter()
        .filter_map(|entry| Some((entry, place(&entry.name, contents)?)))
        .collect();
    let mut groups: BTreeMap<&str, Vec<(&ContentEntry, &str)>> = BTreeMap::new();
    for (entry, place) in &placed {
        if let Place::Library(path) = place {
            groups.entry(top(path)).or_default().push((*entry, *path));
        }
    }
    let root = main_root(&source, &groups);
    let mut facts = TraceFacts {
        files: placed.len() as u64,
        root: root.clone(),
        ..TraceFacts::default()
    };
    let mut missing: BTreeMap<&str, Missing> = BTreeMap::new();
    for (top, group) in &groups {
        let here = group_root(&source, group, &root);
        for (entry, why) in trace_group(&source, group, here, contents) {
            missing.insert(&entry.name, why);
        }
        facts.left_out += left_out(&source, top, group, here);
    }
    for (entry, place) in &placed {
        if let Some(why) = trace_other(&source, entry, *place, &root, contents) {
            missing.insert(&entry.name, why);
        }
    }
    facts.in_source = facts.files - missing.len() as u64;
    facts.missing = missing
        .into_iter()
        .take(LISTED_MISSING)
        .map(|(path, why)| MissingFile {
            path: path.to_owned(),
            why,
        })
        .collect();
    facts
}

/// The root under which most importable files are: one for the whole wheel. A tie goes to the shortest.
fn main_root(source: &Source<'_>, groups: &BTreeMap<&str, Vec<(&ContentEntry, &str)>>) -> String {
    let found = |root: &str| {
        let files = groups.values().flatten();
        files
            .filter(|(entry, path)| entry.size > 0 && source.has(&below(root, path), entry.sha256))
            .count()
    };
    let mut best = (0, "");
    for root in &source.roots {
        let count = found(root);
        if count > best.0 || (count == best.0 && root.len() < best.1.len()) {
            best = (count, root);
        }
    }
    best.1.to_owned()
}

/// All files of one top-level name lie under one root: the wheel's, or the source's own top (a `tests` folder that was
/// installed by accident beside `src/pkg` lies there). More freedom would let a wheel mix two copies of a package.
fn group_root<'r>(source: &Source<'_>, group: &[(&ContentEntry, &str)], main: &'r str) -> &'r str {
    let found = |root: &str| {
        group
            .iter()
            .filter(|(entry, path)| source.has(&below(root, path), entry.sha256))
            .count()
    };
    if found("") > found(main) { "" } else { main }
}

/// The files of one top-level name that are not in the source.
fn trace_group<'g>(
    source: &Source<'_>,
    group: &[(&'g ContentEntry, &'g str)],
    root: &str,
    contents: &Contents,
) -> Vec<(&'g ContentEntry, Missing)> {
    let is_there = |(entry, path): &&(&ContentEntry, &str)| source.has(&below(root, path), entry.sha256);
    // An empty `__init__.py` or `py.typed` says nothing by its content, and builds do make them. It is believed inside a
    // package of which something else is in the source; alone it could be put over another project's module.
    let anchored = group
        .iter()
        .filter(|(entry, _)| entry.size > 0)
        .any(|file| is_there(&file));
    let mut missing = Vec::new();
    for file in group {
        let (entry, path) = *file;
        if is_there(&file) {
            continue;
        }
        let at = below(root, path);
        let why = if runs_at_start_up(&entry.name, contents) {
            Missing::StartUp
        } else if entry.size > 0 {
            source.why(entry, &at)
        } else if source.by_path.contains_key(at.as_str()) {
            Missing::Changed // there, and not empty: a module that was emptied
        } else if anchored {
            continue;
        } else {
            Missing::Empty
        };
        missing.push((entry, why));
    }
    missing
}

/// Why a script, header or data file is not in the source; `None` when it is, or is importable.
fn trace_other(
    source: &Source<'_>,
    entry: &ContentEntry,
    place: Place<'_>,
    root: &str,
    contents: &Contents,
) -> Option<Missing> {
    let exact = |path: &str| source.has(path, entry.sha256) || source.has(&below(root, path), entry.sha256);
    let same = |file: &SourceFile| file.sha256 == Some(entry.sha256) && entry.size > 0;
    let (path, found) = match place {
        Place::Library(_) => return None,
        Place::Script(path) => {
            let found = source.namesakes(path).any(|file| {
                (same(file) || file.as_script == Some(entry.sha256))
                    && is_tail(&file.path, path)
                    && is_script_place(&file.path, &source.roots)
            });
            (path, found)
        }
        Place::Header(path) => {
            let found = source
                .namesakes(path)
                .any(|file| same(file) && is_tail(&file.path, path) && !is_never_installed(&file.path));
            (path, found || exact(path))
        }
        Place::Data(path) => {
            // Manual pages, icons, notebooks: only the name is kept. Everything that something runs stays put.
            let shared = path.starts_with("share/") && !CODE_ENDINGS.contains(&ending(path).as_str());
            let found = shared && (entry.size == 0 || source.namesakes(path).any(same));
            (path, found || exact(path))
        }
    };
    if found {
        return None;
    }
    Some(if runs_at_start_up(&entry.name, contents) {
        Missing::StartUp
    } else if entry.size == 0 {
        Missing::Empty
    } else {
        source.why(entry, &below(root, path))
    })
}

/// Python modules of the source in a folder of the wheel's top level that the wheel does not have.
fn left_out(source: &Source<'_>, top: &str, group: &[(&ContentEntry, &str)], root: &str) -> u64 {
    let there: HashSet<&str> = group.iter().map(|(_, path)| *path).collect();
    let inside = |path: &&str| path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
    let modules = source
        .files
        .iter()
        .filter_map(|file| strip_root(root, &file.path))
        .filter(|path| ending(path) == "py")
        .filter(inside);
    modules.filter(|path| !there.contains(path)).count() as u64
}

#[cfg(test)]
mod tests;
