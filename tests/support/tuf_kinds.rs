//! What the four clients say when they refuse, in one vocabulary.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;

/// What kind of check refused. The clients' own words differ; tests compare these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fewer valid signatures of the right keys than must be.
    Signature,
    /// A version that is lower than one known, or another than the one that was announced.
    Version,
    /// No longer valid.
    Expired,
    /// Length or digest is not what is signed.
    Integrity,
    /// More bytes than there may be.
    TooLong,
    /// Nothing came for too long.
    TooSlow,
    /// A file that must be there is not.
    Absent,
    /// No role that may sign the target lists it.
    Unlisted,
    /// Not metadata, or metadata with what must not be in it.
    Malformed,
    /// More new roots than anyone publishes.
    TooManyRoots,
    /// None of these.
    Other,
}

/// By python-tuf's exception.
pub fn python_kind(class: &str, message: &str) -> Kind {
    match class {
        "UnsignedMetadataError" => Kind::Signature,
        "BadVersionNumberError" | "EqualVersionNumberError" => Kind::Version,
        "ExpiredMetadataError" => Kind::Expired,
        "LengthOrHashMismatchError" => Kind::Integrity,
        "DownloadLengthMismatchError" => Kind::TooLong,
        "SlowRetrievalError" => Kind::TooSlow,
        "DownloadHTTPError" => Kind::Absent,
        "LookupError" => Kind::Unlisted,
        "RepositoryError" | "ValueError" | "KeyError" | "TypeError" | "DeserializationError" => {
            Kind::Malformed
        }
        _ if message.contains("timed out") => Kind::TooSlow,
        _ => Kind::Other,
    }
}

/// tuf-js wraps what it says of snapshot and targets in a `RuntimeError` that keeps the words only.
pub fn js_kind(class: &str, message: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match class {
        "NotListed" => Kind::Unlisted,
        "UnsignedMetadataError" => Kind::Signature,
        "BadVersionError" | "EqualVersionError" => Kind::Version,
        "ExpiredMetadataError" => Kind::Expired,
        "LengthOrHashMismatchError" => Kind::Integrity,
        "DownloadLengthMismatchError" => Kind::TooLong,
        "DownloadHTTPError" => Kind::Absent,
        "TimeoutError" | "AbortError" => Kind::TooSlow,
        _ if says(&["was signed by"]) => Kind::Signature,
        _ if says(&["is expired"]) => Kind::Expired,
        _ if says(&["Expected length", "Expected hash", "not supported"]) => Kind::Integrity,
        _ if says(&["Max length reached"]) => Kind::TooLong,
        _ if says(&["Failed to download"]) => Kind::Absent,
        _ if says(&[
            "multiple signatures",
            "duplicate key IDs",
            "Missing",
            "expected '",
            "JSON",
        ]) =>
        {
            Kind::Malformed
        }
        _ if says(&[
            "is less than current version",
            "does not match snapshot version",
            "doesn't match timestamp",
            "Expected version",
        ]) =>
        {
            Kind::Version
        }
        _ if says(&["timeout", "aborted"]) => Kind::TooSlow,
        "ValueError" | "TypeError" | "SyntaxError" | "RepositoryError" => Kind::Malformed,
        _ => Kind::Other,
    }
}

/// tough's error enum says its variant first; what its transport carried is behind it.
pub fn tough_kind(text: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let variant = text.split([' ', ':', '{', '(']).next().unwrap_or_default();
    match variant {
        "VerifyMetadata" | "VerifyRoleMetadata" | "VerifyTrustedMetadata" => Kind::Signature,
        "OlderMetadata" | "OlderSnapshotInTimestamp" | "SnapshotRoleRollback" | "VersionMismatch" => {
            Kind::Version
        }
        "ExpiredMetadata" => Kind::Expired,
        "HashMismatch" => Kind::Integrity,
        "MaxSizeExceeded" => Kind::TooLong,
        "MaxUpdatesExceeded" => Kind::TooManyRoots,
        "Unlisted" => Kind::Unlisted,
        "ParseMetadata"
        | "ParseTrustedMetadata"
        | "SnapshotRoleMissing"
        | "SnapshotTargetsMetaMissing"
        | "InvalidPath" => Kind::Malformed,
        _ if says(&["Hash mismatch"]) => Kind::Integrity,
        _ if says(&["Maximum size"]) => Kind::TooLong,
        _ if says(&["too slow"]) => Kind::TooSlow,
        _ if says(&["FileNotFound"]) => Kind::Absent,
        _ => Kind::Other,
    }
}

/// `error.check` of `chiron tuf verify --format json`, with what it says where one check stands for two of ours.
pub fn chiron_kind(error: &Value) -> Kind {
    let what = error["what"].as_str().unwrap_or_default();
    match error["check"].as_str().unwrap_or_default() {
        "threshold" | "one-key-twice" => Kind::Signature,
        "integrity" if what.contains("does not match") && what.contains("version") => Kind::Version,
        "integrity" => Kind::Integrity,
        "expired" => Kind::Expired,
        "too-long" => Kind::TooLong,
        "transport" if what.contains("nothing came for") || what.contains("too slowly") => Kind::TooSlow,
        "transport" | "not-found" => Kind::Absent,
        "unsigned" => Kind::Unlisted,
        "malformed" => Kind::Malformed,
        "root-chain" if what.contains("more roots") => Kind::TooManyRoots,
        "rollback" | "root-chain" => Kind::Version,
        _ => Kind::Other,
    }
}
