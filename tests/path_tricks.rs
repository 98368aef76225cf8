//! Promise: whatever stands in a URL, no answer is a failure of ours (5xx), no file from outside the store leaves,
//! nothing is written, and nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use support::daemon::{Daemon, DaemonOptions};
use support::raw::{self, Answer};
use support::wheels::wheel;
use traces::{assert_nothing_staged, assert_sound, blobs, log_size};

/// Stands in files that must never be served.
const SECRET: &str = "top-secret-marker-7c1f";

/// Every URL parameter of the HTTP table, one at a time. `{}` is the parameter, `SHA` a stored file's digest, `NAME`
/// its name.
const OPEN: &[&str] = &[
    "/{}",
    "/simple/{}",
    "/simple/{}/",
    "/files/{}",
    "/files/{}/NAME",
    "/files/SHA/{}",
    "/files/SHA/{}.metadata",
    "/files/SHA/{}.provenance",
    "/files/SHA/{}.sbom.json",
    "/files/SHA/{}.verdict.json",
    "/files/SHA/{}.verdict.dsse.json",
    "/files/SHA/{}.statements.json",
    "/keys/{}",
    "/files/SHA/NAME/{}",
    "/integrity/{}/1.0/NAME/provenance",
    "/integrity/demo/{}/NAME/provenance",
    "/integrity/demo/1.0/{}/provenance",
    "/at/{}/simple/",
    "/at/{}/simple/demo/",
    "/at/{}/simple/demo",
    "/at/1/simple/{}/",
    "/at/1/simple/{}",
    "/log/{}",
    "/log/tile/{}",
    "/log/tile/0/{}",
    "/log/entries/{}",
    "/explain/{}",
    "/healthz/{}",
    "/simple/?{}",
    "/simple/demo/?{}={}",
];

/// The same for the admin API.
const ADMIN: &[&str] = &[
    "/api/v1/{}",
    "/api/v1/jobs/{}",
    "/api/v1/jobs/{}/events",
    "/api/v1/jobs?after={}",
    "/api/v1/jobs?limit={}",
    "/api/v1/projects/{}",
    "/api/v1/projects?after={}",
    "/api/v1/projects?limit={}",
    "/api/v1/files/{}",
    "/api/v1/files/{}/verdict",
    "/api/v1/files/SHA/{}",
    "/api/v1/evidence/{}",
    "/api/v1/events?after={}",
    "/api/v1/events?limit={}",
    "/api/v1/log/inclusion?n={}",
    "/api/v1/log/inclusion?n=0&size={}",
    "/api/v1/log/consistency?from={}",
    "/api/v1/log/consistency?from=1&to={}",
    "/api/v1/status?{}",
];

/// What stands in the parameter.
fn tricks(outside: &str) -> Vec<String> {
    let encoded = outside.replace('/', "%2f");
    let mut all: Vec<String> = [
        "",
        ".",
        "..",
        "../..",
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "%2e%2e/%2e%2e/admin.token",
        "..%2f..%2fadmin.token",
        "..%5c..%5cadmin.token",
        "%252e%252e%252fadmin.token",
        "..;/admin.token",
        "%00",
        "demo%00.whl",
        "NAME%00.txt",
        "%2f",
        "%2fetc%2fpasswd",
        "//etc/passwd",
        "%ff%fe",
        "%c0%ae%c0%ae%c0%af",
        "%ed%a0%80",
        "%zz",
        "%",
        "%2",
        "%0d%0aSet-Cookie:%20x=1",
        "%0a",
        "%e2%80%ae",
        "%f0%9f%90%8d",
        "*",
        "~",
        "~root",
        "C:%5cWindows",
        "file:%2f%2f%2fetc%2fpasswd",
        "http:%2f%2f127.0.0.1%2f",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1e9",
        "0x10",
        "x001/x000/000",
        "8/x001/000.p/256",
        "63/000",
        "64/0",
        "entries/000.p/0",
        "9999-12-31T23:59:59Z",
        "-009999-01-01T00:00:00Z",
        "2026-11-20T12:00:00",
        "sha256:",
        "'%20OR%201=1--",
        "<script>",
        "{}",
        "%7b%7d",
        "$(id)",
        "NAME.metadata.metadata",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ]
    .iter()
    .map(|trick| (*trick).to_owned())
    .collect();
    all.push(outside.to_owned());
    all.push(encoded);
    all.push("a".repeat(10_000));
    all.push("%2e%2e%2f".repeat(1_000));
    all.push("9".repeat(5_000));
    all.push(format!("{}-1.0-py3-none-any.whl", "a".repeat(300)));
    all
}

struct Target {
    daemon: Daemon,
    sha256: String,
    filename: String,
    token: String,
    outside: String,
    before: (u64, Vec<String>),
}

/// A daemon with one file, and secrets inside and outside its data folder.
fn target() -> Target {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    let outside = daemon.home().join("outside.txt");
    for path in [&outside, &daemon.data_dir().join("inside.txt")] {
        std::fs::write(path, SECRET).unwrap();
    }
    let before = (log_size(&daemon), blobs(daemon.data_dir()).into_keys().collect());
    Target {
        sha256: file.sha256,
        filename: file.filename,
        token: daemon.admin_token(),
        outside: outside.to_str().unwrap().to_owned(),
        before,
        daemon,
    }
}

impl Target {
    fn path(&self, template: &str, trick: &str) -> String {
        template
            .replace("{}", trick)
            .replace("SHA", &self.sha256)
            .replace("NAME", &self.filename)
    }

    /// What is wrong with an answer, if anything.
    fn judge(&self, answer: &Answer) -> Option<String> {
        if answer.status >= 500 {
            return Some(format!("{} {}", answer.status, answer.reason));
        }
        if answer.has("set-cookie") {
            return Some("a header was smuggled in".to_owned());
        }
        let key = std::fs::read_to_string(self.daemon.data_dir().join("keys/log.key")).unwrap();
        let text = answer.text();
        [SECRET, self.token.as_str(), key.trim(), "root:x:"]
            .iter()
            .find(|secret| text.contains(**secret))
            .map(|_| "a secret was served".to_owned())
    }

    /// Asks for every pair of template and trick, some at once; fails with all complaints.
    #[track_caller]
    fn attack(&self, templates: &[&str], methods: &[&str], headers: &[(&str, &str)]) {
        let tricks = tricks(&self.outside);
        let complaints = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for part in templates.chunks(templates.len().div_ceil(4)) {
                let (tricks, complaints) = (&tricks, &complaints);
                scope.spawn(move || {
                    for (template, trick) in part
                        .iter()
                        .flat_map(|one| tricks.iter().map(move |trick| (one, trick)))
                    {
                        let path = self.path(template, trick);
                        for method in methods {
                            let answer = raw::request(self.daemon.addr(), method, &path, headers, b"");
                            if let Some(why) = self.judge(&answer) {
                                let shown: String = path.chars().take(120).collect();
                                complaints
                                    .lock()
                                    .unwrap()
                                    .push(format!("{method} {shown}: {why}"));
                            }
                        }
                    }
                });
            }
        });
        let complaints = complaints.into_inner().unwrap();
        assert!(
            complaints.is_empty(),
            "{} complaints:\n{}",
            complaints.len(),
            complaints.join("\n")
        );
        self.assert_untouched();
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_sound(&self.daemon);
        let now = (
            log_size(&self.daemon),
            blobs(self.daemon.data_dir()).into_keys().collect::<Vec<_>>(),
        );
        assert_eq!(now, self.before, "something was written");
        assert_nothing_staged(self.daemon.data_dir());
        let good = self.daemon.get(&self.path("/files/SHA/NAME", ""));
        assert_eq!(good.status, 200, "{good}");
    }
}

#[test]
fn no_open_url_leads_out() {
    target().attack(OPEN, &["GET", "HEAD"], &[]);
}

#[test]
fn no_admin_url_leads_out() {
    let target = target();
    let bearer = format!("Bearer {}", target.token);
    target.attack(ADMIN, &["GET"], &[("Authorization", bearer.as_str())]);
    target.attack(
        &["/api/v1/jobs/{}"],
        &["DELETE"],
        &[("Authorization", bearer.as_str())],
    );
    target.attack(
        &["/api/v1/files/{}/yank", "/api/v1/files/SHA/{}"],
        &["POST"],
        &[("Authorization", bearer.as_str())],
    );
}

#[test]
fn no_upload_leads_out() {
    let target = target();
    let bearer = format!("Bearer {}", target.token);
    let headers = [("Authorization", bearer.as_str())];
    target.attack(
        &[
            "/api/v1/ingest/{}",
            "/api/v1/ingest/{}.whl",
            "/api/v1/ingest/NAME?{}",
        ],
        &["PUT"],
        &headers[..0],
    );
    // With the token the empty body of a sound name is judged (and refused); every trick is 4xx.
    for trick in tricks(&target.outside) {
        let path = target.path("/api/v1/ingest/{}", &trick);
        let answer = raw::request(target.daemon.addr(), "PUT", &path, &headers, b"x");
        assert!((400..500).contains(&answer.status), "{path}: {answer}");
        // What is no HTTP at all has no document either.
        if !answer.body.is_empty() {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{path}: {answer}"
            );
        }
    }
    target.assert_untouched();
    let strays: Vec<_> = std::fs::read_dir(target.daemon.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        strays.len(),
        3,
        "only the configuration, the data folder and our own file: {strays:?}"
    );
}

#[test]
fn the_admin_api_is_closed_without_its_token() {
    let target = target();
    for headers in [
        vec![],
        vec![("Authorization", "Bearer wrong")],
        vec![("Authorization", "Basic X190b2tlbl9fOg==")],
    ] {
        for template in ADMIN
            .iter()
            .filter(|template| !["/api/v1/{}", "/api/v1/files/SHA/{}"].contains(*template))
        {
            let path = target.path(template, "1");
            let answer = raw::request(target.daemon.addr(), "GET", &path, &headers, b"");
            assert_eq!(answer.status, 401, "{path}: {answer}");
            assert!(answer.has("www-authenticate"), "{path}: {answer}");
        }
    }
    target.assert_untouched();
}

#[test]
fn unknown_methods_are_4xx_and_change_nothing() {
    let target = target();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get", "X",
    ] {
        for template in OPEN {
            let path = target.path(template, "demo");
            let answer = raw::request(target.daemon.addr(), method, &path, &[], b"");
            assert!((400..500).contains(&answer.status), "{method} {path}: {answer}");
        }
    }
    target.assert_untouched();
}

#[test]
fn huge_and_broken_heads_are_4xx_or_cut_off() {
    let target = target();
    let (huge, many) = ("x".repeat(200_000), "X-Many: 1\r\n".repeat(1_000));
    let heads = [
        format!("GET /simple/ HTTP/1.1\r\nHost: x\r\nX-Huge: {huge}\r\n\r\n"),
        format!("GET /simple/ HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /{huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("{huge} / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET /simple/\u{0} HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /simple/ HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(),
        "GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET ../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "PUT /api/v1/ingest/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
            .to_owned(),
        "PUT /api/v1/ingest/x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello".to_owned(),
        "PUT /api/v1/ingest/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}".repeat(10),
        "\r\n\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=18446744073709551615-\r\nIf-None-Match: \u{ff}\r\n\r\n"
            .to_owned(),
    ];
    for head in heads {
        let shown: String = head.chars().take(60).collect();
        let mut stream = TcpStream::connect(target.daemon.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let first = answer.lines().next().unwrap_or_default();
        assert!(
            first.is_empty() || first.starts_with("HTTP/1.1 4"),
            "{shown:?}: {first}"
        );
        assert!(
            !answer.contains(&target.token) && !answer.contains("root:x:"),
            "{shown:?}"
        );
    }
    target.assert_untouched();
}
