//! `[policy]`: what the gate admits. `[[publisher]]`: who may sign which project.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owned::OwnedPattern;
use super::value::Period;

/// What the gate admits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The built-in profile. `strict`: signature, published SBOM, hashes and a rebuild of level `generator` or better
    /// are all required. `standard`: structure and hashes pass, and what was published beside a file must verify.
    /// `audit`: structure and hashes only; everything else is recorded. `chiron policy show` prints the rules.
    pub profile: Profile,
    /// Folder of the site's own rules: `*.rego` in the package `chiron.site` adds objections to the profile, in the
    /// package `chiron.profile` replaces it; `data.json` and `data.toml` are `data.site`. Empty: none.
    pub folder: PathBuf,
    /// How old a file must be before it is served. A release that fixes a known-exploited hole need not wait, nor do
    /// owned names. `0s`: no waiting.
    pub minimum_age: Period,
    /// The clock that `minimum_age` is measured by. A file whose upload time is not known is measured by first sight.
    pub minimum_age_clock: Clock,
    /// An advisory database must be loaded before anything is admitted.
    pub advisories_required: bool,
    /// The worst severity of a known vulnerability that is still admitted. Malware and known-exploited holes never are.
    pub maximum_severity: Severity,
    /// What follows from a known vulnerability whose severity nobody stated (most of them).
    pub unknown_severity: Rule,
    /// What follows from a yank (PEP 592). Installers pass over yanked files unless they are pinned.
    pub yanked: Rule,
    /// SPDX identifiers of licences that are admitted; a file under no known licence is then quarantined. Empty: any.
    #[schemars(inner(length(min = 1)))]
    pub licences_allow: Vec<String>,
    /// SPDX identifiers of licences that are not admitted.
    #[schemars(inner(length(min = 1)))]
    pub licences_deny: Vec<String>,
    /// How many persons must ask for a waiver before it counts.
    #[schemars(range(min = 1, max = 2))]
    pub waiver_persons: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            folder: PathBuf::new(),
            minimum_age: Period::secs(0),
            minimum_age_clock: Clock::default(),
            advisories_required: false,
            maximum_severity: Severity::default(),
            unknown_severity: Rule::default(),
            yanked: Rule::default(),
            licences_allow: Vec::new(),
            licences_deny: Vec::new(),
            waiver_persons: 1,
        }
    }
}

/// A built-in policy profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Everything must be there and verify: signature, published SBOM, hashes, a rebuild.
    Strict,
    /// What was published must verify; what was not is made up for where that is possible.
    #[default]
    Standard,
    /// Structure and hashes; everything else is recorded.
    Audit,
}

impl Profile {
    /// The name as it is written in `chiron.toml` and in verdicts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Audit => "audit",
        }
    }
}

/// The clock that a file's age is measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// Upstream's upload time.
    #[default]
    Upload,
    /// When this site first judged the file.
    FirstSight,
    /// The later of both: the first request for any file then waits for the whole age.
    Later,
}

/// How bad a vulnerability is (CVSS ratings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No impact, by its rating.
    None,
    /// Below 4.0.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    #[default]
    High,
    /// 9.0 and above.
    Critical,
}

/// What follows from a circumstance that is no defect of the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Recorded, nothing more.
    #[default]
    Admit,
    /// Kept, not served.
    Quarantine,
}

/// Who may sign a project: every key that is given must agree with one verified attestation of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publisher {
    /// The project, or projects: a name in which `*` stands for any run of characters.
    pub project: OwnedPattern,
    /// Which service vouches for the publisher, or `key` for a plain public key of the trust roots.
    pub kind: PublisherKind,
    /// The issuer of the identity; the kind's own when absent. An organisation's own Sigstore names its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub issuer: Option<String>,
    /// `OWNER/NAME` of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub repository: Option<String>,
    /// The workflow's file: `release.yml`, or its path in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub workflow: Option<String>,
    /// The deployment environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub environment: Option<String>,
    /// The signer's e-mail address or URI, for kinds without a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub identity: Option<String>,
    /// The repository's number, which a repository made again under the same name does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub repository_id: Option<String>,
    /// The owner's number, as `repository_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub owner_id: Option<String>,
    /// The name of a public key of the trust roots, for the kind `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub key: Option<String>,
}

/// Which service vouches for a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublisherKind {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Google Cloud.
    Google,
    /// `CircleCI`.
    Circleci,
    /// A plain public key.
    Key,
    /// Any other issuer, which must then be given.
    Other,
}
