//! Promise: an export holds exactly what was asked for (everything, an interval, what requirements need, what a receipt or a
//! fill list shows is lacking), each file after its source, each document once; what is not admitted never leaves; and
//! an export that is refused leaves nothing and touches nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chiron::bundle::layout::BundleSource;
use chiron::bundle::pack::{read_documents, read_entries, read_proven};
use chiron::bundle::{Content, Item, Manifest, Scope, Seen};
use chiron_storage::Digest;
use serde_json::Value;
use support::bundles::{self, Sender, manifest, receipt, seen, tars, verify};
use support::daemon::{Daemon, DaemonOptions, Output, run};
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{lying_wheel, pin, wheel};

/// Everything in a bundle, in its order.
struct Contents {
    manifest: Manifest,
    items: Vec<Item>,
    entries: Vec<(u64, Value)>,
    documents: BTreeSet<Digest>,
}

impl Contents {
    fn of(places: &[PathBuf]) -> Self {
        let source = BundleSource::open(places).unwrap();
        let manifest = manifest(&places[0]);
        let (mut items, mut entries, mut documents) = (Vec::new(), Vec::new(), BTreeSet::new());
        for part in &manifest.volumes {
            let volume = source.volume(part.number).unwrap();
            let listing = volume.listing(part).unwrap();
            assert!(matches!(listing.items[0].content, Content::Tuf { .. }));
            for item in &listing.items {
                let packed = || volume.open(item).unwrap().read_all(64 << 20).unwrap();
                match item.content {
                    Content::Entries {
                        first,
                        count,
                        unpacked,
                    } => {
                        let mut n = first;
                        read_entries("entries", &packed(), count, unpacked, |entry| {
                            entries.push((n, serde_json::from_slice(entry).unwrap()));
                            n += 1;
                            Ok(())
                        })
                        .unwrap();
                    }
                    Content::ProvenEntries { count, unpacked } => {
                        read_proven("entries", &packed(), count, unpacked, |n, entry, _| {
                            entries.push((n, serde_json::from_slice(entry).unwrap()));
                            Ok(())
                        })
                        .unwrap();
                    }
                    Content::Documents { count, unpacked } => {
                        read_documents("documents", &packed(), count, unpacked, |digest, _| {
                            assert!(documents.insert(digest), "{digest} twice");
                            Ok(())
                        })
                        .unwrap();
                    }
                    _ => {}
                }
            }
            items.extend(listing.items.into_iter().skip(1));
        }
        Self {
            manifest,
            items,
            entries,
            documents,
        }
    }

    /// Names of the files, in their order.
    fn files(&self) -> Vec<&str> {
        let files = self.items.iter().filter_map(|item| match &item.content {
            Content::File { filename, .. } | Content::WheelDelta { filename, .. } => Some(filename.as_str()),
            _ => None,
        });
        files.collect()
    }

    /// What entries are, in their order: type, and filename or project.
    fn told(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = |entry: &Value| match &entry["filename"] {
            Value::Null => text(&entry["project"]),
            name => text(name),
        };
        self.entries
            .iter()
            .map(|(_, entry)| (text(&entry["type"]), about(entry)))
            .collect()
    }

    /// Every digest of a document that an entry names must be in it.
    #[track_caller]
    fn has_documents_of(&self, filename: &str) {
        let about: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry["filename"] == filename)
            .collect();
        assert!(!about.is_empty(), "no entry about {filename}");
        for (_, entry) in about {
            let judged = if entry["verdict"].is_null() {
                &entry["judgment"]
            } else {
                entry
            };
            let found = &judged["found"];
            let mut named: Vec<&Value> = vec![
                &judged["verdict"],
                &judged["core_metadata"],
                &found["sbom"],
                &found["input"],
            ];
            named.extend(judged["evidence"].as_array().into_iter().flatten());
            let documents = found["documents"].as_array().into_iter().flatten();
            named.extend(documents.map(|document| &document["digest"]));
            for digest in named.into_iter().filter_map(Value::as_str) {
                let digest = digest.strip_prefix("sha256:").unwrap_or(digest).parse().unwrap();
                assert!(
                    self.documents.contains(&digest),
                    "{digest} of {filename} is missing"
                );
            }
        }
    }
}

fn contents(place: &Path) -> Contents {
    Contents::of(&[place.to_owned()])
}

/// A sender with a release that has wheel and source, one that depends on it, one revoked, and one refused.
async fn sender() -> Sender {
    let sender = Sender::new().await;
    let delta = Release::new("delta", "2.0");
    sender.upstream.add(delta.wheel());
    sender.upstream.add(delta.sdist());
    sender.upstream.add(wheel("epsilon", "1.0", &["delta>=1"]));
    sender.upstream.add(lying_wheel("zeta", "1.0"));
    sender
        .daemon
        .cli(&["ingest", "delta==2.0", "epsilon==1.0"])
        .expect(0);
    sender.daemon.cli(&["ingest", "zeta==1.0"]).expect(1);
    sender
        .daemon
        .cli(&["revoke", "gamma==1.0", "--reason", "stolen key", "--yes"])
        .expect(0);
    sender
}

fn tried(sender: &Sender, name: &str, more: &[&str]) -> Output {
    let out = sender.on_disk(name);
    let mut line = vec!["airgap", "export", out.to_str().unwrap()];
    line.extend(more);
    sender.daemon.cli(&line)
}

fn log_size(daemon: &Daemon) -> u64 {
    daemon.cli_json(&["status"])["log_size"].as_u64().unwrap()
}

/// Nothing at the place, nothing beside it.
#[track_caller]
fn nothing_at(sender: &Sender, name: &str) {
    for entry in fs::read_dir(sender.disk.path()).unwrap() {
        let found = entry.unwrap().file_name().into_string().unwrap();
        assert!(!found.starts_with(name), "{found} was left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_every_entry_and_every_admitted_file_after_its_source() {
    let sender = sender().await;
    let report = sender
        .daemon
        .cli_json(&["airgap", "export", sender.on_disk("all").to_str().unwrap()]);
    let all = contents(&sender.on_disk("all"));
    assert_eq!(
        all.files(),
        [
            "alpha-1.0-py3-none-any.whl",
            "beta-1.0-py3-none-any.whl",
            "delta-2.0.tar.gz",
            "delta-2.0-py3-none-any.whl",
            "epsilon-1.0-py3-none-any.whl",
        ]
    );
    let size = log_size(&sender.daemon);
    assert_eq!(
        (all.manifest.scope, all.manifest.base.is_none()),
        (Scope::Interval, true)
    );
    assert_eq!(all.manifest.log.size, size);
    let numbers: Vec<u64> = all.entries.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (0..size).collect::<Vec<_>>());
    for file in all.files() {
        all.has_documents_of(file);
    }
    assert_eq!(report["id"], all.manifest.id.to_string());
    assert_eq!(
        (&report["files"], &report["entries"]),
        (&5.into(), &size.into()),
        "{report:#}"
    );
    assert_eq!(report["bytes"], all.manifest.contents.bytes);
    verify(&[&sender.on_disk("all")], &sender.root(), &[]).expect(0);
    assert!(!sender.on_disk("all.partial").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_is_what_came_after_it_however_its_begin_is_named() {
    let sender = Sender::new().await;
    let first = sender.folder("first");
    let then = jiff::Timestamp::now().to_string();
    sender.release("alpha", "1.1");
    sender
        .daemon
        .cli(&["yank", "beta==1.0", "--reason", "breaks logins", "--yes"])
        .expect(0);
    let base = manifest(&first);
    let (id, size) = (base.id.to_string(), base.log.size.to_string());
    let mut all = Vec::new();
    for (n, since) in [first.to_str().unwrap(), &id, &size, &then]
        .into_iter()
        .enumerate()
    {
        let next = sender.export(&format!("next-{n}"), &["--since", since]);
        let next = contents(&next);
        assert_eq!(next.files(), ["alpha-1.1-py3-none-any.whl"], "{since}");
        assert_eq!(next.entries[0].0, base.log.size);
        assert_eq!(next.entries.len() as u64, next.manifest.log.size - base.log.size);
        assert!(
            next.told()
                .contains(&("yanked".to_owned(), "beta-1.0-py3-none-any.whl".to_owned()))
        );
        next.has_documents_of("alpha-1.1-py3-none-any.whl");
        all.push(next.manifest);
    }
    assert!(all.iter().all(|manifest| *manifest == all[0]));
    // A file that only changed its standing does not travel again, nor do its documents.
    let whole = contents(&sender.folder("whole"));
    assert!(whole.documents.len() > contents(&sender.on_disk("next-0")).documents.len());
    // Nothing new is a bundle too: it says that nothing is.
    let now = log_size(&sender.daemon).to_string();
    let same = contents(&sender.export("same", &["--since", &now]));
    assert_eq!((same.files().len(), same.entries.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn requirements_bring_what_they_name_with_its_source_and_nothing_else() {
    let sender = sender().await;
    let list = sender.on_disk("requirements.txt");
    fs::write(&list, "epsilon==1.0\ndelta>=1\n").unwrap();
    let some = contents(&sender.export("some", &["-r", list.to_str().unwrap()]));
    assert_eq!(some.manifest.scope, Scope::Selection);
    assert_eq!(
        some.files(),
        [
            "delta-2.0.tar.gz",
            "delta-2.0-py3-none-any.whl",
            "epsilon-1.0-py3-none-any.whl"
        ]
    );
    for (kind, about) in some.told() {
        assert!(
            about.starts_with("delta") || about.starts_with("epsilon"),
            "{kind} {about}"
        );
    }
    for file in some.files() {
        some.has_documents_of(file);
    }
    verify(&[&sender.on_disk("some")], &sender.root(), &[]).expect(0);
    // A wheel for another machine is none of those that are wanted; its source always is.
    let other = [
        "--project",
        "delta",
        "--python",
        "3.12",
        "--platform",
        "win_amd64",
    ];
    assert_eq!(contents(&sender.export("other", &other)).files().len(), 2);
    // What is pinned by its digest is exactly that.
    fs::write(&list, pin(&wheel("alpha", "1.0", &[]))).unwrap();
    let pinned = contents(&sender.export("pinned", &["-r", list.to_str().unwrap()]));
    assert_eq!(pinned.files(), ["alpha-1.0-py3-none-any.whl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_and_not_admitted_refuses_the_export() {
    let sender = sender().await;
    let before = log_size(&sender.daemon);
    for absent in ["gamma", "zeta", "nothing-like-it", "alpha>=9"] {
        let refused = tried(&sender, "refused", &["--project", absent, "--project", "beta"]).expect(1);
        let name = absent.split('>').next().unwrap();
        assert!(refused.stderr.contains(name), "{refused}");
        nothing_at(&sender, "refused");
    }
    assert_eq!(log_size(&sender.daemon), before);
    let rest = ["--project", "gamma", "--project", "beta", "--leave-out-missing"];
    let report = sender.daemon.cli_json(
        &[
            &["airgap", "export", sender.on_disk("rest").to_str().unwrap()],
            &rest[..],
        ]
        .concat(),
    );
    assert_eq!(report["missing"][0], "gamma", "{report:#}");
    assert_eq!(
        contents(&sender.on_disk("rest")).files(),
        ["beta-1.0-py3-none-any.whl"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_list_brings_exactly_what_it_names() {
    let sender = sender().await;
    let alpha = wheel("alpha", "1.0", &[]);
    let first = manifest(&sender.folder("first"));
    let list = sender.on_disk("wanted.txt");
    let text = format!(
        "# since: {}\n\n{}\ndelta-2.0-py3-none-any.whl\n",
        first.id, alpha.sha256
    );
    fs::write(&list, text).unwrap();
    let fill = contents(&sender.export("fill", &["--fill", list.to_str().unwrap()]));
    assert_eq!(fill.manifest.scope, Scope::Fill);
    assert_eq!(fill.manifest.base.as_ref().unwrap().size, first.log.size);
    assert_eq!(
        fill.files(),
        ["alpha-1.0-py3-none-any.whl", "delta-2.0-py3-none-any.whl"]
    );
    for file in fill.files() {
        fill.has_documents_of(file);
    }
    for (text, status) in [
        ("gamma-1.0-py3-none-any.whl\n", 1),
        ("# nothing\n", 2),
        ("../../etc/passwd\n", 2),
    ] {
        fs::write(&list, text).unwrap();
        tried(&sender, "refused", &["--fill", list.to_str().unwrap()]).expect(status);
        nothing_at(&sender, "refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_leaves_out_what_is_there_and_binds_the_bundle_to_its_site() {
    let sender = Sender::new().await;
    let first = manifest(&sender.folder("first"));
    let (alpha, later) = (wheel("alpha", "1.0", &[]), sender.release("alpha", "1.1"));
    let elsewhere = sender.release("beta", "1.1");
    let at = sender.on_disk("receipt.json");
    let known = seen(&first);
    // The site has one of the new files from somewhere else.
    let held = [&alpha, &elsewhere].map(|file| file.sha256.parse::<Digest>().unwrap());
    receipt(&at, "plant-7", &first.sender.origin, known, known, &held);
    let against = ["--against", at.to_str().unwrap()];
    let next = contents(&sender.export("next", &against));
    assert_eq!(next.files(), [later.filename.as_str()]);
    assert_eq!(next.manifest.recipient.as_deref(), Some("plant-7"));
    assert_eq!(next.manifest.base.as_ref().unwrap().size, first.log.size);
    assert!(next.manifest.base.as_ref().unwrap().receipt.is_some());
    // One that has seen everything and missed some of it begins where it is complete.
    let nothing = Seen {
        size: 0,
        root: Digest::of(b""),
    };
    receipt(&at, "plant-7", &first.sender.origin, known, nothing, &held);
    let all = contents(&sender.export("all", &against));
    assert!(all.manifest.base.is_none());
    assert_eq!(all.files().len(), 3, "{:?}", all.files());
    // For a selection that is no matter.
    let some = contents(&sender.export("some", &["--against", at.to_str().unwrap(), "--project", "alpha"]));
    assert_eq!(some.manifest.base.as_ref().unwrap().size, first.log.size);
    assert_eq!(some.files(), [later.filename.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_another_log_is_refused() {
    let sender = Sender::new().await;
    let first = manifest(&sender.folder("first"));
    let at = sender.on_disk("receipt.json");
    let (origin, known) = (first.sender.origin.as_str(), seen(&first));
    let other = Seen {
        root: Digest::of(b"another history"),
        ..known
    };
    let ahead = Seen {
        size: known.size + 1,
        ..known
    };
    for (origin, seen, complete) in [
        ("example.org/other", known, known),
        (origin, other, known),
        (origin, known, other),
        (origin, ahead, known),
    ] {
        receipt(&at, "plant-7", origin, seen, complete, &[]);
        tried(&sender, "refused", &["--against", at.to_str().unwrap()]).expect(1);
        nothing_at(&sender, "refused");
    }
    receipt(
        &at,
        "plant-7",
        origin,
        known,
        known,
        &[Digest::of(b"a"), Digest::of(b"b")],
    );
    let cut = fs::read_to_string(&at)
        .unwrap()
        .replace(&Digest::of(b"a").to_string(), &Digest::of(b"c").to_string());
    fs::write(&at, cut).unwrap();
    tried(&sender, "refused", &["--against", at.to_str().unwrap()]).expect(4);
    for nonsense in ["", "{}", "[]", "{\"statement\":{},\"held\":[]}"] {
        fs::write(&at, nonsense).unwrap();
        tried(&sender, "refused", &["--against", at.to_str().unwrap()]).expect(2);
    }
    for since in ["99999", "3-ab12cd34ef56", "yesterday"] {
        let status = if since == "yesterday" { 2 } else { 1 };
        tried(&sender, "refused", &["--since", since]).expect(status);
    }
    nothing_at(&sender, "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_it_and_does_nothing() {
    let sender = sender().await;
    let generation = || sender.daemon.cli_json(&["tuf", "status"])["generation"].clone();
    let (before, size) = (generation(), log_size(&sender.daemon));
    let out = sender.on_disk("all");
    let dry = sender
        .daemon
        .cli_json(&["airgap", "export", out.to_str().unwrap(), "--dry-run"]);
    let plan = sender.daemon.cli_json(&["airgap", "plan", out.to_str().unwrap()]);
    assert_eq!(dry, plan);
    nothing_at(&sender, "all");
    assert_eq!((generation(), log_size(&sender.daemon)), (before, size));
    let real = sender
        .daemon
        .cli_json(&["airgap", "export", out.to_str().unwrap()]);
    for field in ["id", "scope", "entries", "files", "file_bytes", "documents"] {
        assert_eq!(dry[field], real[field], "{field}");
    }
    assert!(dry["bytes"].as_u64() >= dry["file_bytes"].as_u64());
    assert_eq!(dry["dry_run"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_stays_as_it_is() {
    let sender = Sender::new().await;
    let place = sender.on_disk("place");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("letter.txt"), "mine").unwrap();
    tried(&sender, "place", &[]).expect(2);
    assert_eq!(fs::read_to_string(place.join("letter.txt")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    assert!(!sender.on_disk("place.partial").exists());
    // Another bundle is in the way too; this very one is done already.
    let first = sender.folder("first");
    let before = bundles::files_of(&first);
    tried(&sender, "first", &[]).expect(0);
    sender.release("alpha", "1.1");
    tried(&sender, "first", &[]).expect(2);
    assert_eq!(bundles::files_of(&first), before);
    verify(&[&first], &sender.root(), &[]).expect(0);
    // A folder of that name that is nobody's work is not taken for work.
    let work = sender.on_disk("other.partial");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("letter.txt"), "mine").unwrap();
    tried(&sender, "other", &[]).expect(2);
    assert_eq!(fs::read_to_string(work.join("letter.txt")).unwrap(), "mine");
    assert!(!sender.on_disk("other").exists());
}

/// A site with wheels of some megabytes that no compression makes smaller.
async fn large(sizes: &[usize]) -> Sender {
    let sender = Sender::new().await;
    for (n, size) in sizes.iter().enumerate() {
        let project = format!("large{n:02}");
        sender.upstream.add(FakeFile::wheel(&project, "1.0", *size));
        sender
            .daemon
            .cli(&["ingest", &format!("{project}==1.0")])
            .expect(0);
    }
    sender
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_no_larger_than_was_said_and_together_the_same_bundle() {
    let sender = large(&[6 << 20; 5]).await;
    let whole = contents(&sender.folder("whole"));
    let report = sender.daemon.cli_json(&[
        "airgap",
        "export",
        sender.on_disk("parts.tar").to_str().unwrap(),
        "--volume-size",
        "16MiB",
    ]);
    let volumes = tars(sender.disk.path(), "parts");
    assert!(volumes.len() >= 3, "{volumes:?}");
    assert_eq!(report["volumes"].as_array().unwrap().len(), volumes.len());
    for (n, volume) in volumes.iter().enumerate() {
        assert!(
            fs::metadata(volume).unwrap().len() <= 16 << 20,
            "{}",
            volume.display()
        );
        let name = format!("parts-{:04}-of-{:04}.tar", n + 1, volumes.len());
        assert_eq!(volume.file_name().unwrap().to_str().unwrap(), name);
    }
    let parts = Contents::of(&volumes);
    assert_eq!(parts.files(), whole.files());
    assert_eq!(parts.documents, whole.documents);
    // In any order, and each alone as far as it goes.
    let reversed: Vec<&Path> = volumes.iter().rev().map(PathBuf::as_path).collect();
    verify(&reversed, &sender.root(), &[]).expect(0);
    assert!(!sender.on_disk("parts.partial").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_volume_holds_is_named_and_nothing_is_left_but_what_goes_on() {
    let sender = large(&[17 << 20]).await;
    let refused = tried(&sender, "parts.tar", &["--volume-size", "16MiB"]).expect(2);
    assert!(
        refused.stderr.contains("large00-1.0-py3-none-any.whl"),
        "{refused}"
    );
    assert!(tars(sender.disk.path(), "parts").is_empty());
    tried(&sender, "parts.tar", &["--volume-size", "1MiB"]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_do_not_leave() {
    let sender = large(&[2 << 20]).await;
    let wheel = FakeFile::wheel("large00", "1.0", 2 << 20);
    let (folder, name) = wheel.sha256.split_at(2);
    let blob = sender.daemon.data_dir().join("blobs").join(folder).join(name);
    let mut permissions = fs::metadata(&blob).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false)]
    permissions.set_readonly(false);
    fs::set_permissions(&blob, permissions).unwrap();
    bundles::flip(&blob, 1_000_000, 3);
    for out in ["folder", "tape.tar"] {
        let refused = tried(&sender, out, &[]).expect(4);
        assert!(refused.stderr.contains("large00"), "{refused}");
        assert!(!sender.on_disk(out).exists());
        // Mended, the same command goes on.
        bundles::flip(&blob, 1_000_000, 3);
        tried(&sender, out, &[]).expect(0);
        verify(&[&sender.on_disk(out)], &sender.root(), &[]).expect(0);
        bundles::flip(&blob, 1_000_000, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_no_daemon_ever_served_exports() {
    let upstream = FakeUpstream::start().await;
    upstream.add(wheel("alpha", "1.0", &[]));
    let home = tempfile::tempdir().unwrap();
    let config = format!(
        "[storage]\npath = {:?}\nmin_free = \"1MiB\"\n[[upstream]]\nname = \"fake\"\nmode = \"curated\"\nurl = \"{}\"\n",
        home.path().join("data"),
        upstream.index_url()
    );
    fs::write(home.path().join("chiron.toml"), config).unwrap();
    let chiron = |args: &[&str]| run(support::daemon::command(args).current_dir(home.path()));
    chiron(&["ingest", "alpha==1.0"]).expect(0);
    chiron(&["airgap", "export", "all"]).expect(0);
    let all = home.path().join("all");
    assert_eq!(contents(&all).files(), ["alpha-1.0-py3-none-any.whl"]);
    verify(&[&all], &home.path().join("data/tuf/root.json"), &[]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_writes_where_it_may_and_nowhere_else() {
    let disk = tempfile::tempdir().unwrap();
    let allowed = disk.path().join("allowed");
    fs::create_dir(&allowed).unwrap();
    std::os::unix::fs::symlink(disk.path(), allowed.join("out")).unwrap();
    let site = Daemon::start(DaemonOptions::alone().config(&format!("[airgap]\nfolders = [{allowed:?}]\n")));
    let ask = |out: &Path| {
        let body = serde_json::json!({ "out": out }).to_string();
        site.admin("POST", "/api/v1/airgap/exports", body.as_bytes())
    };
    for out in [
        disk.path().join("elsewhere"),
        allowed.join("../elsewhere"),
        allowed.join("out/elsewhere"),
        PathBuf::from("elsewhere"),
    ] {
        assert_eq!(ask(&out).status, 422, "{}", out.display());
    }
    assert_eq!(ask(&allowed.join("fine")).status, 202);
    assert!(!disk.path().join("elsewhere").exists());
}
