//! Which keys: those of the ring that a person names, public keys that are handed over, and new ones in the stores of old ones.

use std::collections::{BTreeMap, BTreeSet};

use chiron_tuf::{KeyId, KeyLabels, LocalKey, PublicKey, RoleKeys, Scheme, Threshold, sign};
use jiff::Timestamp;

use super::edit::InForce;
use super::{Ceremonies, CeremonyError};
use crate::api::TufKeyChoice;
use crate::keys::remote::{RemotePlace, VaultKey};
use crate::keys::{KeyError, KeyPlace, KeyRecord, Keyring, NewPlace};
use crate::publish::Duty;

/// Keys of one role. Threat: an entry of the log that is too long, and ceremonies that nobody oversees.
const MAX_KEYS: usize = 16;

/// Digits of a key id that name a key, at least.
const MIN_ID_DIGITS: usize = 8;

/// What a new key is tried out with. It is no metadata, so that the signature is good for nothing else.
const TRIAL: &[u8] = b"chiron: this key is tried out";

/// Keys being chosen for one change.
pub(super) struct Chooser<'a> {
    keyring: &'a Keyring,
    /// Nothing is made: what would be is stood for by keys in memory.
    dry_run: bool,
    now: Timestamp,
    /// The public halves of what was chosen.
    pub public: BTreeMap<KeyId, PublicKey>,
    /// What keys are called that the ring does not have: those of a dry run.
    pub labels: KeyLabels,
    /// One new key for each old one, whatever its roles.
    successors: BTreeMap<KeyId, KeyId>,
    pub notes: Vec<String>,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(ceremonies: &'a Ceremonies, dry_run: bool, now: Timestamp) -> Self {
        Self {
            keyring: &ceremonies.keyring,
            dry_run,
            now,
            public: BTreeMap::new(),
            labels: KeyLabels::new(),
            successors: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// The keys that are named; public keys that are handed over are entered into the ring.
    pub(super) async fn chosen(
        &mut self,
        choices: &[TufKeyChoice],
    ) -> Result<BTreeSet<KeyId>, CeremonyError> {
        if choices.len() > MAX_KEYS {
            return Err(CeremonyError::Asked(format!(
                "{} keys were given; a role has at most {MAX_KEYS}",
                choices.len()
            )));
        }
        let mut ids = BTreeSet::new();
        for choice in choices {
            let public = match &choice.pem {
                None => self.keyring.find(&choice.name)?.public,
                Some(pem) => self.handed_over(&choice.name, pem).await?,
            };
            let id = public.id();
            self.public.insert(id, public);
            if !ids.insert(id) {
                return Err(CeremonyError::Asked(format!(
                    "the key {} was given twice, the second time as {:?}; one key is one signer",
                    id, choice.name
                )));
            }
        }
        Ok(ids)
    }

    async fn handed_over(&mut self, label: &str, pem: &str) -> Result<PublicKey, CeremonyError> {
        let public = PublicKey::from_pem(pem)
            .map_err(|error| CeremonyError::Asked(format!("the public key of {label:?}: {error}")))?;
        if self.dry_run {
            self.labels
                .entry(public.id())
                .or_insert_with(|| label.chars().take(64).collect());
        } else {
            self.keyring.add_public(label, public.clone(), self.now).await?;
        }
        Ok(public)
    }

    /// A key of documents in force or of the ring, by label or id.
    pub(super) fn known(&self, what: &str, in_force: &InForce) -> Result<KeyId, CeremonyError> {
        let unknown = match self.keyring.find(what) {
            Ok(key) => return Ok(key.id),
            Err(unknown @ KeyError::Unknown { .. }) => unknown,
            Err(error) => return Err(error.into()),
        };
        // A key that the ring lost can be taken away all the same.
        let public = in_force.public();
        let begins = |id: &&KeyId| what.len() >= MIN_ID_DIGITS && id.to_string().starts_with(what);
        let mut found = public.keys().filter(begins);
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(*id),
            _ => Err(unknown.into()),
        }
    }

    /// A key of the ring with this label that can be used here.
    pub(super) fn usable(&mut self, label: &str) -> Option<KeyId> {
        let keys = self.keyring.list().ok()?;
        let key = keys
            .into_iter()
            .find(|key| key.label == label && key.place.is_online())?;
        self.public.insert(key.id, key.public);
        Some(key.id)
    }

    /// Labels of those keys that the daemon can use by itself.
    pub(super) fn on_this_machine(&self, ids: &BTreeSet<KeyId>) -> Vec<String> {
        let keys = self.keyring.list().unwrap_or_default();
        keys.into_iter()
            .filter(|key| key.place.is_online() && ids.contains(&key.id))
            .map(|key| key.label)
            .collect()
    }

    /// Whether the daemon can make another key where this one is.
    pub(super) fn has_successor(&self, id: &KeyId) -> bool {
        self.successors.contains_key(id)
            || self
                .keyring
                .find(&id.to_string())
                .is_ok_and(|key| key.place.is_online())
    }

    /// Whether each of these can have a successor: asked before the first is made, so that none is left over.
    pub(super) fn can_be_succeeded(&self, ids: &BTreeSet<KeyId>) -> Result<(), CeremonyError> {
        for id in ids {
            place_of_successor(&self.keyring.find(&id.to_string())?)?;
        }
        Ok(())
    }

    /// A new key where the old one is, of the same kind.
    pub(super) async fn successor(&mut self, old: &KeyId) -> Result<KeyId, CeremonyError> {
        if let Some(new) = self.successors.get(old) {
            return Ok(*new);
        }
        let record = self.keyring.find(&old.to_string())?;
        let place = place_of_successor(&record)?;
        let id = self
            .fresh(stem(&record.label), record.public.scheme(), place)
            .await?;
        self.successors.insert(*old, id);
        Ok(id)
    }

    /// A new key.
    pub(super) async fn fresh(
        &mut self,
        label: &str,
        scheme: Scheme,
        place: NewPlace,
    ) -> Result<KeyId, CeremonyError> {
        let public = if self.dry_run {
            let key = LocalKey::generate(scheme)
                .map_err(|_| KeyError::Crypto("the machine gives no randomness"))?;
            let public = chiron_tuf::Signer::public(&key).clone();
            self.labels.insert(
                public.id(),
                format!("a new key, {label} (its id will be another)"),
            );
            public
        } else {
            let made = self.keyring.generate(label, scheme, place, self.now).await?;
            self.notes
                .push(format!("made the key {} ({})", made.label, made.place.kind()));
            made.public
        };
        let id = public.id();
        self.public.insert(id, public);
        Ok(id)
    }

    /// Whether what Chiron signs by itself could still be signed with these keys, and whether they work. A key that does
    /// not is found before a root names it, and not afterwards, when nothing can be published.
    pub(super) async fn try_out(
        &self,
        duty: Duty,
        keys: &RoleKeys,
        before: Option<&RoleKeys>,
    ) -> Result<(), CeremonyError> {
        let mut have = 0;
        let mut lacking = String::new();
        for id in keys.keyids() {
            let made = self.labels.contains_key(id) && self.dry_run;
            let record = self.keyring.find(&id.to_string());
            let usable = made || record.as_ref().is_ok_and(|key| key.place.is_online());
            if !usable {
                lacking = record.map_or_else(|_| id.to_string(), |key| key.label);
                continue;
            }
            have += 1;
            if self.dry_run || before.is_some_and(|before| before.keyids().contains(id)) {
                continue;
            }
            let signer = self.keyring.signer(*id).await?;
            sign(signer.as_ref(), TRIAL)
                .await
                .map_err(|source| CeremonyError::Untried { key: *id, source })?;
        }
        let threshold = keys.threshold().get();
        if have < usize::from(threshold) {
            return Err(CeremonyError::OutOfReach {
                duty,
                have,
                threshold,
                lacking,
            });
        }
        Ok(())
    }
}

/// Keys and threshold of a role, if they make sense.
pub(super) fn role_keys(
    duty: Duty,
    ids: BTreeSet<KeyId>,
    threshold: Threshold,
) -> Result<RoleKeys, CeremonyError> {
    if ids.len() > MAX_KEYS {
        return Err(CeremonyError::Asked(format!(
            "{duty} would have {} keys; a role has at most {MAX_KEYS}",
            ids.len()
        )));
    }
    RoleKeys::new(ids, threshold).map_err(|source| CeremonyError::Keys { duty, source })
}

/// As many as asked for; 0 is more than half.
pub(super) fn threshold(duty: Duty, asked: u32, keys: usize) -> Result<Threshold, CeremonyError> {
    let majority = u32::try_from(keys / 2 + 1).unwrap_or(u32::MAX);
    let asked = if asked == 0 { majority } else { asked };
    Threshold::new(asked).map_err(|source| CeremonyError::Keys { duty, source })
}

fn place_of_successor(record: &KeyRecord) -> Result<NewPlace, CeremonyError> {
    let refused = |why| CeremonyError::NoSuccessor {
        label: record.label.clone(),
        why,
    };
    match &record.place {
        KeyPlace::File { .. } => Ok(NewPlace::File),
        KeyPlace::SecretService { service, .. } => Ok(NewPlace::SecretService {
            service: service.clone(),
        }),
        KeyPlace::Keyutils { .. } => Ok(NewPlace::Keyutils),
        KeyPlace::Pkcs11(uri) => {
            let mut uri = uri.clone();
            // The token, and not the old key in it.
            uri.object = None;
            uri.id = None;
            Ok(NewPlace::Pkcs11(uri))
        }
        KeyPlace::Remote(RemotePlace::Vault(key)) => Ok(NewPlace::Vault(VaultKey {
            key: next_name(&key.key),
            version: None,
            ..key.clone()
        })),
        KeyPlace::Remote(_) => Err(refused("Chiron makes no keys in that service")),
        KeyPlace::Env { .. } => Err(refused("an environment variable is set outside of Chiron")),
        KeyPlace::Offline => Err(refused("it is offline, and only its holder can make one")),
    }
}

/// `timestamp-2` was made from `timestamp`.
fn stem(label: &str) -> &str {
    match label.rsplit_once('-') {
        Some((stem, number)) if !stem.is_empty() && is_number(number) => stem,
        _ => label,
    }
}

/// `timestamp-3` after `timestamp-2`.
fn next_name(name: &str) -> String {
    let stem = stem(name);
    let number = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok())
        .unwrap_or(1);
    format!("{stem}-{}", number.saturating_add(1))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4 && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_up() {
        for (old, new) in [
            ("timestamp", "timestamp-2"),
            ("timestamp-2", "timestamp-3"),
            ("timestamp-9999", "timestamp-10000"),
            ("a-20261120", "a-20261120-2"),
            ("-2", "-2-2"),
        ] {
            assert_eq!(next_name(old), new);
        }
    }
}
