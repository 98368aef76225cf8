//! Questions as auditing tools ask them (the OSV API): which records reach a version of a package.

use chiron_storage::{DbError, Raw};
use jiff::Timestamp;

use super::store::Advisories;
use super::tables::{CURRENT, GROUPS, META, RECORDS};
use crate::package::{ProjectName, Version};
use crate::verify::advisories::Entry;

/// A record that answers a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its identifier.
    pub id: String,
    /// When it last changed.
    pub modified: Timestamp,
}

/// What a question comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No database, or none that may be relied on: not the same as nothing found.
    Unknown(String),
    /// The records, by identifier; empty when nothing is known against the package.
    Known(Vec<Hit>),
}

impl Advisories {
    /// The records that reach a version of a project, or with no version all about it. A record that does not say
    /// which versions it reaches is given too: it may be this one.
    pub async fn ask(&self, project: &ProjectName, version: Option<&str>, now: Timestamp) -> Answer {
        let Some(known) = self.project(project).await else {
            return Answer::Unknown("no advisory database is loaded (`chiron advisories load`)".to_owned());
        };
        let records = match known.usable(now) {
            Ok(records) => records,
            Err(why) => return Answer::Unknown(why),
        };
        let parsed = version.map(|text| (text, text.parse::<Version>().ok()));
        let wanted = |entry: &Entry| match &parsed {
            None => true,
            Some((_, Some(version))) => !entry.undecided.is_empty() || entry.reaches(version),
            Some((text, None)) => !entry.undecided.is_empty() || entry.lists_odd(text),
        };
        let hits = records.entries.iter().filter(|(_, entry)| wanted(entry));
        let hits = hits.map(|(id, entry)| Hit {
            id: id.clone(),
            modified: entry.modified,
        });
        Answer::Known(hits.collect())
    }

    /// Records by their identifiers, as JSON; one that is not there is left out.
    pub async fn documents(&self, ids: Vec<String>) -> Result<Vec<Raw>, DbError> {
        self.db()
            .read(move |view| {
                let Some(manifest) = view.get(&META, &CURRENT.to_owned())? else {
                    return Ok(Vec::new());
                };
                let keys: Vec<_> = ids.into_iter().map(|id| (manifest.generation, id)).collect();
                Ok(view.get_many(&RECORDS, &keys)?.into_iter().flatten().collect())
            })
            .await
    }

    /// The records of the vulnerability that has this name, also as an alias.
    pub async fn named(&self, name: &str) -> Result<Vec<Raw>, DbError> {
        let name = name.to_owned();
        self.db()
            .read(move |view| {
                let Some(manifest) = view.get(&META, &CURRENT.to_owned())? else {
                    return Ok(Vec::new());
                };
                let group = view.get(&GROUPS, &(manifest.generation, name.clone()))?;
                let ids = group.map_or_else(|| vec![name], |group| group.records);
                let keys: Vec<_> = ids.into_iter().map(|id| (manifest.generation, id)).collect();
                Ok(view.get_many(&RECORDS, &keys)?.into_iter().flatten().collect())
            })
            .await
    }

    /// What was set aside and which VEX statements match nothing: at most `limit` of each kind, and how many there are.
    pub async fn notes(
        &self,
        limit: usize,
    ) -> Result<Vec<(super::NoteKind, u64, Vec<super::Note>)>, DbError> {
        use super::NoteKind::{OddVersion, SetAside, UnmatchedVex};
        self.db()
            .read(move |view| {
                let mut kinds = [SetAside, OddVersion, UnmatchedVex].map(|kind| (kind, 0_u64, Vec::new()));
                let Some(manifest) = view.get(&META, &CURRENT.to_owned())? else {
                    return Ok(kinds.into());
                };
                let prefix = manifest.generation.to_be_bytes();
                for row in view.scan(&super::tables::NOTES, &prefix, None)? {
                    let (_, note) = row?;
                    for (kind, count, list) in &mut kinds {
                        if *kind == note.kind {
                            *count += 1;
                            if list.len() < limit {
                                list.push(note.clone());
                            }
                        }
                    }
                }
                Ok(kinds.into())
            })
            .await
    }
}
