//! The structure check as a whole: every attack is refused by its name, sound files pass, and nothing that passes is
//! read differently by another reader.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _, Write as _};

use proptest::prelude::*;

use super::*;
use crate::verify::evidence::Outcome;
use hostile::tar_writer::{Tar, gzip};
use hostile::wheel_writer::Wheel;
use hostile::zip_writer::{Zip, ZipEntry};
use hostile::{SDIST, WHEEL, fixtures, good_sdist, good_wheel, metadata};

#[path = "../../../tests/support/hostile.rs"]
mod hostile;

fn check(filename: &str, bytes: &[u8]) -> Structure {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let name = DistributionFilename::parse(filename).unwrap();
    structure(&file, bytes.len() as u64, &name, &ArchiveLimits::default())
}

/// The facts are what their type says: no other key, no other form.
fn typed(structure: &Structure) -> StructureFacts {
    serde_json::from_value(structure.facts.clone().into()).unwrap()
}

fn pass(filename: &str, bytes: &[u8]) -> Structure {
    let structure = check(filename, bytes);
    assert_eq!(structure.outcome, Outcome::Pass, "{}", structure.summary);
    typed(&structure);
    structure
}

#[test]
fn every_attack_is_refused_by_its_name() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let structure = check(&fixture.filename, &fixture.bytes);
        let codes: Vec<&str> = structure.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(typed(&structure).findings.len(), codes.len());
        if structure.outcome != Outcome::Fail || !codes.contains(&fixture.expect_code) {
            wrong.push(format!(
                "{}: {} {codes:?}: {}",
                fixture.name, structure.outcome, structure.summary
            ));
        }
        assert!(
            structure.core_metadata.is_none() && structure.parsed.is_none(),
            "{}",
            fixture.name
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fixtures_have_names_of_their_own() {
    let names: Vec<&str> = fixtures().iter().map(|fixture| fixture.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.len() > 120);
}

#[test]
fn a_sound_wheel_passes_with_its_metadata_and_facts() {
    let files: [(&str, &[u8]); 5] = [
        ("demo/a,b.py", b"x"),
        ("demo/\u{e9}.py", b""),
        ("demo.pth", b"import demo"),
        ("demo-1.0.data/scripts/demo", b"#!python\n"),
        ("demo-1.0.dist-info/sboms/demo.cdx.json", b"{}"),
    ];
    let mut wheel = Wheel::new("demo", "1.0");
    for (path, content) in files {
        wheel.file(path, content);
    }
    wheel.record = |record| record.replace("demo/a,b.py", "\"demo/a,b.py\"");
    let structure = pass(WHEEL, &wheel.build(|_| {}));
    assert_eq!(structure.core_metadata.unwrap(), metadata("demo", "1.0"));
    assert_eq!(structure.parsed.unwrap().name.as_str(), "demo");
    let facts = structure.facts;
    assert_eq!(facts["start_up"]["first"][0], "demo.pth");
    assert_eq!(facts["scripts"]["count"], 1);
    assert_eq!(facts["sboms"]["count"], 1);
    assert_eq!(facts["generator"], "hostile (1)");
    assert_eq!(facts["record"]["sha256"], 8);
    assert_eq!(facts["findings_total"], 0);
}

#[test]
fn what_later_checks_need_is_gathered_on_the_way() {
    let digest = |bytes: &[u8]| chiron_storage::Digest::of(bytes);
    let mut wheel = Wheel::new("demo", "1.0");
    let native = b"\x7fELF....".to_vec();
    for (path, content) in [
        ("demo/_vendor/vendor.txt", &b"idna==3.10\n"[..]),
        ("demo/not_vendor/vendor.txt", b"x"),
        ("demo/tool.so", &native),
        ("demo-1.0.dist-info/sboms/a.cdx.json", b"{}"),
    ] {
        wheel.file(path, content);
    }
    let contents = pass(WHEEL, &wheel.build(|_| {})).contents.unwrap();
    assert_eq!(contents.metadata, metadata("demo", "1.0"));
    assert_eq!(contents.dist_info, "demo-1.0.dist-info");
    assert_eq!(contents.generator.as_deref(), Some("hostile (1)"));
    assert!(
        contents.pure && contents.native,
        "pure by its tags, native by its files"
    );
    let held = |path: &str, bytes: &[u8]| vec![(path.to_owned(), bytes.to_vec())];
    assert_eq!(contents.sboms, held("demo-1.0.dist-info/sboms/a.cdx.json", b"{}"));
    assert_eq!(
        contents.vendor_lists,
        held("demo/_vendor/vendor.txt", b"idna==3.10\n")
    );
    let entry = |name: &str| contents.entries.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(entry("demo/tool.so").sha256, digest(&native));
    assert_eq!(entry("demo/tool.so").size, 8);
    assert_eq!(
        entry("demo-1.0.dist-info/METADATA").sha256,
        digest(&metadata("demo", "1.0"))
    );
    // RECORD has no hash of its own anywhere: it is computed all the same.
    assert_ne!(entry("demo-1.0.dist-info/RECORD").sha256, digest(b""));
    assert!(contents.entries.iter().all(|entry| !entry.name.ends_with('/')));
}

#[test]
fn a_hash_in_record_that_is_not_sha256_is_no_reason_to_have_none() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.record = |record| {
        let strong =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha384::digest(b"VALUE = 1\n"));
        record.replacen(
            record.lines().next().unwrap(),
            &format!("demo/__init__.py,sha384={strong},"),
            1,
        )
    };
    let contents = pass(WHEEL, &wheel.build(|_| {})).contents.unwrap();
    let entry = contents
        .entries
        .iter()
        .find(|entry| entry.name == "demo/__init__.py")
        .unwrap();
    assert_eq!(entry.sha256, chiron_storage::Digest::of(b"VALUE = 1\n"));
}

#[test]
fn a_document_beyond_the_bound_is_an_entry_and_is_not_held() {
    let mut wheel = Wheel::new("demo", "1.0");
    for name in ["a", "b", "c"] {
        wheel.file(&format!("demo-1.0.dist-info/sboms/{name}.json"), &[b'x'; 1_000]);
    }
    let mut file = tempfile::tempfile().unwrap();
    let bytes = wheel.build(|_| {});
    file.write_all(&bytes).unwrap();
    let name = DistributionFilename::parse(WHEEL).unwrap();
    let held = |held_bytes, held_total| {
        let limits = ArchiveLimits {
            held_bytes,
            held_total,
            ..ArchiveLimits::default()
        };
        let contents = structure(&file, bytes.len() as u64, &name, &limits)
            .contents
            .unwrap();
        assert_eq!(
            contents
                .entries
                .iter()
                .filter(|entry| entry.name.contains("/sboms/"))
                .count(),
            3
        );
        contents.sboms.len()
    };
    assert_eq!(held(1_000, 3_000), 3);
    assert_eq!(held(999, 3_000), 0);
    assert_eq!(held(1_000, 2_999), 2);
}

#[test]
fn spellings_of_a_release_are_one_release() {
    for (name, version, filename) in [
        ("Demo_Pkg", "1.0", "demo_pkg-1.0-py3-none-any.whl"),
        ("demo.pkg", "1.0.0", "Demo_Pkg-1.0-py3-none-any.whl"),
        ("demo", "1.0+cu121", "demo-1.0+cu121-py3-none-any.whl"),
        ("demo", "1.0", "demo-1.0-1-py3-none-any.whl"),
    ] {
        pass(filename, &good_wheel(name, version, &[]));
    }
    for (name, version, filename) in [
        ("zope.interface", "5.0", "zope_interface-5.0.tar.gz"),
        ("zope_interface", "5.0", "zope.interface-5.0.tar.gz"),
    ] {
        pass(filename, &good_sdist(name, version, &[("setup.py", b"x")]));
    }
}

#[test]
fn stronger_hashes_and_empty_sizes_are_read() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.record = |record| {
        let strong =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha512::digest(b"VALUE = 1\n"));
        record.replacen(
            record.lines().next().unwrap(),
            &format!("demo/__init__.py,sha512={strong},"),
            1,
        )
    };
    let structure = pass(WHEEL, &wheel.build(|_| {}));
    assert_eq!(
        structure.facts["record"],
        serde_json::json!({"sha256": 2, "sha384": 0, "sha512": 1, "without_size": 1})
    );
}

#[test]
fn honest_oddities_pass() {
    let wheel = |change: fn(&mut Zip)| Wheel::new("demo", "1.0").build(change);
    pass(WHEEL, &wheel(|zip| zip.comment = b"built by hand".to_vec()));
    pass(WHEEL, &wheel(|zip| zip.zip64 = Some(|_| {})));
    pass(
        WHEEL,
        &wheel(|zip| zip.entries.push(ZipEntry::new("demo/sub/", b"", 0o040_755))),
    );
    // A stream's writer: sizes behind the data, with and without the descriptor's signature.
    for signature in [&b"PK\x07\x08"[..], b""] {
        let bytes = Wheel::new("demo", "1.0").build(|zip| {
            for entry in &mut zip.entries {
                entry.both(|header| header.flags |= 1 << 3);
                let sizes = [entry.local.crc, entry.local.compressed, entry.local.size]
                    .map(u32::to_le_bytes)
                    .concat();
                entry.after = [signature, &sizes].concat();
                (entry.local.crc, entry.local.compressed, entry.local.size) = (0, 0, 0);
            }
        });
        pass(WHEEL, &bytes);
    }
    // Python's force_zip64: a ZIP64 field that repeats what the header says.
    pass(
        WHEEL,
        &wheel(|zip| {
            for entry in &mut zip.entries {
                let sizes = [u64::from(entry.local.size), u64::from(entry.local.compressed)]
                    .map(u64::to_le_bytes)
                    .concat();
                entry.local.extra = [&[1, 0, 16, 0][..], &sizes].concat();
            }
        }),
    );
}

#[test]
fn executable_bits_are_facts_unless_nothing_can_need_them() {
    let mut wheel = Wheel::new("demo", "1.0");
    for (path, content) in [
        ("demo-1.0.data/scripts/run", &b"#!python\n"[..]),
        ("demo/tool", b"\x7fELF...."),
        ("demo/run.sh", b"#!/bin/sh\n"),
        ("demo/mod.py", b"x = 1\n"),
        ("demo/data.txt", b"text"),
    ] {
        wheel.files.push((path.to_owned(), content.to_vec(), 0o100_755));
    }
    let executables = pass(WHEEL, &wheel.build(|_| {})).facts["executables"].clone();
    assert_eq!(executables["scripts"], 1);
    assert_eq!(executables["native"], 1);
    assert_eq!(executables["shebang"], 1);
    assert_eq!(executables["python"]["first"][0], "demo/mod.py");
    assert_eq!(executables["unexpected"]["first"][0], "demo/data.txt");

    let mut uniform = Wheel::new("demo", "1.0");
    uniform.info_mode = 0o100_755;
    uniform.files[0].2 = 0o100_755;
    assert_eq!(
        pass(WHEEL, &uniform.build(|_| {})).facts["executables"]["every_file"],
        true
    );
}

#[test]
fn a_sound_sdist_passes_and_its_metadata_is_a_fact_only() {
    let structure = pass(
        SDIST,
        &good_sdist("demo", "1.0", &[("setup.py", b"x"), ("src/demo.py", b"y")]),
    );
    assert!(structure.core_metadata.is_none());
    assert_eq!(structure.parsed.unwrap().name.as_str(), "demo");
    assert_eq!(structure.facts["build_files"], serde_json::json!(["setup.py"]));
    let mut tar = Tar::default();
    tar.file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"));
    tar.file("demo-1.0/docs/a", b"x")
        .link("demo-1.0/docs/b", b'2', "../docs/a")
        .link("demo-1.0/c", b'1', "demo-1.0/docs/a");
    tar.pax("path", "demo-1.0/long").file("demo-1.0/short", b"z");
    let structure = pass(SDIST, &gzip(&tar.finish()));
    assert_eq!(structure.facts["links"], 2);
}

#[test]
fn a_zip_sdist_passes() {
    let entries = [
        ("demo-1.0/PKG-INFO", metadata("demo", "1.0")),
        ("demo-1.0/setup.py", b"x".to_vec()),
    ];
    let entries = entries
        .iter()
        .map(|(path, content)| ZipEntry::new(path, content, 0o100_644))
        .collect();
    pass(
        "demo-1.0.zip",
        &Zip {
            entries,
            ..Zip::default()
        }
        .finish(),
    );
}

#[test]
fn limits_are_the_callers() {
    let bytes = good_wheel("demo", "1.0", &[("demo/a.py", b"aaaa")]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let name = DistributionFilename::parse(WHEEL).unwrap();
    let full = ArchiveLimits::default();
    for (limits, code) in [
        (
            ArchiveLimits {
                entries: 4,
                ..full.clone()
            },
            "entry-count",
        ),
        (
            ArchiveLimits {
                entry_unpacked: 3,
                ..full.clone()
            },
            "entry-too-large",
        ),
        (
            ArchiveLimits {
                total_unpacked: 100,
                ..full.clone()
            },
            "archive-too-large",
        ),
        (
            ArchiveLimits {
                metadata_bytes: 10,
                ..full.clone()
            },
            "entry-too-large",
        ),
        (
            ArchiveLimits {
                record_bytes: 10,
                ..full.clone()
            },
            "entry-too-large",
        ),
        (
            ArchiveLimits {
                directory_bytes: 10,
                ..full.clone()
            },
            "directory-size",
        ),
        (
            ArchiveLimits {
                name_bytes: 3,
                ..full.clone()
            },
            "name-length",
        ),
    ] {
        let structure = structure(&file, bytes.len() as u64, &name, &limits);
        assert!(
            structure.findings.iter().any(|finding| finding.code == code),
            "{code}: {}",
            structure.summary
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let bytes = good_wheel("demo", "1.0", &[]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes[..10]).unwrap();
    let wheel = DistributionFilename::parse(WHEEL).unwrap();
    let sdist = DistributionFilename::parse(SDIST).unwrap();
    for name in [wheel, sdist] {
        let structure = structure(&file, bytes.len() as u64, &name, &ArchiveLimits::default());
        assert_eq!(structure.outcome, Outcome::Error, "{}", structure.summary);
    }
}

/// What another reader sees: name → content.
fn read_by_the_zip_crate(bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).ok()?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).ok()?;
        let name = file.name().ok()?.into_owned();
        files.insert(name, content);
    }
    Some(files)
}

/// What we see, through the same code as the check.
fn read_by_us(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let (limits, mut report) = (ArchiveLimits::default(), Report::default());
    let mut reader = member::Reader::new(Window::new(&file, bytes.len() as u64));
    let (directory, headers) = zip::read_directory(&mut reader.window, &limits, &mut report).unwrap();
    let mut members = zip::read_members(&headers, &directory, &limits, &mut report).unwrap();
    zip::lay_out(&mut members, &directory, &mut report).unwrap();
    let mut files = BTreeMap::new();
    for member in &members {
        let mut content = Vec::new();
        assert!(
            reader
                .member(member, |bytes| content.extend_from_slice(bytes))
                .is_ok()
        );
        files.insert(member.name.to_owned(), content);
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any damage to a wheel is refused, or harmless: then another reader sees the same names and bytes.
    #[test]
    fn what_passes_is_read_alike(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = good_wheel("demo", "1.0", &[("demo/a.py", b"print('a')\n"), ("demo/b.txt", b"")]);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let structure = check(WHEEL, &bytes);
        prop_assert!(matches!(structure.outcome, Outcome::Pass | Outcome::Fail), "{}", structure.summary);
        if structure.outcome == Outcome::Pass {
            prop_assert_eq!(read_by_the_zip_crate(&bytes), Some(read_by_us(&bytes)));
        }
    }

    #[test]
    fn damaged_sdists_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/").file("demo-1.0/PKG-INFO", &metadata("demo", "1.0")).pax("path", "demo-1.0/x");
        tar.file("demo-1.0/y", b"z").link("demo-1.0/l", b'2', "x");
        let mut bytes = tar.finish();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let structure = check(SDIST, &gzip(&bytes));
        prop_assert!(matches!(structure.outcome, Outcome::Pass | Outcome::Fail));
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for filename in [WHEEL, SDIST, "demo-1.0.zip"] {
            prop_assert_eq!(check(filename, &bytes).outcome, Outcome::Fail);
        }
    }
}
