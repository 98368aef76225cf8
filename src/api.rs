//! The documents of the admin API, as the handlers write them and the command line reads them.

mod advisories;

mod airgap;

mod policy;

mod tuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use policy::{
    PolicyChange, PolicyRequest, PolicyText, PolicyView, ReplayPage, ReplayRequest, ReplayedFile,
};

pub use advisories::{
    ADVISORIES_STATUS_SCHEMA, AdvisoriesLoad, AdvisoriesStatus, AdvisoryCheck, AdvisoryDatabase,
    AdvisoryRecords, Noted, NotedRecord, VexDocumentView,
};

pub use airgap::*;

pub use tuf::{
    TUF_STATUS_SCHEMA, TufChange, TufExpiry, TufGeneration, TufInit, TufKeyChoice, TufKeyName, TufMerged,
    TufNeed, TufPlan, TufPublish, TufPublished, TufRebin, TufRequest, TufRequests, TufRole, TufRoleKey,
    TufRolePlan, TufRotate, TufState, TufStatus, TufTrustedRoot, TufWaiting,
};

/// `POST /api/v1/ingest`: bring these releases in through the one path.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestRequest {
    /// What to bring in; at most 10,000 items a request.
    pub items: Vec<IngestItem>,
    /// Keep only wheels that run on one of these Pythons (`3.11`); empty: all.
    #[serde(default)]
    pub pythons: Vec<String>,
    /// Keep only wheels for one of these platform tags (`manylinux_2_28_x86_64`, `linux`, `any`); empty: all.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Say what would be fetched, with counts and bytes, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// One line of an ingest request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestItem {
    /// Project name, normalised or not.
    pub project: String,
    /// PEP 440 specifiers (`==3.0.3`, `>=2,<3`); the newest matching release is taken, and none means the newest final one.
    #[serde(default)]
    pub specifier: Option<String>,
    /// `algorithm:hex`; when given, only files with one of these digests are brought in.
    #[serde(default)]
    pub hashes: Vec<String>,
}

/// What happened, or would happen, to one file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileResult {
    /// As published, or as handed in; the item of the request when it led to no file.
    pub filename: String,
    /// Normalised name (PEP 503).
    pub project: String,
    /// PEP 440 version that the filename states; absent when no file was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// 64 lower-case hexadecimal digits; absent when no content is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes; absent when upstream does not say and nothing was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What became of it; `reasons` says why.
    pub outcome: FileOutcome,
    /// Why, in words a person can act on; empty when admitted.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// The outcome for one file of an ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileOutcome {
    /// Judged now and admitted.
    Admitted,
    /// Was admitted before; nothing to do.
    Present,
    /// Kept, not served.
    Quarantined,
    /// Not kept, remembered with its reason.
    Refused,
    /// Dry run: would be fetched and judged.
    WouldFetch,
    /// No such project, release or file upstream.
    NotFound,
    /// Upstream or the network failed; not a judgment.
    UpstreamFailed,
    /// Bytes that are already here are not what they should be.
    IntegrityFailed,
    /// Chiron itself failed (disk full, internal); not a judgment.
    Failed,
}

/// A piece of long work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Counts up from 1 and is never used again.
    pub id: u64,
    /// `ingest`, `scrub`, `gc`, `rebuild`, `rejudge`, `export` or `import`.
    pub kind: String,
    /// Final once `finished_at` is there.
    pub state: JobState,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended, well or not; absent while it waits or runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Goes back to zero when a restart begins the job again.
    pub progress: Progress,
    /// A row per file, in the order in which they were done.
    #[serde(default)]
    pub files: Vec<FileResult>,
    /// What `scrub` and `gc` found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub report: Option<serde_json::Value>,
    /// Why the job as a whole failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to know of a job that is done: that the signed index does not show its files yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where a job stands. `queued` and `running` jobs go on after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Accepted; waits for a free place.
    Queued,
    /// At work.
    Running,
    /// Went through; single files may still have been refused or have failed.
    Done,
    /// Broke off as a whole; `error` says why.
    Failed,
    /// Ended on request; what was done until then stays.
    Cancelled,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Files (for `scrub` and `gc`: blobs) that are finished, whatever their outcome.
    pub files_done: u64,
    /// Files known so far; grows while an ingest is still looking up what to fetch.
    pub files_total: u64,
    /// Bytes fetched or read so far.
    pub bytes_done: u64,
    /// Bytes known so far; 0 when the job cannot tell beforehand.
    pub bytes_total: u64,
}

/// `POST …/scrub` and `…/gc`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpkeepRequest {
    /// Scrub: fetch what is damaged from upstream again.
    pub repair: bool,
    /// Report what is damaged or left over, and change nothing.
    pub dry_run: bool,
}

/// `POST /api/v1/files/{sha256}/{yank|unyank|revoke|restore}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Kept in the log for ever and shown to users; 1 to 1,000 characters.
    pub reason: String,
    /// Say what the state would be, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to a decision.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    /// The file that the digest in the address names.
    pub filename: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// State of the file after the decision.
    pub state: String,
    /// The event's number in the log; absent in a dry run or when nothing had to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
}

/// `POST /api/v1/files/{sha256}/waive`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaiveRequest {
    /// Whose objections are waived: a check of the gate, or `policy` for what the policy adds itself.
    pub check: String,
    /// Only the objection with this code; every one of the check when absent.
    #[serde(default)]
    pub code: Option<String>,
    /// Kept in the log for ever and shown to users; 1 to 1,000 characters.
    pub reason: String,
    /// When it stops counting; in the future.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// Who answers for it; where two persons are needed, each says so once. `operator` when absent.
    #[serde(default)]
    pub person: Option<String>,
    /// Say what the state would be, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer to a waiver, an attached document, or another cause to judge a file again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RejudgedView {
    /// The file that the digest in the address names.
    pub filename: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// State before.
    pub before: String,
    /// State now: the same when the judgment came to the same end.
    pub state: String,
    /// Why it is not admitted now.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The event of the waiver, in the log; absent in a dry run and where none was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
}

/// `POST /api/v1/documents`: a document that waits in memory for the `PUT /api/v1/ingest/{filename}` that names it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HeldDocument {
    /// SHA-256 of its bytes; `documents=KIND:DIGEST` in the query of the `PUT` takes it along.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A judgment in a file's history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PastVerdict {
    /// The log's event that carries it.
    pub event: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The file's state from this event on.
    pub state: String,
    /// What was decided; absent when the document is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Why it was not admitted.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// `sha256:…` of the verdict document: `GET /api/v1/evidence/{digest}`.
    pub verdict: String,
}

/// One project in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectSummary {
    /// Normalised (PEP 503).
    pub name: String,
    /// Event that last touched it.
    pub changed: u64,
}

/// A page of a list; `next` goes into `?after=`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// At most as many as `limit` asked for.
    pub items: Vec<T>,
    /// Absent when nothing follows; after a full page that happens to be the last, an empty one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /api/v1/projects/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectView {
    /// Normalised (PEP 503).
    pub name: String,
    /// PEP 792: `active`, `archived`, `quarantined` or `deprecated`.
    pub status: String,
    /// What was said when the status was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Only this site may supply it; upstream is never asked.
    pub owned: bool,
    /// Every file ever judged, in its present state, in the order of their names.
    pub files: Vec<FileView>,
}

/// `GET /api/v1/files/{sha256}`: what is known of one file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// As published; one name is only ever admitted with one content.
    pub filename: String,
    /// Normalised name (PEP 503).
    pub project: String,
    /// PEP 440 version that the filename states.
    pub version: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// `admitted`, `quarantined`, `refused` or `revoked`.
    pub state: String,
    /// Why the state is not `admitted`.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// `Requires-Python` specifiers, from the index or else from the wheel; installers pass over what does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// Upstream's, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// When the present state began.
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Timestamp,
    /// `upstream:NAME` or `file`.
    pub origin: String,
    /// PEP 592, by upstream or by an operator: the reason, maybe empty. Absent: not yanked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// Core metadata's SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata: Option<String>,
    /// Digest of the verdict document.
    pub verdict: String,
    /// Event that made this state.
    pub event: u64,
}

/// `GET /explain/{filename}` as JSON: why a file is or is not served, and what would change that.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The file asked about, by its name also when the address has its digest.
    pub filename: String,
    /// Whether a download would succeed now.
    pub served: bool,
    /// One sentence.
    pub because: String,
    /// What an operator or user can do.
    pub what_would_change_it: Vec<String>,
    /// Absent while the file has not been judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileView>,
    /// The verdict document (`chiron.verdict/v1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub verdict: Option<serde_json::Value>,
}

/// One event of the log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its number in the log, from 0.
    pub n: u64,
    /// The entry as it is hashed in the log.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}

/// `GET /api/v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// Of the daemon.
    pub version: String,
    /// What `/readyz` answers: reading works and writes are durable.
    pub ready: bool,
    /// Why not ready, or what is degraded.
    pub problems: Vec<String>,
    /// Entries in the log.
    pub log_size: u64,
    /// RFC 6962 root hash, base64.
    pub log_root: String,
    /// Verifier key of the checkpoints, `origin+hash+base64` (C2SP signed-note).
    pub log_key: String,
    /// Projects with at least one file ever admitted.
    pub projects: u64,
    /// Files that are served.
    pub admitted: u64,
    /// Kept, not served.
    pub quarantined: u64,
    /// Not kept, remembered with their reasons.
    pub refused: u64,
    /// Taken out of service by a person.
    pub revoked: u64,
    /// `strict`, `standard` or `audit`.
    pub policy_profile: String,
    /// SHA-256 over the rules in force; verdicts made under other rules name another.
    pub policy_digest: String,
    /// In the order in which they are asked.
    pub upstreams: Vec<UpstreamStatus>,
    /// On the disk of the data folder; 0 when it cannot be told (`problems` says so).
    pub free_bytes: u64,
    /// Jobs that run or wait.
    pub jobs_running: u64,
    /// How old what was brought in is; absent while no bundle was ever imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub airgap: Option<AirgapState>,
}

/// One upstream in the status.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpstreamStatus {
    /// As configured.
    pub name: String,
    /// `on-demand` or `curated`.
    pub mode: String,
    /// `unknown`, `up` or `down`.
    pub state: String,
    /// The newest failure since the start, also when upstream is up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// `GET /api/v1/log/inclusion?n=&size=` and `…/consistency?from=&to=`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProofView {
    /// Entries of the tree that the proof leads to.
    pub size: u64,
    /// Entry proved, or the older size.
    pub n: u64,
    /// Base64 hashes, RFC 6962 order.
    pub hashes: Vec<String>,
    /// The signed checkpoint the proof leads to, as text.
    pub checkpoint: String,
}
