//! One interval of the log, and what its entries name: files in their states, and documents.

use std::collections::{BTreeSet, HashSet};

use chiron_storage::Digest;

use super::ExportError;
use super::digests::Digests;
use super::receipt::Receipt;
use super::selected::Chosen;
use super::spool::Spool;
use crate::blocking;
use crate::catalog::{Catalog, Entry, Event, FileRef, FileRow, FileState};
use crate::package::ProjectName;

/// Entries read in one go; at most 64 KB each.
const ENTRIES: u64 = 256;

/// Files whose states are read in one go.
const FILES: usize = 256;

/// What an interval is about.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Files that some entry is about.
    pub files: HashSet<FileRef>,
    /// Entries by which somebody decided on a file or a project, with what they are about.
    pub decisions: Vec<(u64, About)>,
    /// The advisory database was changed.
    pub advisories: bool,
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    File(FileRef),
    Project(ProjectName),
}

/// Reads the entries from `from` up to `to`.
pub(super) async fn touched(
    catalog: &Catalog,
    from: u64,
    to: u64,
    going_on: &(dyn Fn(u64) -> Result<(), ExportError> + Send + Sync),
) -> Result<Touched, ExportError> {
    let mut touched = Touched::default();
    let mut next = from;
    while next < to {
        let entries = catalog.events_between(next, to, ENTRIES).await?;
        let Some((last, _)) = entries.last() else {
            return Err(ExportError::no_entry(next));
        };
        let read = last + 1 - next;
        next = last + 1;
        for (n, entry) in entries {
            touched.note(n, entry);
        }
        going_on(read)?;
    }
    Ok(touched)
}

impl Touched {
    fn note(&mut self, n: u64, entry: Entry) {
        match entry.event {
            Event::Admitted(judged) | Event::Quarantined(judged) | Event::Refused(judged) => {
                self.files.insert(FileRef {
                    project: judged.project,
                    filename: judged.filename,
                    sha256: judged.sha256,
                });
            }
            Event::Yanked(decided)
            | Event::Unyanked(decided)
            | Event::Revoked(decided)
            | Event::Restored(decided) => {
                self.decisions.push((n, About::File(decided.file.clone())));
                self.files.insert(decided.file);
            }
            Event::ProjectStatus { project, .. } => self.decisions.push((n, About::Project(project))),
            Event::AdvisoriesLoaded { .. } => self.advisories = true,
            // Of this site alone: nothing at the other side follows from them.
            _ => {}
        }
    }
}

/// What came of files.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Admitted ones that the receiver has.
    pub already_there: u64,
    /// Entries about them, where single ones travel.
    pub entries: BTreeSet<u64>,
    /// Projects of what goes out, where single entries travel.
    pub projects: BTreeSet<ProjectName>,
}

/// Which files are looked up.
#[derive(Debug)]
pub(super) enum Files {
    /// All that were ever judged.
    All,
    /// These.
    These(Vec<FileRef>),
}

/// Where what is found goes.
#[derive(Debug)]
pub(super) struct Sinks {
    /// Files whose bytes go out.
    pub files: Spool,
    /// Documents that entries name.
    pub documents: Digests,
}

/// Found in one go.
#[derive(Debug, Default)]
struct Part {
    files: Vec<Chosen>,
    documents: Vec<Digest>,
}

/// How files are sorted out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sorting<'a> {
    /// The size of the log that the receiver has; 0: nothing.
    pub base: u64,
    /// The size that it will have.
    pub end: u64,
    pub receipt: Option<&'a Receipt>,
    /// Send what was named, whatever the receiver should have.
    pub insist: bool,
    /// Note the single entries.
    pub entries: bool,
}

/// Looks up what became of files, and hands on those that go out and the documents that the entries about them name.
pub(super) async fn gather(
    catalog: &Catalog,
    files: Files,
    how: Sorting<'_>,
    mut sinks: Sinks,
    going_on: &(dyn Fn(u64) -> Result<(), ExportError> + Send + Sync),
) -> Result<(Gathered, Sinks), ExportError> {
    let mut gathered = Gathered::default();
    let mut after = None;
    let mut these = match files {
        Files::All => None,
        Files::These(mut files) => {
            // Project by project: what goes out has an order inside each.
            files.sort_unstable();
            Some(files.into_iter())
        }
    };
    loop {
        let found: Vec<Vec<FileRow>> = if let Some(these) = &mut these {
            let part: Vec<FileRef> = these.take(FILES).collect();
            catalog.states_of(part, how.end).await?
        } else {
            let found = catalog.states_after(after.take(), FILES, how.end).await?;
            after = found.last().map(|(file, _)| file.clone());
            found.into_iter().map(|(_, states)| states).collect()
        };
        if found.is_empty() {
            return Ok((gathered, sinks));
        }
        let mut part = Part::default();
        for states in found {
            how.sort_out(&states, &mut gathered, &mut part);
        }
        let kept = blocking::run(move || {
            sinks.files.extend(part.files)?;
            sinks.documents.extend(part.documents)?;
            Ok::<_, ExportError>(sinks)
        });
        sinks = kept.await.map_err(|_| ExportError::Lost)??;
        going_on(0)?;
    }
}

impl Sorting<'_> {
    fn sort_out(&self, states: &[FileRow], gathered: &mut Gathered, part: &mut Part) {
        let Some(row) = states.iter().rev().find(|row| row.holds_at(self.end)) else {
            return;
        };
        let before = states.iter().find(|row| self.base > 0 && row.holds_at(self.base));
        let admitted = row.state == FileState::Admitted;
        let held = self
            .receipt
            .is_some_and(|receipt| receipt.holds(&row.judged.sha256));
        let sent_before = before.is_some_and(|row| row.state == FileState::Admitted);
        let sent = admitted && (self.insist || !(held || sent_before));
        if sent {
            part.files.push(Chosen::of(row));
        } else if admitted && held {
            gathered.already_there += 1;
        }
        let news = states.iter().filter(|row| row.since >= self.base);
        if self.entries {
            // All of them for a file that goes out: its history is judged at the other side.
            let told = states.iter().filter(|row| sent || row.since >= self.base);
            gathered.entries.extend(told.map(|row| row.since));
            if sent {
                gathered.projects.insert(row.judged.project.clone());
            }
        }
        if sent {
            part.documents.extend(documents_of(row));
            part.documents.extend(news.flat_map(documents_of));
        } else {
            let known: BTreeSet<Digest> = before.into_iter().flat_map(documents_of).collect();
            let news = news.flat_map(documents_of);
            part.documents
                .extend(news.filter(|digest| !known.contains(digest)));
        }
    }
}

/// Every document that a state names.
fn documents_of(row: &FileRow) -> impl Iterator<Item = Digest> + use<> {
    let judged = &row.judged;
    let found = &judged.found;
    let mut digests = vec![judged.verdict];
    digests.extend(judged.core_metadata);
    digests.extend(&judged.evidence);
    digests.extend(found.documents.iter().map(|document| document.digest));
    digests.extend(found.sbom);
    digests.extend(found.input);
    digests.into_iter()
}
