//! The documents of `/api/v1/tuf…`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Name and version of the document that [`TufStatus`] is.
pub const TUF_STATUS_SCHEMA: &str = "chiron.tuf-status/v1";

/// `GET /api/v1/tuf`: the signed repository, its roles and their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufStatus {
    /// Always `chiron.tuf-status/v1`.
    pub schema: String,
    /// Whether there is a repository.
    pub state: TufState,
    /// What is published now; absent while nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<TufGeneration>,
    /// The newest root, which clients are given; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<TufTrustedRoot>,
    /// root, targets, trust, bins, the hash bins as one (`bin`), snapshot, timestamp.
    pub roles: Vec<TufRole>,
    /// Hash bins that the targets are spread over; 0 while there are none.
    pub bins: u16,
    /// Changes that wait for signatures of people.
    pub waiting: Vec<TufWaiting>,
    /// Sentences for an operator: what expires, what is missing, what should be done in production.
    pub warnings: Vec<String>,
}

/// Whether there is a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TufState {
    /// None, and none was begun.
    None,
    /// Its first root waits for signatures.
    Waiting,
    /// It is published.
    Live,
}

/// One signed state of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufGeneration {
    /// Counted from 1.
    pub number: u64,
    /// Entries of the log that it covers.
    pub log_size: u64,
    /// When it was published.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

/// The root that clients are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufTrustedRoot {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the file, lower-case hexadecimal: to be compared over another way than the one the file took.
    pub sha256: String,
    /// Where the daemon keeps it.
    pub path: String,
}

/// A role and how its newest metadata stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufRole {
    /// `root`, `targets`, `trust`, `bins`, `bin` (all of them), `snapshot` or `timestamp`.
    pub name: String,
    /// Of the newest metadata; of the bins, the highest.
    pub version: u64,
    /// When it stops being believed; of the bins, the first to expire.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub expires: Timestamp,
    /// How that looks now.
    pub expiry: TufExpiry,
    /// How many keys must sign.
    pub threshold: u8,
    /// Every key that may.
    pub keys: Vec<TufRoleKey>,
    /// Chiron signs it by itself: enough of its keys can be used by the daemon.
    pub online: bool,
    /// What is wrong; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How long metadata is still believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TufExpiry {
    /// Long enough.
    Fine,
    /// Somebody should sign it again: less than `tuf.warn_before` where people sign, a quarter of its lifetime where
    /// Chiron does.
    Soon,
    /// Clients refuse it.
    Expired,
}

/// A key of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufRoleKey {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    /// Its name in the key ring; absent when the ring does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `ed25519` or `ecdsa-sha2-nistp256`; absent when the ring does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// Where its private half is, in one word (`file`, `pkcs11`, `offline`, …); absent when the ring does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// It signed the newest metadata.
    pub signed: bool,
}

/// A change that waits for signatures of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufWaiting {
    /// 16 hexadecimal digits.
    pub id: String,
    /// What it is, in a few words: `rotate root`.
    pub what: String,
    /// Why, as the operator said.
    pub reason: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub made: Timestamp,
    /// The documents that must be signed. All of them are published together, or none.
    pub requests: Vec<TufRequest>,
    /// Why it can never be published any more; absent while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// A document that waits for signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufRequest {
    /// 16 hexadecimal digits; `GET /api/v1/tuf/requests/{id}` is the file that signers are given.
    pub id: String,
    /// Whose metadata it is.
    pub role: String,
    /// The version that it would be.
    pub version: u64,
    /// What it changes, a sentence each.
    pub changes: Vec<String>,
    /// Whose signatures it needs; each is met on its own.
    pub needs: Vec<TufNeed>,
    /// Every need is met.
    pub complete: bool,
}

/// Some keys of which some must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufNeed {
    /// Who says so: `root 3` and `root 4` both, when the root changes its own keys.
    pub whose: String,
    /// How many must.
    pub threshold: u8,
    /// Keys whose signature is here and verifies.
    pub signed: Vec<TufKeyName>,
    /// The others.
    pub missing: Vec<TufKeyName>,
}

/// A key by its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufKeyName {
    /// 64 lower-case hexadecimal digits.
    pub id: String,
    /// Its name in the key ring; absent when the ring does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A key that is to be used: one that the ring knows, or a public key that is handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TufKeyChoice {
    /// Label, id, or at least 8 digits of an id in the ring; with `pem`, the label that the key gets.
    pub name: String,
    /// `-----BEGIN PUBLIC KEY-----`: an offline key, entered into the ring if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pem: Option<String>,
}

/// `POST /api/v1/tuf/init`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TufInit {
    /// Which keys people hold. Absent: a development setup, whose keys are all made and kept here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub production: Option<TufPlan>,
    /// Kept in the log; absent: `initialised`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Say what would be made, and make nothing.
    pub dry_run: bool,
}

/// The keys of a repository that people sign for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TufPlan {
    /// Names the keys of everything else.
    pub root: TufRolePlan,
    /// Delegates to `trust` and `bins`. No keys: those of the root.
    pub targets: TufRolePlan,
    /// Signs trusted roots and policy. No keys: those of targets.
    pub trust: TufRolePlan,
    /// Delegates the hash bins. No keys: those of targets.
    pub bins: TufRolePlan,
    /// Signs bins and snapshot. No keys: one is made here.
    pub online: TufRolePlan,
    /// Signs the timestamp. No keys: one is made here.
    pub timestamp: TufRolePlan,
}

/// The keys of one role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TufRolePlan {
    /// Who may sign.
    pub keys: Vec<TufKeyChoice>,
    /// How many must; 0: more than half of them.
    pub threshold: u32,
}

/// `POST /api/v1/tuf/rotate`. Without `keys`, `add`, `remove`, `threshold` and `renew`, the roles get as many new keys
/// as they have, made in the stores of the old ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TufRotate {
    /// `root`, `targets`, `trust`, `bins`, `bin`, `snapshot`, `timestamp`, `online` (bin and snapshot). With `revoke`
    /// or `recover` it may be empty.
    pub roles: Vec<String>,
    /// The roles' keys become exactly these.
    pub keys: Vec<TufKeyChoice>,
    /// These keys are added.
    pub add: Vec<TufKeyChoice>,
    /// These keys of the roles are taken away: labels or ids.
    pub remove: Vec<String>,
    /// These keys are taken away from every role that names them, and new ones take their places: labels or ids.
    pub revoke: Vec<String>,
    /// How many must sign from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// The same keys: only sign a new version, which expires later.
    pub renew: bool,
    /// New keys for snapshot, timestamp and bins at once, which makes clients forget versions that an attacker drove up.
    pub recover: bool,
    /// Kept in the log for ever; 1 to 1,000 characters.
    pub reason: String,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
}

/// What a ceremony did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TufChange {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// There was nothing to do.
    pub unchanged: bool,
    /// What changes, a sentence each.
    pub diff: Vec<String>,
    /// The publication that carries it; absent while it waits, and in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<TufPublished>,
    /// What waits for signatures; absent when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<TufWaiting>,
    /// What an operator should know or do about it.
    pub notes: Vec<String>,
}

/// A publication, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TufPublished {
    /// Its number.
    pub generation: u64,
    /// Entries of the log that it covers.
    pub log_size: u64,
    /// Targets that are new, gone or different.
    pub targets_changed: u64,
    /// Bins that were signed.
    pub bins_signed: u64,
    /// Metadata files written.
    pub files_written: u64,
    /// Bytes of them.
    pub bytes_written: u64,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// `POST /api/v1/tuf/publish`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TufPublish {
    /// Sign a new timestamp, and what is due, even if nothing changed.
    pub resign: bool,
    /// Write every file again that is not what was published.
    pub repair: bool,
    /// Give everything at least this version: after a backup was restored, or an attacker drove versions up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions_from: Option<u64>,
    /// Say what would be published, and publish nothing.
    pub dry_run: bool,
}

/// `POST /api/v1/tuf/rebin`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TufRebin {
    /// How many bins: a power of two, 16 to 16,384.
    pub bins: u32,
    /// Kept in the log for ever; 1 to 1,000 characters.
    pub reason: String,
    /// Say what would change, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `GET /api/v1/tuf/requests`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TufRequests {
    /// Oldest first.
    pub items: Vec<TufWaiting>,
}

/// `POST /api/v1/tuf/signatures`: what a detached signature did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TufMerged {
    /// Nothing was kept: this is what would be.
    pub dry_run: bool,
    /// Whose signatures are new; empty when all of them were here already.
    pub added: Vec<TufKeyName>,
    /// The document that was signed, as it stands now.
    pub request: TufRequest,
    /// The change that it belongs to; absent once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<TufWaiting>,
    /// The publication, when this was the last signature that was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<TufPublished>,
}
