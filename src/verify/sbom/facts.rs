//! What the check states of a file's bills of materials: the facts of its evidence, as policy reads them.

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most entries of any list here, but for the documents themselves; a count beside it is exact.
pub const LISTED: usize = 100;

/// The facts of the `sbom` check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SbomFacts {
    /// Where bills came from.
    pub origin: Origin,
    /// Which bill is served beside the file; `none` when what was published is bad.
    pub served: Origin,
    /// Every published document that was looked at.
    pub documents: Vec<DocumentFacts>,
    /// The file's licence.
    pub licence: LicenceFacts,
    /// Libraries and projects of others that the file carries: paths under `*.libs/` and `.dylibs/`, and
    /// `name==version` from `_vendor/vendor.txt`. The first 100.
    pub bundled: Vec<String>,
    /// How many there are.
    pub bundled_total: u64,
    /// Those of them that no valid bill names. The first 100; all of them when no bill was published.
    pub unclaimed: Vec<String>,
    /// How many there are.
    pub unclaimed_total: u64,
    /// What is wrong; any of them makes the check fail. The first 100.
    pub findings: Vec<Note>,
    /// What is odd and may be right. The first 100.
    pub warnings: Vec<Note>,
}

/// Where a bill came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Somebody published it: in the file, beside it, or in a verified attestation.
    Published,
    /// Written here from what the file itself says, because none was published that speaks of it.
    Generated,
    /// There is none.
    None,
}

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// CycloneDX, JSON.
    Cyclonedx,
    /// SPDX, JSON.
    Spdx,
    /// Neither, or too damaged to tell.
    Unknown,
}

/// What a bill is about, as its root says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The Python release itself. Its name and version must agree.
    Root,
    /// Something inside the file: a Rust crate, a vendored project, bundled libraries.
    Embedded,
    /// A tool that took part in the build.
    BuildTool,
}

/// One published document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, for policy"
)]
pub struct DocumentFacts {
    /// As far as it could be told.
    pub format: Format,
    /// Version of the format; empty when it could not be told.
    pub version: String,
    /// Absent when the document is not valid.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// The path in the wheel, or `beside`, `upstream`, `operator`, `attestation`.
    #[serde(rename = "where")]
    pub place: String,
    /// SHA-256 of its bytes; `None` for one that was too large to be held.
    pub digest: Option<Digest>,
    /// It passed the official schema of its version.
    pub valid: bool,
    /// Components listed, nested ones too, without the root.
    pub components: u64,
    /// Purl of what it is about, or the name where there is no purl.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub root: Option<String>,
    /// It states the SHA-256 of this very file.
    pub names_digest: bool,
    /// No reference is defined twice.
    pub refs_unique: bool,
    /// Everything that is referred to is there.
    pub graph_closed: bool,
    /// It asserts that it is complete.
    pub complete: bool,
    /// The NTIA minimum elements.
    pub ntia: NtiaFacts,
}

/// How many of the seven NTIA minimum elements a bill has ("The Minimum Elements For a Software Bill of Materials", 2021).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NtiaFacts {
    /// 0 to 7. An element of components counts when every component has it.
    pub score: u8,
    /// Which are missing: `supplier`, `name`, `version`, `identifier`, `relationships`, `author`, `timestamp`.
    pub missing: Vec<String>,
}

/// The file's licence, normalised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenceFacts {
    /// An SPDX expression; absent when none is certain.
    pub expression: Option<String>,
    /// What it was read from.
    pub from: LicenceFrom,
    /// Whether the bill that is about this release says the same; absent when one of the two says nothing certain.
    pub agrees: Option<bool>,
}

/// What a licence was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceFrom {
    /// `License-Expression` (PEP 639).
    LicenseExpression,
    /// `License`, whose text is an SPDX expression or a name that can mean only one licence.
    License,
    /// The one licence classifier, if it can mean only one licence.
    Classifier,
    /// The published bill of materials; the file's own metadata says nothing certain.
    Sbom,
    /// Nothing certain was found.
    Unknown,
}

/// A finding or a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Stable name.
    pub code: String,
    /// For a person.
    pub detail: String,
    /// The document concerned, as in `documents[].where`.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
}
