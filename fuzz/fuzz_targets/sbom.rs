//! The sbom check: any bytes beside a wheel are a finding or a valid bill, and what is served is JSON.
#![no_main]

use chiron::package::DistributionFilename;
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome, SbomLimits, sbom};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = DistributionFilename::parse("demo-1.0-py3-none-any.whl").expect("a name");
    let subject = sbom::Subject {
        name: &name,
        sha256: chiron_storage::Digest::of(b"the wheel"),
        metadata: None,
        contents: None,
    };
    let document = Document {
        kind: DocumentKind::Sbom,
        origin: DocumentOrigin::Beside,
        bytes: bytes.to_vec().into(),
    };
    let found = sbom::sbom(&subject, &[document], &[], &SbomLimits::default());
    let findings = found.report.facts["findings"].as_array().map_or(0, Vec::len);
    assert_eq!(found.report.outcome == Outcome::Pass, findings == 0);
    assert_eq!(found.served.is_some(), found.report.outcome == Outcome::Pass);
});
