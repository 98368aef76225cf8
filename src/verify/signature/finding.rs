//! What can be wrong with a signature: one code for each wrong thing.

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{DocumentOrigin, Outcome};

/// Codes of this check's findings. Policies, waivers and dashboards rely on the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The document is not what its kind must be.
    Malformed,
    /// Larger than [`super::MAX_DOCUMENT_BYTES`].
    TooLarge,
    /// More documents, attestations, log entries or timestamps than are looked at.
    TooMany,
    /// A version of the format that this build does not know.
    UnsupportedVersion,
    /// The statement is about more than one file.
    SeveralSubjects,
    /// The statement is about a file of another name.
    WrongFilename,
    /// The statement is about other bytes.
    WrongDigest,
    /// A statement that says nothing about where the file comes from, or a publish statement that says too much.
    WrongPredicate,
    /// SLSA provenance that contradicts the certificate it is signed with.
    WrongProvenance,
    /// The certificate is not the one of the publisher that the index names.
    WrongPublisher,
    /// The certificate leads back to no trusted authority.
    UntrustedCertificate,
    /// The certificate was not valid at the signed time.
    ExpiredCertificate,
    /// The signature is not the certificate's, or key's, over these bytes.
    BadSignature,
    /// No entry of a transparency log, where the trusted root has one.
    NotLogged,
    /// The log entry does not prove what it must.
    BadLogEntry,
    /// No trustworthy time of signing.
    NoSignedTime,
    /// No trusted root knows the log that it was signed under: nothing to verify against.
    UnknownRoot,
    /// No trusted key may sign for this project: nothing to verify against.
    UnknownKey,
    /// A kind of publisher that this build cannot hold against a certificate.
    UnknownPublisher,
    /// The file or the document could not be read.
    Unreadable,
}

impl Code {
    /// `fail`: the document is bad. `error`: it could not be judged.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::UnknownRoot | Self::UnknownKey | Self::UnknownPublisher | Self::Unreadable => {
                Outcome::Error
            }
            _ => Outcome::Fail,
        }
    }
}

/// One thing that is wrong, said to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Which.
    pub code: Code,
    /// What was found and what was expected, in one line.
    pub detail: String,
}

impl Flaw {
    /// A flaw; what came from outside stands escaped and cut in `detail`.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// A flaw as the evidence keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingFact {
    /// Stable code.
    pub code: Code,
    /// One line for a person.
    pub detail: String,
    /// SHA-256 of the document it is about.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub document: Digest,
    /// Who brought the document.
    pub origin: DocumentOrigin,
}

/// Text from outside for a finding: escaped, and never longer than a line.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 160;
    let mut escaped: String = text
        .chars()
        .take(LONGEST)
        .collect::<String>()
        .escape_debug()
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}
