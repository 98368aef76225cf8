//! A bill of materials, whichever format it was written in: only what the check asks of it.

use std::collections::BTreeSet;

use chiron_storage::Digest;

/// A bill that passed its schema.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, answered by yes or no"
)]
pub(super) struct Bill {
    /// What it is about.
    pub(super) root: Option<Component>,
    /// What it lists, nested ones too, without the root.
    pub(super) components: Vec<Component>,
    /// Names of the tools that wrote it.
    pub(super) tools: Vec<String>,
    /// Somebody, or some tool, is named as its author.
    pub(super) authored: bool,
    /// It says when it was written.
    pub(super) dated: bool,
    /// It says how its components depend on each other.
    pub(super) related: bool,
    /// It asserts that nothing is missing from it.
    pub(super) complete: bool,
    /// Its references.
    pub(super) refs: References,
}

/// One thing that a bill lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) purl: Option<String>,
    /// It has an identifier that others can look up (purl, CPE, SWID …).
    pub(super) identified: bool,
    /// Somebody is named who supplies it.
    pub(super) supplied: bool,
    /// SHA-256 stated for it.
    pub(super) sha256: Vec<Digest>,
    /// Paths at which it says it lies.
    pub(super) paths: Vec<String>,
    /// Its licence, as written; `None` when there is none or more than one.
    pub(super) licence: Option<String>,
    /// It is a file, and its name a path.
    pub(super) is_file: bool,
}

/// The names by which the parts of a bill refer to each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct References {
    defined: BTreeSet<String>,
    /// Defined more than once.
    pub(super) repeated: BTreeSet<String>,
    used: BTreeSet<String>,
    /// The root stands once more among the components, unchanged: auditwheel writes it so.
    pub(super) repeats_root: bool,
}

impl References {
    /// Notes a definition.
    pub(super) fn define(&mut self, name: &str) {
        if !self.defined.insert(name.to_owned()) {
            self.repeated.insert(name.to_owned());
        }
    }

    /// Notes a use.
    pub(super) fn refer(&mut self, name: &str) {
        self.used.insert(name.to_owned());
    }

    /// Used and not defined.
    pub(super) fn dangling(&self) -> impl Iterator<Item = &str> {
        self.used.difference(&self.defined).map(String::as_str)
    }
}

/// Adds a SHA-256 that is stated as hexadecimal text; anything else is left out.
pub(super) fn push_sha256(into: &mut Vec<Digest>, text: Option<&str>) {
    if let Some(digest) = text
        .filter(|text| text.len() == 64)
        .and_then(|text| text.parse().ok())
    {
        into.push(digest);
    }
}
