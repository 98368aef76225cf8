//! The check as a whole: what passes, what is refused and by which code, and what is written when there is nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::verify::{ContentEntry, DocumentKind, DocumentOrigin};

const WHEEL: &str = "demo-1.0-py3-none-any.whl";

fn wheel_digest() -> Digest {
    Digest::of(b"the wheel")
}

fn metadata(fields: &str) -> CoreMetadata {
    let text = format!("Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n{fields}");
    CoreMetadata::parse(text.as_bytes()).unwrap()
}

fn entry(name: &str, bytes: &[u8]) -> ContentEntry {
    ContentEntry {
        name: name.to_owned(),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
        mode: 0o644,
    }
}

/// A wheel with these bills inside.
fn contents(sboms: &[(&str, Vec<u8>)]) -> Contents {
    let path = |name: &str| format!("demo-1.0.dist-info/sboms/{name}");
    Contents {
        dist_info: "demo-1.0.dist-info".to_owned(),
        entries: sboms
            .iter()
            .map(|(name, bytes)| entry(&path(name), bytes))
            .collect(),
        sboms: sboms
            .iter()
            .map(|(name, bytes)| (path(name), bytes.clone()))
            .collect(),
        dos_times: Some((1_577_836_800, 1_767_225_600)),
        ..Contents::default()
    }
}

fn beside(bytes: impl Into<Bytes>) -> Document {
    Document {
        kind: DocumentKind::Sbom,
        origin: DocumentOrigin::Beside,
        bytes: bytes.into(),
    }
}

fn check(contents: &Contents, documents: &[Document]) -> (Outcome, SbomFacts, Option<Vec<u8>>) {
    let name = DistributionFilename::parse(WHEEL).unwrap();
    let subject = Subject {
        name: &name,
        sha256: wheel_digest(),
        metadata: Some(&metadata("")),
        contents: Some(contents),
    };
    let found = sbom(&subject, documents, &[], &SbomLimits::default());
    let facts: SbomFacts = serde_json::from_value(Value::Object(found.report.facts)).unwrap();
    assert!(!found.report.summary.is_empty());
    (found.report.outcome, facts, found.served)
}

fn codes(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.code.as_str()).collect()
}

fn cyclonedx(root: &Value) -> Vec<u8> {
    let bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": root}});
    serde_json::to_vec(&bill).unwrap()
}

fn of_demo() -> Value {
    json!({"type": "library", "bom-ref": "r", "name": "demo", "version": "1.0", "purl": "pkg:pypi/demo@1.0"})
}

fn spdx(name: &str, sha256: Digest) -> Vec<u8> {
    let bill = json!({
        "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "dataLicense": "CC0-1.0", "name": "x",
        "documentNamespace": "urn:x", "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: t"]},
        "documentDescribes": ["SPDXRef-p"],
        "packages": [{"SPDXID": "SPDXRef-p", "name": name, "downloadLocation": "NOASSERTION", "versionInfo": "1.0",
            "checksums": [{"algorithm": "SHA256", "checksumValue": sha256.to_string()}],
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                "referenceLocator": format!("pkg:pypi/{name}@1.0")}]}],
    });
    serde_json::to_vec(&bill).unwrap()
}

#[test]
fn a_bill_inside_that_is_about_the_release_passes_and_is_served() {
    let bill = cyclonedx(&of_demo());
    let (outcome, facts, served) = check(&contents(&[("demo.cdx.json", bill.clone())]), &[]);
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(served, Some(bill));
    assert_eq!(
        (facts.origin, facts.served),
        (Origin::Published, Origin::Published)
    );
    let document = &facts.documents[0];
    assert_eq!(
        (document.role, document.version.as_str(), document.valid),
        (Some(Role::Root), "1.5", true)
    );
    assert_eq!(document.place, "demo-1.0.dist-info/sboms/demo.cdx.json");
    assert!(codes(&facts.findings).is_empty() && codes(&facts.warnings).is_empty());
}

#[test]
fn a_bill_about_a_crate_inside_passes_and_another_is_written_for_the_release() {
    let root = json!({"type": "library", "name": "demo", "version": "9.9", "purl": "pkg:cargo/demo@9.9"});
    let (outcome, facts, served) = check(&contents(&[("rust.cdx.json", cyclonedx(&root))]), &[]);
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(facts.documents[0].role, Some(Role::Embedded));
    assert_eq!(
        (facts.origin, facts.served),
        (Origin::Published, Origin::Generated)
    );
    assert!(
        String::from_utf8(served.unwrap())
            .unwrap()
            .contains("chiron:embedded-sbom")
    );
}

#[test]
fn spdx_beside_the_wheel_must_name_it_and_its_hash() {
    let plain = contents(&[]);
    let (outcome, facts, served) = check(&plain, &[beside(spdx("demo", wheel_digest()))]);
    assert_eq!(outcome, Outcome::Pass, "{facts:?}");
    assert!(facts.documents[0].names_digest && served.is_some());
    for (bill, code) in [
        (spdx("demo", Digest::of(b"another wheel")), "another-file"),
        (spdx("requests", Digest::of(b"another wheel")), "another-project"),
    ] {
        let (outcome, facts, served) = check(&plain, &[beside(bill)]);
        assert_eq!(outcome, Outcome::Fail);
        assert_eq!(codes(&facts.findings)[0], code);
        assert_eq!((facts.served, served), (Origin::None, None));
    }
}

/// Each is a `fail` with a code of its own, soon, and one bad document among good ones is enough.
#[test]
fn bad_documents_are_refused_by_their_own_codes() {
    let nested = |levels: usize| {
        let (open, close) = (r#"{"type":"library","name":"a","components":["#, "]}");
        format!(
            r#"{{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[{}{}]}}"#,
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    let good = String::from_utf8(cyclonedx(&of_demo())).unwrap();
    for (bytes, code) in [
        (Vec::new(), "malformed"),
        (b"not json".to_vec(), "malformed"),
        (
            b"<bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\"/>".to_vec(),
            "malformed",
        ),
        (vec![b' '; 50 << 20], "too-large"),
        (vec![b'['; 15 << 20], "too-deep"),
        (nested(40).into_bytes(), "too-deep"),
        (
            format!("[{}0]", "0,".repeat(7 << 20)).into_bytes(),
            "too-many-values",
        ),
        (
            good.replacen("\"version\":1", "\"version\":1,\"version\":2", 1)
                .into_bytes(),
            "duplicate-key",
        ),
        (good.replace("\"1.5\"", "\"1.2\"").into_bytes(), "unknown-version"),
        (good.replace("\"1.5\"", "\"9.9\"").into_bytes(), "unknown-version"),
        (b"{}".to_vec(), "unknown-format"),
        (
            good.replace("\"library\"", "\"nonsense\"").into_bytes(),
            "invalid",
        ),
        (good.replace("\"1.0\"", "\"2.0\"").into_bytes(), "another-version"),
    ] {
        let begun = Instant::now();
        let (outcome, facts, served) = check(
            &contents(&[("good.json", good.clone().into_bytes())]),
            &[beside(bytes)],
        );
        assert_eq!(outcome, Outcome::Fail, "{code}");
        assert_eq!(codes(&facts.findings)[0], code, "{:?}", facts.findings);
        assert_eq!(served, None, "{code}");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{code}: {:?}",
            begun.elapsed()
        );
    }
}

/// The schema of SPDX 3.0 is slow by the value, so it has bounds of its own.
#[test]
fn spdx_3_is_bounded_more_narrowly() {
    let agent = |inner: Value| {
        json!({"type": "Organization", "spdxId": "urn:o", "name": "o", "creationInfo":
            {"type": "CreationInfo", "specVersion": "3.0.1", "created": "2026-01-01T00:00:00Z", "createdBy": [inner]}})
    };
    let bill = |graph: Vec<Value>| {
        let context = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld";
        serde_json::to_vec(&json!({"@context": context, "@graph": graph})).unwrap()
    };
    let nested = (0..5).fold(json!("urn:x"), |inner, _| agent(inner));
    let begun = Instant::now();
    for (graph, code) in [
        (vec![agent(json!("urn:x"))], "another-project"),
        (vec![nested], "too-deep"),
        (vec![agent(json!("urn:x")); 20_000], "too-many-values"),
    ] {
        let (outcome, facts, _) = check(&contents(&[]), &[beside(bill(graph))]);
        assert_eq!((outcome, codes(&facts.findings)), (Outcome::Fail, vec![code]));
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// The validator calls itself for each level; a check runs on a thread with 2 MiB of stack.
#[test]
fn the_deepest_allowed_document_is_validated_on_a_small_stack() {
    let (open, close) = (r#"{"type":"library","name":"a","components":["#, "]}");
    let levels = (SbomLimits::default().depth - 3) / 2;
    let bill = format!(
        r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{}{}]}}"#,
        open.repeat(levels),
        close.repeat(levels)
    );
    let run = move || {
        let (outcome, facts, _) = check(&contents(&[("deep.json", bill.into_bytes())]), &[]);
        assert_eq!(outcome, Outcome::Pass, "{:?}", facts.findings);
        assert_eq!(facts.documents[0].components, levels as u64);
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_document_that_was_too_large_to_hold_is_not_overlooked() {
    let mut contents = contents(&[("a.json", cyclonedx(&of_demo()))]);
    contents
        .entries
        .push(entry("demo-1.0.dist-info/sboms/huge.json", b"not held"));
    let (outcome, facts, _) = check(&contents, &[]);
    assert_eq!(outcome, Outcome::Fail);
    assert_eq!(codes(&facts.findings), ["too-large"]);
    assert_eq!(facts.documents.len(), 2);
}

#[test]
fn documents_beyond_the_bound_are_a_failure() {
    let many: Vec<Document> = (0..=SbomLimits::default().documents)
        .map(|_| beside(cyclonedx(&of_demo())))
        .collect();
    let (outcome, facts, _) = check(&contents(&[]), &many);
    assert_eq!(
        (outcome, codes(&facts.findings)),
        (Outcome::Fail, vec!["too-many"])
    );
    assert_eq!(facts.documents.len(), SbomLimits::default().documents);
}

#[test]
fn nothing_published_is_absent_and_a_bill_is_written_that_is_valid_and_always_the_same() {
    let mut wheel = contents(&[]);
    wheel.entries = vec![
        entry("demo.libs/libz-1a2b3c4d.so.1", b"z"),
        entry("demo/a.py", b"x"),
    ];
    wheel.vendor_lists = vec![("demo/_vendor/vendor.txt".to_owned(), b"idna==3.10\n".to_vec())];
    let name = DistributionFilename::parse(WHEEL).unwrap();
    let metadata = metadata(
        "License-Expression: mit\nSummary: a demo\nRequires-Dist: Requests[socks]>=2\nRequires-Dist: idna; extra == 'x'\n\
         Requires-Dist: requests<3; python_version < '4'\nRequires-Dist: @ nonsense\n",
    );
    let subject = Subject {
        name: &name,
        sha256: wheel_digest(),
        metadata: Some(&metadata),
        contents: Some(&wheel),
    };
    let found = sbom(&subject, &[], &[], &SbomLimits::default());
    assert_eq!(found.report.outcome, Outcome::Absent);
    assert_eq!(found.report.facts["origin"], "generated");
    assert_eq!(found.report.facts["unclaimed_total"], 2);
    let bytes = found.served.unwrap();
    let bill: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(schemas::validate(Kind::CycloneDx16, &bill), Ok(()));
    let root = &bill["metadata"]["component"];
    assert_eq!(
        root["purl"],
        "pkg:pypi/demo@1.0?file_name=demo-1.0-py3-none-any.whl"
    );
    assert_eq!(root["hashes"][0]["content"], wheel_digest().to_string());
    assert_eq!(root["licenses"][0]["expression"], "MIT");
    assert_eq!(bill["metadata"]["lifecycles"][0]["phase"], "post-build");
    assert_eq!(bill["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(bill["compositions"][0]["aggregate"], "incomplete");
    let names: Vec<_> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["bom-ref"])
        .collect();
    assert_eq!(
        names,
        [
            "file:demo.libs/libz-1a2b3c4d.so.1",
            "vendored:pkg:pypi/idna@3.10",
            "requires:pkg:pypi/idna",
            "requires:pkg:pypi/requests"
        ]
    );
    assert_eq!(bill["dependencies"][0]["dependsOn"].as_array().unwrap().len(), 4);
    assert_eq!(bill["components"][2]["scope"], "optional");
    assert_eq!(bill["components"][3]["scope"], "required");
    let again = sbom(&subject, &[], &[], &SbomLimits::default());
    assert_eq!(again.served.as_deref(), Some(&bytes[..]));

    // What Chiron writes, Chiron accepts as a published one.
    let (outcome, facts, _) = check(&wheel, &[beside(bytes)]);
    assert_eq!(outcome, Outcome::Pass, "{facts:?}");
    assert!(
        facts.documents[0].names_digest && facts.documents[0].refs_unique && facts.documents[0].graph_closed
    );
    assert_eq!(facts.unclaimed_total, 0);
}

#[test]
fn an_sdist_gets_a_bill_of_its_metadata() {
    let name = DistributionFilename::parse("demo-1.0.tar.gz").unwrap();
    let metadata = metadata("Requires-Dist: idna\n");
    let subject = Subject {
        name: &name,
        sha256: wheel_digest(),
        metadata: Some(&metadata),
        contents: None,
    };
    let found = sbom(&subject, &[], &[], &SbomLimits::default());
    let bill: Value = serde_json::from_slice(&found.served.unwrap()).unwrap();
    assert_eq!(schemas::validate(Kind::CycloneDx16, &bill), Ok(()));
    assert_eq!(bill["components"][0]["purl"], "pkg:pypi/idna");
    assert_eq!(bill["metadata"]["timestamp"], Value::Null);
}

#[test]
fn attested_bills_belong_to_the_file_whatever_they_are_about() {
    let name = DistributionFilename::parse(WHEEL).unwrap();
    let subject = Subject {
        name: &name,
        sha256: wheel_digest(),
        metadata: None,
        contents: None,
    };
    let root = json!({"type": "library", "name": "x", "purl": "pkg:cargo/x@1"});
    let found = sbom(&subject, &[], &[cyclonedx(&root).into()], &SbomLimits::default());
    assert_eq!(found.report.outcome, Outcome::Pass);
    assert_eq!(found.report.facts["documents"][0]["where"], "attestation");
}

#[test]
fn text_from_a_bill_cannot_move_the_cursor() {
    let root = json!({"type": "library", "name": "demo\u{1b}[2J", "purl": "pkg:pypi/other@\u{202e}1"});
    let (_, facts, _) = check(&contents(&[]), &[beside(cyclonedx(&root))]);
    let all = serde_json::to_string(&facts).unwrap();
    assert!(
        !all.contains('\u{1b}') && !all.contains('\u{202e}') && !all.contains("\\u001b"),
        "{all}"
    );
}

/// A hostile bill against a hostile wheel: neither multiplies the other.
#[test]
fn many_components_and_many_libraries_are_compared_in_little_time() {
    let components: Vec<Value> = (0..60_000)
        .map(|n| json!({"type": "library", "name": format!("aaaa{n}x"), "bom-ref": n.to_string()}))
        .collect();
    let bill =
        json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components});
    let mut wheel = contents(&[("a.json", serde_json::to_vec(&bill).unwrap())]);
    wheel
        .entries
        .extend((0..50_000).map(|n| entry(&format!("demo.libs/libbbbb{n}x.so"), b"")));
    let begun = Instant::now();
    let (outcome, facts, _) = check(&wheel, &[]);
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(facts.unclaimed.len(), LISTED);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_are_judged_and_never_pass_by_accident(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (outcome, facts, served) = check(&contents(&[]), &[beside(bytes)]);
        prop_assert_eq!(outcome, Outcome::Fail);
        prop_assert_eq!((facts.findings.len(), served), (1, None));
    }

    /// A byte changed anywhere in a good bill: the check ends, and what passes is still valid JSON about this release.
    #[test]
    fn a_changed_byte_is_judged(place in 0_usize..200, byte: u8) {
        let mut bill = cyclonedx(&of_demo());
        let place = place % bill.len();
        bill[place] = byte;
        let (outcome, facts, _) = check(&contents(&[]), &[beside(bill)]);
        prop_assert!(outcome == Outcome::Fail || facts.documents[0].role == Some(Role::Root));
    }

    #[test]
    fn what_is_written_is_valid_for_any_metadata(summary in ".{0,40}", requires in ".{0,30}", library in "[a-z/.0-9-]{0,20}") {
        let text = format!("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: {summary}\nRequires-Dist: {requires}\n");
        if let Ok(metadata) = CoreMetadata::parse(text.as_bytes()) {
            let name = DistributionFilename::parse(WHEEL).unwrap();
            let wheel = Contents { entries: vec![entry(&format!("demo.libs/{library}.so"), b"x")], ..contents(&[]) };
            let subject = Subject { name: &name, sha256: wheel_digest(), metadata: Some(&metadata), contents: Some(&wheel) };
            let bill: Value = serde_json::from_slice(&sbom(&subject, &[], &[], &SbomLimits::default()).served.unwrap()).unwrap();
            prop_assert_eq!(schemas::validate(Kind::CycloneDx16, &bill), Ok(()));
        }
    }
}
