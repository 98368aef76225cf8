//! Promise: other rules can be held against everything stored before they are in force; when they come into force
//! everything is judged again, and they stand over a restart.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions, cli};
use support::jobs::wait_for;
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};

const NO_SUCH_PROJECT: &str = r#"package chiron.site

objections contains {"check": "policy", "code": "not-here", "message": "not wanted here", "decision": "quarantine"} if {
	input.file.project == "chirontest-a"
}

test_others_pass if count(objections) == 0 with input as {"file": {"project": "b"}}
"#;

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

async fn site() -> (FakeUpstream, Daemon, [FakeFile; 2]) {
    let upstream = FakeUpstream::start().await;
    let releases = ["chirontest-a", "chirontest-b"].map(|project| Release::new(project, "1.0"));
    for release in &releases {
        upstream.add(release.sdist());
        upstream.add(release.wheel());
    }
    let config = "[reproducibility]\nenabled = false\n";
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(config));
    let wheels = releases.map(|release| release.wheel());
    for wheel in &wheels {
        assert_eq!(daemon.get(&path_of(wheel)).status, 200);
    }
    (upstream, daemon, wheels)
}

fn put(daemon: &Daemon, rules: &str, query: &str) -> (u16, Value) {
    let body = json!({ "policy": { "files": { "a.rego": rules } }, "reason": "a test" });
    let answer = daemon.admin(
        "PUT",
        &format!("/api/v1/policy{query}"),
        body.to_string().as_bytes(),
    );
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_writes_nothing_and_says_what_differs() {
    let (_upstream, daemon, [a, _]) = site().await;
    let events = || daemon.admin("GET", "/api/v1/status", b"").json()["log_size"].clone();
    let before = events();
    let server = daemon.base().to_owned();
    let token = daemon.admin_token();
    let replay = |more: &[&str]| {
        let args = [
            &["--server", &server, "--token", &token, "policy", "replay"],
            more,
        ]
        .concat();
        cli(daemon.home(), &args)
    };
    let same = replay(&[]).expect(0);
    assert!(same.stdout.contains("0 judged otherwise"), "{same}");

    let strict = replay(&["--policy", "strict", "--format", "json"])
        .expect(1)
        .json();
    assert_eq!(strict["judged"], 4, "{strict:#}");
    assert_eq!(strict["admitted"], 0);
    let files = strict["files"].as_array().unwrap();
    let file = files.iter().find(|file| file["sha256"] == a.sha256).unwrap();
    assert_eq!(
        (file["before"].as_str(), file["now"].as_str()),
        (Some("admit"), Some("quarantine"))
    );
    assert!(
        file["reasons"][0]
            .as_str()
            .unwrap()
            .starts_with("signature/absent"),
        "{file:#}"
    );

    let (status, dry) = put(&daemon, NO_SUCH_PROJECT, "?dry-run=true");
    assert_eq!(status, 200, "{dry:#}");
    assert_eq!(dry["difference"]["different"], 2, "{dry:#}");
    assert_eq!(events(), before);
    assert_eq!(daemon.get(&path_of(&a)).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_put_in_force_judge_everything_again_and_stand_over_a_restart() {
    let (_upstream, mut daemon, [a, b]) = site().await;
    let (status, change) = put(&daemon, NO_SUCH_PROJECT, "");
    assert_eq!(status, 200, "{change:#}");
    assert!(change["job"]["id"].is_u64(), "{change:#}");
    wait_for("the file falls", || {
        (daemon.get(&path_of(&a)).status == 403).then_some(())
    });
    assert_eq!(daemon.get(&path_of(&b)).status, 200);
    let view = daemon.admin("GET", "/api/v1/policy", b"").json();
    assert_eq!(
        (view["from"].as_str(), view["digest"] == change["after"]),
        (Some("api"), true)
    );

    daemon.kill9();
    daemon.restart();
    assert_eq!(
        daemon.admin("GET", "/api/v1/policy", b"").json()["digest"],
        change["after"]
    );
    assert_eq!(daemon.get(&path_of(&a)).status, 403);

    let body = json!({ "policy": {}, "reason": "back" });
    let back = daemon.admin("PUT", "/api/v1/policy", body.to_string().as_bytes());
    assert_eq!(back.status, 200, "{back}");
    wait_for("the file comes back", || {
        (daemon.get(&path_of(&a)).status == 200).then_some(())
    });
    assert_eq!(
        daemon.admin("GET", "/api/v1/policy", b"").json()["from"],
        "configuration"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_used_or_fail_their_tests_do_not_come_into_force() {
    let (_upstream, daemon, [a, _]) = site().await;
    let before = daemon.admin("GET", "/api/v1/policy", b"").json();
    for rules in [
        "package chiron.site\nobjections contains x if {",
        "package chiron.checks\nsound := true",
        &NO_SUCH_PROJECT.replace("count(objections) == 0", "count(objections) == 5"),
    ] {
        let (status, problem) = put(&daemon, rules, "");
        assert_eq!(status, 422, "{problem:#}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("Nothing was changed"),
            "{problem:#}"
        );
    }
    assert_eq!(daemon.admin("GET", "/api/v1/policy", b"").json(), before);
    assert_eq!(daemon.get(&path_of(&a)).status, 200);
}
