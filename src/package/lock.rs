//! Lock files: `pylock.toml` (PEP 751) and `uv.lock`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use toml::Spanned;
use uv_pep440::VersionSpecifier;

use super::requirements::MAX_PINS;
use super::{DistributionFilename, HashClaim, NameError, Pin, Pins, ProjectName, Specifiers, Version};

/// Largest lock file read, in bytes. Very large real ones have about 5 MiB.
pub const MAX_LOCK_BYTES: usize = 32 << 20;

/// Why a lock file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Over [`MAX_LOCK_BYTES`].
    #[error("the lock file has {0} bytes, more than the {MAX_LOCK_BYTES} that are read")]
    TooLarge(usize),
    /// Over the bound for requirements files.
    #[error("the lock file has more than {MAX_PINS} packages")]
    TooMany,
    /// Broken TOML, or a value of the wrong type.
    #[error("the lock file cannot be read: {0}")]
    Toml(String),
    /// A major version that is not known: its meaning is not, either.
    #[error("the lock file has the format version {found}; only {known} is understood")]
    Format {
        /// What it says.
        found: String,
        /// What is understood.
        known: &'static str,
    },
    /// A package that cannot be a project of an index.
    #[error("line {line}: {source}")]
    Name {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: NameError,
    },
    /// Neither a version nor a file name that tells one.
    #[error("line {line}: {project} has no readable version")]
    Version {
        /// Counted from 1.
        line: usize,
        /// The package.
        project: ProjectName,
    },
    /// Not `algorithm:hex`.
    #[error("line {line}: {project} has the hash {text:?}, which is not a digest")]
    Hash {
        /// Counted from 1.
        line: usize,
        /// The package.
        project: ProjectName,
        /// The front of it.
        text: String,
    },
}

/// Reads `pylock.toml` (PEP 751). Packages from a VCS, a folder or an archive become notes.
pub fn parse_pylock(text: &str) -> Result<Pins, LockError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Lock {
        lock_version: String,
        #[serde(default)]
        packages: Vec<Spanned<Package>>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        marker: Option<String>,
        #[serde(default)]
        wheels: Vec<File>,
        sdist: Option<File>,
        vcs: Option<serde::de::IgnoredAny>,
        directory: Option<serde::de::IgnoredAny>,
        archive: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct File {
        name: Option<String>,
        url: Option<String>,
        path: Option<String>,
        #[serde(default)]
        hashes: BTreeMap<String, String>,
    }

    let lock: Lock = read(text)?;
    if lock.lock_version.split('.').next() != Some("1") {
        return Err(LockError::Format {
            found: cut(&lock.lock_version),
            known: "1.x",
        });
    }
    let lines = Lines::new(text);
    let mut pins = Pins::default();
    for package in lock.packages {
        let line = lines.at(package.span().start);
        let package = package.into_inner();
        let project = ProjectName::parse(&package.name).map_err(|source| LockError::Name { line, source })?;
        let elsewhere = [
            (package.vcs.is_some(), "a version control system"),
            (package.directory.is_some(), "a folder"),
            (package.archive.is_some(), "an archive"),
        ];
        if let Some((_, place)) = elsewhere.into_iter().find(|(is, _)| *is) {
            pins.note(
                line,
                format!("{project} comes from {place}, not from an index: left out"),
            );
            continue;
        }
        let mut locked = Locked {
            line,
            project,
            files: Vec::new(),
            hashes: Vec::new(),
        };
        for file in package.sdist.into_iter().chain(package.wheels) {
            locked.file(file.name.as_deref(), file.url.as_deref().or(file.path.as_deref()));
            for (algorithm, value) in &file.hashes {
                locked.hash(HashClaim::new(algorithm, value), value)?;
            }
        }
        locked.finish(package.version.as_deref(), package.marker, &mut pins)?;
    }
    Ok(pins)
}

/// Reads `uv.lock`, format version 1. Packages that do not come from a registry become notes.
pub fn parse_uv_lock(text: &str) -> Result<Pins, LockError> {
    #[derive(Deserialize)]
    struct Lock {
        version: u32,
        #[serde(default)]
        package: Vec<Spanned<Package>>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: Option<String>,
        source: toml::Table,
        sdist: Option<File>,
        #[serde(default)]
        wheels: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        filename: Option<String>,
        url: Option<String>,
        path: Option<String>,
        hash: Option<String>,
    }

    let lock: Lock = read(text)?;
    if lock.version != 1 {
        return Err(LockError::Format {
            found: lock.version.to_string(),
            known: "1",
        });
    }
    let lines = Lines::new(text);
    let mut pins = Pins::default();
    for package in lock.package {
        let line = lines.at(package.span().start);
        let package = package.into_inner();
        let project = ProjectName::parse(&package.name).map_err(|source| LockError::Name { line, source })?;
        if !package.source.contains_key("registry") {
            let kind = package.source.keys().next().map_or("no source", String::as_str);
            pins.note(
                line,
                format!("{project} comes from {}, not from an index: left out", cut(kind)),
            );
            continue;
        }
        let mut locked = Locked {
            line,
            project,
            files: Vec::new(),
            hashes: Vec::new(),
        };
        for file in package.sdist.into_iter().chain(package.wheels) {
            locked.file(
                file.filename.as_deref(),
                file.url.as_deref().or(file.path.as_deref()),
            );
            if let Some(hash) = &file.hash {
                locked.hash(HashClaim::parse(hash), hash)?;
            }
        }
        locked.finish(package.version.as_deref(), None, &mut pins)?;
    }
    Ok(pins)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, LockError> {
    if text.len() > MAX_LOCK_BYTES {
        return Err(LockError::TooLarge(text.len()));
    }
    toml::from_str(text).map_err(|error| LockError::Toml(error.to_string().trim_end().to_owned()))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A package of a lock file while its files are collected.
struct Locked {
    line: usize,
    project: ProjectName,
    files: Vec<String>,
    hashes: Vec<HashClaim>,
}

impl Locked {
    /// Keeps a file's name: as given, else the end of its URL or path.
    fn file(&mut self, name: Option<&str>, place: Option<&str>) {
        let end = || {
            let path = place?.split(['#', '?']).next()?;
            let segment = path.rsplit(['/', '\\']).next()?;
            Some(percent_decode_str(segment).decode_utf8_lossy().into_owned())
        };
        self.files.extend(
            name.map(str::to_owned)
                .or_else(end)
                .filter(|name| !name.is_empty()),
        );
    }

    fn hash(&mut self, claim: Option<HashClaim>, text: &str) -> Result<(), LockError> {
        let refused = || LockError::Hash {
            line: self.line,
            project: self.project.clone(),
            text: cut(text),
        };
        self.hashes.push(claim.ok_or_else(refused)?);
        Ok(())
    }

    fn finish(self, version: Option<&str>, marker: Option<String>, pins: &mut Pins) -> Result<(), LockError> {
        if pins.pins.len() >= MAX_PINS {
            return Err(LockError::TooMany);
        }
        let Self {
            line,
            project,
            files,
            hashes,
        } = self;
        let parsed = |name: &String| DistributionFilename::parse_for(name, &project).ok();
        let version: Option<Version> = match version {
            Some(text) => text.parse().ok(),
            None => files.iter().find_map(parsed).map(|file| file.version().clone()),
        };
        let Some(version) = version else {
            return Err(LockError::Version { line, project });
        };
        if hashes.is_empty() {
            pins.note(
                line,
                format!("{project} has no hash: any file of {version} will do"),
            );
        }
        let specifier = Specifiers::from(VersionSpecifier::equals_version(version));
        pins.pins.push(Pin {
            project,
            specifier,
            extras: Vec::new(),
            marker,
            hashes,
            files,
            line,
        });
        Ok(())
    }
}

/// Offsets of a text to line numbers.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(place, _)| place).collect())
    }

    /// Counted from 1.
    fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|newline| *newline < offset)
    }
}

#[cfg(test)]
mod tests;
