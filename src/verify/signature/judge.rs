//! An unverified attestation held against the trust material and the file: the only place where an [`Attestation`] is
//! made.

use chiron_storage::Digest;

use super::facts::{AttestationFact, AttestationKind};
use super::finding::{Code, Flaw};
use super::signed::Signed;
use super::sigstore::{Bundle, Verified};
use super::slsa;
use super::statement::SLSA_V1;
use super::trust::{Material, NamedKey, staging};
use super::unverified::{Sealed, UnverifiedAttestation};
use crate::verify::DocumentOrigin;

/// An attestation whose signature, signer's certificate or key, time and statement were verified for one file.
#[derive(Debug, Clone)]
pub struct Attestation {
    kind: AttestationKind,
    verified: Verified,
    root: Option<String>,
    key: Option<String>,
    unverified: UnverifiedAttestation,
}

impl Attestation {
    /// Verifies an attestation for a file; every flaw that was found, if there is any.
    pub(super) fn verify(
        unverified: UnverifiedAttestation,
        signed: &Signed<'_>,
        trust: &Material,
    ) -> Result<Self, Vec<Flaw>> {
        let statement_flaws = || {
            let statement = unverified.statement.as_ref();
            statement.map_or_else(Vec::new, |statement| statement.flaws(signed))
        };
        let (kind, proof) = match &unverified.sealed {
            Sealed::Pep740(bundle) if bundle.has_plain_key() => {
                return Err(vec![Flaw::new(
                    Code::Malformed,
                    "an attestation without a certificate",
                )]);
            }
            Sealed::Pep740(bundle) => (unverified.pep740_kind(), by_certificate(bundle, signed, trust)),
            Sealed::Bundle(bundle) if bundle.has_plain_key() => {
                (AttestationKind::Key, by_key(bundle, signed, trust))
            }
            Sealed::Bundle(bundle) => (AttestationKind::Bundle, by_certificate(bundle, signed, trust)),
            Sealed::Envelope(envelope) => {
                let proof = any_key(trust, signed, |key| Ok(key.key.signed_envelope(envelope)));
                (AttestationKind::Key, proof.map(Proof::of_key))
            }
            Sealed::Detached(signature) => {
                let proof = any_key(trust, signed, |key| key.key.signed_file(signature, signed));
                (AttestationKind::Key, proof.map(Proof::of_key))
            }
        };
        let proof = match proof {
            Ok(proof) => proof,
            // The signature is good, but it is over a statement about something else: the statement says about what.
            Err(flaw) if flaw.code == Code::WrongDigest => {
                let mut flaws = statement_flaws();
                if flaws.iter().all(|other| other.code != Code::WrongDigest) {
                    flaws.push(flaw);
                }
                return Err(flaws);
            }
            Err(flaw) => return Err(vec![flaw]),
        };
        let mut flaws = statement_flaws();
        flaws.extend(unverified.contradictions(&proof.verified));
        if !flaws.is_empty() {
            return Err(flaws);
        }
        Ok(Self {
            kind,
            verified: proof.verified,
            root: proof.root,
            key: proof.key,
            unverified,
        })
    }

    /// For the evidence.
    pub fn fact(&self, origin: DocumentOrigin, document: Digest) -> AttestationFact {
        let certificate = self.verified.certificate.as_ref();
        let statement = self.unverified.statement.as_ref();
        AttestationFact {
            predicate_type: statement.map(|statement| statement.predicate_type.clone()),
            signed_at: self.verified.signed_at,
            logged: self.verified.logged,
            root: self.root.clone(),
            key: self.key.clone(),
            publisher: self.unverified.publisher.clone(),
            ..AttestationFact::of(self.kind, origin, document, certificate)
        }
    }
}

impl UnverifiedAttestation {
    fn pep740_kind(&self) -> AttestationKind {
        match &self.statement {
            Some(statement) if statement.predicate_type == SLSA_V1 => AttestationKind::Pep740Slsa,
            _ => AttestationKind::Pep740Publish,
        }
    }

    /// Where statement and index contradict the certificate.
    fn contradictions(&self, verified: &Verified) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let slsa = self.statement.as_ref().filter(|it| it.predicate_type == SLSA_V1);
        if let Some(statement) = slsa {
            let predicate = &statement.predicate;
            let agreed = match &verified.certificate {
                Some(certificate) => slsa::agrees(predicate, certificate),
                None => slsa::shape(predicate),
            };
            flaws.extend(agreed.err());
        }
        if let (Some(publisher), Some(certificate)) = (&self.publisher, &verified.certificate) {
            flaws.extend(publisher.holds(certificate).err());
        }
        flaws
    }
}

/// What was proven, and by whom.
struct Proof {
    verified: Verified,
    root: Option<String>,
    key: Option<String>,
}

impl Proof {
    fn of_key(name: String) -> Self {
        Self {
            verified: Verified {
                certificate: None,
                signed_at: None,
                logged: false,
            },
            root: None,
            key: Some(name),
        }
    }
}

/// Under any of the trusted roots. If none will do, the reason of the one that knows most of the signature is given.
fn by_certificate(bundle: &Bundle, signed: &Signed<'_>, trust: &Material) -> Result<Proof, Flaw> {
    bundle.is_signed_by_its_certificate(signed)?;
    let mut reason: Option<Flaw> = None;
    for root in trust.roots.iter().filter(|root| bundle.is_known_to(root)) {
        match root.verify(bundle, signed) {
            Ok(verified) => {
                return Ok(Proof {
                    verified,
                    root: Some(root.name().to_owned()),
                    key: None,
                });
            }
            Err(flaw) => {
                let better = reason
                    .as_ref()
                    .is_none_or(|earlier| closeness(flaw.code) > closeness(earlier.code));
                if better {
                    reason = Some(flaw);
                }
            }
        }
    }
    let stage = staging().filter(|stage| bundle.is_known_to(stage) && stage.verify(bundle, signed).is_ok());
    Err(match (stage, reason) {
        (Some(_), _) => Flaw::new(
            Code::UntrustedCertificate,
            "signed under Sigstore's staging instance, where anybody may sign as anybody for tests: it is not trusted",
        ),
        (None, Some(reason)) => reason,
        (None, None) if trust.roots.is_empty() => Flaw::new(
            Code::UnknownRoot,
            "no trusted root is configured to verify it against",
        ),
        (None, None) => Flaw::new(
            Code::UnknownRoot,
            format!(
                "none of the trusted roots ({}) knows the log that it names; if it is a newer one, bring the root's \
                 file up to date, and if it is another instance, add its root under [trust]",
                trust
                    .roots
                    .iter()
                    .map(|root| root.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        ),
    })
}

/// How far a root came before it refused: a root that could follow the certificate says more than one that could not.
fn closeness(code: Code) -> u8 {
    match code {
        Code::UnknownRoot => 0,
        Code::NoSignedTime | Code::UntrustedCertificate => 1,
        Code::BadLogEntry | Code::NotLogged => 2,
        _ => 3,
    }
}

/// A bundle under a plain key. Log entries are not needed; those that are there must hold under the roots that know
/// their log.
fn by_key(bundle: &Bundle, signed: &Signed<'_>, trust: &Material) -> Result<Proof, Flaw> {
    let name = any_key(trust, signed, |key| key.key.signed_bundle(bundle, signed))?;
    let mut proof = Proof::of_key(name);
    let key = trust
        .keys
        .iter()
        .find(|key| Some(&*key.name) == proof.key.as_deref());
    if let (true, Some(key)) = (bundle.claims_a_log(), key) {
        let mut known = trust
            .roots
            .iter()
            .filter(|root| bundle.is_known_to(root))
            .peekable();
        let is_known = known.peek().is_some();
        let mut reason = None;
        for root in known {
            match root.verify_with_key(bundle, &key.key, signed) {
                Ok(verified) => {
                    proof.verified = verified;
                    proof.root = Some(root.name().to_owned());
                    return Ok(proof);
                }
                Err(flaw) => reason = Some(flaw),
            }
        }
        if let (true, Some(flaw)) = (is_known, reason) {
            return Err(flaw);
        }
    }
    Ok(proof)
}

/// The name of the first key that may sign the project and did.
fn any_key(
    trust: &Material,
    signed: &Signed<'_>,
    mut did: impl FnMut(&NamedKey) -> Result<bool, Flaw>,
) -> Result<String, Flaw> {
    let project = signed.name.project();
    let allowed: Vec<&NamedKey> = trust.keys.iter().filter(|key| key.may_sign(project)).collect();
    if allowed.is_empty() {
        let detail =
            format!("signed with a plain key, and no trusted key may sign {project}: add it under [trust]");
        return Err(Flaw::new(Code::UnknownKey, detail));
    }
    for key in &allowed {
        if did(key)? {
            return Ok(key.name.to_string());
        }
    }
    let names: Vec<&str> = allowed.iter().map(|key| &*key.name).collect();
    let detail = format!(
        "signed by none of the keys that may sign {project}: {}",
        names.join(", ")
    );
    Err(Flaw::new(Code::BadSignature, detail))
}
