//! From documents to rows. The rows of a record go out as it comes, so that memory holds a few hundred bytes for each
//! and not the records; what depends on all of them (groups, digest, VEX) comes at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chiron_storage::Digest;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::LoadError;
use super::canonical::{Tally, canonical};
use super::source::Piece;
use super::tables::{Note, NoteKind, Row, VexSummary};
use crate::package::ProjectName;
use crate::verify::advisories::{
    Database, Entry, Named, Parsed, Reach, Record, Signals, VexDocument, groups, is_kev, parse, parse_vex,
};

/// Notes of one database: more than this, and it is no database. Threat: memory.
const MAX_NOTES: usize = 200_000;

/// Identifiers that Chiron itself gives.
pub(super) const OWN_PREFIX: &str = "CHIRON-";

/// How far ahead a record's date may be: clocks differ. Beyond that it says nothing about the database's age, or one
/// record of the year 2099 would keep it from ever going stale.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Gathers a database.
#[derive(Default)]
pub(super) struct Assembler {
    records: BTreeMap<String, Light>,
    notes: BTreeSet<Note>,
    signals: Signals,
    vex: BTreeMap<String, VexDocument>,
    /// Documents of the lists and of VEX, as they are kept.
    parts: BTreeMap<String, Vec<u8>>,
    pub documents: u64,
    /// Lists and VEX documents so far.
    pub beside: u64,
    pub other: u64,
    /// An advisory came, sound or not: what is loaded is a database and not only lists for one.
    pub has_records: bool,
    pub has_kev: bool,
    pub has_epss: bool,
    /// The newest change that counts as the database's age, when it is known already: the one who sent it told it by
    /// another clock.
    pub newest: Option<Timestamp>,
}

/// What is remembered of a record.
struct Light {
    named: Named,
    digest: Digest,
    modified: Timestamp,
    projects: Vec<ProjectName>,
}

/// A database that is ready to be put in force.
pub(super) struct Assembled {
    pub database: Database,
    pub digests: HashMap<String, Digest>,
    pub projects: u64,
    pub unknown_projects: u64,
    pub malware: u64,
    pub kev: u64,
    pub epss: u64,
    pub vex: Vec<VexSummary>,
}

type Emit<'a> = &'a mut dyn FnMut(Row) -> Result<(), LoadError>;

impl Assembler {
    /// Takes one piece in.
    pub(super) fn take(&mut self, source: &str, piece: Piece, emit: Emit<'_>) -> Result<(), LoadError> {
        self.documents += 1;
        match piece {
            Piece::Csv(bytes) => self.epss(source, bytes),
            Piece::Broken { sample, why } => {
                // The bytes' own mark stands in for an identifier, so that the digest tells two of them apart.
                let mark = Digest::of(&sample).to_string();
                self.aside(source, Some(format!("sha256:{}", &mark[..16])), Vec::new(), why)
            }
            Piece::Json(value) => self.json(source, &value, emit),
        }
    }

    fn json(&mut self, source: &str, value: &Value, emit: Emit<'_>) -> Result<(), LoadError> {
        if is_kev(value) {
            return self.kev(source, value);
        }
        if let Some(read) = parse_vex(value) {
            match read {
                Ok(document) => self.vex(document, value),
                Err(why) => self.note(Note {
                    kind: NoteKind::UnmatchedVex,
                    id: None,
                    source: source.to_owned(),
                    projects: Vec::new(),
                    reason: format!("the document is not used: {why}"),
                })?,
            }
            return Ok(());
        }
        match parse(value) {
            Parsed::Record(record) => {
                self.has_records = true;
                if record.id.starts_with(OWN_PREFIX) {
                    let reason = format!("identifiers with {OWN_PREFIX} are Chiron's own");
                    let projects = record.affected.into_keys().collect();
                    return self.aside(source, Some(record.id), projects, reason);
                }
                self.record(source, *record, value, emit)
            }
            Parsed::NotOurs => {
                self.has_records = true;
                Ok(())
            }
            Parsed::Malformed { id, projects, reason } => {
                self.has_records = true;
                self.aside(source, id, projects, reason)
            }
            Parsed::Other => {
                self.other += 1;
                Ok(())
            }
        }
    }

    fn record(
        &mut self,
        source: &str,
        record: Record,
        value: &Value,
        emit: Emit<'_>,
    ) -> Result<(), LoadError> {
        let bytes = canonical(value);
        let digest = Digest::of(&bytes);
        if let Some(known) = self.records.get(&record.id) {
            // The same record twice: the newer counts, whichever came first.
            if (known.modified, known.digest) >= (record.modified, digest) {
                return Ok(());
            }
            for project in &known.projects {
                emit(Row::Forget(project.clone(), record.id.clone()))?;
            }
            self.notes.retain(|note| note.id.as_ref() != Some(&record.id));
        }
        let light = Light {
            named: Named {
                aliases: record.aliases,
                severity: record.severity,
                cvss: record.cvss,
            },
            digest,
            modified: record.modified,
            projects: record.affected.keys().cloned().collect(),
        };
        for (project, affected) in record.affected {
            let undecided = affected.undecided.first().cloned();
            let odd = affected.reaches.iter().flat_map(Reach::odd_versions).next();
            let (kind, reason) = match (undecided, odd) {
                (Some(why), _) => (NoteKind::SetAside, why),
                (None, Some(odd)) => (
                    NoteKind::OddVersion,
                    format!("it lists {odd:?}, which no file can have"),
                ),
                (None, None) => (NoteKind::OddVersion, String::new()),
            };
            if !reason.is_empty() {
                self.note(Note {
                    kind,
                    id: Some(record.id.clone()),
                    source: source.to_owned(),
                    projects: vec![project.clone()],
                    reason,
                })?;
            }
            let entry = Entry {
                summary: record.summary.clone(),
                modified: record.modified,
                reaches: affected.reaches,
                undecided: affected.undecided,
            };
            emit(Row::Affected(project, record.id.clone(), entry))?;
        }
        self.records.insert(record.id.clone(), light);
        emit(Row::Record(record.id, bytes))
    }

    fn aside(
        &mut self,
        source: &str,
        id: Option<String>,
        projects: Vec<ProjectName>,
        reason: String,
    ) -> Result<(), LoadError> {
        self.note(Note {
            kind: NoteKind::SetAside,
            id,
            source: source.to_owned(),
            projects,
            reason,
        })
    }

    /// Remembers a note, also one of the generation before.
    pub(super) fn note(&mut self, note: Note) -> Result<(), LoadError> {
        if self.notes.len() >= MAX_NOTES {
            return Err(LoadError::TooLarge {
                source_name: note.source,
                limit: "the number of records that may be set aside",
                bound: MAX_NOTES as u64,
            });
        }
        self.notes.insert(note);
        Ok(())
    }

    fn kev(&mut self, source: &str, value: &Value) -> Result<(), LoadError> {
        self.signals.read_kev(value).map_err(|why| signals(source, why))?;
        self.has_kev = true;
        self.beside += 1;
        self.parts.insert("kev".to_owned(), canonical(value));
        Ok(())
    }

    fn epss(&mut self, source: &str, bytes: Vec<u8>) -> Result<(), LoadError> {
        self.signals
            .read_epss(&bytes)
            .map_err(|why| signals(source, why))?;
        self.has_epss = true;
        self.beside += 1;
        self.parts.insert("epss".to_owned(), bytes);
        Ok(())
    }

    fn vex(&mut self, document: VexDocument, value: &Value) {
        self.beside += 1;
        // Of one document the newest version applies, whichever came first.
        let newer = self
            .vex
            .get(&document.id)
            .is_none_or(|known| known.at <= document.at);
        if newer {
            self.parts
                .insert(format!("vex/{}", document.id), canonical(value));
            self.vex.insert(document.id.clone(), document);
        }
    }

    /// Over everything that was taken in so far: the same content has the same digest, however it was packed.
    pub(super) fn digest(&self) -> Digest {
        let mut tally = Tally::new();
        for (id, record) in &self.records {
            tally.line("record", id, &record.digest.to_string());
        }
        for note in self.notes.iter().filter(|note| note.kind == NoteKind::SetAside) {
            let projects: Vec<&str> = note.projects.iter().map(ProjectName::as_str).collect();
            tally.line("aside", note.id.as_deref().unwrap_or("?"), &projects.join(" "));
        }
        for (name, part) in &self.parts {
            tally.line("part", name, &Digest::of(part).to_string());
        }
        tally.digest()
    }

    /// The lists and documents that were taken in so far, as they are kept.
    pub(super) fn part_names(&self) -> Vec<String> {
        self.parts.keys().cloned().collect()
    }

    /// Replaces what was set aside on the way by what the one who sent the database had set aside.
    pub(super) fn set_aside_are(&mut self, notes: Vec<Note>) -> Result<(), LoadError> {
        self.notes.retain(|note| note.kind != NoteKind::SetAside);
        let aside = notes.into_iter().filter(|note| note.kind == NoteKind::SetAside);
        aside.into_iter().try_for_each(|note| self.note(note))
    }

    /// The end: what depends on all records.
    pub(super) fn finish(
        mut self,
        source: &str,
        now: Timestamp,
        emit: Emit<'_>,
    ) -> Result<Assembled, LoadError> {
        let usable = self.records.values().map(|record| record.modified);
        let counts = |at: &Timestamp| match self.newest {
            Some(newest) => *at <= newest,
            None => at.duration_since(now) <= AHEAD,
        };
        let as_of = usable.filter(counts).max();
        let Some(as_of) = as_of else {
            let source_name = source.to_owned();
            return Err(if self.records.is_empty() {
                LoadError::Empty {
                    source_name,
                    documents: self.documents,
                }
            } else {
                LoadError::Future { source_name }
            });
        };
        let named = self
            .records
            .iter()
            .map(|(id, record)| (id.clone(), record.named.clone()))
            .collect();
        let (groups, index) = groups(&named, &self.signals);
        drop(named);
        let vex = self.apply_vex(&groups, &index, emit)?;
        let unknown = self.unreadable(as_of, emit)?;
        let digest = self.digest();
        let aside = |projects: bool| {
            let asides = self.notes.iter().filter(|note| note.kind == NoteKind::SetAside);
            asides.filter(|note| projects || note.projects.is_empty()).count() as u64
        };
        let database = Database {
            as_of,
            digest,
            records: self.records.len() as u64,
            set_aside: aside(true),
            unattributed: aside(false),
        };
        for (name, group) in index {
            emit(Row::Group(name, groups[group].clone()))?;
        }
        let (kev, epss) = self.signals.counts();
        for (name, part) in std::mem::take(&mut self.parts) {
            emit(Row::Part(name, part))?;
        }
        for (n, note) in std::mem::take(&mut self.notes).into_iter().enumerate() {
            emit(Row::Note(u32::try_from(n).unwrap_or(u32::MAX), note))?;
        }
        let projects: BTreeSet<&ProjectName> = self
            .records
            .values()
            .flat_map(|record| &record.projects)
            .collect();
        Ok(Assembled {
            database,
            projects: projects.len() as u64,
            unknown_projects: unknown,
            malware: groups
                .iter()
                .filter(|group| group.malware && !group.records.is_empty())
                .count() as u64,
            kev: kev as u64,
            epss: epss as u64,
            vex,
            digests: self
                .records
                .into_iter()
                .map(|(id, record)| (id, record.digest))
                .collect(),
        })
    }

    /// Writes the statements, and notes those that match nothing.
    fn apply_vex(
        &mut self,
        groups: &[crate::verify::advisories::Group],
        index: &HashMap<String, usize>,
        emit: Emit<'_>,
    ) -> Result<Vec<VexSummary>, LoadError> {
        let mut of_project: HashMap<&ProjectName, BTreeSet<usize>> = HashMap::new();
        for (id, record) in &self.records {
            for project in &record.projects {
                of_project.entry(project).or_default().extend(index.get(id));
            }
        }
        let (mut summaries, mut notes, mut number) = (Vec::new(), Vec::new(), 0_u32);
        for document in self.vex.values() {
            let before = notes.len();
            let mut unmatched = |projects: Vec<ProjectName>, reason: String| {
                notes.push(Note {
                    kind: NoteKind::UnmatchedVex,
                    id: Some(document.id.clone()),
                    source: document.by.clone(),
                    projects,
                    reason,
                });
            };
            for statement in &document.statements {
                let known = of_project.get(&statement.project).into_iter().flatten();
                if !known.copied().any(|group| statement.speaks_of(&groups[group])) {
                    let names = statement.vulnerabilities.join(", ");
                    unmatched(
                        vec![statement.project.clone()],
                        format!("no record of {names} names the package"),
                    );
                }
                emit(Row::Vex(number, statement.clone()))?;
                number = number.saturating_add(1);
            }
            for why in &document.unusable {
                unmatched(Vec::new(), why.clone());
            }
            summaries.push(VexSummary {
                id: document.id.clone(),
                by: document.by.clone(),
                statements: document.statements.len() as u64,
                unmatched: (notes.len() - before) as u64,
            });
        }
        for note in notes {
            self.note(note)?;
        }
        Ok(summaries)
    }

    /// Writes a stand-in for each package whose records could not be read at all, so that a lookup, and a question
    /// of an auditing tool, finds it; gives how many packages are unknown.
    fn unreadable(&mut self, as_of: Timestamp, emit: Emit<'_>) -> Result<u64, LoadError> {
        let mut reasons: BTreeMap<&ProjectName, Vec<String>> = BTreeMap::new();
        let mut unknown: BTreeSet<&ProjectName> = BTreeSet::new();
        for note in self.notes.iter().filter(|note| note.kind == NoteKind::SetAside) {
            unknown.extend(&note.projects);
            let id = note.id.as_deref().unwrap_or("a record");
            if self.records.contains_key(id) {
                continue; // it stands, undecided
            }
            for project in &note.projects {
                reasons
                    .entry(project)
                    .or_default()
                    .push(format!("{id}: {}", note.reason));
            }
        }
        for (project, reasons) in reasons {
            let id = format!("{OWN_PREFIX}UNREADABLE-{project}");
            let summary =
                format!("a record about {project} could not be read: nothing is known of its versions");
            let stand_in = serde_json::json!({
                "schema_version": "1.6.0", "id": id, "modified": as_of.to_string(), "summary": summary,
                "details": reasons.join("\n"),
                "affected": [{
                    "package": { "ecosystem": "PyPI", "name": project.as_str() },
                    "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }] }],
                }],
            });
            emit(Row::Record(id.clone(), canonical(&stand_in)))?;
            let entry = Entry {
                summary,
                modified: as_of,
                reaches: Vec::new(),
                undecided: reasons,
            };
            emit(Row::Affected(project.clone(), id, entry))?;
        }
        Ok(unknown.len() as u64)
    }
}

fn signals(source: &str, why: crate::verify::advisories::SignalError) -> LoadError {
    LoadError::Signals {
        source_name: source.to_owned(),
        why,
    }
}
