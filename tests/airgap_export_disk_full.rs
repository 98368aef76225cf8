//! Promise: an export onto a disk that fills up says so (status 70), leaves nothing that looks like a bundle, and goes on
//! when there is space.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/small_disk.rs"]
mod small_disk;
mod support;

use small_disk::Disk;
use support::bundles::{Sender, tars, verify};
use support::upstream::FakeFile;

/// Wheels of two megabytes that no compression makes smaller.
const WHEELS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_the_export_goes_on() {
    let Some(disk) = Disk::mount() else { return };
    let sender = Sender::new().await;
    for n in 0..WHEELS {
        let project = format!("large{n:02}");
        sender.upstream.add(FakeFile::wheel(&project, "1.0", 2 << 20));
        sender
            .daemon
            .cli(&["ingest", &format!("{project}==1.0")])
            .expect(0);
    }
    for out in ["folder", "tape.tar"] {
        disk.leave(9 << 20);
        let place = disk.path.join(out);
        let line = [
            "airgap",
            "export",
            place.to_str().unwrap(),
            "--volume-size",
            "16MiB",
        ];
        let line = if out == "folder" { &line[..3] } else { &line[..] };
        let full = sender.daemon.cli(line).expect(70);
        assert!(
            full.stderr.contains("space") && full.stderr.contains(disk.path.to_str().unwrap()),
            "{full}"
        );
        assert!(!place.exists());
        assert!(tars(&disk.path, "tape").is_empty());
        // The site itself is well: it is another disk.
        assert_eq!(sender.daemon.get("/readyz").status, 200);
        disk.clear();
        sender.daemon.cli(line).expect(0);
        let volumes = if out == "folder" {
            vec![place.clone()]
        } else {
            tars(&disk.path, "tape")
        };
        let places: Vec<&std::path::Path> = volumes.iter().map(std::path::PathBuf::as_path).collect();
        verify(&places, &sender.root(), &[]).expect(0);
        for place in &volumes {
            if place.is_dir() {
                std::fs::remove_dir_all(place).unwrap();
            } else {
                std::fs::remove_file(place).unwrap();
            }
        }
    }
}
