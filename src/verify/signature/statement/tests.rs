#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::fs::File;

use chiron_storage::Digest;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const WHEEL: &str = "acme_app-1.0-py2.py3-none-any.whl";

fn codes(statement: &Value, name: &str) -> Vec<Code> {
    let file: File = tempfile::tempfile().unwrap();
    let name = DistributionFilename::parse(name).unwrap();
    let signed = Signed {
        name: &name,
        sha256: Digest::of(b"wheel"),
        file: &file,
        size: 0,
    };
    match Statement::read(statement.to_string().as_bytes(), true) {
        Ok(statement) => statement
            .flaws(&signed)
            .into_iter()
            .map(|flaw| flaw.code)
            .collect(),
        Err(flaw) => vec![flaw.code],
    }
}

fn publish(name: &str) -> Value {
    json!({
        "_type": STATEMENT_V1,
        "subject": [{"name": name, "digest": {"sha256": Digest::of(b"wheel").to_string()}}],
        "predicateType": PUBLISH_V1,
        "predicate": null,
    })
}

#[test]
fn a_statement_about_this_file_has_no_flaw() {
    assert_eq!(codes(&publish(WHEEL), WHEEL), []);
    let mut empty = publish(WHEEL);
    empty["predicate"] = json!({});
    assert_eq!(codes(&empty, WHEEL), []);
    empty.as_object_mut().unwrap().remove("predicate");
    assert_eq!(codes(&empty, WHEEL), []);
}

#[test]
fn names_are_compared_as_what_they_mean() {
    for same in [
        "acme_app-1.0-py3.py2-none-any.whl",
        "Acme.App-1.0-py2.py3-none-any.whl",
        "acme_app-1.0.0-py2.py3-none-any.whl",
    ] {
        assert_eq!(codes(&publish(same), WHEEL), [], "{same}");
    }
    for other in [
        "acme_app-1.0-py3-none-any.whl",
        "acme_app-1.0-1-py2.py3-none-any.whl",
        "acme_app-1.1-py2.py3-none-any.whl",
        "acme_apps-1.0-py2.py3-none-any.whl",
        "acme_app-1.0-py2.py3-none-linux_x86_64.whl",
        "acme_app-1.0.tar.gz",
        "../acme_app-1.0-py2.py3-none-any.whl",
        "",
    ] {
        assert_eq!(codes(&publish(other), WHEEL), [Code::WrongFilename], "{other}");
    }
    assert_eq!(codes(&publish("acme-app-1.0.tar.gz"), "acme_app-1.0.tar.gz"), []);
    assert_eq!(
        codes(&publish("acme_app-1.0.zip"), "acme_app-1.0.tar.gz"),
        [Code::WrongFilename]
    );
}

#[test]
fn a_second_subject_is_refused_wherever_it_stands() {
    let other = json!({"name": "evil-1.0.tar.gz", "digest": {"sha256": "00".repeat(32)}});
    for at in [0, 1] {
        let mut two = publish(WHEEL);
        two["subject"].as_array_mut().unwrap().insert(at, other.clone());
        assert_eq!(codes(&two, WHEEL), [Code::SeveralSubjects]);
    }
    let mut none = publish(WHEEL);
    none["subject"] = json!([]);
    assert_eq!(codes(&none, WHEEL), [Code::Malformed]);
}

#[test]
fn only_the_files_own_sha256_will_do() {
    let mut wrong = publish(WHEEL);
    wrong["subject"][0]["digest"] = json!({"sha256": "00".repeat(32)});
    assert_eq!(codes(&wrong, WHEEL), [Code::WrongDigest]);
    wrong["subject"][0]["digest"] = json!({"sha512": "00".repeat(64)});
    assert_eq!(codes(&wrong, WHEEL), [Code::WrongDigest]);
}

#[test]
fn the_predicate_is_one_that_says_something() {
    let mut statement = publish(WHEEL);
    statement["predicate"] = json!({"and": "more"});
    assert_eq!(codes(&statement, WHEEL), [Code::WrongPredicate]);
    statement["predicateType"] = json!("https://cyclonedx.org/bom");
    assert_eq!(codes(&statement, WHEEL), [Code::WrongPredicate]);
}

#[test]
fn other_shapes_are_refused() {
    let mut statement = publish(WHEEL);
    statement["_type"] = json!("https://in-toto.io/Statement/v2");
    assert_eq!(codes(&statement, WHEEL), [Code::UnsupportedVersion]);
    statement["_type"] = json!(STATEMENT_V01);
    assert_eq!(codes(&statement, WHEEL), [Code::UnsupportedVersion]);
    assert!(Statement::read(statement.to_string().as_bytes(), false).is_ok());
    for value in [json!(null), json!([]), json!({}), json!({"_type": 1})] {
        assert_eq!(codes(&value, WHEEL), [Code::Malformed], "{value}");
    }
    // A member twice: which one was meant is nobody's guess.
    let twice = format!(r#"{{"_type":"{STATEMENT_V1}","subject":[],"subject":[],"predicateType":"p"}}"#);
    assert!(Statement::read(twice.as_bytes(), true).is_err());
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Statement::read(&bytes, false));
    }

    #[test]
    fn no_other_name_passes(name in "[a-zA-Z0-9._-]{0,40}") {
        prop_assume!(!name.to_lowercase().starts_with("acme"));
        prop_assert_eq!(codes(&publish(&name), WHEEL), [Code::WrongFilename]);
    }
}
