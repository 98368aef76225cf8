//! A release that tells the truth: a pure wheel and the sdist that holds the wheel's files, byte for byte.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chiron_storage::Digest;

use super::hostile::tar_writer::{Tar, gzip};
use super::upstream::FakeFile;

/// A release about to be made.
#[derive(Clone, Debug)]
pub struct Release {
    pub project: String,
    pub version: String,
    /// `Requires-Dist`.
    pub requires: Vec<String>,
    /// `License-Expression`.
    pub license: Option<String>,
    /// `Generator` of the wheel.
    pub generator: String,
    /// Files of the import package, in wheel and sdist.
    pub modules: Vec<(String, Vec<u8>)>,
    /// Files that only the wheel has: a `.pth`, bundled code, what nobody can find in the source.
    pub only_in_wheel: Vec<(String, Vec<u8>)>,
    /// Files that only the sdist has, below its top folder.
    pub only_in_sdist: Vec<(String, Vec<u8>)>,
    /// Bills of materials in `.dist-info/sboms/` (PEP 770), by name.
    pub sboms: Vec<(String, Vec<u8>)>,
    /// Tag of the wheel.
    pub tag: String,
}

impl Release {
    /// A package with one module that says its version when imported.
    pub fn new(project: &str, version: &str) -> Self {
        let name = project.replace('-', "_");
        Self {
            project: project.to_owned(),
            version: version.to_owned(),
            requires: Vec::new(),
            license: None,
            generator: "chiron-test (1)".to_owned(),
            modules: vec![(
                format!("{name}/__init__.py"),
                format!("__version__ = \"{version}\"\n").into_bytes(),
            )],
            only_in_wheel: Vec::new(),
            only_in_sdist: Vec::new(),
            sboms: Vec::new(),
            tag: "py3-none-any".to_owned(),
        }
    }

    /// With a file that wheel and sdist have.
    #[must_use]
    pub fn module(mut self, path: &str, bytes: &[u8]) -> Self {
        self.modules.push((path.to_owned(), bytes.to_vec()));
        self
    }

    /// With a file that only the wheel has.
    #[must_use]
    pub fn slipped_in(mut self, path: &str, bytes: &[u8]) -> Self {
        self.only_in_wheel.push((path.to_owned(), bytes.to_vec()));
        self
    }

    /// With a file that only the sdist has.
    #[must_use]
    pub fn source(mut self, path: &str, bytes: &[u8]) -> Self {
        self.only_in_sdist.push((path.to_owned(), bytes.to_vec()));
        self
    }

    /// With a bill of materials inside the wheel.
    #[must_use]
    pub fn sbom(mut self, name: &str, bytes: &[u8]) -> Self {
        self.sboms.push((name.to_owned(), bytes.to_vec()));
        self
    }

    /// The name as filenames spell it.
    pub fn stem(&self) -> String {
        format!("{}-{}", self.project.replace('-', "_"), self.version)
    }

    /// Core metadata, the same in wheel and sdist.
    pub fn metadata(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.4\nName: {}\nVersion: {}\nSummary: made for a test\n",
            self.project, self.version
        );
        if let Some(license) = &self.license {
            writeln!(text, "License-Expression: {license}").unwrap();
        }
        for requirement in &self.requires {
            writeln!(text, "Requires-Dist: {requirement}").unwrap();
        }
        text
    }

    /// The wheel.
    pub fn wheel(&self) -> FakeFile {
        let info = format!("{}.dist-info", self.stem());
        let pure = self.tag.ends_with("-none-any");
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: {}\nRoot-Is-Purelib: {pure}\nTag: {}\n",
            self.generator, self.tag
        );
        let mut members = [self.modules.as_slice(), &self.only_in_wheel].concat();
        members.push((format!("{info}/WHEEL"), wheel.into_bytes()));
        members.push((format!("{info}/METADATA"), self.metadata().into_bytes()));
        for (name, bytes) in &self.sboms {
            members.push((format!("{info}/sboms/{name}"), bytes.clone()));
        }
        let mut record = String::new();
        for (path, bytes) in &members {
            let digest = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(bytes).as_bytes());
            writeln!(record, "{path},sha256={digest},{}", bytes.len()).unwrap();
        }
        writeln!(record, "{info}/RECORD,,").unwrap();
        members.push((format!("{info}/RECORD"), record.into_bytes()));
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (path, bytes) in &members {
            zip.start_file(path.as_str(), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let mut file = FakeFile::new(&format!("{}-{}.whl", self.stem(), self.tag), bytes);
        file.metadata = Some(self.metadata().into());
        file
    }

    /// The sdist that the wheel's files come from.
    pub fn sdist(&self) -> FakeFile {
        let top = self.stem();
        let mut tar = Tar::default();
        tar.folder(&format!("{top}/"))
            .file(&format!("{top}/PKG-INFO"), self.metadata().as_bytes());
        for (path, bytes) in self.modules.iter().chain(&self.only_in_sdist) {
            tar.file(&format!("{top}/{path}"), bytes);
        }
        FakeFile::new(&format!("{top}.tar.gz"), gzip(&tar.finish()))
    }
}

/// A sound CycloneDX 1.6 document whose root is the release.
pub fn cyclonedx(project: &str, version: &str) -> Vec<u8> {
    let root = format!("pkg:pypi/{project}@{version}");
    let document = serde_json::json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "version": 1,
        "metadata": {
            "timestamp": "2024-01-02T03:04:05Z",
            "authors": [{ "name": "The publisher" }],
            "supplier": { "name": "The publisher" },
            "component": {
                "type": "library", "bom-ref": root, "name": project, "version": version, "purl": root,
                "supplier": { "name": "The publisher" },
            },
        },
        "components": [],
        "dependencies": [{ "ref": root, "dependsOn": [] }],
    });
    serde_json::to_vec_pretty(&document).unwrap()
}

/// The same for SPDX 2.3.
pub fn spdx(project: &str, version: &str) -> Vec<u8> {
    let document = serde_json::json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{project}-{version}"),
        "documentNamespace": format!("https://example.invalid/{project}-{version}"),
        "creationInfo": { "created": "2024-01-02T03:04:05Z", "creators": ["Organization: The publisher"] },
        "packages": [{
            "SPDXID": "SPDXRef-root", "name": project, "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
            "supplier": "Organization: The publisher",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                "referenceLocator": format!("pkg:pypi/{project}@{version}"),
            }],
        }],
        "relationships": [{
            "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root",
        }],
    });
    serde_json::to_vec_pretty(&document).unwrap()
}
