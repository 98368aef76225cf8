//! What of a pulled release is signed, by whom, and whether that was checked.

use std::path::Path;

use chiron_storage::Digest;
use serde::Serialize;

use crate::cli::documents;
use crate::cli::exit::Failure;
use crate::oci::release::{Beside, PulledFile, PulledRelease};
use crate::statement::{Envelope, PublicKey, Statement, open};

/// What is known of one file's signatures.
#[derive(Debug, Serialize)]
pub struct Signed {
    /// The file.
    pub filename: String,
    /// The verdict of the site that pushed it.
    pub verdict: Standing,
    /// The key ids that the verdict's envelope names; a claim unless `verdict` is `verified`.
    pub claimed_keys: Vec<String>,
    /// Upstream's attestations came along (PEP 740). They are verified by `chiron verify`.
    pub provenance: bool,
    /// What came along and nobody signed for itself: only the digests in the index hold it.
    pub unsigned: Vec<Beside>,
    /// Why a verdict is not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a signature is worth here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Signed with the key that was given, about this very content, and it admits it.
    Verified,
    /// There is an envelope, and no key was given to verify it with.
    NotVerified,
    /// No signed verdict came.
    Absent,
    /// It does not hold under the key that was given, is about something else, or says no.
    Refused,
}

/// Looks at the signatures in a folder that a release was pulled into.
pub fn look(release: &PulledRelease, key: Option<&PublicKey>) -> Result<Vec<Signed>, Failure> {
    let files = release.files.iter();
    files.map(|file| of_file(&release.out, file, key)).collect()
}

/// Reads the key that statements are verified with.
pub fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let pem = documents::read(path)?;
    PublicKey::from_pem(&String::from_utf8_lossy(&pem))
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))
}

fn of_file(folder: &Path, file: &PulledFile, key: Option<&PublicKey>) -> Result<Signed, Failure> {
    let has = |kind: Beside| file.documents.iter().find(|document| document.kind == kind);
    let mut signed = Signed {
        filename: file.filename.clone(),
        verdict: Standing::Absent,
        claimed_keys: Vec::new(),
        provenance: has(Beside::Provenance).is_some(),
        unsigned: Vec::new(),
        why: None,
    };
    // The signed verdict holds the whole verdict.
    let unsigned = [Beside::Metadata, Beside::Sbom, Beside::Vex, Beside::Verdict];
    signed
        .unsigned
        .extend(unsigned.into_iter().filter(|kind| has(*kind).is_some()));
    let Some(document) = has(Beside::SignedVerdict) else {
        return Ok(signed);
    };
    let bytes = documents::read(&folder.join(&document.name))?;
    match believe(&bytes, file.sha256, key, &mut signed.claimed_keys) {
        Ok(standing) => signed.verdict = standing,
        Err(why) => {
            signed.verdict = Standing::Refused;
            signed.why = Some(why);
        }
    }
    Ok(signed)
}

fn believe(
    bytes: &[u8],
    sha256: Digest,
    key: Option<&PublicKey>,
    claimed: &mut Vec<String>,
) -> Result<Standing, String> {
    let envelope = Envelope::parse(bytes).map_err(|error| error.to_string())?;
    *claimed = envelope.claimed_keys();
    let Some(key) = key else {
        return Ok(Standing::NotVerified);
    };
    let opened = open(&envelope, std::slice::from_ref(key)).map_err(|error| error.to_string())?;
    admits(&opened.statement, sha256).map(|()| Standing::Verified)
}

/// Whether a statement is a verdict that admits this content.
fn admits(statement: &Statement, sha256: Digest) -> Result<(), String> {
    if statement.predicate_type != crate::statement::VERDICT {
        return Err(format!("it is no verdict but {:?}", statement.predicate_type));
    }
    if !statement
        .subject
        .iter()
        .any(|subject| subject.sha256() == Some(sha256))
    {
        return Err(format!("it is not about sha256:{sha256}"));
    }
    match statement.predicate["decision"].as_str() {
        Some("admit") => Ok(()),
        other => Err(format!("it says {}", other.unwrap_or("nothing"))),
    }
}
