//! Promise: what Chiron signs is read by others. Independent readers take its envelopes and keys, and its readers take
//! theirs: OpenSSL always, and Python's `securesystemslib` and `in-toto-attestation` where they can be installed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron::statement::{
    Envelope, EnvelopeError, Equivalence, PAYLOAD_TYPE, PublicKey, RebuildProvenance, Resource, Statement,
    StatementKey, Subject, builder_id, equivalence_statement, open, pae, rebuild_provenance,
    verdict_statement,
};
use chiron_storage::Digest;
use jiff::Timestamp;
use serde_json::{Value, json};

fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn file(name: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        sha256: Digest::of(name.as_bytes()),
    }
}

/// One of each kind that Chiron writes.
fn statements() -> Vec<Statement> {
    let wheel = file("demo-1.0-py3-none-any.whl");
    vec![
        verdict_statement(
            &wheel,
            json!({ "schema": "chiron.verdict/v1", "decision": "admit" }),
        ),
        rebuild_provenance(&RebuildProvenance {
            output: wheel.clone(),
            source: file("demo-1.0.tar.gz"),
            backend: "hatchling==1.25.0".to_owned(),
            recipe: None,
            epoch: Some(1_700_000_000),
            as_of: Some(at()),
            environment: vec![
                file("hatchling-1.25.0-py3-none-any.whl"),
                file("packaging-24.1-py3-none-any.whl"),
            ],
            tools: vec![("sandbox".to_owned(), "bubblewrap 0.8.0".to_owned())],
            builder: builder_id("chiron.example.org/log"),
            attempt: Some(Digest::of(b"attempt")),
            started: at(),
            finished: at(),
        }),
        equivalence_statement(&Equivalence {
            published: wheel,
            level: "time".to_owned(),
            source: file("demo-1.0.tar.gz"),
            rebuilt: Some(Digest::of(b"rebuilt")),
            attempt: Some(Digest::of(b"attempt")),
            builder: builder_id("chiron.example.org/log"),
            at: at(),
        }),
    ]
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let (done, text) = run(folder, "openssl", arguments);
    assert!(done, "openssl {arguments:?}: {text}");
}

#[test]
fn what_is_signed_is_what_the_schemas_say() {
    let schemas = [
        None, // the verdict's own schema is compared with real verdicts elsewhere
        Some(include_str!("../schemas/statement-rebuild.schema.json")),
        Some(include_str!("../schemas/statement-equivalence.schema.json")),
    ];
    for (statement, schema) in statements().iter().zip(schemas) {
        let Some(schema) = schema else { continue };
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let document: Value = serde_json::from_slice(&statement.to_bytes()).unwrap();
        let errors: Vec<String> = schema
            .iter_errors(&document)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {document}");
        let mut other = document;
        other["predicateType"] = "urn:example:other".into();
        assert!(!schema.is_valid(&other));
    }
}

#[test]
fn openssl_verifies_what_chiron_signs() {
    let folder = tempfile::tempdir().unwrap();
    let key = StatementKey::generate().unwrap();
    fs::write(folder.path().join("public.pem"), key.public_pem()).unwrap();
    for statement in statements() {
        let wire: Value = serde_json::from_slice(&key.sign(&statement).to_bytes()).unwrap();
        let payload = STANDARD.decode(wire["payload"].as_str().unwrap()).unwrap();
        let signature = STANDARD
            .decode(wire["signatures"][0]["sig"].as_str().unwrap())
            .unwrap();
        // The signed bytes are put together here from the specification's words, not by the code under test.
        let kind = wire["payloadType"].as_str().unwrap();
        let message = [
            format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(),
            &payload,
        ]
        .concat();
        fs::write(folder.path().join("message"), &message).unwrap();
        fs::write(folder.path().join("signature"), &signature).unwrap();
        let verify = [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "public.pem",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "signature",
        ];
        openssl(folder.path(), &verify);
        fs::write(folder.path().join("message"), [&message[..], b" "].concat()).unwrap();
        let (verified, text) = run(folder.path(), "openssl", &verify);
        assert!(!verified, "one more blank is another message: {text}");
    }
    // The key id is the SHA-256 of the key as OpenSSL writes it in DER.
    openssl(
        folder.path(),
        &[
            "pkey",
            "-pubin",
            "-in",
            "public.pem",
            "-outform",
            "DER",
            "-out",
            "public.der",
        ],
    );
    let der = fs::read(folder.path().join("public.der")).unwrap();
    assert_eq!(key.key_id(), Digest::of(&der).to_string());
}

#[test]
fn the_stored_key_is_one_that_openssl_reads_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let key = StatementKey::generate().unwrap();
    key.store(&folder.path().join("statement.key")).unwrap();
    openssl(
        folder.path(),
        &["pkey", "-in", "statement.key", "-pubout", "-out", "public.pem"],
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("public.pem")).unwrap(),
        key.public_pem()
    );

    openssl(
        folder.path(),
        &["genpkey", "-algorithm", "ed25519", "-out", "other.key"],
    );
    let other = StatementKey::load(&folder.path().join("other.key")).unwrap();
    openssl(
        folder.path(),
        &["pkey", "-in", "other.key", "-pubout", "-out", "other.pem"],
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("other.pem")).unwrap(),
        other.public_pem()
    );
}

#[test]
fn what_others_sign_with_ecdsa_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    for (curve, hash) in [("P-256", "sha256"), ("P-384", "sha384")] {
        let curve_option = format!("ec_paramgen_curve:{curve}");
        openssl(
            folder.path(),
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                &curve_option,
                "-out",
                "key.pem",
            ],
        );
        openssl(
            folder.path(),
            &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
        );
        let statement = Statement::new(
            Subject::new("a.whl", Digest::of(b"a")),
            "urn:example:other",
            json!({}),
        );
        let payload = statement.to_bytes();
        fs::write(folder.path().join("message"), pae(PAYLOAD_TYPE, &payload)).unwrap();
        let digest = format!("-{hash}");
        openssl(
            folder.path(),
            &[
                "dgst",
                &digest,
                "-sign",
                "key.pem",
                "-out",
                "signature",
                "message",
            ],
        );
        let signature = fs::read(folder.path().join("signature")).unwrap();
        let envelope = json!({
            "payload": STANDARD.encode(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": STANDARD.encode(&signature) }],
            "unknown": "fields are ignored",
        });
        let envelope = Envelope::parse(envelope.to_string().as_bytes()).unwrap();
        let key =
            PublicKey::from_pem(&fs::read_to_string(folder.path().join("public.pem")).unwrap()).unwrap();
        let opened = open(&envelope, &[key]).unwrap();
        assert_eq!(
            (opened.statement, opened.signed_by),
            (statement, vec![0]),
            "{curve}"
        );
        let stranger = StatementKey::generate().unwrap().public().clone();
        assert!(
            matches!(open(&envelope, &[stranger]), Err(EnvelopeError::Untrusted { .. })),
            "{curve}"
        );
    }
}

/// A folder of Python with the independent readers, or why there is none. Installed from the index that pip is
/// configured with; where that cannot be reached, the test says so, and fails if the tests are told to require it.
fn python(folder: &Path) -> Option<String> {
    let (made, text) = run(folder, "python3", &["-m", "venv", "venv"]);
    let python = folder.join("venv/bin/python").to_string_lossy().into_owned();
    let (installed, more) = if made {
        let packages = ["securesystemslib[crypto]==1.6.0", "in-toto-attestation==0.9.3"];
        let install = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:"];
        run(folder, &python, &[&install[..], &packages].concat())
    } else {
        (false, String::new())
    };
    if installed {
        return Some(python);
    }
    let why = format!("the independent readers cannot be installed: {text}{more}");
    let required = std::env::var("CHIRON_TESTS_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|what| what.trim() == "registry"),
        "{why}"
    );
    eprintln!("not run: {why}");
    None
}

const READER: &str = r#"
import base64, hashlib, json, pathlib, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
import in_toto_attestation.v1.statement_pb2 as spb
import in_toto_attestation.predicates.provenance.v1.provenance_pb2 as slsa
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
key = SSlibKey.from_crypto(load_pem_public_key(pathlib.Path("public.pem").read_bytes()), keyid=sys.argv[1])
for path in sorted(pathlib.Path(".").glob("*.dsse")):
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    signers = envelope.verify([key], 1)
    assert list(signers) == [sys.argv[1]], signers
    statement = json_format.Parse(envelope.payload, spb.Statement())
    Statement.copy_from_pb(statement).validate()
    if statement.predicate_type == "https://slsa.dev/provenance/v1":
        provenance = json_format.ParseDict(json_format.MessageToDict(statement.predicate), slsa.Provenance())
        assert provenance.run_details.builder.id and len(provenance.build_definition.resolved_dependencies) == 3
    print(path.name, statement.predicate_type, statement.subject[0].name)
tampered = json.loads(sorted(pathlib.Path(".").glob("*.dsse"))[0].read_bytes())
tampered["payload"] = base64.b64encode(base64.b64decode(tampered["payload"]) + b" ").decode()
try:
    Envelope.from_dict(tampered).verify([key], 1)
except Exception as refused:
    print("refused:", type(refused).__name__)
else:
    sys.exit("a changed payload was verified")
"#;

#[test]
fn independent_python_readers_verify_what_chiron_signs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python(folder.path()) else {
        return;
    };
    let key = StatementKey::generate().unwrap();
    fs::write(folder.path().join("public.pem"), key.public_pem()).unwrap();
    for (number, statement) in statements().iter().enumerate() {
        fs::write(
            folder.path().join(format!("{number}.dsse")),
            key.sign(statement).to_bytes(),
        )
        .unwrap();
    }
    let (read, text) = run(folder.path(), &python, &["-c", READER, &key.key_id()]);
    assert!(read, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "0.dsse urn:chiron:verdict:v1 demo-1.0-py3-none-any.whl",
            "1.dsse https://slsa.dev/provenance/v1 demo-1.0-py3-none-any.whl",
            "2.dsse urn:chiron:equivalence:v1 demo-1.0-py3-none-any.whl",
            "refused: VerificationError",
        ]
    );
}
