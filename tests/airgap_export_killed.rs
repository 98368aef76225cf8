//! Promise: an export that is killed at any moment leaves nothing that looks like a bundle, and the same command goes on
//! and gives the very bytes that it would have given undisturbed, though the log has grown meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use chiron_storage::Digest;
use support::bundles::{Sender, files_of, manifest, tars, verify};
use support::daemon::run;
use support::upstream::FakeFile;

/// Wheels of a megabyte that no compression makes smaller.
const WHEELS: usize = 24;

async fn sender() -> Sender {
    let sender = Sender::new().await;
    let specs: Vec<String> = (0..WHEELS)
        .map(|n| {
            sender
                .upstream
                .add(FakeFile::wheel(&format!("large{n:02}"), "1.0", 1 << 20));
            format!("large{n:02}==1.0")
        })
        .collect();
    let mut line = vec!["ingest"];
    line.extend(specs.iter().map(String::as_str));
    sender.daemon.cli(&line).expect(0);
    sender
}

fn export(out: &Path) -> Vec<&str> {
    let mut line = vec!["airgap", "export", out.to_str().unwrap()];
    if out.extension().is_some() {
        line.extend(["--volume-size", "16MiB"]);
    }
    line
}

/// What of a bundle is there: the files of the folder, or the volumes.
fn there(sender: &Sender, name: &str) -> BTreeMap<String, Digest> {
    let stem = name.trim_end_matches(".tar");
    let files: Vec<PathBuf> = if stem == name {
        let folder = sender.on_disk(name);
        if folder.exists() {
            files_of(&folder)
        } else {
            Vec::new()
        }
    } else {
        tars(sender.disk.path(), &format!("{stem}-"))
    };
    let named = files.into_iter().map(|path| {
        let digest = Digest::of(&fs::read(&path).unwrap());
        let path = path
            .strip_prefix(sender.disk.path())
            .unwrap()
            .display()
            .to_string();
        (path.replace(stem, "NAME"), digest)
    });
    named.collect()
}

async fn killed_and_resumed(ending: &str) {
    let mut sender = sender().await;
    let reference = format!("reference{ending}");
    // On the folder itself: the process that is killed is the one that writes.
    sender.daemon.stop();
    let begun = Instant::now();
    run(&mut sender.daemon.command(&export(&sender.on_disk(&reference)))).expect(0);
    let takes = begun.elapsed();
    let undisturbed = there(&sender, &reference);
    assert!(!undisturbed.is_empty());

    let mut broken_off = 0;
    for n in 0..12_u32 {
        let name = format!("try{n:02}{ending}");
        let out = sender.on_disk(&name);
        // Twice at different moments, then to the end.
        for moment in [n + 1, (n * 5) % 12 + 1] {
            let mut child = sender
                .daemon
                .command(&export(&out))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(takes * moment / 13 + Duration::from_millis(u64::from(n % 3)));
            let _ = child.kill();
            broken_off += usize::from(!child.wait().unwrap().success());
            // What is there by its name is whole, volume by volume.
            for (path, digest) in there(&sender, &name) {
                assert_eq!(undisturbed.get(&path), Some(&digest), "{path} after a kill");
            }
        }
        run(&mut sender.daemon.command(&export(&out))).expect(0);
        assert_eq!(there(&sender, &name), undisturbed, "{name}");
        assert!(!sender.on_disk(&format!("try{n:02}.partial")).exists());
    }
    assert!(broken_off >= 6, "only {broken_off} exports were broken off");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_folder_goes_on() {
    killed_and_resumed("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_volumes_go_on() {
    killed_and_resumed(".tar").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_export_is_over_the_snapshot_that_it_began_with() {
    let mut sender = sender().await;
    sender.daemon.stop();
    let out = sender.on_disk("first");
    let partial = sender.on_disk("first.partial");
    let begun = Instant::now();
    let mut child = sender
        .daemon
        .command(&export(&out))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !partial.join("export.json").exists() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().unwrap();
    if out.exists() {
        return; // It was faster than the kill.
    }
    let size: serde_json::Value =
        serde_json::from_slice(&fs::read(partial.join("export.json")).unwrap()).unwrap();
    // Another request does not go on with it, and leaves it alone.
    let other = ["airgap", "export", out.to_str().unwrap(), "--project", "alpha"];
    sender.daemon.local_cli(&other).expect(2);
    sender
        .daemon
        .local_cli(&["yank", "alpha==1.0", "--reason", "breaks logins", "--yes"])
        .expect(0);
    // A daemon that starts goes on with the jobs that it finds.
    sender.daemon.restart();
    let begun = Instant::now();
    while sender.daemon.cli_json(&["status"])["jobs_running"] != 0 {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(manifest(&out).log.size, size["log_size"].as_u64().unwrap());
    verify(&[&out], &sender.root(), &[]).expect(0);
    assert!(!partial.exists());
}
