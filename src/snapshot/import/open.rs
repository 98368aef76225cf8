//! From places to a bundle that is believed.

use std::path::PathBuf;
use std::sync::Arc;

use chiron_storage::Digest;
use chiron_storage::log::open_checkpoint;
use jiff::Timestamp;

use super::journal::Journal;
use super::watch::Watch;
use super::{ImportError, Importer, Work};
use crate::api::ImportRequest;
use crate::blocking;
use crate::bundle::check::check_head;
use crate::bundle::dsse::{SignedManifest, UnverifiedManifest};
use crate::bundle::layout::BundleSource;
use crate::bundle::{BundleError, Manifest};
use crate::snapshot::sender;

/// A bundle that says what it is; nothing of that is believed yet.
pub(super) struct Opened {
    source: Arc<BundleSource>,
    manifest: UnverifiedManifest,
    /// SHA-256 of its signed manifest.
    pub digest: Digest,
}

impl Opened {
    /// What it says.
    pub fn claimed(&self) -> &Manifest {
        self.manifest.claimed()
    }
}

impl Importer {
    /// Opens places, together with what was kept of volumes that came earlier.
    pub(super) async fn open(&self, request: &ImportRequest) -> Result<Opened, ImportError> {
        let (importer, places) = (self.clone(), request.places.clone());
        blocking::run(move || importer.open_now(places)).await?
    }

    fn open_now(&self, mut places: Vec<PathBuf>) -> Result<Opened, ImportError> {
        if places.is_empty() {
            return Err(ImportError::Usage(
                "name the bundle: a folder, or its tars".to_owned(),
            ));
        }
        if let Some(outside) = places.iter().find(|place| !self.settings().allows(place)) {
            return Err(ImportError::Usage(format!(
                "{} is in none of the folders that bundles are read from: {}",
                outside.display(),
                self.settings().folders_shown()
            )));
        }
        let mut source = BundleSource::open(&places)?;
        let manifest = SignedManifest::parse_unverified(source.envelope())?;
        let digest = Digest::of(source.envelope());
        if let Some(aside) = self.aside(&digest).place() {
            // After those that were named: what is there whole is read there.
            places.push(aside.to_owned());
            source = BundleSource::open(&places)?;
        }
        Ok(Opened {
            source: Arc::new(source),
            manifest,
            digest,
        })
    }

    /// Finds out whose bundle it is, and believes it or not.
    pub(super) async fn believe<'a>(
        &'a self,
        opened: Opened,
        request: &ImportRequest,
        watch: &'a Watch,
        now: Timestamp,
    ) -> Result<Work<'a>, ImportError> {
        let mut known = sender::of(
            &self.gate().catalog,
            self.settings(),
            opened.claimed(),
            request.sender.as_deref(),
            request.root.as_deref(),
        )
        .await?;
        let reference = known.anchor.floors.reference(request.reference_time, now)?;
        let scratch = self.scratch().await?;
        let mut head = check_head(&opened.source, &known.anchor, reference, &scratch).await;
        if known.given.is_some() && !head.as_ref().is_ok_and(|head| known.leads_to_given(head)) {
            // That it is not given by mistake, only the sender's name beside it says.
            if request.sender.is_none() {
                return Err(known.other_root().into());
            }
            known.begin_anew();
            head = check_head(&opened.source, &known.anchor, reference, &scratch).await;
        }
        let head = head?;
        let own = self.gate().catalog.log().key().verifier();
        // By its key: names are chosen, and two sites may have chosen the same.
        if open_checkpoint(own, head.manifest().log.checkpoint.as_bytes()).is_ok() {
            return Err(BundleError::DoesNotFit {
                id: head.manifest().id.to_string(),
                why: "it is this site's own: its log is the one here".to_owned(),
            }
            .into());
        }
        Ok(Work {
            importer: self,
            journal: Journal::new(self.gate().catalog.clone(), opened.digest),
            aside: self.aside(&opened.digest),
            source: opened.source,
            head,
            known,
            run: 0,
            now,
            watch,
        })
    }

    /// An empty folder to work in. What a process that was killed left there goes.
    async fn scratch(&self) -> Result<PathBuf, ImportError> {
        let path = self.folder().join("scratch");
        let made = path.clone();
        let make = move || {
            match std::fs::remove_dir_all(&made) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::fs::create_dir_all(&made)
        };
        let failed = |source| ImportError::Scratch {
            path: path.clone(),
            source,
        };
        blocking::run(make).await?.map_err(failed)?;
        Ok(path)
    }
}
