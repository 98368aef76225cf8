//! What the log says of a bundle that came into force.

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Actor;
use crate::bundle::{Scope, Seen, SnapshotId, TufVersions};

/// A bundle that came into force. What this site knows of the sender's log follows from these events alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// The name that the sender has here.
    pub sender: String,
    /// The origin of the sender's log (C2SP checkpoint).
    pub origin: String,
    /// The bundle's name.
    pub id: SnapshotId,
    /// SHA-256 of its signed manifest, the DSSE envelope.
    pub bundle: Digest,
    /// What of the sender's log it carries.
    pub scope: Scope,
    /// The state it rests on; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Seen>,
    /// The state of the sender's log that it proves: the newest that this site has seen from now on.
    pub log: Seen,
    /// Up to here this site has seen every entry from now on; absent: no bundle began at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Seen>,
    /// When the bundle was made, as it says itself.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// The time that expiry was judged at, as the operator set it.
    #[schemars(with = "String")]
    pub reference_time: Timestamp,
    /// Versions of the sender's TUF metadata.
    pub tuf: TufVersions,
    /// What came of it.
    pub counts: ImportCounts,
    /// SHA-256 of the signed report of what was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    /// Who asked for the import.
    pub by: Actor,
}

/// What came of a bundle, in numbers of files unless another word is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportCounts {
    /// Judged good by this site's own rules.
    pub admitted: u64,
    /// Kept, not served.
    pub quarantined: u64,
    /// Not kept.
    pub refused: u64,
    /// Were here already, with the same content.
    pub present: u64,
    /// Yanks relayed.
    pub yanked: u64,
    /// Yanks taken back.
    pub unyanked: u64,
    /// Revocations relayed.
    pub revoked: u64,
    /// Revocations taken back.
    pub restored: u64,
    /// Projects whose status was relayed.
    pub statuses: u64,
}

impl ImportCounts {
    /// Adds what another switch of the same bundle did.
    pub fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.quarantined += other.quarantined;
        self.refused += other.refused;
        self.present += other.present;
        self.yanked += other.yanked;
        self.unyanked += other.unyanked;
        self.revoked += other.revoked;
        self.restored += other.restored;
        self.statuses += other.statuses;
    }
}
