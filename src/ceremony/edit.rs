//! From the documents in force and a plan to the documents that carry it out: pure, nothing is signed here.

use std::collections::BTreeMap;

use chiron_tuf::{
    BinCount, BinCountError, BinsError, DelegatedRole, Document as _, Envelope, ExpiryError, KeyId,
    MetadataError, PublicKey, Role, RoleKeys, Root, RootType, SPEC_VERSION, TargetFile, Targets, TargetsType,
    Version, expires_at, limits::MAX_VERSION, top_delegations, verify,
};
use jiff::Timestamp;

use crate::publish::{Duty, Plan};

/// Why no documents can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The first documents need keys for everything.
    #[error("the first root needs keys for {0}, and none are given")]
    NoKeys(Duty),
    /// A key is used whose public half nobody gave.
    #[error("the public key {0} is needed and not known")]
    NoPublicKey(KeyId),
    /// A document in force does not say what it should.
    #[error("the {role} metadata in force names no keys for {duty}")]
    Unnamed {
        /// Whose document.
        role: Role,
        /// For what.
        duty: Duty,
    },
    /// The bins' delegations are not those of hash bins.
    #[error("the bins metadata in force is not usable: {0}")]
    Bins(#[from] BinsError),
    /// Another number of bins was asked for, and there cannot be so many.
    #[error(transparent)]
    Count(#[from] BinCountError),
    /// It would be the last that clients can count to.
    #[error("{0} has reached the last version that clients can count to ({MAX_VERSION})")]
    Worn(Role),
    /// The clock.
    #[error(transparent)]
    Expiry(#[from] ExpiryError),
    /// No canonical form.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// The documents in force that people sign.
#[derive(Clone, Debug)]
pub struct InForce {
    pub root: Envelope<Root>,
    pub targets: Envelope<Targets>,
    pub trust: Envelope<Targets>,
    pub bins: Envelope<Targets>,
}

/// A document of one of the two kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Root(Root),
    Targets(Targets),
}

/// A document that is to be signed.
#[derive(Clone, Debug)]
pub struct Drafted {
    pub role: Role,
    pub after: Content,
    /// Whose signatures it needs; a root is also signed by those it succeeds, and says so itself.
    pub keys: RoleKeys,
    /// The public halves.
    pub public: BTreeMap<KeyId, PublicKey>,
}

impl InForce {
    /// Whose signatures a duty needs now.
    pub fn keys(&self, duty: Duty) -> Result<&RoleKeys, EditError> {
        let role = duty.named_by();
        let unnamed = || EditError::Unnamed { role, duty };
        match duty {
            Duty::Root => self.of_root(Role::Root),
            Duty::Targets => self.of_root(Role::Targets),
            Duty::Snapshot => self.of_root(Role::Snapshot),
            Duty::Timestamp => self.of_root(Role::Timestamp),
            Duty::Trust => delegation(&self.targets.signed, |name| *name == Role::Trust.name().as_str()),
            Duty::Bins => delegation(&self.targets.signed, |name| *name == Role::Bins.name().as_str()),
            Duty::Bin => delegation(&self.bins.signed, |_| true),
        }
        .ok_or_else(unnamed)
    }

    fn of_root(&self, role: Role) -> Option<&RoleKeys> {
        self.root.signed.roles.get(&role.name())
    }

    /// Every public key that these documents name.
    pub fn public(&self) -> BTreeMap<KeyId, PublicKey> {
        let delegated = [&self.targets, &self.trust, &self.bins]
            .into_iter()
            .filter_map(|document| document.signed.delegations.as_ref())
            .flat_map(|delegations| &delegations.keys);
        self.root
            .signed
            .keys
            .iter()
            .chain(delegated)
            .map(|(id, key)| (*id, key.clone()))
            .collect()
    }

    /// How many bins there are.
    pub fn bins(&self) -> Result<BinCount, EditError> {
        let delegations = self.bins.signed.delegations.as_ref().ok_or(BinsError::Count(0))?;
        Ok(BinCount::read(delegations)?)
    }

    /// The version in force.
    pub fn version(&self, role: Role) -> Version {
        match role {
            Role::Root => self.root.signed.version(),
            Role::Trust => self.trust.signed.version(),
            Role::Bins => self.bins.signed.version(),
            _ => self.targets.signed.version(),
        }
    }
}

fn delegation(document: &Targets, is: impl Fn(&&str) -> bool) -> Option<&RoleKeys> {
    let named = |role: &&DelegatedRole| is(&role.name.as_str());
    let roles = &document.delegations.as_ref()?.roles;
    roles.iter().find(named).map(|role| &role.keys)
}

/// The documents that carry a plan out, in the order in which they rest on each other; none if everything is so already.
pub fn draft(in_force: Option<&InForce>, plan: &Plan, now: Timestamp) -> Result<Vec<Drafted>, EditError> {
    Editor::new(in_force, plan, now)?.documents()
}

struct Editor<'a> {
    before: Option<&'a InForce>,
    plan: &'a Plan,
    now: Timestamp,
    /// As they shall be.
    duties: BTreeMap<Duty, RoleKeys>,
    public: BTreeMap<KeyId, PublicKey>,
}

impl<'a> Editor<'a> {
    fn new(before: Option<&'a InForce>, plan: &'a Plan, now: Timestamp) -> Result<Self, EditError> {
        let mut duties = BTreeMap::new();
        for duty in Duty::ALL {
            let keys = match (plan.keys.get(&duty), before) {
                (Some(keys), _) => keys,
                (None, Some(before)) => before.keys(duty)?,
                (None, None) => return Err(EditError::NoKeys(duty)),
            };
            duties.insert(duty, keys.clone());
        }
        let mut public = before.map(InForce::public).unwrap_or_default();
        public.extend(plan.public.iter().map(|(id, key)| (*id, key.clone())));
        let used = duties.values().flat_map(RoleKeys::keyids);
        if let Some(unknown) = used.into_iter().find(|id| !public.contains_key(id)) {
            return Err(EditError::NoPublicKey(*unknown));
        }
        Ok(Self {
            before,
            plan,
            now,
            duties,
            public,
        })
    }

    fn documents(&self) -> Result<Vec<Drafted>, EditError> {
        let mut documents = Vec::new();
        for role in [Role::Root, Role::Targets, Role::Trust, Role::Bins] {
            if self.is_touched(role)? {
                documents.push(self.document(role)?);
            }
        }
        Ok(documents)
    }

    /// Whether a role needs a new version: it names other keys, says something else, shall be signed anew, or its
    /// signatures do not suffice under the keys that it will have.
    fn is_touched(&self, role: Role) -> Result<bool, EditError> {
        let Some(before) = self.before else {
            return Ok(true);
        };
        if self.plan.renew.contains(&duty_of(role)) {
            return Ok(true);
        }
        for duty in Duty::ALL {
            if duty.named_by() == role && *before.keys(duty)? != self.duties[&duty] {
                return Ok(true);
            }
        }
        let says_other = match role {
            Role::Trust => self
                .plan
                .trust
                .as_ref()
                .is_some_and(|targets| *targets != before.trust.signed.targets),
            Role::Bins => match self.plan.bins {
                Some(count) => before.bins()? != BinCount::new(count)?,
                None => false,
            },
            _ => false,
        };
        Ok(says_other || (role != Role::Root && !self.still_signed(before, role)?))
    }

    fn still_signed(&self, before: &InForce, role: Role) -> Result<bool, EditError> {
        let document = match role {
            Role::Trust => &before.trust,
            Role::Bins => &before.bins,
            _ => &before.targets,
        };
        let keys = &self.duties[&duty_of(role)];
        Ok(verify(&self.public, keys, &document.payload()?, &document.signatures).is_ok())
    }

    fn document(&self, role: Role) -> Result<Drafted, EditError> {
        let version = match self.before {
            None => 1,
            Some(before) => before
                .version(role)
                .checked_add(1)
                .filter(|version| *version <= MAX_VERSION)
                .ok_or(EditError::Worn(role))?,
        };
        let after = match role {
            Role::Root => Content::Root(self.root(version)?),
            Role::Trust => Content::Targets(self.trust(version)?),
            Role::Bins => Content::Targets(self.bins(version)?),
            _ => Content::Targets(self.targets(version)?),
        };
        let keys = self.duties[&duty_of(role)].clone();
        let public = keys.keyids().iter().map(|id| (*id, self.public[id].clone()));
        Ok(Drafted {
            role,
            after,
            public: public.collect(),
            keys,
        })
    }

    fn root(&self, version: Version) -> Result<Root, EditError> {
        let named = |role: Role, duty: Duty| (role.name(), self.duties[&duty].clone());
        let roles = BTreeMap::from([
            named(Role::Root, Duty::Root),
            named(Role::Targets, Duty::Targets),
            named(Role::Snapshot, Duty::Snapshot),
            named(Role::Timestamp, Duty::Timestamp),
        ]);
        let used = roles.values().flat_map(RoleKeys::keyids);
        Ok(Root {
            kind: RootType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: expires_at(Role::Root, self.now)?,
            consistent_snapshot: true,
            keys: used.map(|id| (*id, self.public[id].clone())).collect(),
            roles,
        })
    }

    fn targets(&self, version: Version) -> Result<Targets, EditError> {
        let delegations = top_delegations(
            &self.public,
            &self.duties[&Duty::Trust],
            &self.duties[&Duty::Bins],
        );
        Ok(Targets {
            delegations: Some(delegations),
            ..self.empty(Role::Targets, version)?
        })
    }

    fn trust(&self, version: Version) -> Result<Targets, EditError> {
        let kept = || self.before.map(|before| before.trust.signed.targets.clone());
        let targets: BTreeMap<String, TargetFile> = self.plan.trust.clone().or_else(kept).unwrap_or_default();
        Ok(Targets {
            targets,
            ..self.empty(Role::Trust, version)?
        })
    }

    fn bins(&self, version: Version) -> Result<Targets, EditError> {
        let count = match (self.plan.bins, self.before) {
            (Some(count), _) => BinCount::new(count)?,
            (None, Some(before)) => before.bins()?,
            (None, None) => BinCount::DEFAULT,
        };
        Ok(Targets {
            delegations: Some(count.delegations(&self.public, &self.duties[&Duty::Bin])),
            ..self.empty(Role::Bins, version)?
        })
    }

    fn empty(&self, role: Role, version: Version) -> Result<Targets, EditError> {
        Ok(Targets {
            kind: TargetsType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: expires_at(role, self.now)?,
            targets: BTreeMap::new(),
            delegations: None,
        })
    }
}

/// What a document's own keys are for.
pub fn duty_of(role: Role) -> Duty {
    match role {
        Role::Root => Duty::Root,
        Role::Targets => Duty::Targets,
        Role::Trust => Duty::Trust,
        Role::Bins => Duty::Bins,
        Role::Bin(_) => Duty::Bin,
        Role::Snapshot => Duty::Snapshot,
        Role::Timestamp => Duty::Timestamp,
    }
}

#[cfg(test)]
mod tests;
