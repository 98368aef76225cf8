//! The files of a source distribution with their digests, for whoever holds a wheel against them. Read by the same
//! strict readers as the structure check, in one pass, and nothing is kept of the contents.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use chiron_storage::Digest;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::limits::ArchiveLimits;
use super::member::{MemberError, Reader};
use super::report::{Report, Stop};
use super::tarball::{self, Link, Part};
use super::wheel::Layout;
use super::wheel_facts::is_start_up;
use super::window::Window;
use super::zip::{lay_out, read_directory, read_members};
use crate::package::{DistributionFilename, SdistFormat};
use crate::verify::Contents;

/// Links that are followed from one to the next (threat: a circle).
const MAX_LINK_STEPS: usize = 8;
/// Bytes of a script's first line that are looked at: what Linux reads of it.
const MAX_FIRST_LINE: usize = 256;

/// A file of a source distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path below the archive's one top folder.
    pub path: String,
    /// Its content; `None` when nobody asked for it ([`Wanted`]).
    pub sha256: Option<Digest>,
    /// Its content as a build of it as a script has it: the interpreter of the first line replaced by `python`
    /// (`#!/usr/bin/env python3 -u` becomes `#!python -u`). `None` when it is no Python script, or not asked for.
    pub as_script: Option<Digest>,
}

/// What a reader wants to know.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Sizes in bytes of the files that are of interest: others are not hashed.
    pub sizes: HashSet<u64>,
    /// Last components of the paths of files whose form as a script is of interest.
    pub scripts: HashSet<String>,
}

/// Why the files cannot be listed.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The archive is not sound; the structure check refuses it too.
    #[error("the source archive is not sound: {0}")]
    Unsound(String),
    /// The file cannot be read; says nothing about it.
    #[error("the source archive cannot be read: {0}")]
    Unreadable(std::io::Error),
}

/// Lists the files of an sdist of `size` bytes that is called `name`. Busy for its whole run: call it on a blocking
/// thread. Memory: the names.
pub fn source_files(
    file: &File,
    size: u64,
    name: &DistributionFilename,
    limits: &ArchiveLimits,
    wanted: &Wanted,
) -> Result<Vec<SourceFile>, SourceError> {
    let mut report = Report::default();
    let mut listing = Listing::new(wanted);
    let read = match name.sdist_format() {
        Some(SdistFormat::TarGz) => {
            tarball::read(file, size, limits, &mut report, &mut |part| listing.see(part)).map(drop)
        }
        Some(SdistFormat::Zip) => read_zip(Window::new(file, size), limits, &mut report, &mut listing),
        None => {
            return Err(SourceError::Unsound(format!(
                "{} is not a source distribution",
                name.raw()
            )));
        }
    };
    match read.and_then(|()| report.stop_if_bad()) {
        Ok(()) => Ok(listing.finish()),
        Err(Stop::Unreadable(error)) => Err(SourceError::Unreadable(error)),
        Err(Stop::Refused) => Err(SourceError::Unsound(report.finish(String::new(), None).summary)),
    }
}

/// Whether Python runs a file of this wheel whenever it starts.
pub(crate) fn runs_at_start_up(name: &str, contents: &Contents) -> bool {
    let layout = Layout {
        dist_info: &contents.dist_info,
        data: contents.data.as_deref(),
    };
    is_start_up(name, &layout)
}

fn read_zip(
    window: Window<'_>,
    limits: &ArchiveLimits,
    report: &mut Report,
    listing: &mut Listing<'_>,
) -> Result<(), Stop> {
    let mut reader = Reader::new(window);
    let (directory, bytes) = read_directory(&mut reader.window, limits, report)?;
    let mut members = read_members(&bytes, &directory, limits, report)?;
    lay_out(&mut members, &directory, report)?;
    for member in &members {
        let (name, size) = (member.name, member.size);
        listing.see(Part::Entry {
            name,
            size,
            link: None,
        });
        match reader.member(member, |bytes| listing.see(Part::Bytes(bytes))) {
            Ok(()) => {}
            Err(MemberError::Bad(code, detail)) => report.entry(code, member.name, detail),
            Err(MemberError::Io(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The files as they come by, the last of them still open.
struct Listing<'w> {
    wanted: &'w Wanted,
    files: Vec<SourceFile>,
    /// (path of the link, path it leads to), both below the top folder.
    links: Vec<(String, String)>,
    open: Option<Open>,
}

struct Open {
    path: String,
    hash: Option<Sha256>,
    script: Option<Script>,
}

impl<'w> Listing<'w> {
    fn new(wanted: &'w Wanted) -> Self {
        Self {
            wanted,
            files: Vec::new(),
            links: Vec::new(),
            open: None,
        }
    }

    fn see(&mut self, part: Part<'_>) {
        match part {
            Part::Bytes(bytes) => {
                if let Some(open) = &mut self.open {
                    if let Some(hash) = &mut open.hash {
                        hash.update(bytes);
                    }
                    if let Some(script) = &mut open.script {
                        script.update(bytes);
                    }
                }
            }
            Part::Entry { name, size, link } => {
                self.close();
                let Some(path) = below_top(name).filter(|path| !path.is_empty() && !path.ends_with('/'))
                else {
                    return;
                };
                match link {
                    None => {
                        let base = path.rsplit('/').next().unwrap_or(path);
                        let is_script = self.wanted.scripts.contains(base);
                        self.open = Some(Open {
                            path: path.to_owned(),
                            hash: (is_script || self.wanted.sizes.contains(&size)).then(Sha256::new),
                            script: is_script.then(Script::default),
                        });
                    }
                    Some(link) => {
                        if let Some(target) = link_target(path, &link) {
                            self.links.push((path.to_owned(), target));
                        }
                    }
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.files.push(SourceFile {
                path: open.path,
                sha256: open.hash.map(finish),
                as_script: open.script.and_then(Script::finish),
            });
        }
    }

    /// With every link as the file that it leads to: a build reads through it. Links to folders and into nowhere are
    /// left out: what lies behind them counts as not in the source.
    fn finish(mut self) -> Vec<SourceFile> {
        self.close();
        let at: HashMap<&str, usize> = self
            .files
            .iter()
            .enumerate()
            .map(|(at, file)| (file.path.as_str(), at))
            .collect();
        let links: HashMap<&str, &str> = self
            .links
            .iter()
            .map(|(path, target)| (path.as_str(), target.as_str()))
            .collect();
        let mut followed = Vec::new();
        for (path, target) in &self.links {
            let mut target = target.as_str();
            for _ in 0..MAX_LINK_STEPS {
                if let Some(at) = at.get(target) {
                    followed.push(SourceFile {
                        path: path.clone(),
                        ..self.files[*at].clone()
                    });
                    break;
                }
                let Some(next) = links.get(target) else { break };
                target = next;
            }
        }
        self.files.append(&mut followed);
        self.files
    }
}

fn finish(hash: Sha256) -> Digest {
    Digest::from_bytes(hash.finalize().into())
}

/// The path without the archive's top folder, which the structure check found to be one.
fn below_top(name: &str) -> Option<&str> {
    name.split_once('/').map(|(_, path)| path)
}

/// Where a link leads, below the top folder; `None` when its text leads elsewhere.
fn link_target(path: &str, link: &Link<'_>) -> Option<String> {
    match link {
        Link::Hard(target) => {
            let target = std::str::from_utf8(target).ok()?;
            below_top(target.strip_prefix("./").unwrap_or(target)).map(str::to_owned)
        }
        Link::Symbolic(target) => {
            let target = std::str::from_utf8(target).ok()?;
            let mut steps: Vec<&str> = path.split('/').collect();
            steps.pop();
            for step in target.split('/') {
                match step {
                    "" | "." => {}
                    ".." => drop(steps.pop()?),
                    step => steps.push(step),
                }
            }
            Some(steps.join("/"))
        }
    }
}

/// The hash of a file as its build as a script would write it: distutils' `build_scripts` keeps what follows the
/// interpreter on the first line, and wheels hold `#!python` in its place (binary distribution format, "Recommended
/// installer features": the installer puts its own interpreter there).
#[derive(Default)]
struct Script {
    first: Vec<u8>,
    /// Once the first line has ended.
    rest: Option<Sha256>,
    refused: bool,
}

impl Script {
    fn update(&mut self, bytes: &[u8]) {
        if self.refused {
            return;
        }
        if let Some(rest) = &mut self.rest {
            rest.update(bytes);
            return;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, after) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        if self.first.len() + line.len() > MAX_FIRST_LINE {
            self.refused = true;
            return;
        }
        self.first.extend_from_slice(line);
        if end.is_some() {
            self.begin_rest();
            self.update(after);
        }
    }

    fn begin_rest(&mut self) {
        match rewritten(&self.first) {
            Some(line) => {
                let mut hash = Sha256::new();
                hash.update(line);
                self.rest = Some(hash);
            }
            None => self.refused = true,
        }
    }

    fn finish(mut self) -> Option<Digest> {
        if self.rest.is_none() && !self.refused {
            self.begin_rest();
        }
        self.rest.filter(|_| !self.refused).map(finish)
    }
}

/// The first line as a wheel has it: distutils' `^#!.*python[0-9.]*([ \t].*)?$`, with the interpreter as `python`.
fn rewritten(line: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let command = text.strip_prefix("#!")?;
    // The last `python` after which only a version, or a blank and arguments, follows: as the pattern's greedy `.*` does.
    let arguments = command.rmatch_indices("python").find_map(|(at, word)| {
        let after = command[at + word.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        (after.is_empty() || after.starts_with([' ', '\t'])).then_some(after)
    })?;
    Some(format!("#!python{arguments}\n").into_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn first_lines_are_rewritten_as_distutils_does() {
        let line = |text: &str| rewritten(text.as_bytes()).map(|line| String::from_utf8(line).unwrap());
        for (from, to) in [
            ("#!/usr/bin/env python3\n", "#!python\n"),
            ("#!/usr/bin/python\r\n", "#!python\n"),
            ("#! /usr/bin/python3.11 -u\n", "#!python -u\n"),
            ("#!/usr/bin/env python", "#!python\n"),
            ("#!/opt/python/bin/python2 x python\n", "#!python\n"),
        ] {
            assert_eq!(line(from).as_deref(), Some(to), "{from:?}");
        }
        for from in [
            "#!/bin/sh\n",
            "import os\n",
            "#!/usr/bin/pythonista\n",
            "",
            "# python\n",
        ] {
            assert_eq!(line(from), None, "{from:?}");
        }
    }

    #[test]
    fn a_script_is_hashed_as_it_would_be_written() {
        for cut in [1, 5, 22, 23, 24, 30] {
            let text = b"#!/usr/bin/env python3\nimport sys\n";
            let mut script = Script::default();
            for piece in text.chunks(cut) {
                script.update(piece);
            }
            assert_eq!(
                script.finish(),
                Some(Digest::of(b"#!python\nimport sys\n")),
                "{cut}"
            );
        }
        let mut long = Script::default();
        long.update(b"#!");
        long.update(&[b' '; 300]);
        long.update(b"python\n");
        assert_eq!(long.finish(), None);
    }

    #[test]
    fn links_lead_where_their_text_says() {
        let symbolic = |path: &str, target: &str| link_target(path, &Link::Symbolic(target.as_bytes()));
        assert_eq!(
            symbolic("src/p/LICENSE", "../../LICENSE").as_deref(),
            Some("LICENSE")
        );
        assert_eq!(symbolic("a", "./b/c").as_deref(), Some("b/c"));
        assert_eq!(symbolic("a", "../b"), None);
        let hard = |target: &str| link_target("x", &Link::Hard(target.as_bytes()));
        assert_eq!(hard("p-1/a/b").as_deref(), Some("a/b"));
        assert_eq!(hard("b"), None);
    }
}
