//! What stands beside a file: its core metadata by the digest on the signed page, provenance, bill of materials and verdict by
//! the digests that are signed with the file. The daemon delivers them; its word for them is not taken.

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use http::HeaderMap;
use jiff::Timestamp;

use super::Proxy;
use super::file::Wanted;
use super::refusal::Refusal;
use crate::http::files::{FOR_EVER, document};
use crate::package::DistributionFilename;

/// Replaced by a later judgment.
const MAY_CHANGE: &str = "no-cache";

/// Which document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Metadata,
    Provenance,
    Sbom,
    Verdict,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Metadata, Self::Provenance, Self::Sbom, Self::Verdict];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Metadata => ".metadata",
            Self::Provenance => ".provenance",
            Self::Sbom => ".sbom.json",
            Self::Verdict => ".verdict.json",
        }
    }

    /// What it is called beside the file's digest in signed metadata.
    const fn signed_as(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
            Self::Verdict => "verdict",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Metadata => "text/plain; charset=utf-8",
            Self::Provenance => "application/vnd.pypi.integrity.v1+json",
            Self::Sbom | Self::Verdict => "application/json",
        }
    }

    /// The document that an address asks for, and the file's name.
    pub fn split(filename: &str) -> Option<(Self, &str)> {
        Self::ALL
            .into_iter()
            .find_map(|kind| Some((kind, filename.strip_suffix(kind.suffix())?)))
    }
}

/// `GET|HEAD /files/{sha256}/{filename}{suffix}`
pub async fn serve(proxy: &Proxy, kind: Kind, wanted: &Wanted, headers: &HeaderMap) -> Response {
    match proxy.beside(kind, wanted, headers).await {
        Ok(response) => response,
        Err(refusal) => refusal.of_file(),
    }
}

/// `GET /integrity/{project}/{version}/{filename}/provenance` (PEP 740): of the signed file of that name.
pub async fn integrity(
    State(proxy): State<Proxy>,
    Path((project, version, filename)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    match proxy.provenance_of(&project, &version, &filename, &headers).await {
        Ok(response) => response,
        Err(refusal) => refusal.of_file(),
    }
}

impl Proxy {
    async fn provenance_of(
        &self,
        project: &str,
        version: &str,
        filename: &str,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let none = || Refusal::not_found(format!("No provenance available for {filename}"));
        let name = DistributionFilename::parse(filename).map_err(|_| none())?;
        if name.project().as_str() != project || version.parse().ok().as_ref() != Some(name.version()) {
            return Err(none());
        }
        let path = TargetPath::file(project, filename).map_err(|_| none())?;
        self.verified().await?;
        let target = self
            .0
            .client
            .target(&path, Timestamp::now())
            .await?
            .ok_or_else(none)?;
        let wanted = Wanted {
            sha256: target.sha256,
            filename: filename.to_owned(),
        };
        self.beside(Kind::Provenance, &wanted, headers).await
    }

    async fn beside(&self, kind: Kind, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Refusal> {
        let digest = self.signed_digest(kind, wanted).await?.ok_or_else(|| {
            Refusal::not_found(format!(
                "no {} is signed for {}",
                kind.signed_as(),
                wanted.filename
            ))
        })?;
        let cache = if kind == Kind::Metadata {
            FOR_EVER
        } else {
            MAY_CHANGE
        };
        let bytes = if let Some(blob) = self.0.kept.get(&digest).await? {
            let read = blob.read(0..blob.size()).await;
            read.map_err(|error| Refusal::unavailable("a kept document cannot be read", error.to_string()))?
        } else {
            self.bring_beside(kind, wanted, digest).await?
        };
        Ok(document(bytes, kind.media_type(), cache, headers))
    }

    /// Fetches a document and keeps it, if it is the one that is signed.
    async fn bring_beside(&self, kind: Kind, wanted: &Wanted, digest: Digest) -> Result<Bytes, Refusal> {
        let (what, of) = (kind.signed_as(), &wanted.filename);
        let bytes = self
            .0
            .daemon
            .beside(wanted, kind.suffix())
            .await?
            .ok_or_else(|| {
                Refusal::unavailable(
                    format!("upstream does not have the {what} of {of}, although it is signed"),
                    "its operator looks with `chiron scrub`",
                )
            })?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Refusal::denied(
                "tuf-refused",
                format!("the {what} of {of} was changed: it has sha256 {found}, and {digest} is signed"),
                "do not install; somebody between here and the signer changed it, or upstream's storage is damaged",
            ));
        }
        self.0.kept.put(bytes.clone()).await?;
        Ok(bytes)
    }

    async fn signed_digest(&self, kind: Kind, wanted: &Wanted) -> Result<Option<Digest>, Refusal> {
        let target = self.signed(wanted).await?;
        if kind != Kind::Metadata {
            return Ok(target.beside(kind.signed_as()));
        }
        let name = DistributionFilename::parse(&wanted.filename)
            .map_err(|error| Refusal::not_found(error.to_string()))?;
        let page = self.signed_page(name.project()).await?;
        Ok(page.and_then(|page| page.core_metadata(&wanted.filename, &wanted.sha256)))
    }
}
