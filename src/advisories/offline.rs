//! A database that is read for one command and kept in memory: `chiron verify --advisories PATH`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::assemble::Assembler;
use super::source::{Piece, Reader};
use super::tables::Row;
use super::{LoadError, Settings};
use crate::package::ProjectName;
use crate::policy::AdvisoriesRef;
use crate::verify::ProjectAdvisories;
use crate::verify::advisories::{Database, Entry, Group, Records, Statement};

/// A database in memory. Nothing is stored.
#[derive(Debug)]
pub struct Offline {
    database: Database,
    settings: Settings,
    entries: HashMap<ProjectName, Vec<(String, Entry)>>,
    groups: HashMap<String, Arc<Group>>,
    statements: HashMap<ProjectName, Vec<Statement>>,
}

impl Offline {
    /// Reads a dump, a folder or a file. Blocks, and takes some hundred megabytes for a whole dump.
    ///
    /// # Errors
    /// As [`super::Advisories::load`].
    pub fn read(path: &Path, settings: &Settings, now: Timestamp) -> Result<Self, LoadError> {
        let mut rows = Vec::new();
        let mut assembler = Assembler::default();
        let mut each = |name: &str, piece: Piece| {
            assembler.take(name, piece, &mut |row| {
                rows.push(row);
                Ok(())
            })
        };
        let mut reader = Reader::new(settings, &mut each);
        for list in settings.kev.iter().chain(&settings.epss).chain(&settings.vex) {
            reader.path(list)?;
        }
        reader.path(path)?;
        let name = path.display().to_string();
        let done = assembler.finish(&name, now, &mut |row| {
            rows.push(row);
            Ok(())
        })?;
        let mut read = Self {
            database: done.database,
            settings: settings.clone(),
            entries: HashMap::new(),
            groups: HashMap::new(),
            statements: HashMap::new(),
        };
        for row in rows {
            read.add(row);
        }
        Ok(read)
    }

    fn add(&mut self, row: Row) {
        match row {
            Row::Affected(project, id, entry) => self.entries.entry(project).or_default().push((id, entry)),
            Row::Forget(project, id) => {
                self.entries
                    .entry(project)
                    .or_default()
                    .retain(|(known, _)| *known != id);
            }
            Row::Group(name, group) => {
                self.groups.insert(name, Arc::new(group));
            }
            Row::Vex(_, statement) => {
                self.statements
                    .entry(statement.project.clone())
                    .or_default()
                    .push(statement);
            }
            Row::Record(..) | Row::Part(..) | Row::Note(..) => {}
        }
    }

    /// What it says of a project.
    pub fn project(&self, project: &ProjectName) -> ProjectAdvisories {
        let mut entries = self.entries.get(project).cloned().unwrap_or_default();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let mut shared: HashMap<&[String], Arc<Group>> = HashMap::new();
        let mut groups = HashMap::new();
        for (id, _) in &entries {
            if let Some(group) = self.groups.get(id) {
                let group = shared.entry(&group.records).or_insert_with(|| Arc::clone(group));
                groups.insert(id.clone(), Arc::clone(group));
            }
        }
        let records = Records {
            entries,
            groups,
            statements: self.statements.get(project).cloned().unwrap_or_default(),
        };
        ProjectAdvisories::new(self.database.clone(), self.settings.max_age, records)
    }

    /// As verdicts name it.
    pub fn reference(&self) -> AdvisoriesRef {
        AdvisoriesRef {
            as_of: self.database.as_of,
            digest: self.database.digest,
        }
    }
}
