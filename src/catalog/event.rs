//! The log's entries: what was decided, about what, when and by whom. Everything the catalogue holds
//! can be made again from these and the documents that they name by digest.

use std::collections::BTreeMap;

use chiron_storage::{Blake3, Digest};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::imported::Imported;
use crate::package::{ProjectName, Status};
use crate::policy::Reason;
use crate::verify::{CheckName, DocumentKind, DocumentRef, Outcome};

/// One entry. Serialised as one JSON object; these very bytes are the leaf that the log hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Always `chiron.event/v1`.
    pub schema: String,
    /// Never earlier than the entry before it.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What happened, with `type` saying which kind it is.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.event/v1";

    pub(super) fn new(at: Timestamp, event: Event) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            at,
            event,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// Judged good; served from now on.
    Admitted(Judged),
    /// Kept, not served: judged so, or its stored bytes are no longer what their name says
    /// (a reason of check `store`).
    Quarantined(Judged),
    /// Judged bad; not kept.
    Refused(Judged),
    /// PEP 592: installers pass it over unless it is pinned.
    Yanked(Decided),
    /// A yank taken back.
    Unyanked(Decided),
    /// Not served any more.
    Revoked(Decided),
    /// A revocation or a damage taken back.
    Restored(Decided),
    /// PEP 792.
    ProjectStatus {
        /// Whose status it is.
        project: ProjectName,
        /// Stands until the next event of this kind about the project.
        status: Status,
        /// Shown to installers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who set it.
        by: Actor,
    },
    /// A person lets something pass, for one content and until a day.
    Waived(Waived),
    /// Other rules are in force from now on.
    PolicyChanged {
        /// `strict`, `standard` or `audit`: what the rules are based on.
        profile: String,
        /// Over the rules and their data.
        digest: Digest,
        /// Why, as far as somebody said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who changed them; `chiron` when they were found changed at a start.
        by: Actor,
    },
    /// Another advisory database is in force from now on.
    AdvisoriesLoaded {
        /// The newest change of any record in it.
        #[schemars(with = "String")]
        as_of: Timestamp,
        /// Over its content.
        digest: Digest,
        /// How many it holds.
        records: u64,
        /// Who loaded it.
        by: Actor,
    },
    /// Other keys or thresholds sign the repository from now on, or people signed its roles anew.
    KeysChanged(KeysChanged),
    /// A bundle of another site is in force as a whole, with the events before this one whose origin or actor names it.
    Imported(Box<Imported>),
}

impl Event {
    /// The project it is about; `None` when it is about all of them.
    pub fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::Admitted(j) | Self::Quarantined(j) | Self::Refused(j) => Some(&j.project),
            Self::Yanked(d) | Self::Unyanked(d) | Self::Revoked(d) | Self::Restored(d) => {
                Some(&d.file.project)
            }
            Self::ProjectStatus { project, .. } => Some(project),
            Self::Waived(waived) => Some(&waived.file.project),
            Self::PolicyChanged { .. }
            | Self::AdvisoriesLoaded { .. }
            | Self::KeysChanged(_)
            | Self::Imported(_) => None,
        }
    }
}

/// A file and the judgment of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// That the filename belongs to.
    pub project: ProjectName,
    /// As published, with the suffix of a wheel or an sdist.
    pub filename: String,
    /// PEP 440, as the filename states it.
    pub version: String,
    /// The content that was judged; with the filename, the identity of the file.
    pub sha256: Digest,
    /// Of the same bytes; scrubs check with it, since it is faster.
    pub blake3: Blake3,
    /// Bytes.
    pub size: u64,
    /// Where the bytes came from.
    pub origin: Origin,
    /// Core metadata's digest (PEP 658); wheels only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata: Option<Digest>,
    /// The index's word, or else the wheel's own; relayed, never judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// The publisher's, RFC 3339, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// Yanked upstream when it came in; the reason, maybe empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// The verdict document.
    pub verdict: Digest,
    /// Why it is not admitted; at most [`MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The evidence documents the verdict rests on, in the order of the gate.
    pub evidence: Vec<Digest>,
    /// What rests on the evidence beside the verdict.
    #[serde(default, skip_serializing_if = "Found::is_empty")]
    pub found: Found,
}

/// What a judgment found, in short: what others look at without reading its documents. All of it is left out of the
/// entries of earlier versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// How each check ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Outcome>,
    /// The level of reproducibility that the file reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The file is a wheel without compiled code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pure: bool,
    /// Documents that came along with the file, kept byte for byte; at most [`MAX_DOCUMENTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentRef>,
    /// What could not be had when it was judged (`provenance`, `source`): it is tried again when somebody asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unavailable: Vec<String>,
    /// The bill of materials that is served beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Digest>,
    /// What the policy was given, as a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Digest>,
    /// The rules that were applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// The advisory database that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisories: Option<Digest>,
}

impl Found {
    /// Nothing was noted: the entry is of an earlier version.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How a check ended, as far as it was noted.
    pub fn outcome(&self, check: CheckName) -> Option<Outcome> {
        self.checks.get(&check).copied()
    }

    /// The newest document of a kind.
    pub fn document(&self, kind: DocumentKind) -> Option<&DocumentRef> {
        self.documents.iter().rev().find(|document| document.kind == kind)
    }
}

/// Documents kept with one file. Threat: an entry of the log must stay far below 65,535 bytes.
pub const MAX_DOCUMENTS: usize = 64;

/// A judgment that ended otherwise than the one before it, of the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rejudged {
    /// The verdict document.
    pub verdict: Digest,
    /// The evidence documents the verdict rests on, in the order of the gate.
    pub evidence: Vec<Digest>,
    /// Why it is not admitted; at most [`MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What rests on the evidence beside the verdict.
    #[serde(default, skip_serializing_if = "Found::is_empty")]
    pub found: Found,
}

/// A waiver: what a person lets pass, on one content, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waived {
    /// For which file.
    #[serde(flatten)]
    pub file: FileRef,
    /// Which check's objections it covers; `policy` for those the policy adds itself.
    pub check: String,
    /// Only the objection with this code; every one of the check when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Kept for ever and shown to users.
    pub reason: String,
    /// When it stops counting.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// Who answers for it: where two persons are needed, two different ones must have waived the same.
    pub person: String,
    /// With whose rights it was done.
    pub by: Actor,
}

/// What a ceremony changed about the signed repository (TUF). Who signed stands in the metadata itself, which is kept
/// for ever where it matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeysChanged {
    /// The metadata that the ceremony put in force: role and version.
    pub versions: BTreeMap<String, u64>,
    /// The roles that have other keys or another threshold than before.
    pub roles: BTreeMap<String, KeysInForce>,
    /// As the operator said.
    pub reason: String,
    /// Who asked for it; `chiron` when Chiron did so itself.
    pub by: Actor,
}

/// Whose signatures a role needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeysInForce {
    /// How many of the keys must sign.
    pub threshold: u8,
    /// Ids of all of them, 64 hexadecimal digits each. At most 16: an entry must stay far below 65,535 bytes.
    pub keys: Vec<String>,
}

/// Reasons an event repeats from its verdict: an entry must stay far below the log's 65,535 bytes.
pub const MAX_REASONS: usize = 8;

/// A decision on a file that was judged before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// What was decided on.
    #[serde(flatten)]
    pub file: FileRef,
    /// Shown to users and kept for ever; empty when an upstream gave none.
    pub reason: String,
    /// Who answers for it.
    pub by: Actor,
    /// The judgment that it follows from, when Chiron judged the file again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgment: Option<Rejudged>,
}

/// Names one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct FileRef {
    /// That the filename belongs to.
    pub project: ProjectName,
    /// Several contents may have been judged under it; at most one was ever admitted.
    pub filename: String,
    /// Which of these contents is meant.
    pub sha256: Digest,
}

/// Where the bytes came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An upstream, by its configured name.
    Upstream(String),
    /// A file the operator handed in.
    File,
    /// A bundle of another site, by the name that the sender has here.
    Bundle(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upstream(name) => write!(f, "upstream:{name}"),
            Self::File => f.write_str("file"),
            Self::Bundle(sender) => write!(f, "bundle:{sender}"),
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The holder of the admin token.
    Operator,
    /// Relayed from an upstream.
    Upstream(String),
    /// Chiron itself (a scrub, a damaged blob met while serving, a judgment made again).
    Chiron,
    /// Relayed from another site's log with a bundle, by the name that the sender has here.
    Sender(String),
}
