//! Promise: `/at/{log size}/simple/` and `/at/{time}/simple/` are the index as it was.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use jiff::Timestamp;
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::raw::{Answer, PIP_ACCEPT};
use support::upstream::FakeFile;
use support::wheels::wheel;

const FOR_EVER: &str = "public, max-age=365000000, immutable";

struct History {
    daemon: Daemon,
    first: FakeFile,
    second: FakeFile,
}

/// Seven events: keys made, 1.0 in, 2.0 in, 1.0 yanked, 2.0 revoked, 2.0 restored, 1.0 unyanked.
fn history() -> History {
    let daemon = Daemon::start(DaemonOptions::alone());
    let (first, second) = (wheel("demo", "1.0", &[]), wheel("demo", "2.0", &[]));
    for file in [&first, &second] {
        assert_eq!(
            daemon.put_file(&file.filename, &file.bytes)["outcome"],
            "admitted"
        );
    }
    for ((file, change), n) in [
        (&first, "yank"),
        (&second, "revoke"),
        (&second, "restore"),
        (&first, "unyank"),
    ]
    .into_iter()
    .zip(KEYS_MADE + 2..)
    {
        let path = format!("/api/v1/files/{}/{change}", file.sha256);
        let answer = daemon.admin("POST", &path, br#"{"reason":"for the test"}"#);
        assert_eq!(answer.json()["event"], n, "{answer}");
    }
    History {
        daemon,
        first,
        second,
    }
}

fn json_at(daemon: &Daemon, when: &str) -> Answer {
    daemon.request(
        "GET",
        &format!("/at/{when}/simple/demo/"),
        &[("Accept", PIP_ACCEPT)],
    )
}

/// What a page lists: file names, a star for the yanked.
fn listed(page: &Value) -> Vec<String> {
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let star = if file.get("yanked").is_some_and(|y| *y != Value::Bool(false)) {
                "*"
            } else {
                ""
            };
            format!(
                "{}{star}",
                file["filename"].as_str().unwrap().split('-').nth(1).unwrap()
            )
        })
        .collect()
}

/// The times of the log's entries, in order.
fn times(daemon: &Daemon) -> Vec<Timestamp> {
    let events = daemon.admin("GET", "/api/v1/events", b"").json();
    let items = events["items"].as_array().unwrap().iter();
    items
        .map(|item| item["event"]["at"].as_str().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn every_size_of_the_log_has_its_own_index() {
    let History { daemon, .. } = history();
    for size in 0..=KEYS_MADE {
        assert_eq!(
            json_at(&daemon, &size.to_string()).status,
            404,
            "before its first file there is no project"
        );
    }
    let expected: [&[&str]; 6] = [
        &["1.0"],
        &["1.0", "2.0"],
        &["1.0*", "2.0"],
        &["1.0*"],
        &["1.0*", "2.0"],
        &["1.0", "2.0"],
    ];
    for (files, size) in expected.into_iter().zip(KEYS_MADE + 1..) {
        let answer = json_at(&daemon, &size.to_string());
        assert_eq!(answer.status, 200, "{answer}");
        let page = answer.json();
        assert_eq!(listed(&page), files, "at size {size}");
        let versions: Vec<String> = files.iter().map(|v| v.trim_end_matches('*').to_owned()).collect();
        assert_eq!(page["versions"], serde_json::json!(versions));
    }
    // The newest of them is the present, apart from how deep its links lie.
    let now = daemon
        .request("GET", "/simple/demo/", &[("Accept", PIP_ACCEPT)])
        .text();
    assert_eq!(
        json_at(&daemon, "7").text().replace("../../../../", "../../"),
        now
    );
}

#[test]
fn the_list_of_projects_was_shorter_once() {
    let History { daemon, .. } = history();
    let other = wheel("other", "1.0", &[]);
    daemon.put_file(&other.filename, &other.bytes);
    let names = |when: &str| {
        let answer = daemon.request("GET", &format!("/at/{when}/simple/"), &[("Accept", PIP_ACCEPT)]);
        assert_eq!(answer.status, 200, "{answer}");
        let list = answer.json();
        let projects = list["projects"].as_array().unwrap().iter();
        projects
            .map(|p| p["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(names("0").is_empty());
    assert_eq!(names("7"), ["demo"]);
    assert_eq!(names("8"), ["demo", "other"]);
}

#[test]
fn a_time_means_the_entries_up_to_it() {
    let History { daemon, .. } = history();
    let times = times(&daemon);
    assert_eq!(times.len(), 7);
    for time in times.iter().skip(1) {
        // Entries of the same millisecond belong together.
        let size = times.iter().filter(|other| *other <= time).count();
        let (by_time, by_size) = (
            json_at(&daemon, &time.to_string()),
            json_at(&daemon, &size.to_string()),
        );
        assert_eq!(by_time.status, 200, "{by_time}");
        assert_eq!(by_time.body, by_size.body, "{time} is size {size}");
        assert_eq!(
            by_time.header("cache-control"),
            "no-cache",
            "entries of this millisecond may follow"
        );
    }
    assert_eq!(json_at(&daemon, "2001-01-01T00:00:00Z").status, 404);
    let future = json_at(&daemon, "2999-01-01T00:00:00%2B02:00");
    assert_eq!(
        future.body,
        json_at(&daemon, "7").body,
        "a time that lies ahead is the present"
    );
}

#[test]
fn a_view_at_a_size_is_immutable_and_stays_the_same_bytes() {
    let History {
        mut daemon, first, ..
    } = history();
    let before = json_at(&daemon, "4");
    assert_eq!(before.header("cache-control"), FOR_EVER);
    let etag = before.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{before}");
    let again = daemon.request(
        "GET",
        "/at/4/simple/demo/",
        &[("Accept", PIP_ACCEPT), ("If-None-Match", &etag)],
    );
    assert_eq!((again.status, again.body.len()), (304, 0));
    let path = format!("/api/v1/files/{}/revoke", first.sha256);
    assert_eq!(daemon.admin("POST", &path, br#"{"reason":"later"}"#).status, 200);
    daemon.restart();
    let after = json_at(&daemon, "4");
    assert_eq!((after.header("etag"), &after.body), (etag.as_str(), &before.body));
    assert_eq!(listed(&daemon.page("demo")), ["2.0"], "the present went on");
}

#[test]
fn its_links_lead_to_the_files_and_a_revocation_holds_for_the_past_too() {
    let History { daemon, second, .. } = history();
    let page = json_at(&daemon, "3").json();
    for file in page["files"].as_array().unwrap() {
        let url = file["url"].as_str().unwrap();
        let path = url
            .strip_prefix("../../../../")
            .expect("a link from /at/3/simple/demo/ to the root");
        let answer = daemon.get(&format!("/{path}"));
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(answer.body.len() as u64, file["size"].as_u64().unwrap());
    }
    daemon.admin(
        "POST",
        &format!("/api/v1/files/{}/revoke", second.sha256),
        br#"{"reason":"malware"}"#,
    );
    assert_eq!(
        listed(&json_at(&daemon, "3").json()),
        ["1.0", "2.0"],
        "history is not rewritten"
    );
    let answer = daemon.get(&format!("/files/{}/{}", second.sha256, second.filename));
    assert_eq!(
        answer.status, 403,
        "what is revoked is not served, wherever the link stands: {answer}"
    );
}

#[test]
fn both_forms_agree() {
    let History { daemon, .. } = history();
    let html = daemon.request("GET", "/at/4/simple/demo/", &[("Accept", "text/html")]);
    assert!(html.header("content-type").starts_with("text/html"), "{html}");
    let text = html.text();
    assert_eq!(text.matches("<a ").count(), 2, "{text}");
    assert_eq!(text.matches("data-yanked=\"for the test\"").count(), 1, "{text}");
    assert!(text.contains("href=\"../../../../files/"), "{text}");
}

#[test]
fn beyond_the_log_is_404_and_nonsense_400_and_neither_is_kept() {
    let History { daemon, .. } = history();
    for (when, status) in [
        ("8", 404),
        ("18446744073709551615", 404),
        ("99999999999999999999999", 400),
        ("yesterday", 400),
        ("-1", 400),
        ("2026-13-40T00:00:00Z", 400),
        ("2026-01-01", 400),
        ("%00", 400),
    ] {
        for path in [format!("/at/{when}/simple/demo/"), format!("/at/{when}/simple/")] {
            let answer = daemon.request("GET", &path, &[("Accept", PIP_ACCEPT)]);
            assert_eq!(answer.status, status, "{path}: {answer}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}: {answer}");
        }
    }
    assert_eq!(daemon.request("GET", "/at/7/simple/unknown/", &[]).status, 404);
}

#[test]
fn other_spellings_are_redirected_within_the_same_time() {
    let History { daemon, .. } = history();
    let time = "2999-01-01T00:00:00Z";
    for (path, to) in [
        ("/at/4/simple/Demo/".to_owned(), "/at/4/simple/demo/".to_owned()),
        ("/at/4/simple/demo".to_owned(), "/at/4/simple/demo/".to_owned()),
        (
            format!("/at/{time}/simple/DEMO"),
            format!("/at/{time}/simple/demo/"),
        ),
    ] {
        let answer = daemon.get(&path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, to.as_str()),
            "{path}: {answer}"
        );
    }
}
