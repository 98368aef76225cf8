//! Attestations, bundles, envelopes and bare signatures: any bytes end in a report, and none of them in a pass.
#![no_main]

use std::fs::File;
use std::sync::LazyLock;

use chiron::package::DistributionFilename;
use chiron::verify::signature::{Signed, Trust, signature};
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome};
use chiron_storage::Digest;
use libfuzzer_sys::fuzz_target;

static TRUST: LazyLock<Trust> = LazyLock::new(Trust::builtin);

fuzz_target!(|bytes: &[u8]| {
    let name = DistributionFilename::parse("demo-1.0-py3-none-any.whl").expect("a name");
    let file: File = tempfile::tempfile().expect("a file");
    let signed = Signed {
        name: &name,
        sha256: Digest::of(b""),
        file: &file,
        size: 0,
    };
    let sniffed = DocumentKind::sniff(bytes);
    for kind in [Some(DocumentKind::Provenance), Some(DocumentKind::Signature), sniffed].into_iter().flatten() {
        let document = Document {
            kind,
            origin: DocumentOrigin::Upstream,
            bytes: bytes.to_vec().into(),
        };
        assert_ne!(signature(&signed, &[document], &TRUST).outcome, Outcome::Pass);
    }
});
