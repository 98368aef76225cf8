//! The files of the fake index.

use std::fmt::Write as _;
use std::io::Write as _;

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chiron_storage::digest::Digest;

/// One file of the fake index. The claims may be changed to lies.
#[derive(Clone, Debug)]
pub struct FakeFile {
    pub filename: String,
    pub bytes: Bytes,
    /// The claimed digest; the true one at first.
    pub sha256: String,
    /// The claimed size; the true one at first.
    pub size: u64,
    pub upload_time: String,
    pub requires_python: Option<String>,
    pub yanked: Option<String>,
    /// What `.metadata` answers, where the shape offers it.
    pub metadata: Option<Bytes>,
    /// What the integrity API answers (PEP 740); the page then names its address.
    pub provenance: Option<Bytes>,
}

impl FakeFile {
    /// A file with true claims.
    pub fn new(filename: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            filename: filename.to_owned(),
            sha256: Digest::of(&bytes).to_string(),
            size: bytes.len() as u64,
            bytes,
            upload_time: "2024-01-02T03:04:05.678901Z".to_owned(),
            requires_python: None,
            yanked: None,
            metadata: None,
            provenance: None,
        }
    }

    /// A small, sound, pure wheel with its metadata. `padding` bytes of incompressible content make it larger.
    pub fn wheel(project: &str, version: &str, padding: usize) -> Self {
        let name = project.replace('-', "_");
        let metadata =
            format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: made for a test\n");
        let wheel = "Wheel-Version: 1.0\nGenerator: chiron-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let info = format!("{name}-{version}.dist-info");
        let mut members = vec![(
            format!("{name}/__init__.py"),
            format!("__version__ = \"{version}\"\n").into_bytes(),
        )];
        if padding > 0 {
            members.push((format!("{name}/padding.bin"), noise(padding)));
        }
        members.push((format!("{info}/WHEEL"), wheel.as_bytes().to_vec()));
        members.push((format!("{info}/METADATA"), metadata.clone().into_bytes()));
        let mut record = String::new();
        for (path, bytes) in &members {
            let digest = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(bytes).as_bytes());
            writeln!(record, "{path},sha256={digest},{}", bytes.len()).unwrap();
        }
        writeln!(record, "{info}/RECORD,,").unwrap();
        members.push((format!("{info}/RECORD"), record.into_bytes()));
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, bytes) in &members {
            zip.start_file(path.as_str(), zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(bytes).unwrap();
        }
        let bytes = zip.finish().unwrap().into_inner();
        let mut file = Self::new(&format!("{name}-{version}-py3-none-any.whl"), bytes);
        file.metadata = Some(metadata.into());
        file
    }
}

/// Bytes that do not compress, the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
