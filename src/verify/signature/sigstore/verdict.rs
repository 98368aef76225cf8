//! A bundle held against a trusted root: certificate chain, promise of certificate transparency, signed time, log
//! inclusion, signature. Everything is judged at the signed time, never at the present one.

use jiff::Timestamp;
use sigstore_verify::crypto::{
    CertificateInfo, SubjectAltName, parse_certificate_info, verify_signature, verify_signature_prehashed,
};
use sigstore_verify::types::{Artifact, HashAlgorithm, Sha256Hash, SignatureContent};
use sigstore_verify::{
    CertificateError, Error, Policy, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy,
    VerificationResult,
};

use super::super::certificate::{Certificate, Identity};
use super::super::finding::{Code, Flaw, shown};
use super::super::signed::Signed;
use super::{Bundle, Key, Root};

/// What a root has proven of a bundle.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Whose certificate signed; `None` for a plain key.
    pub certificate: Option<Certificate>,
    /// The earliest proven time.
    pub signed_at: Option<Timestamp>,
    /// Inclusion in a transparency log was proven.
    pub logged: bool,
}

impl Bundle {
    /// Whether the certificate's own key made the signature, and over this file where it says so. Asked before any
    /// trust is: a certificate that was swapped is then called what it is.
    pub fn is_signed_by_its_certificate(&self, signed: &Signed<'_>) -> Result<(), Flaw> {
        let info = self.certificate()?;
        let scheme = info.key_algorithm.default_signing_scheme();
        let verified = match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => {
                verify_signature(&info.public_key, &envelope.pae(), &envelope.signature.sig, scheme).is_ok()
            }
            SignatureContent::MessageSignature(message) => {
                let digest = message.message_digest.as_ref();
                let Some(digest) = digest.filter(|digest| digest.algorithm == HashAlgorithm::Sha2256) else {
                    return Ok(()); // over another digest: the root's verifier computes it
                };
                if digest.digest.as_bytes() != signed.sha256.as_bytes().as_slice() {
                    let detail = format!(
                        "the signature is over sha256 {}, the file has {}",
                        hex::encode(digest.digest.as_bytes()),
                        signed.sha256
                    );
                    return Err(Flaw::new(Code::WrongDigest, detail));
                }
                let Ok(scheme) = info.key_algorithm.resolve_signing_scheme(HashAlgorithm::Sha2256) else {
                    return Ok(());
                };
                let key = &info.public_key;
                !scheme.supports_prehashed()
                    || verify_signature_prehashed(key, digest.digest.as_bytes(), &message.signature, scheme)
                        .is_ok()
            }
            _ => {
                return Err(Flaw::new(
                    Code::Malformed,
                    "a bundle without a signature that is known",
                ));
            }
        };
        if verified {
            return Ok(());
        }
        Err(Flaw::new(
            Code::BadSignature,
            "the signature was not made over this with the key of the certificate beside it",
        ))
    }

    fn certificate(&self) -> Result<CertificateInfo, Flaw> {
        let certificate = self.0.signing_certificate();
        let certificate =
            certificate.ok_or_else(|| Flaw::new(Code::Malformed, "a bundle without a certificate"))?;
        parse_certificate_info(certificate).map_err(|error| {
            Flaw::new(
                Code::Malformed,
                format!("certificate: {}", shown(&error.to_string())),
            )
        })
    }

    /// Whether the root knows a log that the bundle says it is in. Without any log entry the timestamps decide.
    pub fn is_known_to(&self, root: &Root) -> bool {
        let entries = &self.0.verification_material.tlog_entries;
        entries.is_empty()
            || entries
                .iter()
                .any(|entry| root.logs.contains(entry.log_id.key_id.as_bytes()))
    }

    /// Whether it says it is in a log at all.
    pub fn claims_a_log(&self) -> bool {
        !self.0.verification_material.tlog_entries.is_empty()
    }
}

impl Root {
    /// Verifies a bundle that is signed with a certificate. Who it is, is not asked.
    pub fn verify(&self, bundle: &Bundle, signed: &Signed<'_>) -> Result<Verified, Flaw> {
        // An instance without logs (GitHub's own, many private ones) proves time by its timestamp authority alone.
        let mut policy = VerificationPolicy::any_identity();
        if self.logs.is_empty() {
            policy = policy.skip_tlog_unsafe();
        }
        if !self.has_ct_logs {
            policy = policy.skip_sct();
        }
        let result = self
            .run(bundle, signed, &policy)
            .map_err(|error| self.flaw(&error, bundle))?;
        let certificate = result.certificate().filter(|_| result.certificate_verified());
        let Some(certificate) = certificate.map(claims) else {
            return Err(Flaw::new(
                Code::UntrustedCertificate,
                "the certificate was not verified",
            ));
        };
        Ok(proven(&result, Some(certificate), !self.logs.is_empty()))
    }

    /// Verifies the log entries of a bundle that is signed with a plain key.
    pub fn verify_with_key(&self, bundle: &Bundle, key: &Key, signed: &Signed<'_>) -> Result<Verified, Flaw> {
        let policy = PublicKeyVerificationPolicy::new(key.der.clone());
        let result = self
            .run(bundle, signed, &policy)
            .map_err(|error| self.flaw(&error, bundle))?;
        Ok(proven(&result, None, true))
    }

    fn run(
        &self,
        bundle: &Bundle,
        signed: &Signed<'_>,
        policy: &impl Policy,
    ) -> Result<VerificationResult, Error> {
        let digest = Sha256Hash::new(*signed.sha256.as_bytes());
        match self.verifier.verify(digest, &bundle.0, policy) {
            // Signatures over other digests than SHA-256, and Ed25519: the bytes themselves are asked for.
            Err(Error::UnsupportedArtifact(why)) => match signed.bytes() {
                Ok(bytes) => self.verifier.verify(Artifact::Blob(&bytes), &bundle.0, policy),
                Err(_) => Err(Error::UnsupportedArtifact(why)),
            },
            other => other,
        }
    }

    /// The crate's reason as one of our codes.
    #[expect(
        clippy::match_same_arms,
        reason = "a malformed certificate must be told from the other certificate errors, which come after it"
    )]
    fn flaw(&self, error: &Error, bundle: &Bundle) -> Flaw {
        let code = match error {
            Error::SignatureInvalid(_) | Error::Crypto(_) => Code::BadSignature,
            Error::ArtifactMismatch(_) => Code::WrongDigest,
            Error::UnsupportedArtifact(_) | Error::ArtifactRead(_) => Code::Unreadable,
            Error::Certificate(CertificateError::Malformed(_)) => Code::Malformed,
            Error::Certificate(CertificateError::NotYetValid { .. } | CertificateError::Expired { .. }) => {
                Code::ExpiredCertificate
            }
            Error::Certificate(CertificateError::ChainInvalid(_)) if outside_validity(bundle) => {
                Code::ExpiredCertificate
            }
            Error::Certificate(_) | Error::IdentityMismatch { .. } | Error::IssuerMismatch { .. } => {
                Code::UntrustedCertificate
            }
            Error::TransparencyLog(TransparencyLogError::UnknownLog { .. }) => Code::UnknownRoot,
            Error::TransparencyLog(TransparencyLogError::IntegratedTime(_)) if outside_validity(bundle) => {
                Code::ExpiredCertificate
            }
            Error::TransparencyLog(_) => Code::BadLogEntry,
            Error::Timestamp(_) => Code::NoSignedTime,
            Error::Bundle(_) if !bundle.claims_a_log() || !bundle.0.has_inclusion_proof() => Code::NotLogged,
            _ => Code::Malformed,
        };
        let detail = format!(
            "under the trusted root {}: {}",
            self.name(),
            shown(&error.to_string())
        );
        Flaw::new(code, detail)
    }
}

/// Whether a log entry's time lies outside of the certificate's: what explains a chain that does not hold.
fn outside_validity(bundle: &Bundle) -> bool {
    let Ok(info) = bundle.certificate() else {
        return false;
    };
    let entries = bundle.0.verification_material.tlog_entries.iter();
    let mut times = entries.filter_map(|entry| entry.integrated_time);
    times.any(|time| time < info.not_before || time > info.not_after)
}

fn proven(result: &VerificationResult, certificate: Option<Certificate>, has_logs: bool) -> Verified {
    Verified {
        certificate,
        signed_at: result.verified_timestamps().iter().min().copied(),
        logged: has_logs && result.tlog_verified(),
    }
}

fn claims(info: &CertificateInfo) -> Certificate {
    let ci = &info.ci_claims;
    Certificate {
        identity: info.identity.as_ref().map(|identity| match identity {
            SubjectAltName::Email(address) => Identity::Email(address.clone()),
            other => Identity::Uri(other.as_str().to_owned()),
        }),
        issuer: info.issuer.clone(),
        build_signer: ci.build_signer_uri.clone(),
        runner: ci.runner_environment.clone(),
        repository: ci.source_repository_uri.clone(),
        commit: ci.source_repository_digest.clone(),
        git_ref: ci.source_repository_ref.clone(),
        repository_id: ci.source_repository_identifier.clone(),
        owner_id: ci.source_repository_owner_identifier.clone(),
        build_config: ci.build_config_uri.clone(),
        trigger: ci.build_trigger.clone(),
        visibility: ci.source_repository_visibility_at_signing.clone(),
        environment: ci.deployment_environment.clone(),
    }
}
