//! Signing a draft: who is asked, and what leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::draft::Draft;
use super::ledger::LedgerRow;
use crate::canonical::{CanonicalError, canonical};
use crate::envelope::{Signature, as_json};
use crate::key_id::KeyId;
use crate::layout::MetadataName;
use crate::limits::metadata_bytes;
use crate::metadata::Version;
use crate::public_key::PublicKey;
use crate::role::Role;
use crate::signer::{SignError, Signer};
use crate::threshold::RoleKeys;
use crate::verify::{ThresholdNotMet, verify};

/// Whose signatures a document needs: the keys of its role, as the delegating document states them.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// The keys that the delegating document knows.
    pub keys: &'a BTreeMap<KeyId, PublicKey>,
    /// Which of them count, and how many of these are needed.
    pub role: &'a RoleKeys,
}

/// A document with as many valid signatures as it needs: nothing else can be put into an edition or written.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedDocument {
    role: Role,
    version: Version,
    expires: Timestamp,
    row: LedgerRow,
    bytes: Vec<u8>,
}

/// Why a document was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignDocumentError {
    /// Too few signatures.
    #[error("{role} {version} has {not_met}{}", said(failures))]
    Threshold {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
        /// Who signed and who did not.
        not_met: ThresholdNotMet,
        /// What the keys' back ends said, if they were asked and did not sign.
        failures: Vec<SignError>,
    },
    /// Clients would refuse it.
    #[error("{role} {version} would have {length} bytes, and clients read {most}{}", advice(*role))]
    TooLong {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
        /// Of the file, in bytes.
        length: u64,
        /// How many there may be.
        most: u64,
    },
    /// The list of signatures has no canonical form.
    #[error("the signatures of {role} {version} cannot be written: {error}")]
    Canonical {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
        /// Why.
        #[source]
        error: CanonicalError,
    },
    /// A document that nobody needs to sign would be believed from nobody.
    #[error("{role} {version} was to be signed without saying by whom")]
    Nobody {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
    },
}

fn said(failures: &[SignError]) -> String {
    failures
        .iter()
        .fold(String::new(), |said, failure| said + "; " + &failure.to_string())
}

fn advice(role: Role) -> &'static str {
    match role {
        Role::Bin(_) => "; use more bins (chiron tuf rebin)",
        _ => "",
    }
}

/// Signs `draft` until every authority's threshold is met, which [`verify`] decides.
///
/// A root has two authorities, the old root's keys and its own (section 5.3.4); everything else has one. Of `signers`, those
/// that count are asked in order, each once, and no more of them than are needed: one that cannot be reached costs nothing if
/// the others suffice. A signature that does not verify is its signer's failure, and is dropped.
pub async fn sign_document(
    draft: &Draft,
    authorities: &[Authority<'_>],
    signers: &[Arc<dyn Signer>],
) -> Result<SignedDocument, SignDocumentError> {
    let mut collected = Collected::default();
    let mut signed = BTreeSet::new();
    for authority in authorities {
        let may_sign = |signer: &&Arc<dyn Signer>| authority.role.keyids().contains(&signer.public().id());
        let mut waiting = signers.iter().filter(may_sign);
        loop {
            let payload = draft.payload();
            let not_met = match verify(authority.keys, authority.role, payload, &collected.signatures) {
                Ok(enough) => {
                    signed.extend(enough);
                    break;
                }
                Err(not_met) => not_met,
            };
            collected.drop_wrong(&not_met);
            let missing = usize::from(not_met.threshold) - not_met.signed.len();
            if !collected.ask(payload, &mut waiting, missing).await {
                return Err(SignDocumentError::Threshold {
                    role: draft.role(),
                    version: draft.version(),
                    not_met,
                    failures: collected.failures,
                });
            }
        }
    }
    SignedDocument::assemble(draft, &collected.signatures, &signed)
}

/// What the signers that were asked so far have answered.
#[derive(Default)]
struct Collected {
    asked: BTreeSet<KeyId>,
    signatures: Vec<Signature>,
    failures: Vec<SignError>,
}

impl Collected {
    /// Drops what the threshold check did not find to be signatures.
    fn drop_wrong(&mut self, not_met: &ThresholdNotMet) {
        let failures = &mut self.failures;
        self.signatures.retain(|signature| {
            let key = signature.keyid;
            let wrong = not_met.lacking.contains(&key);
            if wrong {
                failures.push(SignError::Wrong { key });
            }
            !wrong
        });
    }

    /// Asks the next `missing` signers that were not asked yet. `false` if there are none.
    async fn ask<'a>(
        &mut self,
        payload: &[u8],
        waiting: &mut impl Iterator<Item = &'a Arc<dyn Signer>>,
        missing: usize,
    ) -> bool {
        let asked = self.asked.len();
        while self.asked.len() < asked + missing
            && let Some(signer) = waiting.next()
        {
            let key = signer.public().id();
            if !self.asked.insert(key) {
                continue;
            }
            match signer.sign(payload).await {
                Ok(bytes) => self.signatures.push(Signature::new(key, bytes)),
                Err(failure) => self.failures.push(failure),
            }
        }
        self.asked.len() > asked
    }
}

impl SignedDocument {
    /// `draft` with signatures that were made elsewhere, if they are enough for every authority. What is no valid signature
    /// of an authority's key is left out.
    pub fn seal(
        draft: &Draft,
        authorities: &[Authority<'_>],
        signatures: &[Signature],
    ) -> Result<Self, SignDocumentError> {
        let mut valid: Vec<Signature> = Vec::new();
        let mut signed = BTreeSet::new();
        for authority in authorities {
            let enough =
                verify(authority.keys, authority.role, draft.payload(), signatures).map_err(|not_met| {
                    SignDocumentError::Threshold {
                        role: draft.role(),
                        version: draft.version(),
                        not_met,
                        failures: Vec::new(),
                    }
                })?;
            for key in enough.into_iter().filter(|key| signed.insert(*key)) {
                let verifies = |signature: &&Signature| {
                    signature.keyid == key
                        && authority
                            .keys
                            .get(&key)
                            .is_some_and(|key| key.verifies(draft.payload(), &signature.sig))
                };
                valid.extend(signatures.iter().find(verifies).cloned());
            }
        }
        Self::assemble(draft, &valid, &signed)
    }

    fn assemble(
        draft: &Draft,
        signatures: &[Signature],
        signed: &BTreeSet<KeyId>,
    ) -> Result<Self, SignDocumentError> {
        let (role, version) = (draft.role(), draft.version());
        if signed.is_empty() {
            return Err(SignDocumentError::Nobody { role, version });
        }
        let good: Vec<&Signature> = signatures
            .iter()
            .filter(|signature| signed.contains(&signature.keyid))
            .collect();
        let good = canonical(&good).map_err(|error| SignDocumentError::Canonical { role, version, error })?;
        let document = as_json(draft.payload());
        let bytes = [b"{\"signatures\":", &good[..], b",\"signed\":", &document, b"}"].concat();
        let most = metadata_bytes(role);
        if bytes.len() as u64 > most {
            return Err(SignDocumentError::TooLong {
                role,
                version,
                length: bytes.len() as u64,
                most,
            });
        }
        Ok(Self {
            role,
            version,
            expires: draft.expires(),
            row: LedgerRow::of(version, &bytes),
            bytes,
        })
    }

    /// Whose.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Not to be believed from then on.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// What the file is called.
    pub fn name(&self) -> MetadataName {
        MetadataName::of(self.role, self.version)
    }

    /// What a store notes of it.
    pub fn row(&self) -> LedgerRow {
        self.row
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Without the bytes: a bin has hundreds of kilobytes.
impl fmt::Debug for SignedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.len();
        write!(
            f,
            "SignedDocument({}, {bytes} bytes, until {})",
            self.name(),
            self.expires
        )
    }
}
