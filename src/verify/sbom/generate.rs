//! The bill that Chiron writes when nobody published one that speaks of the file: CycloneDX 1.6, served beside the file
//! and never put into it.
//!
//! It says only what the file itself says, and that this is not everything (`compositions`: `incomplete`). The same
//! file gives the same bytes, whenever and by whichever version of Chiron it is written: the serial number is derived
//! from the digest, the time is the newest one in the archive, and no version of the tool is named.

use std::collections::{BTreeMap, BTreeSet};

use chiron_storage::Digest;
use jiff::Timestamp;
use packageurl::PackageUrl;
use serde::Serialize;

use super::bundled::{Bundled, library_name};
use crate::package::ProjectName;
use crate::package::metadata::CoreMetadata;
use crate::verify::Contents;

/// Requirements written at most. Threat: metadata of many thousand lines.
const MAX_REQUIREMENTS: usize = 5_000;
/// Bytes of one requirement that are repeated.
const MAX_REQUIREMENT_BYTES: usize = 1_000;
/// The zip format cannot say earlier; build tools write it where they have no time.
const NO_TIME: i64 = 315_532_800;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: [Composition; 1],
}

#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools {
    components: [Tool; 1],
}

#[derive(Serialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
}

#[derive(Serialize, Default)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: Digest,
}

#[derive(Serialize)]
struct License {
    expression: String,
}

#[derive(Serialize)]
struct Evidence {
    occurrences: [Occurrence; 1],
}

#[derive(Serialize)]
struct Occurrence {
    location: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: [String; 1],
}

/// What a bill is written from.
pub(super) struct Subject<'a> {
    pub(super) file: &'a super::Subject<'a>,
    pub(super) licence: Option<&'a str>,
}

/// Writes the bill. `None` only when the file's name cannot stand in a purl.
pub(super) fn generate(subject: &Subject<'_>, bundled: &Bundled<'_>) -> Option<Vec<u8>> {
    let root = root(subject)?;
    let mut components = Vec::new();
    for library in &bundled.libraries {
        components.push(Component {
            kind: "library",
            bom_ref: format!("file:{}", library.name),
            name: library_name(library.name.rsplit('/').next().unwrap_or(&library.name)).to_owned(),
            hashes: vec![sha256(library.sha256)],
            evidence: Some(Evidence {
                occurrences: [Occurrence {
                    location: library.name.clone(),
                }],
            }),
            ..Component::default()
        });
    }
    for (project, version) in &bundled.vendored {
        let purl = python(project, Some(version))?;
        components.push(Component {
            kind: "library",
            bom_ref: format!("vendored:{purl}"),
            name: project.to_string(),
            version: Some(version.clone()),
            purl: Some(purl),
            ..Component::default()
        });
    }
    let mut depends_on: Vec<String> = components.iter().map(|part| part.bom_ref.clone()).collect();
    for (project, required) in requirements(subject.file.metadata) {
        let component = requirement(&project, required)?;
        depends_on.push(component.bom_ref.clone());
        components.push(component);
    }
    let document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: serial_number(subject.file.sha256),
        version: 1,
        dependencies: vec![Dependency {
            of: root.bom_ref.clone(),
            depends_on,
        }],
        compositions: [Composition {
            aggregate: "incomplete",
            assemblies: [root.bom_ref.clone()],
        }],
        metadata: Metadata {
            timestamp: subject.file.contents.and_then(newest_time),
            lifecycles: [Lifecycle { phase: "post-build" }],
            tools: Tools {
                components: [Tool {
                    kind: "application",
                    name: "chiron",
                }],
            },
            component: root,
        },
        components,
    };
    let mut bytes = serde_json::to_vec_pretty(&document).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

fn root(subject: &Subject<'_>) -> Option<Component> {
    let name = subject.file.name;
    let mut purl = PackageUrl::new("pypi", name.project().as_str()).ok()?;
    purl.with_version(name.version().to_string()).ok()?;
    purl.add_qualifier("file_name", name.raw()).ok()?;
    let purl = purl.to_string();
    let description = subject
        .file
        .metadata
        .and_then(|metadata| metadata.summary.as_deref());
    let embedded = subject
        .file
        .contents
        .into_iter()
        .flat_map(|contents| &contents.sboms);
    Some(Component {
        kind: "library",
        bom_ref: purl.clone(),
        name: name.project().to_string(),
        version: Some(name.version().to_string()),
        description: description.map(|text| bounded(text, 500)),
        hashes: vec![sha256(subject.file.sha256)],
        licenses: subject
            .licence
            .map(|expression| License {
                expression: expression.to_owned(),
            })
            .into_iter()
            .collect(),
        purl: Some(purl),
        properties: embedded
            .map(|(path, bytes)| Property {
                name: "chiron:embedded-sbom",
                value: format!("{path} sha256:{}", Digest::of(bytes)),
            })
            .collect(),
        ..Component::default()
    })
}

fn sha256(content: Digest) -> Hash {
    Hash {
        alg: "SHA-256",
        content,
    }
}

/// Requirements by project, in the order of the names; a project that is asked for several times is one component.
fn requirements(metadata: Option<&CoreMetadata>) -> BTreeMap<ProjectName, BTreeSet<&str>> {
    let mut by_project: BTreeMap<ProjectName, BTreeSet<&str>> = BTreeMap::new();
    for required in metadata
        .iter()
        .flat_map(|metadata| &metadata.requires_dist)
        .take(MAX_REQUIREMENTS)
    {
        // The name ends where anything else begins (PEP 508); the rest is repeated as it stands, not interpreted.
        let end = required
            .find(|character: char| !character.is_ascii_alphanumeric() && !"._-".contains(character))
            .unwrap_or(required.len());
        if let Ok(project) = ProjectName::parse(&required[..end]) {
            by_project.entry(project).or_default().insert(required);
        }
    }
    by_project
}

fn requirement(project: &ProjectName, required: BTreeSet<&str>) -> Option<Component> {
    let purl = python(project, None)?;
    // One line without a marker is enough to need it always.
    let optional = required.iter().all(|line| line.contains(';'));
    Some(Component {
        kind: "library",
        bom_ref: format!("requires:{purl}"),
        name: project.to_string(),
        scope: Some(if optional { "optional" } else { "required" }),
        purl: Some(purl),
        properties: required
            .into_iter()
            .map(|line| Property {
                name: "chiron:requires-dist",
                value: bounded(line, MAX_REQUIREMENT_BYTES),
            })
            .collect(),
        ..Component::default()
    })
}

fn python(project: &ProjectName, version: Option<&str>) -> Option<String> {
    let mut purl = PackageUrl::new("pypi", project.as_str()).ok()?;
    if let Some(version) = version {
        purl.with_version(version).ok()?;
    }
    Some(purl.to_string())
}

fn bounded(text: &str, bytes: usize) -> String {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The newest time in the archive, if any file has one.
fn newest_time(contents: &Contents) -> Option<String> {
    let (_, newest) = contents.dos_times.filter(|(_, newest)| *newest > NO_TIME)?;
    Timestamp::from_second(newest).ok().map(|time| time.to_string())
}

/// A UUID of the file's digest (RFC 9562, version 8), so that the same file has the same bill everywhere.
fn serial_number(sha256: Digest) -> String {
    let digest = Digest::of(format!("chiron.sbom/v1\n{sha256}").as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = hex::encode(bytes);
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    format!("urn:uuid:{text}")
}
