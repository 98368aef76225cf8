//! Promise: what upstream says of a project later is relayed, and the first upstream that has it speaks for it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::raw::{Answer, PIP_ACCEPT};
use support::upstream::{FakeFile, FakeUpstream, Fault, page_path};
use support::wheels::wheel;

/// Upstream pages are trusted for so long that a test can wait until they are asked for again.
const SHORT_LIVED: &str = "[index]\nfresh = \"20ms\"\n";

async fn upstream_with(files: &[FakeFile]) -> FakeUpstream {
    let upstream = FakeUpstream::start().await;
    for file in files {
        upstream.add(file.clone());
    }
    upstream
}

fn ask(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)])
}

fn filenames(page: &Value) -> Vec<&str> {
    page["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].as_str().unwrap())
        .collect()
}

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn events(daemon: &Daemon) -> Vec<Value> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["event"].clone())
        // The first entry says which TUF keys were made.
        .filter(|event| event["type"] != "keys-changed")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn yanks_of_upstream_come_and_go_and_the_operators_stays() {
    let (theirs, ours) = (wheel("demo", "1.0", &[]), wheel("demo", "2.0", &[]));
    let upstream = upstream_with(&[theirs.clone(), ours.clone()]).await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(SHORT_LIVED));
    for file in [&theirs, &ours] {
        assert_eq!(daemon.get(&served(file)).status, 200);
    }
    let answer = daemon.admin(
        "POST",
        &format!("/api/v1/files/{}/yank", ours.sha256),
        br#"{"reason":"breaks us"}"#,
    );
    assert_eq!(answer.status, 200, "{answer}");
    let yanks = || {
        let page = daemon.page("demo");
        let of = |n: usize| page["files"][n].get("yanked").cloned().unwrap_or(json!(false));
        (of(0), of(1))
    };
    upstream.change(&theirs.filename, |file| file.yanked = Some("broken".to_owned()));
    wait_for("upstream's yank shows", || {
        (yanks() == (json!("broken"), json!("breaks us"))).then_some(())
    });
    upstream.change(&theirs.filename, |file| file.yanked = None);
    wait_for("upstream's yank is gone", || {
        (yanks().0 == json!(false)).then_some(())
    });
    assert_eq!(
        yanks().1,
        "breaks us",
        "an operator's yank stands whatever upstream says"
    );

    let events = events(&daemon);
    let told: Vec<_> = events[2..]
        .iter()
        .map(|e| (e["type"].as_str().unwrap(), &e["by"]))
        .collect();
    let (operator, fake) = (json!("operator"), json!({ "upstream": "fake" }));
    assert_eq!(
        told,
        [("yanked", &operator), ("yanked", &fake), ("unyanked", &fake)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_status_is_relayed_and_quarantine_hides_its_files() {
    let file = wheel("demo", "1.0", &[]);
    let upstream = upstream_with(std::slice::from_ref(&file)).await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(SHORT_LIVED));
    assert_eq!(daemon.get(&served(&file)).status, 200);
    let say = |status: Value| {
        let page = json!({
            "meta": { "api-version": "1.4" }, "name": "demo", "versions": ["1.0"], "project-status": status,
            "files": [{ "filename": file.filename, "url": format!("../../files/{}", file.filename),
                        "hashes": { "sha256": file.sha256 }, "size": file.size }],
        });
        upstream.heal();
        let body = Fault::Body(
            "application/vnd.pypi.simple.v1+json".to_owned(),
            page.to_string().into(),
        );
        upstream.fault(&page_path("demo"), body);
        wait_for("the status is relayed", || {
            let page = daemon.page("demo");
            (page["project-status"] == status).then_some(page)
        })
    };
    let archived = say(json!({ "status": "archived", "reason": "use other" }));
    assert_eq!(filenames(&archived), [file.filename.as_str()]);
    let quarantined = say(json!({ "status": "quarantined", "reason": "malware" }));
    assert!(
        filenames(&quarantined).is_empty() && quarantined["versions"] == json!([]),
        "{quarantined:#}"
    );
    let html = daemon
        .request("GET", "/simple/demo/", &[("Accept", "text/html")])
        .text();
    assert!(
        html.contains("content=\"quarantined\"") && !html.contains("<a "),
        "{html}"
    );
    let active = say(json!({ "status": "active" }));
    assert_eq!(filenames(&active), [file.filename.as_str()]);
    let told = events(&daemon)
        .into_iter()
        .filter(|e| e["type"] == "project-status");
    let told: Vec<_> = told.map(|e| e["status"].clone()).collect();
    assert_eq!(told, ["archived", "quarantined", "active"], "each was an event");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_upstream_that_has_a_project_supplies_all_of_it() {
    let (mine, theirs, only) = (
        wheel("demo", "1.0", &[]),
        wheel("demo", "9.9", &[]),
        wheel("only", "1.0", &[]),
    );
    let first = upstream_with(std::slice::from_ref(&mine)).await;
    let second = upstream_with(&[theirs.clone(), only.clone()]).await;
    let options = DaemonOptions::on_demand(&first.index_url()).config(&format!(
        "[[upstream]]\nname = \"second\"\nurl = \"{}\"\nretries = 0\n",
        second.index_url()
    ));
    let daemon = Daemon::start(options);
    assert_eq!(filenames(&daemon.page("demo")), [mine.filename.as_str()]);
    assert_eq!(
        daemon.get(&served(&theirs)).status,
        404,
        "the second may not add to it"
    );
    assert_eq!(second.count(&page_path("demo")), 0);
    assert_eq!(filenames(&daemon.page("only")), [only.filename.as_str()]);
    assert_eq!(daemon.get(&served(&only)).status, 200);

    // While the first cannot be asked the second must not step in for it.
    first.fault("*", Fault::Status(500));
    second.add(wheel("fresh", "1.0", &[]));
    let answer = ask(&daemon, "fresh");
    assert_eq!(answer.status, 502, "{answer}");
    assert!(answer.has("retry-after"), "{answer}");
    assert_eq!(second.count(&page_path("fresh")), 0);
}
