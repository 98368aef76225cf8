//! What a bundle means here, before anything of it is judged: its entries verified and followed, and held against what
//! this site has.

use std::collections::BTreeSet;
use std::sync::Arc;

use chiron_storage::Digest;

use crate::advisories::Waiting;
use crate::blocking;
use crate::bundle::check::check_entries_of;
use crate::bundle::{BundleError, Content, Scope};
use crate::catalog::{Actor, Entry, FileRef, FileRow, RelayedChange, RelayedStatus, Standing, relay_applies};
use crate::policy::AdvisoriesRef;

use super::follow::{At, Followed};
use super::journal::Staged;
use super::wanted::Wanted;
use super::{ImportError, Work};

/// What follows from a bundle's entries.
pub(super) struct Plan {
    /// Where the sender stands.
    pub followed: Followed,
    /// Files that the sender serves, and that are neither in the bundle nor here.
    pub missing: Vec<FileRef>,
    /// Files in the bundle that this site has decided on before.
    pub present: u64,
    /// Files that are to be judged and whose bytes are here, or come with the bundle, as another file.
    pub twins: Vec<FileRef>,
    /// What the sender decided on files that are here.
    pub changes: Vec<RelayedChange>,
    /// What the sender says of projects that are here.
    pub statuses: Vec<RelayedStatus>,
    /// A newer advisory database.
    pub advisories: Option<Waiting>,
}

impl Plan {
    /// The database that comes into force with the judgments, as the log names it.
    pub fn standing(&self) -> Option<Standing> {
        let waiting = self.advisories.as_ref()?;
        let reference = waiting.reference();
        Some(Standing::Advisories {
            as_of: reference.as_of,
            digest: reference.digest,
            records: waiting.manifest().database.records,
        })
    }
}

impl Work<'_> {
    /// Verifies and follows the entries, and holds them against this site. Nothing is written but the advisory database,
    /// which waits.
    ///
    /// # Errors
    /// [`ImportError::Disagrees`]; [`BundleError::NotTrusted`] for a file that no entry stands for.
    pub(super) async fn plan(&self, wanted: &[Wanted]) -> Result<Plan, ImportError> {
        let followed = self.follow().await?;
        let brought: BTreeSet<&FileRef> = wanted.iter().map(|wanted| &wanted.file).collect();
        let contents: BTreeSet<Digest> = brought.iter().map(|file| file.sha256).collect();
        for file in &brought {
            if followed
                .files
                .get(file)
                .is_none_or(|stand| stand.at != At::Served)
            {
                return Err(BundleError::NotTrusted {
                    what: format!("{} (sha256 {})", file.filename, file.sha256),
                    why: "no entry of the sender's log stands for it: it is not admitted there".to_owned(),
                }
                .into());
            }
        }
        let mut plan = Plan {
            missing: Vec::new(),
            present: 0,
            twins: Vec::new(),
            changes: self.applying(followed.changes()).await?,
            statuses: followed.statuses(),
            advisories: None,
            followed,
        };
        let gate = self.importer.gate();
        for (file, _) in plan.followed.served() {
            self.watch.go_on()?;
            if let Some(here) = gate.catalog.name_taken_by(file).await?
                && here != file.sha256
            {
                return Err(ImportError::Disagrees {
                    filename: file.filename.clone(),
                    here,
                    there: file.sha256,
                });
            }
            let known = gate.catalog.file(file).await?.is_some();
            let brought = brought.contains(file);
            if brought && self.is_settled(file).await? {
                plan.present += 1;
            } else if !brought && !known {
                if contents.contains(&file.sha256) || self.under_another_name(file).await?.is_some() {
                    plan.twins.push(file.clone());
                } else {
                    plan.missing.push(file.clone());
                }
            }
        }
        plan.advisories = self.advisories().await?;
        Ok(plan)
    }

    /// The same bytes, if they are kept here as another file.
    pub(super) async fn under_another_name(&self, file: &FileRef) -> Result<Option<Staged>, ImportError> {
        let gate = self.importer.gate();
        let rows = gate.catalog.by_digest(file.sha256).await?;
        let Some(row) = rows.into_iter().find(FileRow::is_stored) else {
            return Ok(None);
        };
        if !gate.blobs.exists(&file.sha256).await? {
            return Ok(None);
        }
        Ok(Some(Staged {
            blake3: row.judged.blake3,
            size: row.judged.size,
            run: self.run,
            judged: false,
        }))
    }

    /// What the entries say, once all of them are verified.
    async fn follow(&self) -> Result<Followed, ImportError> {
        let (head, source) = (self.head.clone(), Arc::clone(&self.source));
        let floors = self.known.anchor.floors.clone();
        let complete = floors.complete.map_or(0, |complete| complete.size);
        let new_from = match head.manifest().scope {
            Scope::Interval => complete,
            Scope::Selection | Scope::Fill => floors.seen.map_or(complete, |seen| seen.size),
        };
        let followed = blocking::run(move || {
            let mut followed = Followed::new(new_from);
            let id = head.manifest().id.to_string();
            check_entries_of(&head, &source, &floors, |n, bytes| {
                // One that cannot be read may be one that takes something back: to pass it over is not safe.
                let entry: Entry = serde_json::from_slice(bytes).map_err(|error| BundleError::DoesNotFit {
                    id: id.clone(),
                    why: format!(
                        "entry {n} of the sender's log is of no kind that this version knows ({error}): a newer Chiron is needed here"
                    ),
                })?;
                followed.entry(n, &entry);
                Ok(())
            })?;
            Ok::<_, BundleError>(followed)
        });
        Ok(followed.await??)
    }

    /// Decisions that would change something now.
    async fn applying(&self, changes: Vec<RelayedChange>) -> Result<Vec<RelayedChange>, ImportError> {
        let by = Actor::Sender(self.known.name.clone());
        let mut applying = Vec::new();
        for change in changes {
            let row = self.importer.gate().catalog.file(&change.file).await?;
            if row.is_some_and(|row| relay_applies(&row, change.change, &by)) {
                applying.push(change);
            }
        }
        Ok(applying)
    }

    /// The bundle's advisory database, loaded beside the one in force, if it is newer and wanted. Its bytes are verified in
    /// any case.
    async fn advisories(&self) -> Result<Option<Waiting>, ImportError> {
        let found = self.head.listings.iter().find_map(|(number, listing)| {
            let mut items = listing.items.iter();
            let item = items.find(|item| matches!(item.content, Content::Advisories { .. }))?;
            Some((*number, item.clone()))
        });
        let Some((number, item)) = found else {
            return Ok(None);
        };
        let source = Arc::clone(&self.source);
        let reader = blocking::run(move || {
            let gone = || BundleError::Damaged {
                what: format!("volume {number}"),
                why: "it went away while it was read".to_owned(),
            };
            let volume = source.volume(number).ok_or_else(gone)?;
            volume.open(&item)?.verify(|_| ())?;
            volume.open(&item)
        });
        let reader = reader.await??;
        let Some(part) = &self.head.manifest().advisories else {
            return Err(BundleError::Damaged {
                what: "the manifest".to_owned(),
                why: "it says nothing of the advisory database that a listing names".to_owned(),
            }
            .into());
        };
        if !self.importer.settings().adopt_advisories {
            return Ok(None);
        }
        let expected = AdvisoriesRef {
            as_of: part.as_of,
            digest: part.digest,
        };
        let name = format!("the bundle {} of {}", self.head.manifest().id, self.known.name);
        let gate = self.importer.gate();
        // A sender's clock may be ahead of this site's; the operator has set a time that is not.
        let now = self.now.max(self.head.reference);
        Ok(gate.advisories.prepare(reader, &name, &expected, now).await?)
    }
}
