//! Core metadata: the `METADATA` of a wheel, the `PKG-INFO` of a source distribution, a `.metadata` document.

use std::str::FromStr;

use mailparse::MailHeader;
use serde::{Deserialize, Serialize};

use super::{NameError, ProjectName, Version};

/// Largest document read, in bytes. Long descriptions reach a few MiB; the whole document is in memory.
pub const MAX_METADATA_BYTES: usize = 16 << 20;
/// Most header lines read. Large real packages have below 1,000; each becomes a string.
pub const MAX_HEADERS: usize = 20_000;
/// Most entries of [`CoreMetadata::defects`].
const MAX_DEFECTS: usize = 20;

/// What a distribution says about itself. Nothing of this is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreMetadata {
    /// `Metadata-Version`, such as `2.4`.
    pub metadata_version: String,
    /// `Name`.
    pub name: ProjectName,
    /// `Version`.
    pub version: Version,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// `Requires-Dist`, as written. Not parsed: markers are a small language, and nobody needs them evaluated here.
    pub requires_dist: Vec<String>,
    /// `Provides-Extra`, as written.
    pub provides_extra: Vec<String>,
    /// `License-Expression` (PEP 639, SPDX).
    pub license_expression: Option<String>,
    /// `License`: free text, sometimes a whole licence.
    pub license: Option<String>,
    /// `License-File` (PEP 639).
    pub license_files: Vec<String>,
    /// `Classifier`, as written.
    pub classifiers: Vec<String>,
    /// `Summary`.
    pub summary: Option<String>,
    /// `Dynamic`: fields that a build may change (PEP 643).
    pub dynamic: Vec<String>,
    /// What readers of this document may disagree about; at most 20 entries.
    pub defects: Vec<String>,
}

/// Why a document is not core metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Over [`MAX_METADATA_BYTES`].
    #[error("the metadata has {0} bytes, more than the {MAX_METADATA_BYTES} that are read")]
    TooLarge(usize),
    /// Over [`MAX_HEADERS`].
    #[error("the metadata has more than {MAX_HEADERS} fields")]
    TooManyFields,
    /// No header block.
    #[error("the metadata cannot be read: {0}")]
    Unreadable(String),
    /// A field that every version of the specification demands.
    #[error("the metadata has no {0}")]
    Missing(&'static str),
    /// `Name` is there and is none.
    #[error("the metadata's Name is no project name: {0}")]
    Name(#[from] NameError),
    /// `Version` is there and is none.
    #[error("the metadata's Version {0:?} is not a PEP 440 version")]
    Version(String),
}

impl CoreMetadata {
    /// Reads a document. Bytes that are not UTF-8, repeated fields and broken lines become
    /// [`Self::defects`]; a missing or unreadable name or version is an error.
    pub fn parse(document: &[u8]) -> Result<Self, MetadataError> {
        if document.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge(document.len()));
        }
        let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        let head = header_block(document);
        let headers = headers(head)?;
        let mut fields = Fields {
            headers: &headers,
            defects: defects(head, &headers),
        };
        let metadata_version = fields
            .one("Metadata-Version")
            .ok_or(MetadataError::Missing("Metadata-Version"))?;
        let name = ProjectName::parse(&fields.one("Name").ok_or(MetadataError::Missing("Name"))?)?;
        let version = fields.one("Version").ok_or(MetadataError::Missing("Version"))?;
        let version = Version::from_str(&version).map_err(|_| MetadataError::Version(version))?;
        Ok(Self {
            metadata_version,
            name,
            version,
            requires_python: fields.one("Requires-Python"),
            license_expression: fields.one("License-Expression"),
            license: fields.one("License"),
            summary: fields.one("Summary"),
            requires_dist: fields.all("Requires-Dist"),
            provides_extra: fields.all("Provides-Extra"),
            license_files: fields.all("License-File"),
            classifiers: fields.all("Classifier"),
            dynamic: fields.all("Dynamic"),
            defects: fields.defects,
        })
    }
}

/// Everything before the first empty line: what follows is the description.
fn header_block(document: &[u8]) -> &[u8] {
    let mut line_start = 0;
    for (place, _) in document.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if matches!(&document[line_start..place], b"" | b"\r") {
            return &document[..line_start];
        }
        line_start = place + 1;
    }
    document
}

fn headers(head: &[u8]) -> Result<Vec<MailHeader<'_>>, MetadataError> {
    let mut headers = Vec::new();
    let mut rest = head;
    while !rest.is_empty() {
        if headers.len() == MAX_HEADERS {
            return Err(MetadataError::TooManyFields);
        }
        let (header, bytes) =
            mailparse::parse_header(rest).map_err(|error| MetadataError::Unreadable(error.to_string()))?;
        headers.push(header);
        rest = rest.get(bytes.max(1)..).unwrap_or_default();
    }
    Ok(headers)
}

struct Fields<'a> {
    headers: &'a [MailHeader<'a>],
    defects: Vec<String>,
}

impl Fields<'_> {
    fn values(&self, name: &str) -> impl Iterator<Item = String> {
        self.headers
            .iter()
            .filter(move |header| is_named(header, name))
            .map(value)
    }

    /// A field that may occur once. The first one counts, as for pip and uv.
    fn one(&mut self, name: &str) -> Option<String> {
        let count = self
            .headers
            .iter()
            .filter(|header| is_named(header, name))
            .count();
        if count > 1 && self.defects.len() < MAX_DEFECTS {
            self.defects
                .push(format!("{name} occurs {count} times; the first one is used"));
        }
        // Old builders write UNKNOWN for a field without a value.
        self.values(name)
            .next()
            .filter(|value| !value.is_empty() && value != "UNKNOWN")
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.values(name).filter(|value| !value.is_empty()).collect()
    }
}

fn is_named(header: &MailHeader<'_>, name: &str) -> bool {
    header.get_key_raw().eq_ignore_ascii_case(name.as_bytes())
}

/// The value with its folded lines as lines. Encoded words (`=?utf-8?…?=`) stay as they are, as pip reads them.
fn value(header: &MailHeader<'_>) -> String {
    let text = String::from_utf8_lossy(header.get_value_raw());
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

/// What two readers may read in two ways: one of them may be an installer.
fn defects(head: &[u8], headers: &[MailHeader<'_>]) -> Vec<String> {
    let mut defects = Vec::new();
    if std::str::from_utf8(head).is_err() {
        defects.push("the fields are not all UTF-8".to_owned());
    }
    let bare = head
        .iter()
        .enumerate()
        .any(|(place, byte)| *byte == b'\r' && head.get(place + 1) != Some(&b'\n'));
    if bare {
        // Python's email reader ends a line here, others do not: fields can hide.
        defects.push("a carriage return stands alone in the fields".to_owned());
    }
    for header in headers {
        let key = header.get_key_raw();
        let token = !key.is_empty() && key.iter().all(u8::is_ascii_graphic);
        // mailparse gives a line without a colon as a key with an empty value that starts where the key ends.
        let colon = key.as_ptr_range().end != header.get_value_raw().as_ptr();
        if !(token && colon) && defects.len() < MAX_DEFECTS {
            let line: String = String::from_utf8_lossy(key).chars().take(60).collect();
            // Python's email reader stops here, others go on.
            defects.push(format!("{line:?} is not a field"));
        }
    }
    defects
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "Metadata-Version: 2.4\nName: Foo.Bar\nVersion: 1.0.0\nSummary: A foo\n\
        Requires-Python: >=3.9\nLicense-Expression: MIT\nLicense: MIT License\n        line two\n\
        License-File: LICENSE\nClassifier: A\nClassifier: B\nRequires-Dist: bar>=1 ; extra == 'x'\n\
        Provides-Extra: x\nDynamic: Summary\n\nRequires-Dist: not-a-field\n";

    #[test]
    fn a_document_is_read() {
        let metadata = CoreMetadata::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(metadata.metadata_version, "2.4");
        assert_eq!(metadata.name.as_str(), "foo-bar");
        assert_eq!(metadata.version.to_string(), "1.0.0");
        assert_eq!(metadata.requires_python.as_deref(), Some(">=3.9"));
        assert_eq!(metadata.requires_dist, ["bar>=1 ; extra == 'x'"]);
        assert_eq!(metadata.license.as_deref(), Some("MIT License\nline two"));
        assert_eq!(metadata.license_expression.as_deref(), Some("MIT"));
        assert_eq!(
            (metadata.classifiers.len(), metadata.provides_extra.len()),
            (2, 1)
        );
        assert_eq!((metadata.license_files.len(), metadata.dynamic.len()), (1, 1));
        assert_eq!(metadata.defects, Vec::<String>::new());
        let crlf = CoreMetadata::parse(SAMPLE.replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(crlf, metadata);
    }

    #[test]
    fn errors_say_what_is_missing() {
        for (text, error) in [
            ("", MetadataError::Missing("Metadata-Version")),
            ("Metadata-Version: 2.1\n", MetadataError::Missing("Name")),
            (
                "Metadata-Version: 2.1\nName: UNKNOWN\n",
                MetadataError::Missing("Name"),
            ),
            (
                "Metadata-Version: 2.1\nName: foo\nVersion:\n",
                MetadataError::Missing("Version"),
            ),
            (
                "Metadata-Version: 2.1\nName: foo\nVersion: one\n",
                MetadataError::Version("one".to_owned()),
            ),
            (
                "Metadata-Version: 2.1\nName: ../foo\nVersion: 1\n",
                MetadataError::Name(NameError::Invalid("../foo".to_owned())),
            ),
        ] {
            assert_eq!(CoreMetadata::parse(text.as_bytes()), Err(error), "{text}");
        }
        let flood = "a: b\n".repeat(MAX_HEADERS + 1);
        assert_eq!(
            CoreMetadata::parse(flood.as_bytes()),
            Err(MetadataError::TooManyFields)
        );
        let error = CoreMetadata::parse(&vec![b'a'; MAX_METADATA_BYTES + 1]).unwrap_err();
        assert_eq!(error, MetadataError::TooLarge(MAX_METADATA_BYTES + 1));
    }

    #[test]
    fn real_world_documents_are_read_with_defects() {
        let text = b"Metadata-Version: 1.1\nName: foo\nName: bar\nVersion: 1\nSummary: caf\xe9\n\nbody \xff";
        let metadata = CoreMetadata::parse(text).unwrap();
        assert_eq!(metadata.name.as_str(), "foo");
        assert_eq!(
            metadata.defects,
            [
                "the fields are not all UTF-8",
                "Name occurs 2 times; the first one is used"
            ]
        );
    }

    #[test]
    fn fields_that_could_hide_from_a_reader_are_defects() {
        let text = b"Metadata-Version: 1.1\nName: foo\nVersion: 1\nnonsense\nRequires-Dist: evil\n";
        let metadata = CoreMetadata::parse(text).unwrap();
        assert_eq!(metadata.requires_dist, ["evil"]);
        assert_eq!(metadata.defects, ["\"nonsense\" is not a field"]);
        let text = b"Metadata-Version: 1.1\nName: foo\nVersion: 1\nSummary: a\rRequires-Dist: evil\n";
        let metadata = CoreMetadata::parse(text).unwrap();
        assert_eq!(metadata.defects, ["a carriage return stands alone in the fields"]);
        let empty = b"Metadata-Version: 1.1\nName: foo\nVersion: 1\nSummary:\n";
        assert_eq!(CoreMetadata::parse(empty).unwrap().defects, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut document = b"Metadata-Version: 2.1\nName: foo\nVersion: 1\n".to_vec();
            prop_assert!(CoreMetadata::parse(&bytes).is_err() || !bytes.is_empty());
            document.extend_from_slice(&bytes);
            if let Ok(metadata) = CoreMetadata::parse(&document) {
                prop_assert_eq!(metadata.name.as_str(), "foo");
                prop_assert!(metadata.defects.len() <= MAX_DEFECTS);
            }
        }

        #[test]
        fn written_fields_are_read_back(
            dists in proptest::collection::vec("[a-z]{1,8}(>=[0-9]{1,3})?", 0..5),
            summary in "[a-zA-Z0-9:;=?é]{1,30}",
        ) {
            prop_assume!(summary != "UNKNOWN");
            let mut document = format!("Metadata-Version: 2.1\nName: foo\nVersion: 1\nSummary: {summary}\n");
            for dist in &dists {
                document.extend(["requires-dist:", dist, "\n"]);
            }
            let metadata = CoreMetadata::parse(document.as_bytes()).unwrap();
            prop_assert_eq!(metadata.requires_dist, dists);
            prop_assert_eq!(metadata.summary.unwrap(), summary);
        }
    }
}
