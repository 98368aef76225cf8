//! What the command line gives `verify` beside the files: documents, a source, whom to trust.

use std::path::Path;

use super::{VerifyArgs, filename};
use crate::cli::documents::{attestation_kind, beside, read};
use crate::cli::exit::Failure;
use crate::package::DistributionFilename;
use crate::verify::signature::IdentityRule;
use crate::verify::{Document, DocumentKind, DocumentOrigin, Trust};

/// What is looked at beside the file itself.
pub(super) struct Given {
    /// Of the operator's own hand.
    documents: Vec<Document>,
    /// Some attestation was named: those beside the file are not looked at.
    attested: bool,
    /// Some bill was named.
    billed: bool,
    /// Who must have signed.
    pub identity: Option<(String, IdentityRule)>,
}

impl Given {
    /// Reads every document that is named.
    pub(super) fn read(args: &VerifyArgs) -> Result<Self, Failure> {
        let mut documents = Vec::new();
        for path in &args.attestation {
            let content = read(path)?;
            documents.push(document(
                attestation_kind(path, &content),
                DocumentOrigin::Operator,
                content,
            ));
        }
        for path in &args.sbom {
            documents.push(document(
                DocumentKind::Sbom,
                DocumentOrigin::Operator,
                read(path)?,
            ));
        }
        let identity = args
            .identity
            .as_ref()
            .map(|text| {
                let rule = IdentityRule::parse(text).map_err(Failure::usage)?;
                Ok::<_, Failure>((text.clone(), rule))
            })
            .transpose()?;
        Ok(Self {
            documents,
            attested: !args.attestation.is_empty(),
            billed: !args.sbom.is_empty(),
            identity,
        })
    }

    /// Nothing was named.
    pub(super) const fn nothing() -> Self {
        Self {
            documents: Vec::new(),
            attested: false,
            billed: false,
            identity: None,
        }
    }

    /// All documents about a file: those given, and those beside it of a kind that was not given.
    pub(super) fn documents(&self, file: &Path) -> Result<Vec<Document>, Failure> {
        let mut documents = self.documents.clone();
        for (kind, path) in beside(file) {
            let replaced = match kind {
                DocumentKind::Sbom => self.billed,
                DocumentKind::Provenance
                | DocumentKind::Attestation
                | DocumentKind::Bundle
                | DocumentKind::Signature => self.attested,
                DocumentKind::RebuildStatement => false,
            };
            if !replaced {
                documents.push(document(kind, DocumentOrigin::Beside, read(&path)?));
            }
        }
        Ok(documents)
    }
}

fn document(kind: DocumentKind, origin: DocumentOrigin, content: Vec<u8>) -> Document {
    Document {
        kind,
        origin,
        bytes: content.into(),
    }
}

/// Whom signatures may lead back to: the roots that are named instead of the configured ones, and the keys on top.
pub(super) fn trust(
    args: &VerifyArgs,
    configured: impl FnOnce() -> Result<Trust, Failure>,
) -> Result<Trust, Failure> {
    let mut trust = if args.trusted_root.is_empty() {
        configured()?
    } else {
        Trust::empty()
    };
    for path in &args.trusted_root {
        trust = trust
            .with_root(&path.to_string_lossy(), &read(path)?)
            .map_err(|error| {
                Failure::usage(error).next("it must be a trusted_root.json as Sigstore publishes it")
            })?;
    }
    for path in &args.key {
        trust = trust.with_key(&filename(path), &read(path)?).map_err(|error| {
            Failure::usage(error).next("it must be a public key in PEM (BEGIN PUBLIC KEY)")
        })?;
    }
    Ok(trust)
}

/// The sdist of a wheel's release that lies beside it.
pub(super) fn source_beside(wheel: &Path, name: &DistributionFilename) -> Option<std::path::PathBuf> {
    let folder = wheel
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            DistributionFilename::parse(&filename(path)).is_ok_and(|sdist| {
                sdist.wheel().is_none()
                    && sdist.project() == name.project()
                    && sdist.version() == name.version()
            })
        })
        .filter(|path| path.is_file())
        .collect();
    // A .tar.gz (PEP 625) before a .zip of old.
    found.sort();
    found.into_iter().next()
}
