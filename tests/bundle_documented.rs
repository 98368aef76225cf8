//! Promise: `docs/bundle-format.md` is enough to read a bundle: a program that shares no code with Chiron does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chiron_storage::Digest;
use serde_json::Value;
use support::bundles::{Sender, flip, tars};
use support::hostile::good_wheel;
use support::upstream::FakeFile;

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bundle_reader.py");

/// Whether what the reader needs is there; `make test` demands it.
fn can_read() -> bool {
    let there = |program: &str| {
        let asked = Command::new(program).arg("--version").output();
        asked.is_ok_and(|output| output.status.success())
    };
    let can = there("python3") && there("zstd");
    let demanded = std::env::var("CHIRON_TESTS_REQUIRE").is_ok_and(|all| all.contains("clients"));
    assert!(can || !demanded, "python3 or zstd is missing");
    if !can {
        eprintln!("LEFT OUT: python3 or zstd is missing");
    }
    can
}

fn read(root: &Path, places: &[&Path]) -> Result<Value, String> {
    let output = Command::new("python3")
        .arg(READER)
        .arg(root)
        .args(places)
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn filenames(said: &Value) -> Vec<&str> {
    let files = said["files"].as_array().unwrap().iter();
    files.map(|file| file["filename"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_reads_what_was_exported() {
    if !can_read() {
        return;
    }
    let sender = Sender::new().await;
    let root = sender.root();
    let folder = sender.folder("whole");
    let whole = read(&root, &[&folder]).unwrap();
    let all = [
        "alpha-1.0-py3-none-any.whl",
        "beta-1.0-py3-none-any.whl",
        "gamma-1.0-py3-none-any.whl",
    ];
    assert_eq!(filenames(&whole), all);
    assert_eq!(whole["missing"], Value::Array(vec![]));
    assert!(whole["documents"].as_u64().unwrap() > 3, "{whole}");
    let source = chiron::bundle::layout::BundleSource::open(&[folder]).unwrap();
    assert_eq!(whole["digest"], Digest::of(source.envelope()).to_string());

    let tar = sender.tar("packed");
    let packed = read(&root, &[&tar]).unwrap();
    assert_eq!(packed["files"], whole["files"]);
    assert_eq!(packed["entries"], whole["entries"]);

    // An interval, whose frontier is the state before, and single entries with their proofs.
    let id = whole["id"].as_str().unwrap();
    sender.release("alpha", "2.0");
    let next = sender.export("next", &["--since", id]);
    let next = read(&root, &[&next]).unwrap();
    assert_eq!(filenames(&next), ["alpha-2.0-py3-none-any.whl"]);
    assert_eq!(next["entries"], 1);
    let selected = sender.export("selected", &["--project", "beta"]);
    let selected = read(&root, &[&selected]).unwrap();
    assert_eq!(filenames(&selected), ["beta-1.0-py3-none-any.whl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_reads_volumes_alone_and_sees_what_is_missing() {
    if !can_read() {
        return;
    }
    let sender = Sender::new().await;
    // Bytes that no compression makes smaller: more than one volume of the smallest size.
    for number in 0..3_u64 {
        let mut state = number + 1;
        let noise = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let noise: Vec<u8> = noise.take(1_000_000).flatten().collect();
        let project = format!("large{number}");
        let wheel = good_wheel(&project, "1.0", &[("large.bin", &noise)]);
        sender
            .upstream
            .add(FakeFile::new(&format!("{project}-1.0-py3-none-any.whl"), wheel));
        sender
            .daemon
            .cli(&["ingest", &format!("{project}==1.0")])
            .expect(0);
    }
    sender.export("large.tar", &["--volume-size", "16MiB"]);
    let volumes = tars(sender.disk.path(), "large");
    assert_eq!(volumes.len(), 3);
    let root = sender.root();
    let all: Vec<&Path> = volumes.iter().rev().map(PathBuf::as_path).collect();
    let read_backwards = read(&root, &all).unwrap();
    assert_eq!(filenames(&read_backwards).len(), 6);
    let second = read(&root, &[&volumes[1]]).unwrap();
    assert_eq!(second["missing"], serde_json::json!([1, 3]));

    // It is no reader that says yes to everything.
    let size = fs::metadata(&volumes[0]).unwrap().len();
    for at in [100, 700, 2_000, 5_000, size / 2, size - 600] {
        flip(&volumes[0], at, 3);
        assert!(read(&root, &all).is_err(), "byte {at}");
        flip(&volumes[0], at, 3);
    }
    read(&root, &all).unwrap();
    let other = Sender::new().await;
    let said = read(&other.root(), &[&volumes[0]]).unwrap_err();
    assert!(said.contains("signed"), "{said}");
}
