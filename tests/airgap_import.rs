//! Promise: an import is the one path. A bundle is believed from a root that the operator gave, judged by the site's own
//! rules, and comes into force at once or not at all; done again it changes nothing; volumes may come one at a time; a
//! signed report and a receipt say what came of it; and after a refusal the site is exactly as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::bundles::{Sender, closed_site, flip, manifest, state, tars};
use support::daemon::{Daemon, DaemonOptions, Output};
use support::raw::Answer;
use support::upstream::FakeFile;
use support::wheels::wheel;
use traces::{assert_nothing_staged, blobs, event_types, events, events_of, file_url, listed, log_size};

fn import(site: &Daemon, places: &[&Path], more: &[&str]) -> Output {
    let mut line = vec!["airgap", "import"];
    line.extend(places.iter().map(|place| place.to_str().unwrap()));
    line.extend(more);
    site.cli(&line)
}

fn first(site: &Daemon, sender: &Sender, bundle: &Path) -> Output {
    import(site, &[bundle], &["--root", sender.root().to_str().unwrap()])
}

fn file(site: &Daemon, file: &FakeFile) -> Answer {
    site.get(&file_url(&file.sha256, &file.filename))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The payload of a DSSE envelope, whoever signed it.
fn payload(envelope: &Value) -> Value {
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    serde_json::from_slice(&STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

fn airgap(site: &Daemon) -> Value {
    site.admin("GET", "/api/v1/airgap", b"").json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_bundle_is_served_with_a_report_and_a_receipt() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    let (report, receipt) = (sender.on_disk("report.json"), sender.on_disk("receipt.json"));
    let more = [
        "--root",
        &sender.root().display().to_string(),
        "--report",
        report.to_str().unwrap(),
        "--receipt",
        receipt.to_str().unwrap(),
    ];
    let said = import(&site, &[&bundle], &more).expect(0);
    assert!(said.stdout.contains("is in force: 3 files admitted"), "{said}");
    for project in ["alpha", "beta", "gamma"] {
        let sent = wheel(project, "1.0", &[]);
        assert_eq!(listed(&site, project), [sent.filename.as_str()]);
        assert_eq!(file(&site, &sent).body, sent.bytes);
    }
    // The site's own chain signs what it serves.
    let signed = support::signed::served(&site).unwrap();
    assert!(
        signed
            .targets
            .contains_key("files/alpha/alpha-1.0-py3-none-any.whl")
    );

    let [imported] = events_of(&site, "imported").try_into().unwrap();
    let told = manifest(&bundle);
    assert_eq!(imported["sender"], "head-office");
    assert_eq!(imported["id"], told.id.to_string());
    assert_eq!(imported["counts"]["admitted"], 3);
    assert!(imported["reference_time"].is_string());
    assert!(
        events_of(&site, "admitted")
            .iter()
            .all(|event| event["origin"]["bundle"] == "head-office")
    );

    let report = payload(&json(&report));
    assert_eq!(report["predicateType"], "urn:chiron:airgap-report:v1");
    let predicate = &report["predicate"];
    assert_eq!(predicate["site"], "plant-7");
    assert_eq!(predicate["counts"]["admitted"], 3);
    assert_eq!(predicate["checked"]["entries"], told.contents.entries);
    assert_eq!(predicate["not_admitted"], serde_json::json!([]));

    let receipt = json(&receipt);
    let statement = payload(&receipt["statement"]);
    let predicate = &statement["predicate"];
    assert_eq!(predicate["seen"]["size"], told.log.size);
    assert_eq!(predicate["complete"], predicate["seen"]);
    assert_eq!(predicate["held"]["count"], 3);
    let held = receipt["held"].as_array().unwrap();
    for project in ["alpha", "beta", "gamma"] {
        assert!(
            held.contains(&wheel(project, "1.0", &[]).sha256.into()),
            "{project}"
        );
    }
    assert_eq!(airgap(&site)["senders"][0]["last"], told.id.to_string());
    assert_eq!(airgap(&site)["staged"], serde_json::json!([]));
    assert_nothing_staged(site.data_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bundle_again_changes_nothing() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.tar("first");
    first(&site, &sender, &bundle).expect(0);
    let before = state(&site);
    let again = import(&site, &[&bundle], &[]).expect(0);
    assert!(again.stdout.contains("already imported"), "{again}");
    assert_eq!(state(&site), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_imports_without_a_daemon() {
    let sender = Sender::new().await;
    let mut site = closed_site("plant-7");
    let bundle = sender.folder("first");
    site.stop();
    let root = sender.root();
    let line = [
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ];
    site.local_cli(&line).expect(0);
    site.restart();
    assert_eq!(listed(&site, "alpha").len(), 1);
    assert_eq!(
        event_types(&site)
            .iter()
            .filter(|kind| *kind == "imported")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_root_nothing_is_believed() {
    let sender = Sender::new().await;
    let other = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    let before = state(&site);
    let said = import(&site, &[&bundle], &[]).expect(2);
    assert!(said.stderr.contains("--root"), "{said}");
    let said = import(&site, &[&bundle], &["--root", other.root().to_str().unwrap()]).expect(1);
    assert!(said.stderr.contains("not believed"), "{said}");
    assert_eq!(state(&site), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_than_before_counts_only_with_the_senders_name() {
    let sender = Sender::new().await;
    let other = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    first(&site, &sender, &bundle).expect(0);
    let before = state(&site);
    sender.release("delta", "1.0");
    let next = sender.folder("next");
    let root = other.root().display().to_string();
    let said = import(&site, &[&next], &["--root", &root]).expect(1);
    assert!(said.stderr.contains("by another one"), "{said}");
    // Even then the bundle has to follow from it.
    let said = import(&site, &[&next], &["--root", &root, "--sender", "head-office"]).expect(1);
    assert!(said.stderr.contains("not believed"), "{said}");
    assert_eq!(state(&site), before);
    import(&site, &[&next], &["--root", &sender.root().display().to_string()]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_bit_in_a_file_and_the_site_is_as_it_was() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    let blob = bundle
        .join("blobs/sha256")
        .join(wheel("gamma", "1.0", &[]).sha256);
    flip(&blob, 100, 3);
    let before = state(&site);
    let said = first(&site, &sender, &bundle).expect(4);
    assert!(said.stderr.contains("gamma-1.0-py3-none-any.whl"), "{said}");
    assert_eq!(state(&site), before);
    assert_eq!(airgap(&site)["staged"], serde_json::json!([]));
    flip(&blob, 100, 3);
    first(&site, &sender, &bundle).expect(0);
    assert_eq!(blobs(site.data_dir()).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filename_with_another_content_here_refuses_the_bundle() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let mut here = FakeFile::wheel("beta", "1.0", 10);
    here.filename = "beta-1.0-py3-none-any.whl".to_owned();
    assert_eq!(site.put_file(&here.filename, &here.bytes)["outcome"], "admitted");
    let bundle = sender.folder("first");
    let before = state(&site);
    let said = first(&site, &sender, &bundle).expect(4);
    let there = wheel("beta", "1.0", &[]).sha256;
    assert!(
        said.stderr.contains(&here.sha256) && said.stderr.contains(&there),
        "{said}"
    );
    assert!(said.stderr.contains("does not agree"), "{said}");
    assert_eq!(state(&site), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_judges_by_its_own_rules() {
    let sender = Sender::new().await;
    let site = Daemon::start(DaemonOptions::alone().config("[policy]\nprofile = \"strict\"\n"));
    let bundle = sender.folder("first");
    let said = first(&site, &sender, &bundle).expect(1);
    assert!(said.stdout.contains("is in force: 0 files admitted"), "{said}");
    assert!(listed(&site, "alpha").is_empty());
    let [imported] = events_of(&site, "imported").try_into().unwrap();
    let counts = &imported["counts"];
    let kept_back = counts["quarantined"].as_u64().unwrap() + counts["refused"].as_u64().unwrap();
    assert_eq!(kept_back, 3, "{imported:#}");
    // It was imported all the same: the next bundle builds on it.
    import(&site, &[&bundle], &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_judges_and_keeps_nothing() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    let before = state(&site);
    let said = import(
        &site,
        &[&bundle],
        &["--root", sender.root().to_str().unwrap(), "--dry-run"],
    )
    .expect(0);
    assert!(said.stdout.contains("3 files admitted"), "{said}");
    assert!(said.stdout.contains("nothing was changed"), "{said}");
    assert_eq!(state(&site), before);
}

/// A bundle of three volumes: 30 MB that cannot be packed.
fn three_volumes(sender: &Sender) -> Vec<PathBuf> {
    for version in ["1.0", "2.0", "3.0"] {
        let file = FakeFile::wheel("large", version, 10 << 20);
        sender.upstream.add(file);
        sender
            .daemon
            .cli(&["ingest", &format!("large=={version}")])
            .expect(0);
    }
    sender.export("parts.tar", &["--volume-size", "16MiB"]);
    let found = tars(sender.disk.path(), "parts");
    assert_eq!(found.len(), 3, "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_come_one_at_a_time_in_any_order() {
    let sender = Sender::new().await;
    let volumes = three_volumes(&sender);
    let site = closed_site("plant-7");
    let size = log_size(&site);
    let said = first(&site, &sender, &volumes[2]).expect(1);
    assert!(said.stdout.contains("volumes 1, 2 of 3 are missing"), "{said}");
    // The disk with it is gone when the next one comes.
    fs::remove_file(&volumes[2]).unwrap();
    let said = first(&site, &sender, &volumes[0]).expect(1);
    assert!(said.stdout.contains("volumes 2 of 3 are missing"), "{said}");
    fs::remove_file(&volumes[0]).unwrap();
    assert_eq!(log_size(&site), size);
    assert_eq!(site.get("/simple/large/").status, 404);
    assert_eq!(
        airgap(&site)["staged"][0]["missing_volumes"],
        serde_json::json!([2])
    );
    // What waits for the last volume is nobody's garbage.
    site.cli(&["gc", "--yes"]).expect(0);
    first(&site, &sender, &volumes[1]).expect(0);
    assert_eq!(listed(&site, "large").len(), 3);
    assert_eq!(listed(&site, "alpha").len(), 1);
    assert_eq!(airgap(&site)["staged"], serde_json::json!([]));
    assert!(
        !site.data_dir().join("airgap/volumes").exists()
            || fs::read_dir(site.data_dir().join("airgap/volumes"))
                .unwrap()
                .next()
                .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_can_be_thrown_away() {
    let sender = Sender::new().await;
    let volumes = three_volumes(&sender);
    let site = closed_site("plant-7");
    let before = state(&site);
    first(&site, &sender, &volumes[1]).expect(1);
    assert_ne!(state(&site), before);
    site.cli(&["airgap", "import", "--discard"]).expect(0);
    assert_eq!(state(&site), before);
    // A damaged volume leaves the one that came before as it was.
    first(&site, &sender, &volumes[0]).expect(1);
    let waits = state(&site);
    flip(&volumes[1], 9 << 20, 0);
    first(&site, &sender, &volumes[1]).expect(4);
    assert_eq!(state(&site), waits);
    flip(&volumes[1], 9 << 20, 0);
    let all: Vec<&Path> = volumes.iter().map(PathBuf::as_path).collect();
    import(&site, &all, &["--root", sender.root().to_str().unwrap()]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bundle_builds_on_the_one_before() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    first(&site, &sender, &sender.folder("first")).expect(0);
    let receipt = sender.on_disk("receipt.json");
    site.cli(&["airgap", "receipt", "-o", receipt.to_str().unwrap()])
        .expect(0);

    sender.release("alpha", "2.0");
    let next = sender.export("next", &["--against", receipt.to_str().unwrap()]);
    assert_eq!(manifest(&next).contents.files, 1);
    // Made for another site, and nobody else takes it.
    let other = closed_site("plant-8");
    let said = first(&other, &sender, &next).expect(1);
    assert!(said.stderr.contains("does not fit"), "{said}");
    let said = import(&site, &[&next], &[]).expect(0);
    assert!(said.stdout.contains("1 file admitted"), "{said}");
    assert_eq!(listed(&site, "alpha").len(), 2);

    let between = sender.daemon.cli_json(&["status"])["log_size"].to_string();
    sender.release("alpha", "3.0");
    let gap_from = sender.daemon.cli_json(&["status"])["log_size"].to_string();
    sender.release("alpha", "4.0");
    let gap = sender.export("gap", &["--since", &gap_from]);
    let before = state(&site);
    let said = import(&site, &[&gap], &[]).expect(1);
    assert!(said.stderr.contains("--since"), "{said}");
    assert_eq!(state(&site), before);
    let whole = sender.export("whole", &["--since", &between]);
    import(&site, &[&whole], &[]).expect(0);
    assert_eq!(listed(&site, "alpha").len(), 4);
    // What is older than what is there does not come back.
    let said = import(&site, &[&next], &[]).expect(1);
    assert!(
        said.stderr.contains("rollback") || said.stderr.contains("older"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_do_not_go_back() {
    let sender = Sender::new().await;
    let site = closed_site("plant-7");
    let bundle = sender.folder("first");
    let before = state(&site);
    let root = sender.root();
    let at = |time: &str| {
        import(
            &site,
            &[&bundle],
            &["--root", root.to_str().unwrap(), "--reference-time", time],
        )
    };
    // By then the sender's metadata has expired.
    let said = at("2199-01-01T00:00:00Z").expect(1);
    assert!(said.stderr.contains("expired"), "{said}");
    assert_eq!(state(&site), before);
    first(&site, &sender, &bundle).expect(0);
    sender.release("alpha", "2.0");
    let next = sender.folder("next");
    let said = import(&site, &[&next], &["--reference-time", "2020-01-01T00:00:00Z"]).expect(1);
    assert!(said.stderr.contains("does not go back"), "{said}");
    import(&site, &[&next], &[]).expect(0);
    let times: Vec<_> = events_of(&site, "imported")
        .iter()
        .map(|event| event["reference_time"].as_str().unwrap().to_owned())
        .collect();
    assert!(times[0] <= times[1], "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_made_again_from_the_log() {
    let sender = Sender::new().await;
    let mut site = closed_site("plant-7");
    first(&site, &sender, &sender.folder("first")).expect(0);
    let (before, told) = (state(&site), events(&site));
    site.stop();
    site.local_cli(&["rebuild-catalog", "--yes"]).expect(0);
    site.restart();
    assert_eq!(events(&site), told);
    assert_eq!(state(&site), before);
}
