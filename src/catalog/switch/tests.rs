#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use bytes::Bytes;
use chiron_storage::{Blake3, Db, DbOptions, LogKey};
use serde_json::json;

use super::*;
use crate::catalog::{FAMILIES, Judgment, Origin};
use crate::policy::Verdict;

mod relayed;

const SENDER: &str = "office";

struct Site {
    catalog: Catalog,
    _data: tempfile::TempDir,
}

fn site() -> Site {
    open(tempfile::tempdir().unwrap())
}

fn open(data: tempfile::TempDir) -> Site {
    let options = DbOptions {
        cache_bytes: 1 << 20,
        readers: 4,
        min_free_bytes: 0,
        families: FAMILIES,
    };
    let db = Db::open(data.path(), options).unwrap();
    let log = Log::new(db.clone(), LogKey::generate("here.example").unwrap());
    Site {
        catalog: Catalog::new(db, log),
        _data: data,
    }
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn content(project: &str, version: &str, marker: &str) -> Digest {
    Digest::of(format!("{project}{version}{marker}").as_bytes())
}

/// A judgment of a file; its metadata and one piece of evidence are documents.
fn judgment(project: &str, version: &str, decision: &str, marker: &str) -> Judgment {
    let sha256 = content(project, version, marker);
    let filename = format!("{project}-{version}-py3-none-any.whl");
    let evidence = Bytes::from(format!("evidence {sha256}"));
    let reasons = if decision == "admit" {
        json!([])
    } else {
        json!([{ "check": "structure", "code": "bad", "message": "it is bad" }])
    };
    let verdict: Verdict = serde_json::from_value(json!({
        "schema": "chiron.verdict/v1",
        "file": { "filename": filename, "project": project, "version": version, "sha256": sha256, "size": 7 },
        "decision": decision, "checks": [], "reasons": reasons,
        "policy": { "profile": "standard", "digest": format!("sha256:{}", Digest::of(b"policy")) },
        "decided_at": time(0),
    }))
    .unwrap();
    Judgment {
        project: ProjectName::parse(project).unwrap(),
        verdict,
        blake3: Blake3::from_bytes([1; 32]),
        origin: Origin::Bundle(SENDER.to_owned()),
        requires_python: None,
        upload_time: None,
        yanked: None,
        core_metadata: Some(Bytes::from(format!("Name: {project}\nVersion: {version}\n"))),
        evidence: vec![evidence],
        found: serde_json::from_value(json!({ "policy": Digest::of(b"policy") })).unwrap(),
        documents: vec![Bytes::from(format!("input {sha256}"))],
    }
}

fn imported(size: u64) -> Imported {
    let seen = json!({ "size": size, "root": Digest::of(&size.to_be_bytes()) });
    serde_json::from_value(json!({
        "sender": SENDER, "origin": "office.example", "id": format!("{size}-00112233aabb"),
        "bundle": Digest::of(b"bundle"), "scope": "interval", "log": seen, "complete": seen,
        "created_at": time(0), "reference_time": time(1),
        "tuf": { "root": 1, "timestamp": 2, "snapshot": 2, "targets": 1 },
        "counts": ImportCounts::default(), "by": "operator",
    }))
    .unwrap()
}

fn empty(bundle: &[u8], since: Option<u64>) -> Switch {
    Switch {
        bundle: Digest::of(bundle),
        sender: SENDER.to_owned(),
        since,
        advisories: None,
        judgments: Vec::new(),
        changes: Vec::new(),
        statuses: Vec::new(),
        completes: None,
    }
}

impl Site {
    /// Journals judgments, as an import does before its switch.
    async fn prepared(&self, bundle: &[u8], judgments: Vec<Judgment>) -> Vec<Prepared> {
        let mut all = Vec::new();
        for judgment in judgments {
            let file = FileRef {
                project: judgment.project.clone(),
                filename: judgment.verdict.file.filename.clone(),
                sha256: judgment.verdict.file.sha256,
            };
            let since = self.catalog.file(&file).await.unwrap().map(|row| row.since);
            let (prepared, documents) = Prepared::of(judgment, since).unwrap();
            // What comes back from the journal is what went in.
            let text = serde_json::to_vec(&prepared).unwrap();
            let again: Prepared = serde_json::from_slice(&text).unwrap();
            assert_eq!(again, prepared);
            let bundle = Digest::of(bundle);
            let key = (bundle, file.project.to_string(), file.filename, file.sha256);
            self.catalog
                .journal(bundle, documents, move |tx| {
                    Ok(tx.put(&crate::catalog::staged(), &key, &Raw(text.into()))?)
                })
                .await
                .unwrap();
            all.push(again);
        }
        all
    }

    async fn switch(&self, switch: Switch, second: i64) -> Result<Switched, SwitchError> {
        self.catalog.switch(switch, |_| Ok(()), time(second)).await
    }

    async fn row(&self, file: &FileRef) -> FileRow {
        self.catalog.file(file).await.unwrap().unwrap()
    }

    /// Everything that is projected from the log, and the log's size.
    async fn everything(&self) -> String {
        let catalog = &self.catalog;
        let rows = catalog.rows_after(None, 1_000).await.unwrap();
        let mut all = format!("{:?}\n", catalog.log().size().await.unwrap());
        for row in rows {
            let file = row.file();
            let project = catalog.project(&file.project, None).await.unwrap().unwrap();
            let _ = write!(
                all,
                "{row:?}\n{:?} {:?}\n",
                project.status,
                catalog.verdicts_of(&file).await.unwrap()
            );
        }
        all + &format!(
            "{:?}\n{:?}",
            catalog.counts().await.unwrap(),
            catalog.senders().await.unwrap()
        )
    }

    async fn decide(&self, file: &FileRef, change: Change, by: Actor) {
        self.catalog
            .change(file.clone(), change, "for the test".to_owned(), by, time(1))
            .await
            .unwrap();
    }
}

fn file(project: &str, version: &str) -> FileRef {
    FileRef {
        project: ProjectName::parse(project).unwrap(),
        filename: format!("{project}-{version}-py3-none-any.whl"),
        sha256: content(project, version, ""),
    }
}

fn change(file: &FileRef, change: Change) -> RelayedChange {
    RelayedChange {
        file: file.clone(),
        change,
        reason: "the sender says so".to_owned(),
    }
}

#[tokio::test]
async fn all_of_it_comes_into_force_at_one_moment_and_can_be_made_again_from_the_log() {
    let site = site();
    let wanted = vec![
        judgment("alpha", "1.0", "admit", ""),
        judgment("beta", "1.0", "quarantine", ""),
        judgment("gamma", "1.0", "refuse", ""),
    ];
    let metadata = Digest::of(wanted[0].core_metadata.as_ref().unwrap());
    let judgments = site.prepared(b"first", wanted).await;
    assert_eq!(
        site.catalog.doc(metadata).await.unwrap(),
        None,
        "nothing is there before"
    );
    assert!(site.catalog.rows_after(None, 10).await.unwrap().is_empty());
    let staged = site.catalog.staged_blobs(None).await.unwrap();
    assert_eq!(staged.len(), 3, "gc is told of the bytes");
    let head = site.catalog.head("alpha");

    let switched = site
        .switch(
            Switch {
                judgments,
                changes: vec![change(&file("alpha", "1.0"), Change::Yank)],
                statuses: vec![RelayedStatus {
                    project: ProjectName::parse("alpha").unwrap(),
                    status: Status::Archived,
                    reason: None,
                }],
                completes: Some(Completes {
                    imported: imported(9),
                    trust: Bytes::from_static(b"root"),
                }),
                ..empty(b"first", None)
            },
            5,
        )
        .await
        .unwrap();
    let counts = switched.counts;
    assert_eq!((counts.admitted, counts.quarantined, counts.refused), (1, 1, 1));
    assert_eq!((counts.yanked, counts.statuses, switched.size), (1, 1, 6));
    assert_eq!(switched.changed, [true]);
    assert_ne!(site.catalog.head("alpha"), head, "kept pages do not hold");
    assert_eq!(site.catalog.head("another"), 6);
    let row = site.row(&file("alpha", "1.0")).await;
    assert_eq!(row.yanked.as_ref().unwrap().by, Actor::Sender(SENDER.to_owned()));
    // All at one time: there is no view by time between.
    let at = |second| site.catalog.size_at(time(second));
    assert_eq!((at(4).await.unwrap(), at(5).await.unwrap()), (0, 6));
    let sender = site.catalog.sender(SENDER).await.unwrap().unwrap();
    assert_eq!(
        (sender.seen.size, sender.since, sender.imported_at),
        (9, 5, time(5))
    );
    let trust = site.catalog.sender_trust(SENDER).await.unwrap();
    assert_eq!(trust.as_deref(), Some(&b"root"[..]));

    // The verdict names its event, and every document is found, before they are moved and after.
    for _ in 0..2 {
        assert!(site.catalog.doc(metadata).await.unwrap().is_some());
        for digest in &row.judged.evidence {
            assert!(site.catalog.doc(*digest).await.unwrap().is_some());
        }
        let document = site.catalog.doc(row.judged.verdict).await.unwrap().unwrap();
        let verdict: Verdict = serde_json::from_slice(&document).unwrap();
        assert_eq!(verdict.event, Some(0));
        let unsettled = site.catalog.unsettled().await.unwrap();
        for bundle in unsettled {
            site.catalog.settle_documents(bundle).await.unwrap();
        }
    }
    assert!(site.catalog.unsettled().await.unwrap().is_empty());

    let before = site.everything().await;
    site.catalog.rebuild(|_, _| ()).await.unwrap();
    assert_eq!(site.everything().await, before);
    let trust = site.catalog.sender_trust(SENDER).await.unwrap();
    assert!(trust.is_some(), "what no event says is not lost");
}

#[tokio::test]
async fn a_switch_that_fails_in_the_middle_leaves_everything_as_it_was() {
    let site = site();
    let judgments = site
        .prepared(b"first", vec![judgment("alpha", "1.0", "admit", "")])
        .await;
    let before = site.everything().await;
    let head = site.catalog.head("alpha");
    let switch = Switch {
        judgments: judgments.clone(),
        ..empty(b"first", None)
    };
    let failed = site
        .catalog
        .switch(switch, |_| Err(SwitchError::Standing), time(5))
        .await;
    assert!(matches!(failed, Err(SwitchError::Standing)));
    assert_eq!(site.everything().await, before);
    assert_eq!(site.catalog.head("alpha"), head, "kept pages hold");
    assert!(site.catalog.unsettled().await.unwrap().is_empty());
    // Discarded: the documents go.
    let bundle = Digest::of(b"first");
    site.catalog.drop_documents(bundle).await.unwrap();
    site.catalog.settle_documents(bundle).await.unwrap();
    for digest in &judgments[0].evidence {
        assert_eq!(site.catalog.doc(*digest).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_changed_since_the_judgment_is_said_and_nothing_is_written() {
    let site = site();
    let alpha = judgment("alpha", "1.0", "admit", "");
    let judgments = site
        .prepared(
            b"first",
            vec![alpha.clone(), judgment("beta", "1.0", "admit", "")],
        )
        .await;
    // Somebody else brings the one file, and other content under the name of the other.
    site.catalog.commit_judgment(alpha, time(1)).await.unwrap();
    let other = judgment("beta", "1.0", "admit", "another content");
    site.catalog.commit_judgment(other, time(1)).await.unwrap();
    let before = site.everything().await;
    let switch = Switch {
        judgments: judgments.clone(),
        ..empty(b"first", None)
    };
    match site.switch(switch, 5).await {
        Err(SwitchError::Judgments(files)) => assert_eq!(files, [file("alpha", "1.0"), file("beta", "1.0")]),
        other => panic!("{other:?}"),
    }
    // Other rules.
    let standing = Standing::Policy {
        profile: "strict".to_owned(),
        digest: Digest::of(b"other rules"),
        reason: None,
    };
    let gamma = site
        .prepared(b"first", vec![judgment("gamma", "1.0", "admit", "")])
        .await;
    let ruled = site
        .catalog
        .put_in_force(standing, Actor::Operator, time(2))
        .await;
    assert!(ruled.unwrap().is_some());
    let switch = Switch {
        judgments: gamma.clone(),
        ..empty(b"first", None)
    };
    assert!(matches!(site.switch(switch, 5).await, Err(SwitchError::Standing)));
    // Another bundle of the same sender.
    let switch = Switch {
        completes: Some(Completes {
            imported: imported(4),
            trust: Bytes::new(),
        }),
        ..empty(b"other", None)
    };
    site.switch(switch, 6).await.unwrap();
    let late = site.switch(empty(b"first", None), 7).await;
    assert!(matches!(late, Err(SwitchError::Sender(name)) if name == SENDER));
    let rows = site.catalog.rows_after(None, 10).await.unwrap();
    assert_eq!(rows.len(), 2, "{before}");
}

#[tokio::test]
async fn an_advisory_database_comes_into_force_with_the_judgments_that_rest_on_it() {
    let site = site();
    let mut judged = judgment("alpha", "1.0", "admit", "");
    judged.found.advisories = Some(Digest::of(b"database"));
    let judgments = site.prepared(b"first", vec![judged]).await;
    let without = Switch {
        judgments: judgments.clone(),
        ..empty(b"first", None)
    };
    assert!(matches!(
        site.switch(without, 5).await,
        Err(SwitchError::Standing)
    ));
    let with = Switch {
        judgments,
        advisories: Some(Standing::Advisories {
            as_of: time(0),
            digest: Digest::of(b"database"),
            records: 3,
        }),
        ..empty(b"first", None)
    };
    let switched = site.switch(with, 5).await.unwrap();
    assert_eq!(switched.size, 2, "one event for the database, one for the file");
    let mark = site.catalog.mark(Mark::Advisories).await.unwrap();
    assert_eq!(mark, Some(Digest::of(b"database")));
    assert_eq!(site.catalog.mark(Mark::Judged).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_bundle_again_adds_no_judgment() {
    let site = site();
    let wanted = || {
        vec![
            judgment("alpha", "1.0", "admit", ""),
            judgment("beta", "1.0", "refuse", ""),
        ]
    };
    for (bundle, events) in [(b"first", 2), (b"again", 2)] {
        let judgments = site.prepared(bundle, wanted()).await;
        let switch = Switch {
            judgments,
            ..empty(bundle, None)
        };
        assert_eq!(site.switch(switch, 5).await.unwrap().size, events);
    }
}

#[tokio::test]
async fn documents_that_were_not_moved_are_found_after_a_restart() {
    let site = site();
    let judgments = site
        .prepared(b"first", vec![judgment("alpha", "1.0", "admit", "")])
        .await;
    let evidence = judgments[0].evidence[0];
    let switch = Switch {
        judgments,
        ..empty(b"first", None)
    };
    site.switch(switch, 1).await.unwrap();
    let Site { catalog, _data: data } = site;
    drop(catalog);
    let site = open(data);
    assert!(site.catalog.doc(evidence).await.unwrap().is_some());
    let bundle = Digest::of(b"first");
    assert_eq!(site.catalog.unsettled().await.unwrap(), [bundle]);
    site.catalog.settle_documents(bundle).await.unwrap();
    assert!(site.catalog.doc(evidence).await.unwrap().is_some());
    let waiting = site.catalog.waiting_doc(bundle, evidence).await.unwrap();
    assert_eq!(waiting, None);
}

#[tokio::test]
async fn a_judgment_weighs_what_its_rows_take() {
    let site = site();
    let mut wanted = judgment("alpha", "1.0", "refuse", "");
    let facts = (0..200)
        .map(|n| (format!("fact {n}"), json!("x".repeat(40))))
        .collect();
    wanted.verdict.checks = vec![crate::policy::CheckRow {
        check: crate::verify::CheckName::Structure,
        outcome: crate::verify::Outcome::Fail,
        summary: "it is bad".to_owned(),
        facts,
        evidence: Digest::of(b"evidence"),
    }];
    let judgments = site.prepared(b"first", vec![wanted]).await;
    let weight = judgments[0].weight();
    let switch = Switch {
        judgments,
        ..empty(b"first", None)
    };
    site.switch(switch, 1).await.unwrap();
    let row = site.row(&file("alpha", "1.0")).await;
    let (_, entry) = site.catalog.entries(0, 1).await.unwrap().remove(0);
    let verdict = site.catalog.doc(row.judged.verdict).await.unwrap().unwrap();
    let rows = entry.len() + verdict.len() + serde_json::to_vec(&row).unwrap().len();
    assert!(
        rows <= weight && weight <= 3 * rows,
        "{rows} bytes, {weight} said"
    );
}
