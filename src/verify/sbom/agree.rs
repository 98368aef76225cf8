//! Whether a valid bill speaks of this file, and whether what it says of it is true.

use std::collections::HashMap;
use std::str::FromStr;

use chiron_storage::Digest;
use packageurl::PackageUrl;

use super::bill::{Bill, Component};
use super::facts::{LISTED, Role};
use super::find::Source;
use super::role::{python_project, python_purl};
use crate::package::{DistributionFilename, Version};
use crate::verify::Contents;

/// What was found: code and detail.
pub(super) type Said = (&'static str, String);

/// Contradictions (the bill is wrong, or another file's) and oddities.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Agreement {
    pub(super) findings: Vec<Said>,
    pub(super) warnings: Vec<Said>,
    /// It states the digest of this very file.
    pub(super) names_digest: bool,
}

/// Holds a bill against the file that it came with.
pub(super) fn agreement(
    bill: &Bill,
    role: Role,
    source: Source,
    name: &DistributionFilename,
    sha256: Digest,
    contents: Option<&Contents>,
) -> Agreement {
    let mut found = Agreement::default();
    if let Some(root) = &bill.root {
        found.names_digest = source != Source::Inside && root.sha256.contains(&sha256);
        if role == Role::Root {
            check_release(root, name, &mut found);
        }
        // A bill inside the file cannot hold the file's hash; what it states there is of something else.
        if role == Role::Root && source != Source::Inside && !root.sha256.is_empty() && !found.names_digest {
            let detail = format!(
                "an SBOM for another wheel: it states sha256 {}, this file has {sha256}",
                root.sha256[0]
            );
            found.findings.push(("another-file", detail));
        }
    }
    if source == Source::Beside && role != Role::Root && !found.names_digest {
        let about = bill.root.as_ref().map_or("nothing", |root| root.name.as_str());
        let detail = format!(
            "came beside the file and is about {about:?}: neither name nor hash tie it to {}",
            name.raw()
        );
        found.findings.push(("another-project", detail));
    }
    if let Some(contents) = contents {
        check_files(bill, contents, &mut found);
    }
    check_references(bill, &mut found);
    found
}

fn check_release(root: &Component, name: &DistributionFilename, found: &mut Agreement) {
    if root.name == name.raw() && root.purl.is_none() {
        return; // its root is the file itself
    }
    if python_project(root).as_ref() != Some(name.project()) {
        let detail = format!(
            "an SBOM for another project: its root is {:?}, the file is of {}",
            root.purl.as_deref().unwrap_or(&root.name),
            name.project()
        );
        found.findings.push(("another-project", detail));
        return;
    }
    let by_purl = root
        .purl
        .as_deref()
        .and_then(python_purl)
        .and_then(|(_, version)| version);
    for version in by_purl.iter().chain(&root.version) {
        if !is_version(version, name.version()) {
            let detail = format!(
                "an SBOM for another release: its root has version {version:?}, the file {}",
                name.version()
            );
            found.findings.push(("another-version", detail));
            return;
        }
    }
    let file_name = root.purl.as_deref().and_then(|purl| {
        let purl = PackageUrl::from_str(purl).ok()?;
        purl.qualifiers().get("file_name").map(ToString::to_string)
    });
    if let Some(file_name) = file_name.filter(|file| file != name.raw()) {
        found.warnings.push((
            "file-name-differs",
            format!(
                "its root names the file {file_name:?}; a wheel can be renamed after its bill was written"
            ),
        ));
    }
}

/// The release's version, or its public part: builds add a local one (`+cu121`).
fn is_version(text: &str, version: &Version) -> bool {
    Version::from_str(text)
        .is_ok_and(|stated| stated == *version || stated == version.clone().without_local())
}

/// Files that the bill states a hash for and that lie in the wheel.
fn check_files(bill: &Bill, contents: &Contents, found: &mut Agreement) {
    let stated = bill
        .components
        .iter()
        .filter(|component| component.is_file && !component.sha256.is_empty());
    let mut entries: HashMap<&str, Digest> = HashMap::new();
    for component in stated {
        if found.findings.len() >= LISTED {
            break; // one is enough to fail, and nobody reads more
        }
        if entries.is_empty() {
            entries = contents
                .entries
                .iter()
                .map(|entry| (entry.name.as_str(), entry.sha256))
                .collect();
        }
        for path in &component.paths {
            if let Some(own) = entries.get(path.trim_start_matches("./"))
                && !component.sha256.contains(own)
            {
                let detail = format!(
                    "it states sha256 {} for {path:?}, the file in the wheel has {own}",
                    component.sha256[0]
                );
                found.findings.push(("component-hash", detail));
            }
        }
    }
}

fn check_references(bill: &Bill, found: &mut Agreement) {
    if bill.refs.repeats_root {
        let detail = "its root stands once more among the components, as auditwheel writes it";
        found.warnings.push(("repeated-root", detail.to_owned()));
    }
    if let Some(first) = bill.refs.repeated.first() {
        let detail = format!(
            "{} references are defined twice; the first: {first:?}",
            bill.refs.repeated.len()
        );
        found.warnings.push(("duplicate-ref", detail));
    }
    if let Some(first) = bill.refs.dangling().next() {
        let detail = format!(
            "{} references lead nowhere; the first: {first:?}",
            bill.refs.dangling().count()
        );
        found.warnings.push(("dangling-ref", detail));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::verify::ContentEntry;

    fn name() -> DistributionFilename {
        DistributionFilename::parse("demo-1.0+cu121-py3-none-any.whl").unwrap()
    }

    fn own() -> Digest {
        Digest::of(b"the wheel")
    }

    fn bill(purl: &str, sha256: Vec<Digest>) -> Bill {
        Bill {
            root: Some(Component {
                name: "demo".to_owned(),
                purl: Some(purl.to_owned()),
                sha256,
                ..Component::default()
            }),
            ..Bill::default()
        }
    }

    fn codes(bill: &Bill, role: Role, source: Source) -> Vec<&'static str> {
        let found = agreement(bill, role, source, &name(), own(), None);
        found.findings.iter().map(|(code, _)| *code).collect()
    }

    #[test]
    fn a_bill_beside_must_be_about_this_file() {
        let here = vec![own()];
        let other = vec![Digest::of(b"another")];
        for (purl, hashes, role, source, expected) in [
            ("pkg:pypi/demo@1.0", vec![], Role::Root, Source::Beside, &[][..]),
            (
                "pkg:pypi/demo@1.0%2Bcu121",
                here.clone(),
                Role::Root,
                Source::Beside,
                &[],
            ),
            (
                "pkg:pypi/demo@1.0",
                other.clone(),
                Role::Root,
                Source::Beside,
                &["another-file"],
            ),
            (
                "pkg:pypi/demo@1.0",
                other.clone(),
                Role::Root,
                Source::Attested,
                &["another-file"],
            ),
            ("pkg:pypi/demo@1.0", other, Role::Root, Source::Inside, &[]),
            (
                "pkg:pypi/demo@1.1",
                vec![],
                Role::Root,
                Source::Inside,
                &["another-version"],
            ),
            (
                "pkg:pypi/other@1.0",
                vec![],
                Role::Root,
                Source::Beside,
                &["another-project"],
            ),
            (
                "pkg:pypi/other@1.0",
                vec![],
                Role::Root,
                Source::Inside,
                &["another-project"],
            ),
            (
                "pkg:cargo/demo@9",
                vec![],
                Role::Embedded,
                Source::Beside,
                &["another-project"],
            ),
            ("pkg:cargo/demo@9", here, Role::Embedded, Source::Beside, &[]),
            ("pkg:cargo/demo@9", vec![], Role::Embedded, Source::Inside, &[]),
            ("pkg:cargo/demo@9", vec![], Role::Embedded, Source::Attested, &[]),
        ] {
            assert_eq!(
                codes(&bill(purl, hashes), role, source),
                expected,
                "{purl} {role:?} {source:?}"
            );
        }
    }

    #[test]
    fn a_file_in_the_wheel_must_have_the_hash_that_is_stated_for_it() {
        let contents = Contents {
            entries: vec![ContentEntry {
                name: "demo/a.py".to_owned(),
                size: 1,
                sha256: own(),
                mode: 0,
            }],
            ..Contents::default()
        };
        let file = |path: &str, sha256: Digest| Bill {
            components: vec![Component {
                name: path.to_owned(),
                paths: vec![path.to_owned()],
                sha256: vec![sha256],
                is_file: true,
                ..Component::default()
            }],
            ..Bill::default()
        };
        let codes = |bill: &Bill| {
            let found = agreement(
                bill,
                Role::Embedded,
                Source::Inside,
                &name(),
                own(),
                Some(&contents),
            );
            found.findings.len()
        };
        assert_eq!(codes(&file("demo/a.py", own())), 0);
        assert_eq!(codes(&file("demo/a.py", Digest::of(b"x"))), 1);
        assert_eq!(codes(&file("elsewhere/a.py", Digest::of(b"x"))), 0);
    }
}
