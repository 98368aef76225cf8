//! Detached signatures, and what waits for them.

use chiron_tuf::{DetachedSignature, KeyId};
use jiff::Timestamp;

use super::carry::overtaken;
use super::edit::InForce;
use super::{Ceremonies, CeremonyError, view};
use crate::api::{TufMerged, TufRequests, TufWaiting};
use crate::publish::Pending;

impl Ceremonies {
    /// Every change that waits, oldest first.
    pub async fn requests(&self) -> Result<TufRequests, CeremonyError> {
        let labels = self.labels()?;
        let in_force = self.in_force().await?;
        let show = |pending: &Pending| {
            let stale = overtaken(pending, in_force.as_ref());
            view::waiting(pending, &labels, stale.as_ref())
        };
        Ok(TufRequests {
            items: self.publisher.pending().await?.iter().map(show).collect(),
        })
    }

    /// The file that signers of a request are given.
    pub async fn request_file(&self, id: &str) -> Result<Vec<u8>, CeremonyError> {
        let all = self.publisher.pending().await?;
        let document = all
            .iter()
            .flat_map(|pending| &pending.documents)
            .find(|document| document.request.id().to_string() == id);
        match document {
            Some(document) => Ok(document.request.to_bytes()?),
            None => Err(CeremonyError::NoSuchRequest(shown(id))),
        }
    }

    /// Forgets a change, named by its own id or by one of its requests.
    pub async fn cancel(&self, id: &str) -> Result<TufWaiting, CeremonyError> {
        let _turn = self.turn.lock().await;
        let pending = self
            .find(|pending| pending.id == id || has_request(pending, id))
            .await?
            .ok_or_else(|| CeremonyError::NoSuchRequest(shown(id)))?;
        self.publisher.forget_pending(pending.id.clone()).await?;
        tracing::info!(
            change = pending.id,
            what = pending.what,
            "a change of keys was cancelled"
        );
        Ok(view::waiting(&pending, &self.labels()?, None))
    }

    /// Takes detached signatures in, all of a file or none. What the last one completes comes into force.
    ///
    /// The same signatures again are no error: if all is signed and only a key of the daemon failed before, it is tried
    /// again.
    pub async fn merge(
        &self,
        signature: &DetachedSignature,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<TufMerged, CeremonyError> {
        let _turn = self.turn.lock().await;
        let labels = self.labels()?;
        let in_force = self.in_force().await?;
        let Some(mut pending) = self.answered_by(signature).await? else {
            return Err(unknown(signature, in_force.as_ref()));
        };
        if let Some(error) = overtaken(&pending, in_force.as_ref()) {
            return Err(CeremonyError::Stale(error));
        }
        let mut added = Vec::new();
        let mut merged = None;
        for document in &mut pending.documents {
            if document.request.role().name() != *signature.role() {
                continue;
            }
            let before: Vec<KeyId> = document.signatures.iter().map(|have| have.keyid).collect();
            document.signatures = document.request.merge(&document.signatures, signature)?;
            let new = document
                .signatures
                .iter()
                .filter(|have| !before.contains(&have.keyid));
            added = new.map(|have| view::key(&have.keyid, &labels)).collect();
            merged = Some(view::request(document, &labels));
        }
        let request = merged.ok_or_else(|| CeremonyError::NoSuchRequest(signature.request().to_string()))?;
        let mut answer = TufMerged {
            dry_run,
            added,
            request,
            waiting: None,
            published: None,
        };
        let complete = pending
            .documents
            .iter()
            .all(|document| !document.by_people || document.is_complete());
        if dry_run || !complete {
            answer.waiting = Some(view::waiting(&pending, &labels, None));
            if !dry_run {
                self.publisher.keep_pending(pending).await?;
            }
            return Ok(answer);
        }
        // First kept: if the daemon's own part fails, nobody has to send their signature twice.
        self.publisher.keep_pending(pending.clone()).await?;
        answer.published = Some(self.put_in_force(pending, now).await?);
        Ok(answer)
    }

    /// The change that a signature is for: by the request it names; else by role and version, so that what is wrong with
    /// it can be said.
    async fn answered_by(&self, signature: &DetachedSignature) -> Result<Option<Pending>, CeremonyError> {
        let id = signature.request().to_string();
        if let Some(pending) = self.find(|pending| has_request(pending, &id)).await? {
            return Ok(Some(pending));
        }
        self.find(|pending| {
            pending.documents.iter().any(|document| {
                let request = &document.request;
                request.role().name() == *signature.role() && request.version() == signature.version()
            })
        })
        .await
    }

    async fn find(&self, is: impl Fn(&Pending) -> bool) -> Result<Option<Pending>, CeremonyError> {
        Ok(self.publisher.pending().await?.into_iter().find(is))
    }
}

/// Why nothing waits for a signature.
fn unknown(signature: &DetachedSignature, in_force: Option<&InForce>) -> CeremonyError {
    let role = chiron_tuf::Role::try_from(signature.role());
    let published = role
        .ok()
        .zip(in_force)
        .map(|(role, in_force)| in_force.version(role));
    match published {
        Some(published) if published >= signature.version() => CeremonyError::Asked(format!(
            "{} {} was signed, and {} {published} is in force already: the signature is of an older request and is not taken",
            signature.role(),
            signature.version(),
            signature.role(),
        )),
        _ => CeremonyError::NoSuchRequest(signature.request().to_string()),
    }
}

fn has_request(pending: &Pending, id: &str) -> bool {
    let mut documents = pending.documents.iter();
    documents.any(|document| document.request.id().to_string() == id)
}

/// An id from outside, in an error.
fn shown(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(64).collect()
}
