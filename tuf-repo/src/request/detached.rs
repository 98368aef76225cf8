//! Signatures that are carried back: `chiron.signature/v1`.

use serde::{Deserialize, Serialize};

use super::error::RequestError;
use super::file::RequestId;
use crate::envelope::Signature;
use crate::limits::MAX_SIGNATURES;
use crate::metadata::Version;
use crate::role::{Role, RoleName};

/// Bytes of a file with signatures: each has at most 300.
const MAX_BYTES: usize = 128 << 10;

/// Signatures over the document of a request, and which document that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetachedSignature {
    schema: Schema,
    request: RequestId,
    role: RoleName,
    version: Version,
    sha256: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "chiron.signature/v1")]
    V1,
}

impl DetachedSignature {
    pub(super) fn new(
        request: RequestId,
        role: Role,
        version: Version,
        sha256: String,
        signatures: Vec<Signature>,
    ) -> Self {
        Self {
            schema: Schema::V1,
            request,
            role: role.name(),
            version,
            sha256,
            signatures,
        }
    }

    /// Reads such a file. Whether the signatures are any good is found when they are merged.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_BYTES {
            return Err(RequestError::TooLong { bytes: bytes.len() });
        }
        let malformed = |why: String| RequestError::Malformed {
            what: "detached signature",
            why,
        };
        let read: Self = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        match read.signatures.len() {
            0 => Err(RequestError::NoSignature),
            1..=MAX_SIGNATURES => Ok(read),
            many => Err(malformed(format!("it has {many} signatures"))),
        }
    }

    /// The file: JSON, indented, with a line feed at the end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RequestError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| RequestError::Malformed {
            what: "detached signature",
            why: error.to_string(),
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Which request it answers.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Whose document was signed, as the file says.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// Which version was signed, as the file says.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The signatures.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Whether this is what was signed; otherwise, what was.
    pub(super) fn is_for(
        &self,
        request: RequestId,
        role: Role,
        version: Version,
        sha256: &str,
    ) -> Result<(), RequestError> {
        if self.role != role.name() || self.version != version {
            return Err(RequestError::OtherVersion {
                signed: format!("{} {}", self.role, self.version),
                wanted: format!("{role} {version}"),
            });
        }
        if self.request != request || self.sha256 != sha256 {
            return Err(RequestError::OtherDocument {
                role,
                version,
                signed: self.request,
                wanted: request,
            });
        }
        Ok(())
    }
}
