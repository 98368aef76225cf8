//! What the command line of `ingest` names: releases to fetch, and files at hand.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::api::IngestItem;
use crate::cli::exit::Failure;
use crate::cli::output::note;
use crate::cli::target::is_archive;
use crate::package::{DistributionFilename, Pin, Pins, lock, requirements};

/// Bytes of a requirements or lock file; the largest real ones are a few megabytes.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Folders inside a folder; deeper ones are most likely a mistake (`chiron ingest /`).
const MAX_DEPTH: u32 = 16;

/// A wheel or sdist at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFile {
    /// Where.
    pub path: PathBuf,
    /// The last part of its path.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

impl LocalFile {
    /// By its name.
    pub fn is_wheel(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with(".whl")
    }
}

/// All that is to be brought in.
#[derive(Debug, Default)]
pub struct Sources {
    /// To fetch from upstream.
    pub items: Vec<IngestItem>,
    /// To send.
    pub files: Vec<LocalFile>,
    /// The specs as they were typed, for a resolver.
    pub specs: Vec<String>,
}

impl Sources {
    /// Reads the arguments and the files that they name; nothing is sent yet.
    pub fn collect(what: &[String], requirements: &[PathBuf], locks: &[PathBuf]) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for text in what {
            if is_path(text) {
                sources.path(Path::new(text), true, 0)?;
            } else {
                sources.spec(text)?;
            }
        }
        for path in requirements {
            let text = read_list(path)?;
            let pins = requirements::parse_requirements(&text).map_err(|error| in_file(path, &error))?;
            sources.pins(path, &pins);
        }
        for path in locks {
            let text = read_list(path)?;
            let kind = LockKind::of(path, &text).ok_or_else(|| {
                Failure::usage(format_args!(
                    "{} is neither a pylock.toml nor a uv.lock",
                    path.display()
                ))
                .next("a requirements file goes with -r")
            })?;
            let pins = match kind {
                LockKind::Uv => lock::parse_uv_lock(&text),
                LockKind::Pylock => lock::parse_pylock(&text),
            };
            sources.pins(path, &pins.map_err(|error| in_file(path, &error))?);
        }
        sources.with_source_distributions();
        Ok(sources)
    }

    /// Adds the sdist that lies beside a wheel of the same release, and puts all sdists first: a wheel is held against
    /// its source when it is judged.
    fn with_source_distributions(&mut self) {
        let mut beside = Vec::new();
        for wheel in &self.files {
            let Some(name) = DistributionFilename::parse(&wheel.name)
                .ok()
                .filter(|name| name.wheel().is_some())
            else {
                continue;
            };
            let folder = wheel
                .path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
                continue;
            };
            for entry in entries.flatten() {
                if let Some(sdist) = sdist_of(&name, &entry) {
                    beside.push(sdist);
                }
            }
        }
        for sdist in beside {
            if !self.files.iter().any(|file| file.name == sdist.name) {
                self.files.push(sdist);
            }
        }
        self.files.sort_by_key(LocalFile::is_wheel);
    }

    fn spec(&mut self, text: &str) -> Result<(), Failure> {
        let wrong = |why: &str| {
            Failure::usage(format_args!("`{text}` is neither a file nor a release: {why}"))
                .next("write a release as flask, flask==3.0.3 or 'flask>=3,<4'; write a file or folder with a `/` (./flask)")
        };
        if Path::new(text).exists() {
            note(format_args!(
                "note: `{text}` is taken for a project; ./{text} is also here"
            ));
        }
        let pins = requirements::parse_requirements(text).map_err(|error| wrong(&error.to_string()))?;
        match pins.pins.as_slice() {
            [pin] => self.items.push(item(pin)),
            _ => return Err(wrong("it names no project")),
        }
        self.specs.push(text.to_owned());
        Ok(())
    }

    fn pins(&mut self, path: &Path, pins: &Pins) {
        for left_out in &pins.notes {
            note(format_args!(
                "note: {}:{}: {}",
                path.display(),
                left_out.line,
                left_out.text
            ));
        }
        self.items.extend(pins.pins.iter().map(item));
    }

    /// A file, or every wheel and sdist in a folder, in the order of their names.
    fn path(&mut self, path: &Path, named: bool, depth: u32) -> Result<(), Failure> {
        let unreadable = |error: &std::io::Error| Failure::file("read", path, error);
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        if metadata.is_dir() {
            if depth >= MAX_DEPTH {
                return Err(Failure::usage(format_args!(
                    "{} is more than {MAX_DEPTH} folders deep",
                    path.display()
                )));
            }
            let entries = std::fs::read_dir(path).map_err(|error| unreadable(&error))?;
            let entries: Result<Vec<_>, _> = entries.collect();
            let mut entries = entries.map_err(|error| unreadable(&error))?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            let before = self.files.len();
            for entry in entries {
                // A link in a folder could lead in a circle, or out of it.
                if !entry
                    .file_type()
                    .map_err(|error| unreadable(&error))?
                    .is_symlink()
                {
                    self.path(&entry.path(), false, depth + 1)?;
                }
            }
            if named && self.files.len() == before {
                return Err(
                    Failure::usage(format_args!("there is no wheel or sdist in {}", path.display()))
                        .next("wheels end in .whl, sdists in .tar.gz or .zip"),
                );
            }
            return Ok(());
        }
        if metadata.is_file() && is_archive(&name) {
            self.files.push(LocalFile {
                path: path.to_owned(),
                name,
                size: metadata.len(),
            });
            return Ok(());
        }
        if named {
            return Err(Failure::usage(format_args!(
                "{} is neither a wheel, an sdist nor a folder",
                path.display()
            ))
            .next("a requirements file goes with -r, a lock file with --lock"));
        }
        Ok(())
    }
}

/// A folder's entry, if it is a source distribution of the release that a wheel belongs to.
fn sdist_of(wheel: &DistributionFilename, entry: &std::fs::DirEntry) -> Option<LocalFile> {
    let name = entry.file_name().into_string().ok()?;
    let release = DistributionFilename::parse(&name).ok()?;
    let same = release.wheel().is_none()
        && release.project() == wheel.project()
        && release.version() == wheel.version();
    let metadata = entry.metadata().ok().filter(|m| same && m.is_file())?;
    Some(LocalFile {
        path: entry.path(),
        name,
        size: metadata.len(),
    })
}

/// True for what the user means as a path: it has a separator or ends like an archive.
fn is_path(text: &str) -> bool {
    text.contains(std::path::is_separator) || matches!(text, "." | "..") || is_archive(text)
}

/// A pin as the admin API takes it.
fn item(pin: &Pin) -> IngestItem {
    let specifier = pin.specifier.to_string();
    super::item(
        pin.project.as_str(),
        (!specifier.is_empty()).then_some(specifier),
        pin.hashes
            .iter()
            .map(|hash| format!("{}:{}", hash.algorithm, hash.value_hex))
            .collect(),
    )
}

/// Several resolutions as one list: a release once, with the hashes of all.
pub fn merge(resolutions: &[Pins]) -> Vec<IngestItem> {
    let mut merged: BTreeMap<(String, Option<String>), IngestItem> = BTreeMap::new();
    for pin in resolutions.iter().flat_map(|resolution| &resolution.pins) {
        let new = item(pin);
        match merged.entry((new.project.clone(), new.specifier.clone())) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(new);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.hashes.extend(new.hashes);
                known.hashes.sort_unstable();
                known.hashes.dedup();
            }
        }
    }
    merged.into_values().collect()
}

/// Which lock format a file has.
#[derive(Debug, PartialEq, Eq)]
enum LockKind {
    Uv,
    Pylock,
}

impl LockKind {
    /// By name as PEP 751 and uv fix it, else by content.
    fn of(path: &Path, text: &str) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let middle = name
            .strip_prefix("pylock")
            .and_then(|rest| rest.strip_suffix(".toml"));
        let pylock_name = middle.is_some_and(|middle| middle.is_empty() || middle.starts_with('.'));
        let has_line = |start: &str| text.lines().any(|line| line.starts_with(start));
        match name {
            "uv.lock" => Some(Self::Uv),
            _ if pylock_name || has_line("lock-version") => Some(Self::Pylock),
            _ if has_line("[[package]]") => Some(Self::Uv),
            _ => None,
        }
    }
}

/// Reads `--python`: `3.12`.
pub fn python_version(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not a Python version such as 3.12");
    let (major, minor) = text.split_once('.').ok_or_else(wrong)?;
    let number = |part: &str| part.parse::<u8>().map_err(|_| wrong());
    Ok(format!("{}.{}", number(major)?, number(minor)?))
}

fn read_list(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::file("read", path, &error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_LIST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_LIST_BYTES {
        return Err(Failure::usage(format_args!(
            "{} is longer than {MAX_LIST_BYTES} bytes",
            path.display()
        )));
    }
    Ok(text)
}

fn in_file(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format_args!("{}: {error}", path.display())).next("mend the file; nothing was brought in")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn specs_and_paths_are_told_apart() {
        for (text, path) in [
            ("flask", false),
            ("flask>=3,<4", false),
            ("./flask", true),
            ("wheels/", true),
            (".", true),
            ("a-1-py3-none-any.whl", true),
            ("a-1.tar.gz", true),
        ] {
            assert_eq!(is_path(text), path, "{text}");
        }
    }

    #[test]
    fn specs_become_items() {
        let what = ["Flask", "django>=5,<6", "six==1.16.0"].map(ToOwned::to_owned);
        let sources = Sources::collect(&what, &[], &[]).unwrap();
        let items: Vec<_> = sources
            .items
            .iter()
            .map(|item| (item.project.as_str(), item.specifier.as_deref()))
            .collect();
        assert_eq!(
            items,
            [
                ("flask", None),
                ("django", Some(">=5, <6")),
                ("six", Some("==1.16.0"))
            ]
        );
        assert_eq!(sources.specs, what);
    }

    #[test]
    fn what_is_no_spec_is_a_usage_error() {
        for text in ["", "flask==", "a b", "-r x", "# comment"] {
            let failure = Sources::collect(&[text.to_owned()], &[], &[]).unwrap_err();
            assert_eq!(failure.status, ExitStatus::Usage, "{text}");
        }
    }

    #[test]
    fn a_folder_gives_its_archives_in_order_and_leaves_links_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), b"12345").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b-1-py3-none-any.whl", "a-1.tar.gz", "README", "sub/c-1.zip"] {
            write(name);
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/loop")).unwrap();
        let sources = Sources::collect(&[format!("{}/", folder.path().display())], &[], &[]).unwrap();
        let names: Vec<_> = sources.files.iter().map(|file| file.name.as_str()).collect();
        // Sources come first: wheels are held against them.
        assert_eq!(names, ["a-1.tar.gz", "c-1.zip", "b-1-py3-none-any.whl"]);
        assert_eq!(sources.files[0].size, 5);
    }

    #[test]
    fn an_empty_folder_and_a_missing_file_are_usage_errors() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            format!("{}/", folder.path().display()),
            "./no-such-1-py3-none-any.whl".to_owned(),
        ] {
            assert_eq!(
                Sources::collect(&[path], &[], &[]).unwrap_err().status,
                ExitStatus::Usage
            );
        }
    }

    #[test]
    fn lock_files_are_known_by_name_then_content() {
        let kind = |name: &str, text: &str| LockKind::of(Path::new(name), text);
        assert_eq!(kind("uv.lock", ""), Some(LockKind::Uv));
        assert_eq!(kind("d/pylock.dev.toml", ""), Some(LockKind::Pylock));
        assert_eq!(kind("x.toml", "lock-version = \"1.0\"\n"), Some(LockKind::Pylock));
        assert_eq!(kind("x.lock", "version = 1\n[[package]]\n"), Some(LockKind::Uv));
        assert_eq!(kind("requirements.txt", "flask==3\n"), None);
    }

    #[test]
    fn pythons_are_two_numbers() {
        assert_eq!(python_version("3.12"), Ok("3.12".to_owned()));
        for wrong in ["3", "3.12.1", "py312", "3.x", ""] {
            assert!(python_version(wrong).is_err(), "{wrong}");
        }
    }
}
