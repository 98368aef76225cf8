//! Giving an import up: what it has staged goes, and the site is as it was.

use std::collections::BTreeSet;

use chiron_storage::Digest;

use super::journal::{self, Journal};
use super::{ImportError, Importer, aside::Aside};
use crate::blocking;
use crate::catalog::FileRef;

impl Importer {
    /// Throws away everything that imports have staged and that is not in force; how many imports that were.
    pub(super) async fn discard_all(&self) -> Result<u64, ImportError> {
        let mut discarded = 0;
        for (bundle, _) in journal::all(&self.gate().catalog).await? {
            self.discard(bundle).await?;
            discarded += 1;
        }
        Ok(discarded)
    }

    /// Throws away what was staged of one bundle. Done again after a crash, it ends the same way.
    pub(super) async fn discard(&self, bundle: Digest) -> Result<(), ImportError> {
        self.gate().advisories.drop_waiting().await?;
        self.clear(bundle, false).await
    }

    /// Throws away what one run has staged: earlier volumes stay.
    pub(super) async fn discard_run(&self, bundle: Digest, run: u64) -> Result<(), ImportError> {
        let gate = self.gate();
        let journal = Journal::new(gate.catalog.clone(), bundle);
        let staged = journal.staged().await?;
        let earlier = journal.row().await?.is_some_and(|row| row.run > 1);
        if !earlier || staged.values().all(|it| it.run == run) && self.aside(&bundle).place().is_none() {
            return self.discard(bundle).await;
        }
        gate.advisories.drop_waiting().await?;
        let (ours, kept): (Vec<_>, Vec<_>) = staged.into_iter().partition(|(_, it)| it.run == run);
        let kept: BTreeSet<Digest> = kept.into_iter().map(|(file, _)| file.sha256).collect();
        let files: Vec<FileRef> = ours.into_iter().map(|(file, _)| file).collect();
        let blobs = files.iter().map(|file| file.sha256);
        let blobs: Vec<Digest> = blobs.filter(|sha256| !kept.contains(sha256)).collect();
        gate.unstage_these(bundle, &blobs).await?;
        Ok(journal.forget(files).await?)
    }

    /// Once a bundle is in force: its documents go where all others are, and nothing is left of its journal.
    pub(super) async fn settle(&self, bundle: Digest) -> Result<(), ImportError> {
        self.gate().catalog.settle_documents(bundle).await?;
        self.clear(bundle, true).await
    }

    /// At a start: tidies up after imports whose process ended right after their switch.
    ///
    /// # Errors
    /// [`ImportError`]; everything is in force all the same, and the next start tries again.
    pub async fn recover(&self) -> Result<(), ImportError> {
        let catalog = &self.gate().catalog;
        let unsettled = catalog.unsettled().await?;
        if unsettled.is_empty() {
            return Ok(());
        }
        self.gate().advisories.entered().await?;
        let senders = catalog.senders().await?;
        // One of which only a part is in force goes on as an import.
        let whole = |bundle: &Digest| senders.iter().any(|row| row.bundle == *bundle);
        for bundle in unsettled.into_iter().filter(whole) {
            self.settle(bundle).await?;
        }
        Ok(())
    }

    async fn clear(&self, bundle: Digest, in_force: bool) -> Result<(), ImportError> {
        let gate = self.gate();
        let journal = Journal::new(gate.catalog.clone(), bundle);
        // Of a bundle that is in force, those of refused files go.
        gate.unstage(bundle).await?;
        if !in_force {
            gate.catalog.drop_documents(bundle).await?;
        }
        journal
            .forget(journal.staged().await?.into_keys().collect())
            .await?;
        let aside = self.aside(&bundle);
        blocking::run(move || aside.remove()).await??;
        // Last: as long as this row is there, the rest is done again.
        Ok(journal.end().await?)
    }

    pub(super) fn aside(&self, bundle: &Digest) -> Aside {
        Aside::new(self.folder(), bundle)
    }
}
