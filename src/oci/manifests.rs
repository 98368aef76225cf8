//! Image manifests and indexes, by tag or digest; always verified.

use bytes::Bytes;
use chiron_storage::Digest;
use http::{Method, header};
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE,
};
use serde::Deserialize;

use super::auth::Scope;
use super::limits::MAX_ERROR_BYTES;
use super::registry::{Ask, Registry};
use super::{OciError, Wanted};
use crate::bundle::limits::MAX_OCI_DOCUMENT_BYTES;
use crate::bundle::media;

/// What a place in a registry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The image index over a bundle's volumes.
    Bundle,
    /// The image index over a release's files.
    Release,
}

/// The document that a tag or digest leads to, verified by its digest.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// As it came.
    pub bytes: Bytes,
    /// Of these bytes.
    pub digest: Digest,
    /// What it says it is.
    pub kind: Kind,
}

/// What every manifest says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Says {
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    media_type: Option<String>,
}

impl Registry {
    /// What the place holds; the tag or the digest that was named, else `default`.
    ///
    /// Errors: [`OciError::NotFound`]; [`OciError::NotOurs`] when it is an image of another kind.
    pub async fn resolve(&self, wanted: &Wanted) -> Result<Resolved, OciError> {
        let (bytes, digest) = self.manifest(wanted, Scope::Pull).await?;
        let not_ours = |why: String| OciError::NotOurs {
            place: self.place().to_string(),
            why,
        };
        let says: Says = serde_json::from_slice(&bytes)
            .map_err(|error| not_ours(format!("it is no OCI document ({error})")))?;
        let kind = match says.artifact_type.as_deref() {
            Some(media::BUNDLE) if is_index(&says) => Kind::Bundle,
            Some(super::release::RELEASE) if is_index(&says) => Kind::Release,
            other => {
                let what = other.or(says.media_type.as_deref()).unwrap_or("an image");
                return Err(not_ours(format!("it is {what:?}")));
            }
        };
        Ok(Resolved { bytes, digest, kind })
    }

    /// A manifest with its digest.
    pub(super) async fn manifest(&self, wanted: &Wanted, scope: Scope) -> Result<(Bytes, Digest), OciError> {
        let what = self.called(wanted);
        let ask = self.about(Method::GET, &wanted.to_string(), scope, &what);
        let limit = usize::try_from(MAX_OCI_DOCUMENT_BYTES).unwrap_or(usize::MAX);
        let reply = self.ask(&ask, &Bytes::new(), limit).await?;
        let found = Digest::of(&reply.body);
        let lied = |expected: &Digest| OciError::Lied {
            what: what.clone(),
            why: format!("sha256:{expected} was expected, and sha256:{found} came"),
        };
        if let Wanted::Digest(expected) = wanted
            && *expected != found
        {
            return Err(lied(expected));
        }
        if let Some(said) = reply.digest().filter(|said| *said != found) {
            return Err(lied(&said));
        }
        Ok((reply.body, found))
    }

    /// The digest that a tag has now, or whether a digest is there.
    pub(super) async fn find_manifest(
        &self,
        wanted: &Wanted,
        scope: Scope,
    ) -> Result<Option<Digest>, OciError> {
        let what = self.called(wanted);
        let ask = self.about(Method::HEAD, &wanted.to_string(), scope, &what);
        let said = match self.ask(&ask, &Bytes::new(), MAX_ERROR_BYTES).await {
            Ok(reply) => reply.digest(),
            Err(OciError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match (wanted, said) {
            (Wanted::Digest(expected), Some(said)) if said != *expected => Err(OciError::Lied {
                what,
                why: format!("it calls it sha256:{said}"),
            }),
            (Wanted::Digest(expected), _) => Ok(Some(*expected)),
            (Wanted::Tag(_), Some(said)) => Ok(Some(said)),
            // It does not say; the document does.
            (Wanted::Tag(_), None) => self.manifest(wanted, scope).await.map(|(_, digest)| Some(digest)),
        }
    }

    /// Stores a manifest under a tag or its digest. Everything that it names must be there already.
    pub(super) async fn put_manifest(
        &self,
        under: &Wanted,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<(), OciError> {
        let what = self.called(under);
        let ask = self
            .about(Method::PUT, &under.to_string(), Scope::Push, &what)
            .with(header::CONTENT_TYPE, media_type);
        let reply = self.ask(&ask, bytes, MAX_ERROR_BYTES).await?;
        let sent = Digest::of(bytes);
        if let Some(said) = reply.digest().filter(|said| *said != sent) {
            return Err(OciError::Lied {
                what,
                why: format!("sha256:{sent} was sent, and it says that it has stored sha256:{said}"),
            });
        }
        Ok(())
    }

    /// Stores a manifest under a tag and looks whether it is there.
    pub(super) async fn tag(&self, tag: &str, media_type: &str, bytes: &Bytes) -> Result<(), OciError> {
        let wanted = Wanted::Tag(tag.to_owned());
        let sent = Digest::of(bytes);
        // The same again would be a new revision for registries that keep tags for ever.
        if self.find_manifest(&wanted, Scope::Push).await? == Some(sent) {
            return Ok(());
        }
        self.put_manifest(&wanted, media_type, bytes).await?;
        match self.find_manifest(&wanted, Scope::Push).await? {
            Some(found) if found == sent => Ok(()),
            found => Err(OciError::Lied {
                what: self.called(&wanted),
                why: match found {
                    Some(found) => format!("sha256:{sent} was stored, and sha256:{found} is there"),
                    None => "it was stored, and is not there".to_owned(),
                },
            }),
        }
    }

    /// As people write it.
    fn called(&self, wanted: &Wanted) -> String {
        let place = self.place();
        let between = match wanted {
            Wanted::Tag(_) => ':',
            Wanted::Digest(_) => '@',
        };
        format!("{}/{}{between}{wanted}", place.registry(), place.repository())
    }

    fn about(&self, method: Method, reference: &str, scope: Scope, what: &str) -> Ask {
        let accept = [
            OCI_IMAGE_INDEX_MEDIA_TYPE,
            OCI_IMAGE_MEDIA_TYPE,
            IMAGE_MANIFEST_LIST_MEDIA_TYPE,
            IMAGE_MANIFEST_MEDIA_TYPE,
        ];
        Ask::new(method, self.url(&format!("manifests/{reference}")), scope, what)
            .with(header::ACCEPT, &accept.join(", "))
    }
}

fn is_index(says: &Says) -> bool {
    says.media_type.as_deref() == Some(OCI_IMAGE_INDEX_MEDIA_TYPE)
}
