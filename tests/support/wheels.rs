//! Sound wheels with requirements, and the simplest bad one.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chiron_storage::Digest;

use super::upstream::FakeFile;

/// A pure wheel that needs `requires` (PEP 508) and says its version when imported.
pub fn wheel(project: &str, version: &str, requires: &[&str]) -> FakeFile {
    build(project, version, requires, false)
}

/// A wheel whose RECORD names another digest for its module: refused, whoever publishes it.
pub fn lying_wheel(project: &str, version: &str) -> FakeFile {
    build(project, version, &[], true)
}

/// A line of a requirements file that pins the file by its digest.
pub fn pin(file: &FakeFile) -> String {
    let mut parts = file.filename.split('-');
    format!(
        "{}=={} --hash=sha256:{}",
        parts.next().unwrap(),
        parts.next().unwrap(),
        file.sha256
    )
}

fn build(project: &str, version: &str, requires: &[&str], lying: bool) -> FakeFile {
    let name = project.replace('-', "_");
    let info = format!("{name}-{version}.dist-info");
    let mut metadata =
        format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: made for a test\n");
    for requirement in requires {
        writeln!(metadata, "Requires-Dist: {requirement}").unwrap();
    }
    let wheel = "Wheel-Version: 1.0\nGenerator: chiron-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let members = [
        (
            format!("{name}/__init__.py"),
            format!("__version__ = \"{version}\"\n"),
        ),
        (format!("{info}/WHEEL"), wheel.to_owned()),
        (format!("{info}/METADATA"), metadata.clone()),
    ];
    let mut record = String::new();
    for (path, text) in &members {
        let content = if lying && path.ends_with("__init__.py") {
            "something else"
        } else {
            text
        };
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(content.as_bytes()).as_bytes());
        writeln!(record, "{path},sha256={digest},{}", text.len()).unwrap();
    }
    writeln!(record, "{info}/RECORD,,").unwrap();

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (path, text) in members.iter().chain([&(format!("{info}/RECORD"), record)]) {
        zip.start_file(path.as_str(), options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let mut file = FakeFile::new(&format!("{name}-{version}-py3-none-any.whl"), bytes);
    file.metadata = Some(metadata.into());
    file
}
