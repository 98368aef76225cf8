//! VEX: statements that a product is, or is not, affected by a vulnerability that its components have. Read from
//! `OpenVEX` and CSAF documents; whoever loads one vouches for it.

mod csaf;
mod openvex;

use std::collections::BTreeMap;
use std::str::FromStr as _;

use jiff::Timestamp;
use packageurl::PackageUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::groups::Group;
use super::record::is_id;
use crate::package::{ProjectName, Version};

/// Statements of one document. Threat: memory.
const MAX_STATEMENTS: usize = 200_000;

/// Longest name of an author or document that is kept, characters.
const MAX_NAME: usize = 200;

/// What a statement says. Ordered: of two that were made at one time the greater counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VexStatus {
    /// The vulnerability was there and is mended in this version.
    Fixed,
    /// The vulnerability does not concern this product.
    NotAffected,
    /// Nobody knows yet.
    UnderInvestigation,
    /// The vulnerability concerns this product.
    Affected,
}

impl VexStatus {
    /// Whether a match that it speaks of counts no more.
    pub const fn takes_out(self) -> bool {
        matches!(self, Self::Fixed | Self::NotAffected)
    }

    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotAffected => "not_affected",
            Self::UnderInvestigation => "under_investigation",
            Self::Affected => "affected",
        }
    }
}

/// One statement about one package of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Which package.
    pub project: ProjectName,
    /// Which version; `None` is every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Names of the vulnerability; one that a record has is enough.
    pub vulnerabilities: Vec<String>,
    /// What is said.
    pub status: VexStatus,
    /// Who says so.
    pub by: String,
    /// In which document.
    pub document: String,
    /// When; `None` counts as long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexDocument {
    /// As it calls itself; a later document of the same name takes its place.
    pub id: String,
    /// Its author.
    pub by: String,
    /// When it was made or last changed.
    pub at: Option<Timestamp>,
    /// What it says of packages of the index.
    pub statements: Vec<Statement>,
    /// Statements that could not be used, with the reason: they take nothing out.
    pub unusable: Vec<String>,
}

/// Reads a document; `None` when it is no VEX at all.
///
/// # Errors
/// Says why a VEX document cannot be used as a whole.
pub fn parse(document: &Value) -> Option<Result<VexDocument, String>> {
    if openvex::is_one(document) {
        return Some(openvex::read(document));
    }
    csaf::is_one(document).then(|| csaf::read(document))
}

/// The status that stands for a vulnerability of one version, and who says so; `None` when nobody says anything.
///
/// Of one author the latest statement stands. Authors who disagree leave the match in: it is taken out only when
/// everybody who speaks of it says so.
pub fn standing<'a>(
    statements: impl IntoIterator<Item = &'a Statement>,
    group: &Group,
    version: &Version,
) -> Option<&'a Statement> {
    let mut latest: BTreeMap<&str, &Statement> = BTreeMap::new();
    for statement in statements {
        let speaks = statement.speaks_of(group) && statement.version.as_ref().is_none_or(|v| v == version);
        if !speaks {
            continue;
        }
        let known = latest.entry(&statement.by).or_insert(statement);
        if (statement.at, statement.status) > (known.at, known.status) {
            *known = statement;
        }
    }
    latest
        .into_values()
        .max_by_key(|statement| (statement.status, statement.at))
}

impl Statement {
    /// Whether it is about this vulnerability.
    pub fn speaks_of(&self, group: &Group) -> bool {
        self.vulnerabilities.iter().any(|name| group.names.contains(name))
    }
}

/// A product as a statement names it.
enum Product {
    /// A package of the index, in one version or in all.
    Ours(ProjectName, Option<Version>),
    /// Something else, with the reason.
    Other(String),
}

/// Reads a package URL.
fn product_of_purl(text: &str) -> Product {
    let shown: String = text.chars().take(MAX_NAME).collect();
    let Ok(purl) = PackageUrl::from_str(text) else {
        return Product::Other(format!("{shown} is no package URL"));
    };
    if purl.ty() != "pypi" || purl.namespace().is_some() {
        return Product::Other(format!("{shown} is no package of the index"));
    }
    match purl.version() {
        None => match ProjectName::parse(purl.name()) {
            Ok(project) => Product::Ours(project, None),
            Err(why) => Product::Other(why.to_string()),
        },
        Some(version) => product_of_name(purl.name(), version),
    }
}

/// A name and a version.
fn product_of_name(name: &str, version: &str) -> Product {
    match (ProjectName::parse(name), version.parse::<Version>()) {
        (Ok(project), Ok(version)) => Product::Ours(project, Some(version)),
        (Err(why), _) => Product::Other(why.to_string()),
        (_, Err(_)) => Product::Other(format!("{:?} is no version (PEP 440)", cut(version))),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

/// Names of a vulnerability, those that can be one.
fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names
        .into_iter()
        // OpenVEX's `@id` is often the address of the record.
        .map(|name| name.rsplit('/').next().unwrap_or(name))
        .filter(|name| is_id(name))
        .map(ToOwned::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
