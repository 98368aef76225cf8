//! Documents that people signed: verified against what is in force, and taken in together or not at all.

use std::collections::BTreeMap;

use chiron_tuf::{
    Authority, BinCount, Document, Draft, Envelope, KeyId, PublicKey, Role, RoleKeys, Root, SignedDocument,
    TargetPath, Targets, Version, top_delegations, verify,
};
use jiff::Timestamp;

use super::held::{Held, Kept, Keys};
use super::{PublishError, SignedRole};

/// What was taken in.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// New roots, oldest first.
    pub roots: Vec<SignedDocument>,
    /// New targets, trust and bins.
    pub others: Vec<SignedDocument>,
}

impl Installed {
    /// Whether a role came with it.
    pub(super) fn has(&self, role: Role) -> bool {
        self.others.iter().any(|document| document.role() == role)
    }
}

/// Verifies documents in the order in which clients would (root, targets, then who they delegate to), and puts them into
/// `held`.
pub(super) fn take_in(
    held: &mut Held,
    mut documents: Vec<SignedRole>,
    now: Timestamp,
) -> Result<Installed, PublishError> {
    documents.sort_by_key(|document| (document.role, document.version));
    let mut installed = Installed::default();
    for document in documents {
        let refused = |why: String| PublishError::NotAccepted {
            role: document.role,
            version: document.version,
            why,
        };
        match document.role {
            Role::Root => {
                let root = root(held, &document, now)?;
                held.root = Some(Kept::parse(root.bytes().to_vec().into())?);
                installed.roots.push(root);
            }
            Role::Targets | Role::Trust | Role::Bins => {
                if installed.has(document.role) {
                    return Err(refused("it came twice".to_owned()));
                }
                let signed = targets(held, &document, now)?;
                let kept = Some(Kept::parse(signed.bytes().to_vec().into())?);
                match document.role {
                    Role::Targets => held.targets = kept,
                    Role::Trust => held.trust = kept,
                    _ => held.bins = kept,
                }
                installed.others.push(signed);
            }
            Role::Bin(_) | Role::Snapshot | Role::Timestamp => {
                return Err(refused(
                    "the daemon signs this role itself, with the keys that root and bins name".to_owned(),
                ));
            }
        }
    }
    Ok(installed)
}

/// Section 5.3.4 and 5.3.5: signed by the root before and by itself, and its version is the next one.
fn root(held: &Held, document: &SignedRole, now: Timestamp) -> Result<SignedDocument, PublishError> {
    let refuse = Refuse(document);
    let envelope: Envelope<Root> = refuse.read(now)?;
    let next = held.version(Role::Root).max(kept_version(held.root.as_ref())) + 1;
    if document.version != next {
        return Err(refuse.because(format!(
            "the next root is {next}: clients walk from one to the next"
        )));
    }
    let own = own_keys(&envelope.signed).ok_or_else(|| refuse.because("it names no keys of its own"))?;
    let mut authorities = Vec::new();
    let before = held.root.as_ref().and_then(|root| own_keys(root.signed()));
    if let Some(before) = &before {
        authorities.push(before.authority());
    }
    authorities.push(own.authority());
    refuse.seal(&envelope, &authorities)
}

fn kept_version<T: Document>(kept: Option<&Kept<T>>) -> Version {
    kept.map_or(0, |kept| kept.signed().version())
}

fn own_keys(root: &Root) -> Option<Keys> {
    let role = root.roles.get(&Role::Root.name())?.clone();
    Some(Keys {
        keys: root.keys.clone(),
        role,
    })
}

/// Sections 5.6.3 to 5.6.6: signed by whom the delegating document names; newer than what is in force.
fn targets(held: &Held, document: &SignedRole, now: Timestamp) -> Result<SignedDocument, PublishError> {
    let refuse = Refuse(document);
    let envelope: Envelope<Targets> = refuse.read(now)?;
    let last = held.version(document.role);
    if document.version <= last {
        return Err(refuse.because(format!("{last} is in force, and versions only go up")));
    }
    form(document.role, &envelope.signed).map_err(|why| refuse.because(why))?;
    let keys = held.keys_of(document.role)?;
    refuse.seal(&envelope, &[keys.authority()])
}

/// What a document of this role may say in a repository of ours. Another would be a mistake of somebody with good keys.
fn form(role: Role, document: &Targets) -> Result<(), String> {
    let delegations = document.delegations.as_ref();
    match role {
        Role::Targets | Role::Bins if !document.targets.is_empty() => {
            Err("it lists targets itself, which belong into trust and the bins".to_owned())
        }
        Role::Targets => {
            let delegations = delegations.ok_or("it delegates to nobody")?;
            let of = |role: Role| -> Option<RoleKeys> {
                let name = role.name();
                let found = delegations.roles.iter().find(|one| one.name == name)?;
                Some(found.keys.clone())
            };
            let (trust, bins) = of(Role::Trust)
                .zip(of(Role::Bins))
                .ok_or("it must delegate to trust and to bins")?;
            let right = top_delegations(&delegations.keys, &trust, &bins);
            (right.roles == delegations.roles)
                .then_some(())
                .ok_or_else(|| "its delegations are not those of a Chiron repository: first trust/* to trust, then everything to bins, both terminating".to_owned())
        }
        Role::Bins => {
            let delegations = delegations.ok_or("it delegates to nobody")?;
            BinCount::read(delegations).map_err(|error| error.to_string())?;
            let same = delegations
                .roles
                .windows(2)
                .all(|pair| pair[0].keys == pair[1].keys);
            same.then_some(())
                .ok_or_else(|| "its bins have different keys; all of them are signed by the same".to_owned())
        }
        _ if delegations.is_some() => Err("it delegates, and nobody would be asked there".to_owned()),
        _ => {
            let foreign = |path: &&String| !path.parse::<TargetPath>().is_ok_and(|path| path.is_trust());
            match document.targets.keys().find(foreign) {
                Some(path) => Err(format!("it lists {path:?}, and only trust/* is its to list")),
                None => Ok(()),
            }
        }
    }
}

/// The document that is being looked at, for what is said of it.
struct Refuse<'a>(&'a SignedRole);

impl Refuse<'_> {
    fn because(&self, why: impl Into<String>) -> PublishError {
        PublishError::NotAccepted {
            role: self.0.role,
            version: self.0.version,
            why: why.into(),
        }
    }

    fn read<T: Document>(&self, now: Timestamp) -> Result<Envelope<T>, PublishError> {
        let envelope: Envelope<T> =
            Envelope::parse(&self.0.bytes).map_err(|error| self.because(error.to_string()))?;
        let found = envelope.signed.version();
        if found != self.0.version {
            return Err(self.because(format!("it states the version {found}")));
        }
        let expires = envelope.signed.expires();
        if expires <= now {
            return Err(self.because(format!("it expired on {expires}")));
        }
        Ok(envelope)
    }

    fn seal<T: Document>(
        &self,
        envelope: &Envelope<T>,
        authorities: &[Authority<'_>],
    ) -> Result<SignedDocument, PublishError> {
        let draft =
            Draft::of(self.0.role, &envelope.signed).map_err(|error| self.because(error.to_string()))?;
        SignedDocument::seal(&draft, authorities, &envelope.signatures)
            .map_err(|error| self.because(error.to_string()))
    }
}

/// Whether a document in force is signed by those who may, as the delegating documents state it now.
pub(super) fn holds<T: Document>(kept: &Kept<T>, keys: &Keys) -> bool {
    let keys_by_id: &BTreeMap<KeyId, PublicKey> = &keys.keys;
    kept.envelope
        .payload()
        .is_ok_and(|payload| verify(keys_by_id, &keys.role, &payload, &kept.envelope.signatures).is_ok())
}
