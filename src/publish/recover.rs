//! After the batch: what is on disk becomes what the database says. At once, and after a crash.

use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{Envelope, MetadataName, Role, TimestampMetadata, Version};
use jiff::Timestamp;

use super::PublishError;
use super::folder::Lies;
use super::held::{Held, document_in};
use super::publisher::Inner;
use crate::blocking;

impl Inner {
    /// At start. A publication that got as far as the batch is finished; of one that did not, only files are left that
    /// nothing names. What is missing in the folder is put back, or noted to be signed again.
    pub(super) async fn recover(&self, _now: Timestamp) -> Result<(), PublishError> {
        let held = self.held();
        let Some(generation) = &held.generation else {
            return Ok(());
        };
        let found = self.read(MetadataName::Timestamp).await?;
        if found.as_ref() != Some(&generation.timestamp) {
            say_what_lies_there(found.as_ref(), generation.versions.timestamp);
        }
        self.finish_anew(&held).await?;
        let (folder, rows) = (self.folder.clone(), Arc::clone(&held));
        let missing = blocking::run(move || {
            let named = rows.roles.iter().filter(|(_, row)| !row.retired);
            let names = named.map(|(role, row)| MetadataName::of(*role, row.version));
            names
                .filter(|name| !folder.path(*name).exists())
                .collect::<Vec<_>>()
        })
        .await?;
        for name in &missing {
            self.condition.saw(*name, Lies::Missing);
        }
        if !missing.is_empty() {
            tracing::warn!(
                files = missing.len(),
                first = %missing[0],
                "metadata files are missing from the folder; they are put back or signed again"
            );
        }
        self.put_back(false).await
    }

    /// Finishes what an earlier publication of this process could not.
    pub(super) async fn finish(&self, held: &Arc<Held>) -> Result<(), PublishError> {
        if !self.condition.is_unfinished() {
            return Ok(());
        }
        self.finish_anew(held).await?;
        if let Some(generation) = &held.generation {
            // Its pages may be any: who keeps one looks again.
            self.every_page_changed(generation.number);
            self.announce(generation, []);
        }
        Ok(())
    }

    /// Puts new roots and, last of all, the timestamp in place.
    pub(super) async fn finish_anew(&self, held: &Arc<Held>) -> Result<(), PublishError> {
        let Some(generation) = held.generation.clone() else {
            return Ok(());
        };
        self.condition.set_unfinished(true);
        let roots = self.roots_not_on_disk(generation.versions.root).await?;
        let newest = held
            .root
            .as_ref()
            .map(|root| root.bytes.clone())
            .unwrap_or_default();
        let folder = self.folder.clone();
        blocking::run(move || {
            // Oldest first, as clients walk; and before what is signed with keys that only the new root names.
            for (version, bytes) in roots {
                folder.replace(MetadataName::of(Role::Root, version), &bytes)?;
            }
            folder.replace_root(&newest)?;
            let timestamp = folder.read(MetadataName::Timestamp)?;
            if timestamp.as_ref() == Some(&generation.timestamp) {
                return Ok(());
            }
            folder.replace(MetadataName::Timestamp, &generation.timestamp)
        })
        .await??;
        self.condition.saw(MetadataName::Timestamp, Lies::Same);
        self.condition.set_unfinished(false);
        Ok(())
    }

    /// The roots up to `newest` that have no file, oldest first.
    async fn roots_not_on_disk(&self, newest: Version) -> Result<Vec<(Version, Bytes)>, PublishError> {
        let folder = self.folder.clone();
        self.parts
            .db
            .read(move |view| {
                let mut roots = Vec::new();
                for version in (1..=newest).rev() {
                    if folder.path(MetadataName::of(Role::Root, version)).exists() {
                        continue;
                    }
                    let bytes = document_in(view, Role::Root, version)?;
                    roots.extend(bytes.map(|bytes| (version, bytes)));
                }
                roots.reverse();
                Ok(roots)
            })
            .await
    }

    /// Writes documents that people signed to the folder again: those that are missing, and on `repair` those that were
    /// changed.
    pub(super) async fn put_back(&self, repair: bool) -> Result<(), PublishError> {
        let damage = self.condition.damage();
        for name in damage.0.keys().copied() {
            let (role, Some(version)) = (name.role(), name.version()) else {
                continue;
            };
            if !matches!(role, Role::Root | Role::Targets | Role::Trust | Role::Bins)
                || !damage.calls_for(name, repair)
            {
                continue;
            }
            let kept = self
                .parts
                .db
                .read(move |view| document_in(view, role, version))
                .await?;
            let Some(bytes) = kept else {
                continue;
            };
            let folder = self.folder.clone();
            blocking::run(move || folder.replace(name, &bytes)).await??;
            self.condition.saw(name, Lies::Same);
            tracing::info!(file = %name, "put back as it was signed");
        }
        Ok(())
    }

    /// Compares every file that is in force with what was written there.
    pub(super) async fn inspect(&self) -> Result<(), PublishError> {
        let held = self.held();
        let Some(generation) = &held.generation else {
            return Ok(());
        };
        let mut expected: Vec<(MetadataName, u64, Digest)> = held
            .roles
            .iter()
            .filter(|(_, row)| !row.retired)
            .map(|(role, row)| (MetadataName::of(*role, row.version), row.length, row.sha256))
            .collect();
        expected.extend(self.older_roots(generation.versions.root).await?);
        let folder = self.folder.clone();
        let seen = blocking::run(move || {
            let one = |(name, length, sha256): (MetadataName, u64, Digest)| {
                folder.compare(name, length, &sha256).map(|lies| (name, lies))
            };
            expected.into_iter().map(one).collect::<Result<Vec<_>, _>>()
        })
        .await??;
        self.condition
            .keep_only(|name| seen.iter().any(|(seen, _)| *seen == name));
        for (name, lies) in seen {
            self.noticed(name, lies);
        }
        self.put_back(false).await
    }

    async fn older_roots(&self, newest: Version) -> Result<Vec<(MetadataName, u64, Digest)>, PublishError> {
        self.parts
            .db
            .read(move |view| {
                let mut roots = Vec::new();
                for version in 1..newest {
                    if let Some(bytes) = document_in(view, Role::Root, version)? {
                        let name = MetadataName::of(Role::Root, version);
                        roots.push((name, bytes.len() as u64, Digest::of(&bytes)));
                    }
                }
                Ok(roots)
            })
            .await
    }

    /// Notes how a file lies there, and says so when it is news.
    pub(super) fn noticed(&self, name: MetadataName, lies: Lies) {
        if !self.condition.saw(name, lies) {
            return;
        }
        match lies {
            Lies::Same => tracing::info!(file = %name, "is as it was signed again"),
            Lies::Missing => tracing::warn!(file = %name, "is missing from the metadata folder"),
            Lies::Changed => tracing::error!(
                file = %name,
                "was changed by somebody else in the metadata folder: clients refuse it. Nothing is signed from it; look into who did it, then `chiron tuf publish --repair`"
            ),
        }
    }

    /// A file as it lies there.
    pub(super) async fn read(&self, name: MetadataName) -> Result<Option<Bytes>, PublishError> {
        let folder = self.folder.clone();
        blocking::run(move || folder.read(name)).await?
    }
}

/// An older timestamp is what a crash leaves. Anything else is somebody's doing; clients saw it until now.
fn say_what_lies_there(found: Option<&Bytes>, expected: Version) {
    let version = found
        .and_then(|bytes| Envelope::<TimestampMetadata>::parse(bytes).ok())
        .map(|envelope| envelope.signed.version);
    match (found, version) {
        (None, _) => tracing::warn!("timestamp.json is missing; it is put back"),
        (Some(_), Some(version)) if version < expected => {
            tracing::info!(
                version,
                expected,
                "a publication was cut off before its last step; it is finished now"
            );
        }
        (Some(_), _) => tracing::error!(
            "timestamp.json was changed by somebody else; it is replaced by the one that was signed. Look into who did it"
        ),
    }
}
