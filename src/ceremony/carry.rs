//! From a plan to what is in force: documents, signatures, the pending row, installation, the entry in the log.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_tuf::{KeyLabels, RequestError, Role, Root, Signature, SigningRequest, Targets, sign};
use jiff::Timestamp;

use super::edit::{self, Drafted, InForce};
use super::request::request;
use super::{Ceremonies, CeremonyError, view};
use crate::api::{TufChange, TufPublished};
use crate::catalog::{Actor, KeysChanged, KeysInForce};
use crate::publish::{Pending, PendingDocument, Plan, PublishError, SignedRole, end_pending};

/// A change as it was asked for.
pub(super) struct Asked {
    pub what: String,
    pub reason: String,
    pub by: Actor,
    pub plan: Plan,
    /// What keys are called that the ring does not know: those of a dry run.
    pub labels: KeyLabels,
    pub notes: Vec<String>,
}

impl Ceremonies {
    /// What is in force; `None` before the first root.
    pub(super) async fn in_force(&self) -> Result<Option<InForce>, CeremonyError> {
        let publisher = &self.publisher;
        let root = publisher.role::<Root>(Role::Root).await?;
        let targets = publisher.role::<Targets>(Role::Targets).await?;
        let trust = publisher.role::<Targets>(Role::Trust).await?;
        let bins = publisher.role::<Targets>(Role::Bins).await?;
        Ok(match (root, targets, trust, bins) {
            (Some(root), Some(targets), Some(trust), Some(bins)) => Some(InForce {
                root,
                targets,
                trust,
                bins,
            }),
            _ => None,
        })
    }

    /// What the ring calls its keys.
    pub(super) fn labels(&self) -> Result<KeyLabels, CeremonyError> {
        Ok(self
            .keyring
            .list()?
            .into_iter()
            .map(|key| (key.id, key.label))
            .collect())
    }

    /// A dry run only says what would change.
    pub(super) async fn preview_or_carry(
        &self,
        asked: Asked,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<TufChange, CeremonyError> {
        if dry_run {
            self.preview(asked, now).await
        } else {
            self.carry(asked, now).await
        }
    }

    /// What a plan would change; nothing is signed and nothing kept.
    pub(super) async fn preview(&self, asked: Asked, now: Timestamp) -> Result<TufChange, CeremonyError> {
        let in_force = self.in_force().await?;
        let pending = self.pending_of(in_force.as_ref(), &asked, now)?;
        let waits = pending.documents.iter().any(|document| document.by_people);
        let mut labels = self.labels()?;
        labels.extend(asked.labels);
        Ok(TufChange {
            dry_run: true,
            unchanged: pending.documents.is_empty(),
            diff: diff(&pending),
            published: None,
            notes: asked.notes,
            waiting: waits.then(|| view::waiting(&pending, &labels, None)),
        })
    }

    /// Carries a plan out as far as the keys at hand reach.
    pub(super) async fn carry(&self, asked: Asked, now: Timestamp) -> Result<TufChange, CeremonyError> {
        let in_force = self.in_force().await?;
        let mut pending = self.pending_of(in_force.as_ref(), &asked, now)?;
        let mut change = TufChange {
            unchanged: pending.documents.is_empty(),
            diff: diff(&pending),
            notes: asked.notes,
            ..TufChange::default()
        };
        if change.unchanged {
            return Ok(change);
        }
        for document in &mut pending.documents {
            let failures = self.sign_here(document).await;
            if !document.by_people && !document.is_complete() {
                return Err(unsigned(&document.request, &failures));
            }
            change.notes.extend(failures);
        }
        self.publisher.keep_pending(pending.clone()).await?;
        if !pending.is_complete() {
            change.waiting = Some(view::waiting(&pending, &self.labels()?, None));
            return Ok(change);
        }
        let id = pending.id.clone();
        match self.put_in_force(pending, now).await {
            Ok(published) => {
                change.published = Some(published);
                Ok(change)
            }
            // The process ends, and it may be in force or not: the next start finds out, and finishes it.
            Err(error @ CeremonyError::Publish(PublishError::Stopping)) => Err(error),
            Err(error) => {
                // Nobody waits for it, and what was asked for did not happen.
                self.publisher.forget_pending(id).await?;
                Err(error)
            }
        }
    }

    /// The change as a row, with nothing signed.
    fn pending_of(
        &self,
        in_force: Option<&InForce>,
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Pending, CeremonyError> {
        let mut labels = self.labels()?;
        labels.extend(asked.labels.clone());
        let drafts = edit::draft(in_force, &asked.plan, now)?;
        let documents = drafts
            .iter()
            .map(|draft| self.document(in_force, draft, &labels, now))
            .collect::<Result<Vec<_>, _>>()?;
        let first = documents
            .first()
            .map(|document| document.request.id().to_string());
        Ok(Pending {
            id: first.unwrap_or_default(),
            what: asked.what.clone(),
            reason: asked.reason.clone(),
            by: asked.by.clone(),
            made: now,
            plan: asked.plan.clone(),
            documents,
        })
    }

    fn document(
        &self,
        in_force: Option<&InForce>,
        draft: &Drafted,
        labels: &KeyLabels,
        now: Timestamp,
    ) -> Result<PendingDocument, CeremonyError> {
        let request = request(in_force, draft, labels, now)?;
        Ok(PendingDocument {
            by_people: self.needs_people(&request)?,
            request,
            signatures: Vec::new(),
        })
    }

    /// Whether the keys that can be used here do not suffice.
    fn needs_people(&self, request: &SigningRequest) -> Result<bool, CeremonyError> {
        let here: Vec<_> = self
            .keyring
            .list()?
            .into_iter()
            .filter(|key| key.place.is_online())
            .map(|key| key.id)
            .collect();
        Ok(request.needs().iter().any(|need| {
            let usable = need.keys.keyids().iter().filter(|id| here.contains(id)).count();
            usable < usize::from(need.keys.threshold().get())
        }))
    }

    /// Signs with every key that can be used here; what those said that did not.
    async fn sign_here(&self, document: &mut PendingDocument) -> Vec<String> {
        let request = &document.request;
        let mut failures = Vec::new();
        for id in request.keys().keys() {
            let at_hand = self
                .keyring
                .find(&id.to_string())
                .is_ok_and(|key| key.place.is_online());
            if !at_hand || document.signatures.iter().any(|signature| signature.keyid == *id) {
                continue;
            }
            let signed: Result<Signature, String> = match self.keyring.signer(*id).await {
                Ok(signer) => sign(signer.as_ref(), request.draft().payload())
                    .await
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match signed {
                Ok(signature) => document.signatures.push(signature),
                Err(why) => {
                    // The next attempt opens it anew.
                    self.keyring.forget(*id);
                    failures.push(why);
                }
            }
        }
        failures
    }

    /// Installs a complete change, logs it, and ends its row. What Chiron signed by itself and was overtaken while people
    /// signed is made again; what people signed is put in force as it is, or not at all.
    pub(super) async fn put_in_force(
        &self,
        mut pending: Pending,
        now: Timestamp,
    ) -> Result<TufPublished, CeremonyError> {
        let in_force = self.in_force().await?;
        if let Some(error) = overtaken(&pending, in_force.as_ref()) {
            return Err(CeremonyError::Stale(error));
        }
        self.make_again(&mut pending, in_force.as_ref(), now).await?;
        let roles = signed_roles(&pending)?;
        self.publisher.keep_pending(pending.clone()).await?;
        let published = match self.publisher.install(roles, now).await {
            Ok(published) => published,
            // It may have failed after the documents were in force: then that is logged, and said.
            Err(error) => {
                if self.is_in_force(&pending).await? {
                    self.log(&pending, now).await?;
                }
                return Err(error.into());
            }
        };
        self.log(&pending, now).await?;
        tracing::info!(
            change = pending.id,
            what = pending.what,
            generation = published.generation,
            "keys of the signed repository changed"
        );
        Ok(view::figures(&published))
    }

    /// Makes documents again that Chiron signs by itself and that no longer follow what is in force.
    async fn make_again(
        &self,
        pending: &mut Pending,
        in_force: Option<&InForce>,
        now: Timestamp,
    ) -> Result<(), CeremonyError> {
        let follows = |document: &PendingDocument| follows(&document.request, in_force).is_ok();
        if pending.documents.iter().all(follows) {
            return Ok(());
        }
        let labels = self.labels()?;
        let mut drafts: BTreeMap<Role, Drafted> = edit::draft(in_force, &pending.plan, now)?
            .into_iter()
            .map(|draft| (draft.role, draft))
            .collect();
        let mut documents = Vec::new();
        for document in std::mem::take(&mut pending.documents) {
            let draft = drafts.remove(&document.request.role());
            if document.by_people || follows(&document) {
                documents.push(document);
            } else if let Some(draft) = draft {
                let mut made = self.document(in_force, &draft, &labels, now)?;
                let failures = self.sign_here(&mut made).await;
                if !made.is_complete() {
                    return Err(unsigned(&made.request, &failures));
                }
                documents.push(made);
            }
        }
        pending.documents = documents;
        Ok(())
    }

    /// Whether every document of a change is what is in force.
    pub(super) async fn is_in_force(&self, pending: &Pending) -> Result<bool, CeremonyError> {
        let Some(in_force) = self.in_force().await? else {
            return Ok(false);
        };
        Ok(pending.documents.iter().all(|document| {
            let payload = match document.request.role() {
                Role::Root => in_force.root.payload(),
                Role::Trust => in_force.trust.payload(),
                Role::Bins => in_force.bins.payload(),
                _ => in_force.targets.payload(),
            };
            payload.is_ok_and(|payload| payload == document.request.draft().payload())
        }))
    }

    /// Logs a change that is in force, and ends its row in the same transaction.
    pub(super) async fn log(&self, pending: &Pending, now: Timestamp) -> Result<u64, CeremonyError> {
        let versions = pending.documents.iter().map(|document| {
            let request = &document.request;
            (request.role().to_string(), request.version())
        });
        let roles = pending.plan.keys.iter().map(|(duty, keys)| {
            let in_force = KeysInForce {
                threshold: keys.threshold().get(),
                keys: keys.keyids().iter().map(ToString::to_string).collect(),
            };
            (duty.to_string(), in_force)
        });
        let changed = KeysChanged {
            versions: versions.collect(),
            roles: roles.collect(),
            reason: pending.reason.clone(),
            by: pending.by.clone(),
        };
        let id = pending.id.clone();
        let event = self
            .catalog
            .keys_changed(changed, move |tx| end_pending(tx, &id), now)
            .await?;
        Ok(event)
    }
}

/// Why a change can never be put in force any more; `None` while it can.
pub(super) fn overtaken(pending: &Pending, in_force: Option<&InForce>) -> Option<RequestError> {
    pending
        .documents
        .iter()
        .filter(|document| document.by_people)
        .find_map(|document| follows(&document.request, in_force).err())
}

fn follows(request: &SigningRequest, in_force: Option<&InForce>) -> Result<(), RequestError> {
    request.follows(in_force.map(|in_force| in_force.version(request.role())))
}

fn signed_roles(pending: &Pending) -> Result<Vec<SignedRole>, CeremonyError> {
    let signed = |document: &PendingDocument| {
        let signed = document.request.finish(&document.signatures)?;
        Ok(SignedRole {
            role: signed.role(),
            version: signed.version(),
            bytes: Bytes::from(signed.into_bytes()),
        })
    };
    pending.documents.iter().map(signed).collect()
}

fn diff(pending: &Pending) -> Vec<String> {
    let all = pending
        .documents
        .iter()
        .flat_map(|document| document.request.changes());
    all.cloned().collect()
}

fn unsigned(request: &SigningRequest, failures: &[String]) -> CeremonyError {
    CeremonyError::Unsigned {
        role: request.role(),
        version: request.version(),
        why: failures.join("; "),
    }
}
