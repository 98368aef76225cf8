//! What the signature check writes down for policy and for people.

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, Identity};
use super::finding::FindingFact;
use super::publisher::Publisher;
use crate::verify::DocumentOrigin;

/// Facts of the signature check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureFacts {
    /// Attestations that were verified: signature, certificate or key, signed time, subject, filename.
    pub attestations: Vec<AttestationFact>,
    /// What is wrong with the others.
    pub findings: Vec<FindingFact>,
    /// What they were verified against.
    pub trust_roots: Vec<TrustRootFact>,
}

/// How an attestation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttestationKind {
    /// A PEP 740 attestation that the publisher published the file.
    Pep740Publish,
    /// A PEP 740 attestation with SLSA provenance.
    Pep740Slsa,
    /// A Sigstore bundle.
    Bundle,
    /// A signature with a plain key: detached, in a DSSE envelope, or in a bundle without a certificate.
    Key,
}

/// One verified attestation. Names of signers are the certificate's, byte for byte; who may sign is policy's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttestationFact {
    /// How it came.
    pub kind: AttestationKind,
    /// Always true: what did not verify is a finding.
    pub verified: bool,
    /// What it states; absent for a bare signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// Who vouched for the identity (`.8`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The certificate's subject alternative name: a workflow's URI, or an e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// `uri` or `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_kind: Option<IdentityKind>,
    /// Source repository (`.12`), a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The repository's number (`.15`): survives renaming, and no other repository ever gets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// The owner's number (`.17`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// Path of the top workflow in the repository (of `.18`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The workflow that signed (`.9`), a URL; a reusable one is not the top one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_workflow: Option<String>,
    /// Branch or tag (`.14`).
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Commit that was built (`.13`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Deployment environment (`.23`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What started the workflow (`.20`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where it ran (`.11`), such as `github-hosted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// Whether the repository was public when it signed (`.22`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// The earliest proven time of signing; absent for a plain key without log entry or timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub signed_at: Option<Timestamp>,
    /// Whether inclusion in a transparency log was proven.
    pub logged: bool,
    /// The trusted root that it leads back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The trusted key that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whom the index names as publisher; agrees with the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher>,
    /// Who brought the document.
    pub origin: DocumentOrigin,
    /// SHA-256 of the document.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub document: Digest,
}

/// Kind of a subject alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityKind {
    /// An e-mail address.
    Email,
    /// A URI.
    Uri,
}

/// A trusted root that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustRootFact {
    /// Name it is configured under.
    pub name: String,
    /// SHA-256 of the file.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub digest: Digest,
    /// Since when its newest key or authority is valid: the root cannot be older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub dated: Option<Timestamp>,
}

impl AttestationFact {
    /// What a certificate says, in a fact that says nothing else yet.
    pub(super) fn of(
        kind: AttestationKind,
        origin: DocumentOrigin,
        document: Digest,
        certificate: Option<&Certificate>,
    ) -> Self {
        let nobody = Certificate::default();
        let certificate = certificate.unwrap_or(&nobody);
        Self {
            kind,
            verified: true,
            predicate_type: None,
            issuer: certificate.issuer.clone(),
            identity: certificate
                .identity
                .as_ref()
                .map(|identity| identity.as_str().to_owned()),
            identity_kind: certificate.identity.as_ref().map(|identity| match identity {
                Identity::Email(_) => IdentityKind::Email,
                Identity::Uri(_) => IdentityKind::Uri,
            }),
            repository: certificate.repository.clone(),
            repository_id: certificate.repository_id.clone(),
            owner_id: certificate.owner_id.clone(),
            workflow: certificate.workflow_path().map(str::to_owned),
            signer_workflow: certificate.build_signer.clone(),
            git_ref: certificate.git_ref.clone(),
            commit: certificate.commit.clone(),
            environment: certificate.environment.clone(),
            trigger: certificate.trigger.clone(),
            runner: certificate.runner.clone(),
            visibility: certificate.visibility.clone(),
            signed_at: None,
            logged: false,
            root: None,
            key: None,
            publisher: None,
            origin,
            document,
        }
    }

    /// Who signed, in a few words.
    pub fn signer(&self) -> &str {
        let named = [&self.repository, &self.identity, &self.key];
        named
            .into_iter()
            .flatten()
            .next()
            .map_or("somebody", String::as_str)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An attestation of `https://github.com/acme/app`.
    pub(in super::super) fn attestation() -> AttestationFact {
        let repository = "https://github.com/acme/app".to_owned();
        let workflow = format!("{repository}/.github/workflows/release.yml@refs/tags/v1");
        let certificate = Certificate {
            identity: Some(Identity::Uri(workflow.clone())),
            issuer: Some("https://token.actions.githubusercontent.com".to_owned()),
            build_signer: Some(workflow.clone()),
            build_config: Some(workflow),
            repository: Some(repository),
            repository_id: Some("7".to_owned()),
            owner_id: Some("5".to_owned()),
            git_ref: Some("refs/tags/v1".to_owned()),
            environment: Some("pypi".to_owned()),
            ..Certificate::default()
        };
        let (kind, origin) = (AttestationKind::Pep740Publish, DocumentOrigin::Upstream);
        AttestationFact::of(kind, origin, Digest::of(b"document"), Some(&certificate))
    }

    #[test]
    fn facts_keep_their_names() {
        let written = serde_json::to_value(attestation()).unwrap_or_default();
        for (name, value) in [
            ("kind", "pep740-publish"),
            ("repository", "https://github.com/acme/app"),
            ("repository_id", "7"),
            ("owner_id", "5"),
            ("workflow", ".github/workflows/release.yml"),
            ("ref", "refs/tags/v1"),
            ("environment", "pypi"),
            ("identity_kind", "uri"),
            ("origin", "upstream"),
        ] {
            assert_eq!(written[name], value, "{name}");
        }
        assert_eq!(attestation().signer(), "https://github.com/acme/app");
    }
}
