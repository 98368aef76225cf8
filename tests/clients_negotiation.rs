//! What installers need from an index (`CLIENTS.md`), line by line, on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use chiron_storage::Digest;
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::raw::{Answer, PIP_ACCEPT, POETRY_ACCEPT, UV_ACCEPT};
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path, page_path};
use support::wheels::{lying_wheel, wheel};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const FOR_EVER: &str = "public, max-age=365000000, immutable";

/// A daemon that holds one admitted wheel, handed in; no upstream.
fn holding(file: &FakeFile) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    let result = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(result["outcome"], "admitted", "{result:#}");
    daemon
}

fn six() -> FakeFile {
    wheel("six", "1.0", &["flask>=1; extra == 'web'"])
}

/// A daemon in on-demand mode before a fake upstream.
async fn on_demand(files: &[FakeFile]) -> (FakeUpstream, Daemon) {
    on_demand_with(files, DaemonOptions::on_demand).await
}

async fn on_demand_with(
    files: &[FakeFile],
    options: impl FnOnce(&str) -> DaemonOptions,
) -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    for file in files {
        upstream.add(file.clone());
    }
    let daemon = Daemon::start(options(&upstream.index_url()));
    (upstream, daemon)
}

fn json_page(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)])
}

fn html_page(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", "text/html")])
}

fn is_html(answer: &Answer) -> bool {
    let content_type = answer.header("content-type");
    content_type.starts_with("text/html") || content_type.starts_with("application/vnd.pypi.simple.v1+html")
}

fn varies_by_accept(answer: &Answer) -> bool {
    answer
        .header("vary")
        .split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("accept"))
}

/// The address of a page's first file, as a path of this server.
fn first_file(page: &Value, project: &str) -> String {
    let url = page["files"][0]["url"].as_str().unwrap();
    match url.strip_prefix("../../") {
        Some(rest) => format!("/{rest}"),
        None if url.starts_with('/') => url.to_owned(),
        None => panic!("{project}: {url} is neither relative to the page nor to the server"),
    }
}

// Negotiation.

#[test]
fn each_clients_accept_gets_json_with_the_exact_type() {
    let daemon = holding(&six());
    for accept in [PIP_ACCEPT, UV_ACCEPT, POETRY_ACCEPT] {
        for path in ["/simple/six/", "/simple/"] {
            let answer = daemon.request("GET", path, &[("Accept", accept)]);
            assert_eq!(answer.status, 200, "{answer}");
            let content_type = answer.header("content-type").split(';').next().unwrap();
            assert_eq!(content_type, JSON, "{accept}: {answer}");
            answer.json();
        }
    }
}

#[test]
fn latest_is_answered_as_v1() {
    let daemon = holding(&six());
    let answer = daemon.request(
        "GET",
        "/simple/six/",
        &[("Accept", "application/vnd.pypi.simple.latest+json")],
    );
    assert_eq!(
        answer.header("content-type").split(';').next(),
        Some(JSON),
        "{answer}"
    );
    let answer = daemon.request(
        "GET",
        "/simple/six/",
        &[("Accept", "application/vnd.pypi.simple.latest+html")],
    );
    assert!(
        is_html(&answer) && !answer.header("content-type").contains("latest"),
        "{answer}"
    );
}

#[test]
fn without_an_acceptable_type_the_answer_is_html() {
    let daemon = holding(&six());
    for headers in [
        &[][..],
        &[("Accept", "image/png")],
        &[("Accept", "*/*")],
        &[("Accept", "nonsense")],
    ] {
        let answer = daemon.request("GET", "/simple/six/", headers);
        assert_eq!(answer.status, 200, "{headers:?}: {answer}");
        assert!(is_html(&answer), "{headers:?}: {answer}");
    }
}

#[test]
fn quality_zero_is_a_no() {
    let daemon = holding(&six());
    let accept = format!("{JSON};q=0, text/html");
    assert!(is_html(&daemon.request(
        "GET",
        "/simple/six/",
        &[("Accept", &accept)]
    )));
}

#[test]
fn pages_vary_by_accept() {
    let daemon = holding(&six());
    for answer in [
        json_page(&daemon, "six"),
        html_page(&daemon, "six"),
        daemon.get("/simple/"),
    ] {
        assert!(varies_by_accept(&answer), "{answer}");
    }
}

#[test]
fn another_spelling_is_redirected_to_the_normalised_slashed_path() {
    let daemon = holding(&wheel("my-project", "1.0", &[]));
    let cases = [
        "/simple/My_Project/",
        "/simple/my.project",
        "/simple/my-project",
        "/simple/MY--project/",
        "/simple/my_project",
    ];
    for path in cases {
        let answer = daemon.request("GET", path, &[("Accept", UV_ACCEPT)]);
        assert_eq!(answer.status, 301, "{path}: {answer}");
        let location = answer.header("location");
        let path_of = location.strip_prefix(daemon.base()).unwrap_or(location);
        assert_eq!(path_of, "/simple/my-project/", "{path}: {answer}");
    }
    assert_eq!(json_page(&daemon, "my-project").status, 200);
}

#[test]
fn head_of_a_page_has_the_headers_and_no_body() {
    let daemon = holding(&six());
    let get = json_page(&daemon, "six");
    let head = daemon.request("HEAD", "/simple/six/", &[("Accept", PIP_ACCEPT)]);
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
    for name in ["content-type", "etag", "cache-control", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

/// PEP 833: new fields go into JSON only.
#[test]
fn the_html_form_is_frozen() {
    let daemon = holding(&six());
    let html = html_page(&daemon, "six").text();
    let known = [
        "data-requires-python",
        "data-dist-info-metadata",
        "data-core-metadata",
        "data-yanked",
        "data-gpg-sig",
        "data-provenance",
    ];
    for (at, _) in html.match_indices("data-") {
        let name: String = html[at..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect();
        assert!(known.contains(&name.as_str()), "{name} is new:\n{html}");
    }
}

// The page.

/// uv rejects the whole page for one of these.
fn assert_sound(page: &Value) {
    fn no_null(value: &Value, path: &str) {
        match value {
            Value::Null => panic!("{path} is null"),
            Value::Array(list) => list
                .iter()
                .enumerate()
                .for_each(|(n, v)| no_null(v, &format!("{path}[{n}]"))),
            Value::Object(map) => map
                .iter()
                .for_each(|(key, v)| no_null(v, &format!("{path}.{key}"))),
            _ => {}
        }
    }
    no_null(page, "page");
    let modern = page["meta"]["api-version"] != "1.0";
    if modern {
        assert!(page["versions"].is_array(), "{page:#}");
    }
    for file in page["files"].as_array().unwrap() {
        assert!(
            file["filename"].is_string() && file["url"].is_string(),
            "{file:#}"
        );
        let hashes = file["hashes"].as_object().unwrap();
        assert_eq!(hashes.keys().collect::<Vec<_>>(), ["sha256"], "{file:#}");
        assert!(
            file["size"].is_u64() || (!modern && file.get("size").is_none()),
            "{file:#}"
        );
        if let Some(time) = file.get("upload-time") {
            let time = time.as_str().unwrap();
            time.parse::<jiff::Timestamp>()
                .unwrap_or_else(|error| panic!("{time}: {error}"));
        }
        if let Some(yanked) = file.get("yanked") {
            assert!(
                yanked.is_boolean() || yanked.as_str().is_some_and(|reason| !reason.is_empty()),
                "{file:#}"
            );
        }
        if let Some(metadata) = file.get("core-metadata") {
            assert!(
                metadata.is_boolean() || metadata["sha256"].is_string(),
                "{file:#}"
            );
        }
        assert!(file.get("dist-info-metadata").is_none(), "PEP 714: {file:#}");
    }
}

#[test]
fn a_page_has_no_null_and_every_field_has_its_type() {
    let daemon = holding(&six());
    let page = json_page(&daemon, "six").json();
    assert_sound(&page);
    assert_eq!(page["name"], "six");
    assert_eq!(page["versions"], json!(["1.0"]));
    assert_eq!(page["meta"]["api-version"], "1.4");
    let file = &page["files"][0];
    let six = six();
    assert_eq!(file["filename"], six.filename.as_str());
    assert_eq!(file["hashes"]["sha256"], six.sha256.as_str());
    assert_eq!(file["size"], six.size);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_nulls_and_missing_fields_do_not_come_through() {
    let (upstream, daemon) = on_demand(&[six()]).await;
    upstream.shape(|shape| {
        shape.null_fields = true;
        shape.sizes = false;
        shape.upload_times = false;
    });
    let page = json_page(&daemon, "six");
    assert_eq!(page.status, 200, "{page}");
    assert_sound(&page.json());
    assert_eq!(page.json()["files"].as_array().unwrap().len(), 1, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_yank_reason_becomes_true() {
    let mut file = six();
    file.yanked = Some(String::new());
    let (_upstream, daemon) = on_demand(&[file]).await;
    let page = json_page(&daemon, "six").json();
    assert_sound(&page);
    let yanked = &page["files"][0]["yanked"];
    assert!(
        *yanked == true || yanked.as_str().is_some_and(|reason| !reason.is_empty()),
        "{page:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_time_is_relayed_unchanged() {
    let six = six();
    let (_upstream, daemon) = on_demand(std::slice::from_ref(&six)).await;
    let before = json_page(&daemon, "six").json();
    assert_eq!(before["files"][0]["upload-time"], six.upload_time.as_str());
    assert_eq!(daemon.get(&first_file(&before, "six")).status, 200);
    let after = json_page(&daemon, "six").json();
    assert_eq!(
        after["files"][0]["upload-time"],
        six.upload_time.as_str(),
        "and after it was admitted"
    );
}

#[test]
fn core_metadata_is_announced_in_both_forms() {
    let daemon = holding(&six());
    let digest = Digest::of(six().metadata.as_ref().unwrap()).to_string();
    let page = json_page(&daemon, "six").json();
    assert_eq!(
        page["files"][0]["core-metadata"]["sha256"],
        digest.as_str(),
        "{page:#}"
    );
    let html = html_page(&daemon, "six").text();
    for name in ["data-dist-info-metadata", "data-core-metadata"] {
        assert!(
            html.contains(&format!("{name}=\"sha256={digest}\"")),
            "{name}:\n{html}"
        );
    }
    assert!(html.contains(&format!("#sha256={}", six().sha256)), "{html}");
}

/// Every installer installs from a page that is only marked (PEP 792).
#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_project_lists_no_files() {
    let six = six();
    let (upstream, daemon) = on_demand(std::slice::from_ref(&six)).await;
    let page = json!({
        "meta": { "api-version": "1.4" }, "name": "six", "versions": ["1.0"],
        "project-status": { "status": "quarantined", "reason": "malware" },
        "files": [{
            "filename": six.filename, "url": format!("http://{}{}", upstream.addr(), file_path(&six.filename)),
            "hashes": { "sha256": six.sha256 }, "size": six.size,
        }],
    });
    upstream.fault(
        &page_path("six"),
        Fault::Body(JSON.to_owned(), page.to_string().into()),
    );
    let page = json_page(&daemon, "six").json();
    assert_eq!(page["project-status"]["status"], "quarantined", "{page:#}");
    assert_eq!(page["files"], json!([]));
    assert!(!html_page(&daemon, "six").text().contains("<a "));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_address_is_never_shown() {
    let six = six();
    let (upstream, daemon) = on_demand(&[six.clone(), lying_wheel("liar", "1.0")]).await;
    upstream.shape(|shape| shape.files_elsewhere = true);
    let (index, files) = (upstream.addr().to_string(), upstream.elsewhere().to_string());
    let liar = json_page(&daemon, "liar");
    let denied = daemon.get(&first_file(&liar.json(), "liar"));
    upstream.fault("*", Fault::Status(500));
    let broken = json_page(&daemon, "flask");
    upstream.heal();
    for answer in [
        json_page(&daemon, "six"),
        html_page(&daemon, "six"),
        liar,
        denied,
        broken,
        daemon.get("/simple/nothing/"),
    ] {
        let whole = answer.to_string();
        assert!(!whole.contains(&index) && !whole.contains(&files), "{whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_live_on_the_indexs_origin() {
    let (_upstream, daemon) = on_demand(&[six()]).await;
    let page = json_page(&daemon, "six").json();
    let path = first_file(&page, "six");
    assert_eq!(daemon.get(&path).body, six().bytes);
}

// Status codes.

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_project_is_404_and_never_an_empty_page() {
    let (_upstream, daemon) = on_demand(&[six()]).await;
    for accept in [PIP_ACCEPT, "text/html"] {
        let answer = daemon.request("GET", "/simple/no-such-project/", &[("Accept", accept)]);
        assert_eq!(answer.status, 404, "{answer}");
    }
    for path in [
        "/simple/-/",
        "/simple/a%20b/",
        "/simple/..%2f..%2fetc/",
        "/simple/%00/",
    ] {
        let answer = daemon.request("GET", path, &[("Accept", PIP_ACCEPT)]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer}");
    }
}

/// 404 lets uv go on to its next index: an upstream that is down must not look like "no such project".
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_not_404() {
    let (upstream, daemon) = on_demand(&[six()]).await;
    upstream.fault("*", Fault::Status(500));
    let answer = json_page(&daemon, "flask");
    assert!(matches!(answer.status, 502..=504), "{answer}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_403_in_words_that_pip_and_uv_print() {
    let liar = lying_wheel("liar", "1.0");
    let (_upstream, daemon) = on_demand(std::slice::from_ref(&liar)).await;
    let path = format!("/files/{}/{}", liar.sha256, liar.filename);
    let before = json_page(&daemon, "liar").json();
    assert_eq!(first_file(&before, "liar"), path);
    for time in ["at the first request", "and from memory"] {
        let answer = daemon.get(&path);
        assert_eq!(answer.status, 403, "{time}: {answer}");
        assert!(
            answer.reason.contains(&liar.filename) && answer.reason.len() > 20,
            "{time}: {answer}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], 403);
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}: {problem:#}"
            );
        }
        assert_ne!(
            answer.header("cache-control"),
            FOR_EVER,
            "a restored file must come back"
        );
    }
    let after = json_page(&daemon, "liar");
    assert!(
        after.status == 404 || after.json()["files"] == json!([]),
        "it is absent from the index: {after}"
    );
    assert!(!after.text().contains(&liar.filename));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_takes_long_is_503_with_retry_after_and_then_succeeds() {
    let six = six();
    let (upstream, daemon) = on_demand_with(std::slice::from_ref(&six), |url| {
        DaemonOptions::on_demand(url).server("verdict_wait = \"1s\"")
    })
    .await;
    let page = json_page(&daemon, "six").json();
    let path = first_file(&page, "six");
    upstream.fault_times(&file_path(&six.filename), 1, Fault::Delay(Duration::from_secs(3)));
    let begun = Instant::now();
    let answer = daemon.get(&path);
    assert_eq!(answer.status, 503, "{answer}");
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "the request was held for the verdict"
    );
    let retry_after: u64 = answer
        .header("retry-after")
        .parse()
        .expect("Retry-After in seconds");
    assert!((1..=30).contains(&retry_after), "{answer}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    // The work went on meanwhile: what a client's own retries find.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(retry_after));
        let answer = daemon.get(&path);
        if answer.status == 200 {
            assert_eq!(answer.body, six.bytes);
            assert_eq!(upstream.count(&file_path(&six.filename)), 1, "one download");
            return;
        }
        assert_eq!(answer.status, 503, "{answer}");
    }
    panic!("the file never came");
}
