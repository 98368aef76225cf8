//! What refers to a manifest (distribution specification, "Listing referrers"), and the tag that stands in for the list
//! where a registry does not keep one ("Referrers tag schema").
//!
//! Either is a hint: a registry can leave out what it likes.

use bytes::Bytes;
use chiron_storage::Digest;
use http::{Method, StatusCode, header};
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OciImageIndex};
use url::Url;

use super::auth::Scope;
use super::limits::MAX_REFERRERS;
use super::registry::{Ask, Registry};
use super::{OciError, Wanted};
use crate::bundle::limits::MAX_OCI_DOCUMENT_BYTES;

/// Pages of one list. Threat: a list without an end.
const MAX_PAGES: usize = 50;

/// What a registry lists.
#[derive(Debug, Default)]
pub(super) struct Referrers {
    /// The registry keeps the list itself.
    pub(super) native: bool,
    /// At most [`MAX_REFERRERS`].
    pub(super) entries: Vec<ImageIndexEntry>,
}

impl Registry {
    /// What refers to a manifest: the registry's own list, else the one under the tag that stands in for it.
    pub(super) async fn referrers(&self, subject: &Digest, scope: Scope) -> Result<Referrers, OciError> {
        match self.listed(subject, scope).await {
            Ok(entries) => Ok(Referrers {
                native: true,
                entries,
            }),
            Err(
                OciError::NotFound { .. }
                | OciError::Refused {
                    status:
                        StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED,
                    ..
                },
            ) => {
                let mut entries = self.under_tag(subject, scope).await?.manifests;
                entries.truncate(MAX_REFERRERS);
                Ok(Referrers {
                    native: false,
                    entries,
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn listed(&self, subject: &Digest, scope: Scope) -> Result<Vec<ImageIndexEntry>, OciError> {
        let limit = usize::try_from(MAX_OCI_DOCUMENT_BYTES).unwrap_or(usize::MAX);
        let what = format!("what refers to sha256:{subject}");
        let mut url = self.url(&format!("referrers/sha256:{subject}"));
        let mut entries = Vec::new();
        for _ in 0..MAX_PAGES {
            let ask = Ask::new(Method::GET, url.clone(), scope, &*what)
                .with(header::ACCEPT, OCI_IMAGE_INDEX_MEDIA_TYPE);
            let reply = self.ask(&ask, &Bytes::new(), limit).await?;
            let page: OciImageIndex =
                serde_json::from_slice(&reply.body).map_err(|error| OciError::Strange {
                    what: what.clone(),
                    why: format!("it is no image index ({error})"),
                })?;
            entries.extend(page.manifests);
            let next = reply.header(&header::LINK).and_then(|link| next_page(link, &url));
            match next {
                // Only within the registry: a list is no reason to go elsewhere.
                Some(next) if next.origin() == url.origin() && entries.len() < MAX_REFERRERS => url = next,
                _ => break,
            }
        }
        entries.truncate(MAX_REFERRERS);
        Ok(entries)
    }

    /// Adds to the list under the tag what is not in it. Two clients at once may undo each other: the list is a hint.
    pub(super) async fn add_under_tag(
        &self,
        subject: &Digest,
        more: &[ImageIndexEntry],
    ) -> Result<(), OciError> {
        let mut index = self.under_tag(subject, Scope::Push).await?;
        let before = index.manifests.len();
        for entry in more {
            if !index.manifests.iter().any(|there| there.digest == entry.digest) {
                index.manifests.push(entry.clone());
            }
        }
        if index.manifests.len() == before {
            return Ok(());
        }
        let bytes = super::release::to_bytes(&index)?;
        let tag = Wanted::Tag(tag(subject));
        self.put_manifest(&tag, OCI_IMAGE_INDEX_MEDIA_TYPE, &bytes).await
    }

    async fn under_tag(&self, subject: &Digest, scope: Scope) -> Result<OciImageIndex, OciError> {
        let empty = || OciImageIndex {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
            manifests: Vec::new(),
            artifact_type: None,
            annotations: None,
        };
        match self.manifest(&Wanted::Tag(tag(subject)), scope).await {
            // What is no index there is nobody's list.
            Ok((bytes, _)) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|_| empty())),
            Err(OciError::NotFound { .. }) => Ok(empty()),
            Err(error) => Err(error),
        }
    }
}

/// The tag that stands in for a list.
fn tag(subject: &Digest) -> String {
    format!("sha256-{subject}")
}

/// `Link: <…>; rel="next"` (RFC 8288).
fn next_page(link: &str, of: &Url) -> Option<Url> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim();
        parameter == "rel=\"next\"" || parameter == "rel=next"
    });
    next.then(|| of.join(target).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let of = Url::parse("http://127.0.0.1:1/v2/a/referrers/sha256:0").unwrap();
        let next = next_page("</v2/a/referrers/sha256:0?next=1>; rel=\"next\"", &of).unwrap();
        assert_eq!(next.as_str(), "http://127.0.0.1:1/v2/a/referrers/sha256:0?next=1");
        assert!(next_page("</x>; rel=\"prev\"", &of).is_none());
        assert!(next_page("/x", &of).is_none());
    }
}
