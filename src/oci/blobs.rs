//! Blobs: whether one is there, and small ones in memory.

use bytes::Bytes;
use chiron_storage::Digest;
use http::{Method, header};

use super::OciError;
use super::auth::Scope;
use super::limits::MAX_ERROR_BYTES;
use super::registry::{Ask, Registry, digest_of};

/// What messages call a blob.
pub(super) fn called(digest: &Digest) -> String {
    format!("the blob sha256:{digest}")
}

impl Registry {
    /// Whether the registry has a blob in this repository.
    ///
    /// Errors: [`OciError::Lied`] when it has one of this name and another size.
    pub(super) async fn has_blob(&self, digest: &Digest, size: u64, scope: Scope) -> Result<bool, OciError> {
        let url = self.url(&format!("blobs/sha256:{digest}"));
        let ask = Ask::new(Method::HEAD, url, scope, called(digest));
        let reply = match self.ask(&ask, &Bytes::new(), MAX_ERROR_BYTES).await {
            Ok(reply) => reply,
            Err(OciError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let said = reply
            .header(&header::CONTENT_LENGTH)
            .and_then(|length| length.trim().parse::<u64>().ok());
        if let Some(said) = said.filter(|said| *said != size) {
            return Err(OciError::Lied {
                what: called(digest),
                why: format!("it has {said} bytes there, and {size} here"),
            });
        }
        Ok(true)
    }

    /// A blob of at most `limit` bytes, verified.
    pub(super) async fn small_blob(
        &self,
        digest: &Digest,
        limit: u64,
        scope: Scope,
    ) -> Result<Bytes, OciError> {
        let url = self.url(&format!("blobs/sha256:{digest}"));
        let ask = Ask::new(Method::GET, url, scope, called(digest));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let reply = self.ask(&ask, &Bytes::new(), limit).await?;
        let found = Digest::of(&reply.body);
        if found != *digest {
            return Err(OciError::Lied {
                what: called(digest),
                why: format!("what comes is sha256:{found}"),
            });
        }
        let said = digest_of(&reply.headers);
        if let Some(said) = said.filter(|said| said != digest) {
            return Err(OciError::Lied {
                what: called(digest),
                why: format!("it calls it sha256:{said}"),
            });
        }
        Ok(reply.body)
    }
}
