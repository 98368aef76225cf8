//! PEP 740: attestation objects, and provenance objects, which are bundles of them.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::bounds::MAX_ATTESTATIONS;
use super::finding::{Code, Flaw, shown};
use super::publisher::Publisher;
use super::sigstore::Bundle;

/// One attestation of a document, or why it is none.
pub type Read = Result<Attested, Flaw>;

/// An attestation as it came.
#[derive(Debug, Clone)]
pub struct Attested {
    /// As the bundle it was made from.
    pub bundle: Bundle,
    /// Whom the index names as publisher; nobody in a single attestation.
    pub publisher: Option<Publisher>,
}

#[derive(Deserialize)]
struct Provenance<'a> {
    version: u64,
    #[serde(borrow)]
    attestation_bundles: Vec<AttestationBundle<'a>>,
}

#[derive(Deserialize)]
struct AttestationBundle<'a> {
    publisher: Value,
    #[serde(borrow)]
    attestations: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attestation {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Material {
    certificate: String,
    transparency_entries: Vec<Value>,
    /// RFC 3161 tokens, of the draft that adds them.
    #[serde(default)]
    timestamps: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Envelope {
    statement: String,
    signature: String,
}

/// Reads a provenance object. Each attestation is judged on its own: one that is malformed hides no other.
pub fn provenance(text: &str) -> Result<Vec<Read>, Flaw> {
    let object: Provenance<'_> =
        serde_json::from_str(text).map_err(|error| malformed("provenance object", &error))?;
    version(object.version)?;
    let count: usize = object
        .attestation_bundles
        .iter()
        .map(|bundle| bundle.attestations.len())
        .sum();
    if count > MAX_ATTESTATIONS {
        let detail = format!("{count} attestations; at most {MAX_ATTESTATIONS} are looked at");
        return Err(Flaw::new(Code::TooMany, detail));
    }
    if count == 0 {
        return Err(Flaw::new(
            Code::Malformed,
            "a provenance object without an attestation",
        ));
    }
    let mut read = Vec::new();
    for bundle in object.attestation_bundles {
        let publisher = Publisher::read(&bundle.publisher);
        for text in bundle.attestations {
            read.push(attestation(text.get()).and_then(|attested| {
                Ok(Attested {
                    publisher: Some(publisher.clone()?),
                    ..attested
                })
            }));
        }
    }
    Ok(read)
}

/// Reads a single attestation object.
pub fn attestation(text: &str) -> Read {
    let object: Attestation = serde_json::from_str(text).map_err(|error| malformed("attestation", &error))?;
    version(object.version)?;
    let material = object.verification_material;
    let bundle = Bundle::from_pep740(
        &material.certificate,
        &material.transparency_entries,
        &material.timestamps.unwrap_or_default(),
        &object.envelope.statement,
        &object.envelope.signature,
    )?;
    Ok(Attested {
        bundle,
        publisher: None,
    })
}

fn version(found: u64) -> Result<(), Flaw> {
    if found == 1 {
        return Ok(());
    }
    let detail = format!("version {found} of the format; version 1 is known");
    Err(Flaw::new(Code::UnsupportedVersion, detail))
}

fn malformed(what: &str, error: &serde_json::Error) -> Flaw {
    Flaw::new(
        Code::Malformed,
        format!("no {what}: {}", shown(&error.to_string())),
    )
}
