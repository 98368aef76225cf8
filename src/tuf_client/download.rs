//! A target's bytes, counted and digested as they come (section 5.7.3).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::error::{Check, TufClientError};
use super::transport::{Body, Transport};

/// Bytes read from a file at once.
const PIECE: usize = 256 << 10;

/// What signed metadata says of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its path in the repository.
    pub path: TargetPath,
    /// Bytes.
    pub length: u64,
    /// Of its content. A target without one is refused.
    pub sha256: Digest,
    /// Of its content, where the metadata has that too.
    sha512: Option<String>,
    /// What its author says beside it.
    pub custom: Option<Value>,
    /// Whether it is asked for under a name with its digest in it.
    consistent: bool,
}

impl Target {
    pub(super) fn new(
        path: &TargetPath,
        info: &sigstore_tuf::TargetFile,
        consistent: bool,
    ) -> Result<Self, TufClientError> {
        let hash =
            |hashes: &BTreeMap<String, String>, name| hashes.get(name).map(|hex| hex.to_ascii_lowercase());
        let sha256 = hash(&info.hashes, "sha256").and_then(|hex| hex.parse().ok());
        let Some(sha256) = sha256 else {
            return Err(TufClientError::refused(
                Check::Integrity,
                path.as_str(),
                "its metadata has no SHA-256, so nothing could be checked",
            ));
        };
        Ok(Self {
            path: path.clone(),
            length: info.length,
            sha256,
            sha512: hash(&info.hashes, "sha512"),
            custom: info.custom.clone(),
            consistent,
        })
    }

    /// The digest that Chiron signs beside a distribution file: `verdict`, `provenance`, `sbom`.
    pub fn beside(&self, what: &str) -> Option<Digest> {
        let text = self.custom.as_ref()?.get("chiron")?.get(what)?.as_str()?;
        text.strip_prefix("sha256:").unwrap_or(text).parse().ok()
    }

    /// Under which names the repository may have it, the specification's first.
    fn names(&self) -> Vec<String> {
        if !self.consistent {
            return vec![self.path.to_string()];
        }
        let path = self.path.as_str();
        let beside = match path.rsplit_once('/') {
            Some((folder, file)) => format!("{folder}/{}.{file}", self.sha256),
            None => format!("{}.{path}", self.sha256),
        };
        vec![beside]
    }
}

/// A target on its way.
pub struct Download {
    file: String,
    body: Option<Body>,
    length: u64,
    left: u64,
    sha256: (Context, Digest),
    sha512: Option<(Context, String)>,
}

impl Download {
    pub(super) async fn begin(transport: &Transport, target: &Target) -> Result<Self, TufClientError> {
        let file = target.path.to_string();
        for name in target.names() {
            let body = transport.target(&name, target.length).await;
            if let Some(body) = body.map_err(|error| error.about(&file))? {
                return Ok(Self {
                    file,
                    body: Some(body),
                    length: target.length,
                    left: target.length,
                    sha256: (Context::new(&SHA256), target.sha256),
                    sha512: target.sha512.clone().map(|hex| (Context::new(&SHA512), hex)),
                });
            }
        }
        Err(TufClientError::refused(
            Check::NotFound,
            file,
            "signed metadata lists it, and the repository does not have it",
        ))
    }

    /// The next piece. `None` means: that was all, and it is what the metadata says. Whoever stops before has nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, TufClientError> {
        let chunk = match &mut self.body {
            None => None,
            Some(Body::Http(answer)) => answer.next().await.map_err(|error| error.about(&self.file))?,
            Some(Body::File(file)) => {
                let mut piece = Vec::with_capacity(PIECE);
                let read = file
                    .read_buf(&mut piece)
                    .await
                    .map_err(|error| TufClientError::Unreachable {
                        file: self.file.clone(),
                        why: error.to_string(),
                    })?;
                (read > 0).then(|| Bytes::from(piece))
            }
        };
        let Some(chunk) = chunk else {
            self.body = None;
            return self.whole().map(|()| None);
        };
        self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(|| {
            self.refused(
                Check::TooLong,
                format!("it is longer than the {} bytes that are signed", self.length),
            )
        })?;
        self.sha256.0.update(&chunk);
        if let Some((context, _)) = &mut self.sha512 {
            context.update(&chunk);
        }
        Ok(Some(chunk))
    }

    fn whole(&self) -> Result<(), TufClientError> {
        if self.left > 0 {
            let came = self.length - self.left;
            return Err(self.refused(
                Check::Integrity,
                format!("{came} bytes came, and {} are signed", self.length),
            ));
        }
        let found = hex::encode(self.sha256.0.clone().finish());
        let signed = self.sha256.1.to_string();
        if found != signed {
            return Err(self.refused(
                Check::Integrity,
                format!("what came has sha256 {found}, and {signed} is signed: its bytes were changed"),
            ));
        }
        if let Some((context, signed)) = &self.sha512
            && hex::encode(context.clone().finish()) != *signed
        {
            return Err(self.refused(
                Check::Integrity,
                "its sha512 is not the signed one: its bytes were changed".to_owned(),
            ));
        }
        Ok(())
    }

    fn refused(&self, check: Check, why: String) -> TufClientError {
        TufClientError::refused(check, &self.file, why)
    }
}
