//! What is signed for a year: renewed before it expires, signed again when its keys are others, and `trust` when policy or
//! trusted roots changed. All of that only with keys that are here; people are asked for the rest.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{
    BinCount, Delegations, Draft, Role, Root, SignedDocument, TargetFile, TargetPath, Targets, expires_at,
};

use super::PublishError;
use super::authority::Hands;
use super::due::is_due;
use super::held::{Held, Kept};
use super::install::{Installed, holds};
use super::publisher::Inner;
use super::run::Run;
use super::tables::CONTENTS;

impl Run<'_> {
    /// Signs root, targets, trust and bins where that is called for. `true` if there is a new root.
    pub(super) async fn renew(&mut self, installed: &Installed) -> Result<bool, PublishError> {
        let root = installed.roots.is_empty() && self.renew_root().await?;
        for role in [Role::Targets, Role::Trust, Role::Bins] {
            if !installed.has(role) {
                self.renew_targets(role).await?;
            }
        }
        Ok(root)
    }

    async fn renew_root(&mut self) -> Result<bool, PublishError> {
        if !self.is_old(Role::Root) || !self.inner.condition.may_renew(Role::Root) {
            return Ok(false);
        }
        let signed = self.new_root().await;
        let Some(root) = self.or_later(Role::Root, signed) else {
            return Ok(false);
        };
        self.commit.document(&root);
        self.note(&root);
        self.set(&root)?;
        Ok(true)
    }

    /// The root as it is, with the next version and another year.
    async fn new_root(&self) -> Result<SignedDocument, PublishError> {
        let keyring = &self.inner.parts.keyring;
        let hands = Hands::find(keyring, &self.held, Role::Root).await?;
        let root = self.held.root.as_ref().ok_or(PublishError::NotInitialised)?;
        let failed = |error: &dyn std::fmt::Display| PublishError::sign(Role::Root, &error);
        let document = Root {
            version: root.signed().version + 1,
            expires: expires_at(Role::Root, self.now).map_err(|error| failed(&error))?,
            ..root.signed().clone()
        };
        let draft = Draft::of(Role::Root, &document).map_err(|error| failed(&error))?;
        hands.sign(keyring, &draft, &[]).await
    }

    async fn renew_targets(&mut self, role: Role) -> Result<(), PublishError> {
        let keys = self.held.keys_of(role)?;
        let kept = self.kept(role).cloned();
        let other_keys = !self.before.keys_of(role).is_ok_and(|before| before.same(&keys));
        // Signed by keys that no longer count: without a new signature nothing below it would be believed.
        let must = other_keys && kept.as_ref().is_some_and(|kept| !holds(kept, &keys));
        let mut targets = kept
            .as_ref()
            .map(|kept| kept.signed().targets.clone())
            .unwrap_or_default();
        let mut changed = kept.is_none();
        if role == Role::Trust {
            let wanted = trust_targets(&self.inner.trust_documents()?);
            changed |= wanted != targets;
            targets = wanted;
        }
        let more_bins = if role == Role::Bins {
            self.more_bins()?
        } else {
            None
        };
        changed |= more_bins.is_some();
        let may = changed || self.is_old(role) || self.how.versions_from.is_some();
        let now = must || (may && self.inner.condition.may_renew(role));
        if !now {
            return Ok(());
        }
        let mut delegations = kept.as_ref().and_then(|kept| kept.signed().delegations.clone());
        if let Some(more) = more_bins {
            delegations = Some(more);
        }
        let signed = self.signed_targets(role, targets, delegations).await;
        let document = match signed {
            Err(error) if must => {
                return Err(PublishError::NotAccepted {
                    role,
                    version: self.held.version(role),
                    why: format!(
                        "it is not signed by the keys that would count from now on ({error}); hand its next version in together with them"
                    ),
                });
            }
            other => self.or_later(role, other),
        };
        let Some(document) = document else {
            return Ok(());
        };
        if role == Role::Trust {
            self.inner.keep_trust_documents().await?;
        }
        self.take(&document).await?;
        self.set(&document)
    }

    /// Delegations to more bins, when there are more targets than suit these: with the keys at hand, that needs nobody.
    fn more_bins(&self) -> Result<Option<Delegations>, PublishError> {
        let count = self.held.bin_count()?;
        // An operator may have chosen few bins for few targets.
        let wanted = BinCount::for_targets(self.held.target_count);
        let too_few = wanted > count && wanted > BinCount::DEFAULT;
        let Some(bin) = count.bins().next().filter(|_| too_few) else {
            return Ok(None);
        };
        let keys = self.held.keys_of(Role::Bin(bin))?;
        tracing::info!(
            targets = self.held.target_count,
            from = count.get(),
            to = wanted.get(),
            "more hash bins suit so many targets"
        );
        Ok(Some(wanted.delegations(&keys.keys, &keys.role)))
    }

    async fn signed_targets(
        &self,
        role: Role,
        targets: BTreeMap<String, TargetFile>,
        delegations: Option<Delegations>,
    ) -> Result<SignedDocument, PublishError> {
        let keyring = &self.inner.parts.keyring;
        let hands = Hands::find(keyring, &self.held, role).await?;
        let draft = self
            .edition
            .targets(role, targets, delegations)
            .map_err(|error| PublishError::sign(role, &error))?;
        hands.sign(keyring, &draft, &[]).await
    }

    /// A renewal that fails today is tried again: what is in force still holds, and `health` says until when.
    fn or_later(&self, role: Role, signed: Result<SignedDocument, PublishError>) -> Option<SignedDocument> {
        match signed {
            Ok(document) => {
                self.inner.condition.renewed(role);
                Some(document)
            }
            Err(error) => {
                tracing::debug!(%role, %error, "not renewed");
                self.inner.condition.renewal_failed(role, error.to_string());
                None
            }
        }
    }

    fn kept(&self, role: Role) -> Option<&Kept<Targets>> {
        match role {
            Role::Targets => self.held.targets.as_ref(),
            Role::Trust => self.held.trust.as_ref(),
            _ => self.held.bins.as_ref(),
        }
    }

    fn is_old(&self, role: Role) -> bool {
        let (Some(row), Ok(count)) = (self.held.roles.get(&role), self.held.bin_count()) else {
            return false;
        };
        is_due(role, row, self.inner.parts.settings.resign, count, self.now)
    }
}

/// A document of trust, by its path.
pub(super) type TrustDocument = (TargetPath, Bytes);

/// What `trust` should list.
pub(super) fn trust_targets(documents: &[TrustDocument]) -> BTreeMap<String, TargetFile> {
    let one = |(path, bytes): &TrustDocument| (path.to_string(), TargetFile::of(bytes));
    documents.iter().map(one).collect()
}

impl Inner {
    /// Policy and trusted roots as they are now.
    pub(super) fn trust_documents(&self) -> Result<Vec<TrustDocument>, PublishError> {
        let documents = (self.parts.trust_documents)();
        documents
            .into_iter()
            .map(|(name, bytes)| {
                let path =
                    TargetPath::trust(&name).map_err(|error| PublishError::sign(Role::Trust, &error))?;
                Ok((path, bytes))
            })
            .collect()
    }

    /// Writes them down, before anything names them. They are few and small, and are never swept: a signing request that
    /// people carry about for weeks names them too.
    pub(super) async fn keep_trust_documents(&self) -> Result<(), PublishError> {
        let documents = self.trust_documents()?;
        self.parts
            .db
            .transact(move |tx| {
                for (path, bytes) in documents {
                    let key = (Digest::from_bytes(path.hash()), Digest::of(&bytes));
                    if !tx.contains(&CONTENTS, &key)? {
                        tx.put(&CONTENTS, &key, &chiron_storage::Raw(bytes))?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Refuses a `trust` that lists documents whose bytes are not here: clients would look for them in vain.
    pub(super) async fn has_trust_documents(&self, held: &Held) -> Result<(), PublishError> {
        let Some(trust) = &held.trust else {
            return Ok(());
        };
        let (version, targets) = (trust.signed().version, trust.signed().targets.clone());
        self.parts
            .db
            .read(move |view| {
                for (path, file) in targets {
                    let digest = file.sha256().and_then(|digest| digest.parse::<Digest>().ok());
                    let hash = path.parse::<TargetPath>().ok().map(|path| path.hash());
                    let here = match (hash, digest) {
                        (Some(hash), Some(digest)) => {
                            view.contains(&CONTENTS, &(Digest::from_bytes(hash), digest))?
                        }
                        _ => false,
                    };
                    if !here {
                        return Err(PublishError::NotAccepted {
                            role: Role::Trust,
                            version,
                            why: format!("it lists {path} with a content that was never here; make a new signing request"),
                        });
                    }
                }
                Ok(())
            })
            .await
    }
}
