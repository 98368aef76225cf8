//! Promise: a site's own rules are checked, tested, shown and obeyed; rules that cannot be used stop the start.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use support::daemon::{Daemon, DaemonOptions, cli};
use support::release::Release;
use support::upstream::FakeUpstream;

const RULES: &str = r#"package chiron.site

objections contains {
	"check": "policy",
	"code": "start-up-code",
	"message": sprintf("%s runs code when Python starts", [input.file.filename]),
	"decision": "quarantine",
} if {
	input.file.project in data.site.watched
}

test_watched if count(objections) == 1 with input as {"file": {"project": "x", "filename": "f"}} with data.site.watched as ["x"]
"#;

fn folder(at: &Path, rules: &str) -> String {
    let folder = at.join("policy");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("site.rego"), rules).unwrap();
    fs::write(folder.join("data.toml"), "watched = ['chirontest-watched']\n").unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gate_obeys_them() {
    let home = tempfile::tempdir().unwrap();
    let policy = folder(home.path(), RULES);
    let upstream = FakeUpstream::start().await;
    let releases = ["chirontest-watched", "chirontest-free"].map(|project| Release::new(project, "1.0"));
    for release in &releases {
        upstream.add(release.sdist());
        upstream.add(release.wheel());
    }
    let config = format!("[reproducibility]\nenabled = false\n[policy]\nfolder = '{policy}'\n");
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&config));
    let [watched, free] = releases.map(|release| {
        let file = release.wheel();
        daemon.get(&format!("/files/{}/{}", file.sha256, file.filename))
    });
    assert_eq!(watched.status, 403, "{watched}");
    assert!(
        watched.to_string().contains("runs code when Python starts"),
        "{watched}"
    );
    assert_eq!(free.status, 200, "{free}");
    let view = daemon.admin("GET", "/api/v1/policy", b"").json();
    assert_eq!(view["from"], "configuration");
    assert!(
        view["files"]["site/site.rego"]
            .as_str()
            .unwrap()
            .contains("start-up-code")
    );
    assert_eq!(view["data"]["site"]["watched"][0], "chirontest-watched");
}

#[test]
fn they_are_checked_tested_and_shown() {
    let home = tempfile::tempdir().unwrap();
    let policy = folder(home.path(), RULES);
    let check = cli(home.path(), &["policy", "check", &policy]).expect(0);
    assert!(check.stdout.contains("can be used"), "{check}");
    let test = cli(home.path(), &["policy", "test", &policy]).expect(0);
    assert!(test.stdout.contains("pass  chiron.site.test_watched"), "{test}");
    let show = cli(home.path(), &["policy", "show", &policy]).expect(0);
    assert!(
        show.stdout.contains("admit if {") && show.stdout.contains("start-up-code"),
        "{show}"
    );

    let failing = RULES.replace("== 1 with", "== 2 with");
    let policy = folder(home.path(), &failing);
    let test = cli(home.path(), &["policy", "test", &policy]).expect(1);
    assert!(test.stdout.contains("FAIL  chiron.site.test_watched"), "{test}");

    let doubtful = format!("{RULES}\nfine if count(objections) == 0\n");
    let policy = folder(home.path(), &doubtful);
    let check = cli(home.path(), &["policy", "check", &policy, "--format", "json"]).expect(1);
    assert_eq!(check.json()["warnings"][0]["code"], "absence");
}

#[test]
fn the_profiles_are_shown_with_their_rules_and_digest() {
    let home = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for profile in ["strict", "standard", "audit"] {
        let view = cli(home.path(), &["policy", "show", profile, "--format", "json"])
            .expect(0)
            .json();
        assert_eq!(view["profile"], profile);
        let rules = view["files"][format!("chiron/{profile}.rego")]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(rules.contains("structure_ok"), "{rules}");
        digests.push(view["digest"].as_str().unwrap().to_owned());
    }
    digests.dedup();
    assert_eq!(digests.len(), 3);
}

#[test]
fn rules_that_cannot_be_used_stop_the_start() {
    let cases = [
        ("package chiron.site\nobjections contains x if {", "site.rego"),
        (
            "package chiron.site\nx := time.now_ns()\nobjections := set()",
            "time.now_ns",
        ),
        ("package chiron.checks\nsound := true", "built in"),
        (
            "package chiron.profile\nadmit := true",
            "data.chiron.profile.decision",
        ),
        (
            "package chiron.site\nf(x) := f(x)\nobjections contains f(1) if true",
            "circle",
        ),
    ];
    for (rules, said) in cases {
        let home = tempfile::tempdir().unwrap();
        let policy = folder(home.path(), rules);
        let options = DaemonOptions::alone().config(&format!("[policy]\nfolder = '{policy}'\n"));
        let Err(output) = Daemon::try_start(options) else {
            panic!("it started with {rules}")
        };
        assert_eq!(output.status, 2, "{output}");
        assert!(output.stderr.contains(said), "{output}");
        cli(home.path(), &["policy", "check", &policy]).expect(2);
    }
}

#[test]
fn fifty_megabytes_of_rules_are_refused_at_once() {
    let home = tempfile::tempdir().unwrap();
    let policy = folder(home.path(), RULES);
    fs::File::create(Path::new(&policy).join("huge.rego"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    let check = cli(home.path(), &["policy", "check", &policy]).expect(2);
    assert!(check.stderr.contains("huge.rego"), "{check}");
    fs::remove_file(Path::new(&policy).join("huge.rego")).unwrap();
    fs::write(Path::new(&policy).join("data.json"), "{\"a\":".repeat(200_000)).unwrap();
    let check = cli(home.path(), &["policy", "check", &policy]).expect(2);
    assert!(check.stderr.contains("data.json"), "{check}");
}
