//! Promise: an upstream that lies or breaks off never yields an admission, is never mistaken for a judgment (403),
//! and what it did wrong for a moment does not last.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::time::{Duration, Instant};

use support::daemon::{Daemon, DaemonOptions};
use support::upstream::{FakeFile, FakeUpstream, Fault, Ranges, file_path, metadata_path};
use traces::{
    assert_nothing_admitted, assert_nothing_staged, assert_problem, assert_sound, assert_upstream_failed,
    event_types, events_of, file_url, listed, wait_until,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// One upstream, little patience with it, and pages that are asked for again at once.
fn impatient(upstream: &FakeUpstream) -> Daemon {
    let url = upstream.index_url();
    Daemon::start(DaemonOptions::default().config(&format!(
        "[[upstream]]\nname = \"fake\"\nmode = \"on-demand\"\nurl = \"{url}\"\nretries = 1\nread_timeout = \"400ms\"\n\
         [index]\nfresh = \"20ms\"\n[limits]\npage = \"4MiB\"\n"
    )))
}

/// A wheel that takes several reads to receive.
fn large() -> FakeFile {
    FakeFile::wheel("demo", "1.0", 900_000)
}

fn small() -> FakeFile {
    FakeFile::wheel("demo", "1.0", 1_000)
}

fn url_of(file: &FakeFile) -> String {
    file_url(&file.sha256, &file.filename)
}

/// The file comes, whole and once in the log, now that upstream is well again.
#[track_caller]
fn assert_comes(daemon: &Daemon, file: &FakeFile) {
    let mut last = daemon.get(&url_of(file));
    wait_until("the file is served", || {
        last = daemon.get(&url_of(file));
        last.status == 200
    });
    assert!(last.body == file.bytes, "other bytes came");
    assert_eq!(event_types(daemon), ["admitted"]);
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hash_is_refused_and_not_fetched_again() {
    let upstream = FakeUpstream::start().await;
    let (truth, mut lie) = (small(), small());
    lie.sha256 = "0".repeat(64);
    upstream.add(lie.clone());
    let daemon = impatient(&upstream);
    assert_eq!(
        listed(&daemon, "demo"),
        [lie.filename.as_str()],
        "a candidate, as far as anybody knows"
    );
    for _ in 0..3 {
        let answer = daemon.get(&url_of(&lie));
        assert_problem(&answer, 403, "not-admitted");
        assert!(answer.reason.contains("claims sha256 0000"), "{answer}");
    }
    assert_eq!(
        upstream.count(&file_path(&lie.filename)),
        1,
        "a broken promise is remembered"
    );
    assert_problem(
        &daemon.get(&format!("{}.metadata", url_of(&lie))),
        403,
        "not-admitted",
    );
    assert_eq!(listed(&daemon, "demo"), Vec::<String>::new());
    let events = events_of(&daemon, "refused");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(
        events[0]["sha256"],
        truth.sha256.as_str(),
        "the event names what came"
    );
    let reasons = events[0]["reasons"].as_array().unwrap();
    assert!(
        reasons.iter().any(|reason| reason["check"] == "hashes"),
        "{reasons:#?}"
    );
    assert_nothing_admitted(&daemon);
    daemon.cli(&["ingest", "demo"]).expect(1);
    assert_nothing_admitted(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_size_is_no_admission_and_no_judgment() {
    for chunked in [false, true] {
        for more in [true, false] {
            let upstream = FakeUpstream::start().await;
            let truth = small();
            upstream.add(truth.clone());
            upstream.shape(|shape| shape.chunked = chunked);
            upstream.change(&truth.filename, |file| {
                file.size = if more { file.size + 1 } else { file.size - 1 }
            });
            let daemon = impatient(&upstream);
            let answer = daemon.get(&url_of(&truth));
            assert_upstream_failed(&answer);
            assert_nothing_admitted(&daemon);
            assert!(
                traces::events(&daemon).is_empty(),
                "chunked {chunked}, more {more}"
            );
            upstream.change(&truth.filename, |file| file.size = truth.size);
            assert_comes(&daemon, &truth);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_once_is_resumed() {
    for fault in [Fault::Truncate(300_000), Fault::Stall(300_000)] {
        let upstream = FakeUpstream::start().await;
        let file = large();
        upstream.add(file.clone());
        upstream.fault_times(&file_path(&file.filename), 1, fault.clone());
        let daemon = impatient(&upstream);
        let answer = daemon.get(&url_of(&file));
        assert_eq!(answer.status, 200, "{fault:?}: {answer}");
        assert!(answer.body == file.bytes, "{fault:?}");
        let requests = upstream.requests_of(&file_path(&file.filename));
        assert_eq!(requests.len(), 2, "{fault:?}");
        assert!(
            requests[1].header("range").starts_with("bytes=") && requests[1].header("range") != "bytes=0-"
        );
        assert_comes(&daemon, &file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_always_is_502_and_comes_when_it_is_well() {
    let faults = [
        Fault::Truncate(0),
        Fault::Truncate(2_000),
        Fault::Stall(0),
        Fault::Hang,
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(404),
        Fault::Status(403),
        Fault::Status(401),
        Fault::Redirect("file:///etc/passwd".to_owned()),
        Fault::Redirect("ftp://127.0.0.1/x.whl".to_owned()),
        Fault::Redirect("http://169.254.169.254/x.whl".to_owned()),
        Fault::RedirectForEver,
        Fault::RedirectLoop,
    ];
    let upstream = FakeUpstream::start().await;
    let file = large();
    upstream.add(file.clone());
    // Without ranges a download that always breaks off at the same byte never ends.
    upstream.shape(|shape| shape.ranges = Ranges::Ignored);
    let daemon = impatient(&upstream);
    for fault in faults {
        assert_eq!(listed(&daemon, "demo"), [file.filename.as_str()], "{fault:?}");
        let path = if matches!(fault, Fault::RedirectLoop | Fault::RedirectForEver) {
            "*".to_owned()
        } else {
            file_path(&file.filename)
        };
        let asked = upstream.count(&file_path(&file.filename));
        upstream.fault(&path, fault.clone());
        let started = Instant::now();
        let answer = daemon.get(&url_of(&file));
        assert_eq!(answer.status, 502, "{fault:?}: {answer}");
        assert_upstream_failed(&answer);
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{fault:?} took {:?}",
            started.elapsed()
        );
        assert!(
            upstream.count(&file_path(&file.filename)) <= asked + 2,
            "{fault:?}: tried too often"
        );
        assert_nothing_admitted(&daemon);
        upstream.heal();
    }
    assert!(traces::events(&daemon).is_empty());
    assert_comes(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_had_is_502_and_never_404_or_empty() {
    let page = |text: &str| Fault::Body(JSON.to_owned(), text.to_owned().into());
    let faults = [
        Fault::Status(500),
        Fault::Status(502),
        Fault::RetryAfter(429, "3600".to_owned()),
        Fault::Status(401),
        Fault::Hang,
        Fault::Stall(10),
        Fault::Truncate(10),
        Fault::RedirectForEver,
        Fault::Redirect("file:///etc/passwd".to_owned()),
        page("{"),
        page("[]"),
        page(r#"{"meta":{"api-version":"2.0"},"name":"demo","files":[]}"#),
        page(r#"{"meta":{"api-version":"1.0"},"name":"demo","files":7}"#),
        Fault::Body("text/html".to_owned(), "Internal error".into()),
        Fault::Body(JSON.to_owned(), vec![b' '; 5 << 20].into()),
    ];
    let upstream = FakeUpstream::start().await;
    upstream.add(small());
    let daemon = impatient(&upstream);
    for fault in faults {
        upstream.fault("*", fault.clone());
        let answer = daemon.request("GET", "/simple/demo/", &[("Accept", JSON)]);
        assert_eq!(answer.status, 502, "{fault:?}: {answer}");
        assert_upstream_failed(&answer);
        assert_upstream_failed(&daemon.get(&url_of(&small())));
        assert_nothing_admitted(&daemon);
        upstream.heal();
    }
    // A name that upstream does not have is another thing.
    assert_problem(&daemon.get("/simple/nothing-of-that-name/"), 404, "not-found");
    wait_until("the page comes", || daemon.get("/simple/demo/").status == 200);
    assert_comes(&daemon, &small());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_was_handed_out_must_be_the_wheels_own() {
    // Whichever comes first, the metadata or the wheel.
    for wheel_first in [false, true] {
        let upstream = FakeUpstream::start().await;
        let mut file = large();
        file.metadata = Some("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: evil\n".into());
        upstream.add(file.clone());
        upstream.shape(|shape| shape.metadata = true);
        let (late, early) = (file_path(&file.filename), metadata_path(&file.filename));
        let (late, early) = if wheel_first { (early, late) } else { (late, early) };
        upstream.fault(&late, Fault::Delay(Duration::from_millis(350)));
        let daemon = impatient(&upstream);
        let handed_out = daemon.get(&format!("{}.metadata", url_of(&file)));
        wait_until("both were asked for", || {
            upstream.count(&late) > 0 && upstream.count(&early) > 0
        });
        let answer = daemon.get(&url_of(&file));
        if handed_out.status == 200 && handed_out.text().contains("evil") {
            assert_problem(&answer, 403, "not-admitted");
            assert_eq!(
                events_of(&daemon, "refused").len(),
                1,
                "wheel first: {wheel_first}"
            );
            assert!(listed(&daemon, "demo").is_empty());
            assert_nothing_admitted(&daemon);
        } else {
            // The wheel was judged before upstream's word for it came: then its own metadata is given out.
            assert!(wheel_first, "{handed_out}");
            assert_eq!(handed_out.status, 200, "{handed_out}");
            assert_eq!(answer.status, 200, "{answer}");
        }
    }
}
