//! Promise: a disk that fills during an import is said (exit status 70), what is served stays as it was, reading goes on,
//! and once there is space the same command ends the import, or `--discard` gives every byte back.
//!
//! A small tmpfs stands for the disk where this user may mount one; elsewhere this says that it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/small_disk.rs"]
mod small_disk;
mod support;
#[path = "support/traces.rs"]
mod traces;

use small_disk::Disk;
use support::bundles::{Sender, state};
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::FakeFile;
use traces::{assert_blobs_whole, assert_nothing_staged, event_types, listed};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_during_an_import_changes_nothing_that_is_served() {
    let Some(disk) = Disk::mount() else { return };
    let sender = Sender::new().await;
    for version in ["1.0", "2.0", "3.0"] {
        sender.upstream.add(FakeFile::wheel("large", version, 3 << 20));
        sender
            .daemon
            .cli(&["ingest", &format!("large=={version}")])
            .expect(0);
    }
    let (bundle, root) = (sender.folder("first"), sender.root());
    let site = Daemon::start(
        DaemonOptions::alone()
            .config("[airgap]\nsite = \"plant-7\"\n")
            .data_dir(&disk.path.join("data"))
            .storage("cache = \"1MiB\""),
    );
    let line = [
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ];
    let (before, told) = (state(&site), event_types(&site));

    disk.leave(6 << 20);
    let said = site.cli(&line).expect(70);
    assert!(
        said.stderr.contains("space") && said.stderr.contains("next:"),
        "{said}"
    );
    assert_eq!(event_types(&site), told);
    assert_eq!(site.get("/simple/large/").status, 404);
    assert_eq!(site.get("/readyz").status, 200);
    assert_nothing_staged(site.data_dir());
    assert_blobs_whole(site.data_dir());

    disk.clear();
    site.cli(&["airgap", "import", "--discard"]).expect(0);
    assert_eq!(state(&site), before);

    disk.leave(6 << 20);
    site.cli(&line).expect(70);
    disk.clear();
    site.cli(&line).expect(0);
    assert_eq!(listed(&site, "large").len(), 3);
    assert_blobs_whole(site.data_dir());
}
