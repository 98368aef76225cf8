//! Nothing is admitted because something could not be checked.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::super::decide::ask;
use super::super::*;
use super::*;
use Decision::{Admit, Quarantine, Refuse};

/// A policy whose profile is `text`.
fn profile(text: &str) -> Result<Policy, PolicyError> {
    let files = [(
        "profile.rego".to_owned(),
        format!("package chiron.profile\n\n{text}"),
    )]
    .into();
    let site = SiteRules {
        files,
        ..SiteRules::default()
    };
    Policy::new(Profile::Standard, Settings::default(), &site)
}

/// It compiles, and the best of files is not admitted with it; why.
#[track_caller]
fn undecided(text: &str) -> String {
    let verdict = exemplary().judge(&profile(text).unwrap());
    assert_eq!(verdict.decision, Quarantine, "{:?}", verdict.reasons);
    assert_eq!(verdict.reasons.len(), 1);
    assert_eq!(
        (
            verdict.reasons[0].check.as_str(),
            verdict.reasons[0].code.as_str()
        ),
        ("policy", "undecided")
    );
    verdict.reasons[0].message.clone()
}

const GOOD: &str =
    r#"{"admit": true, "requirements": {"structure": true, "hashes": true}, "objections": []}"#;

#[test]
fn a_profile_of_the_sites_own_decides() {
    let policy = profile(&format!("decision := {GOOD}")).unwrap();
    assert!(policy.replaces_profile());
    expect(&policy, &exemplary(), Admit, &[]);
}

#[test]
fn a_policy_that_does_not_parse_is_no_policy() {
    for text in [
        "decision := {",
        "decision := \"\\q\"",
        "decision if { input.x == }",
        "decision := x if { not input.handed_in == y }",
    ] {
        assert!(matches!(profile(text), Err(PolicyError::Parse(_))), "{text:?}");
    }
}

#[test]
fn a_policy_without_the_rule_that_decides_is_no_policy() {
    assert!(matches!(
        profile("admit := true"),
        Err(PolicyError::Missing { .. })
    ));
}

#[test]
fn fifty_megabytes_of_rules_are_not_parsed() {
    let long = "# x\n".repeat(13_000_000);
    assert!(matches!(profile(&long), Err(PolicyError::TooLong { .. })));
}

#[test]
fn a_policy_that_is_undefined_for_an_input_decides_nothing() {
    let message = undecided(&format!("decision := {GOOD} if input.handed_in == true"));
    assert!(message.contains("undefined"), "{message}");
    let message = undecided(&format!("decision := {GOOD} if input.no_such_field == 1"));
    assert!(message.contains("chiron policy check"), "{message}");
}

#[test]
fn a_policy_that_loops_is_stopped() {
    let started = std::time::Instant::now();
    let endless = "xs := [1,2,3,4,5,6,7,8,9,10]
n := count([1 | some a in xs; some b in xs; some c in xs; some d in xs; some e in xs; some f in xs; some g in xs; some h in xs; some i in xs; a+b+c+d+e+f+g+h+i > 0])
decision := {\"admit\": n > 0, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": []}";
    let message = undecided(endless);
    assert!(message.contains("stopped"), "{message}");
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn rules_that_use_themselves_are_refused_before_they_run() {
    for text in [
        "f(x) := f(x)\ndecision := f(1)",
        "f(x) := g(x)\ng(x) := f(x)\ndecision := f(1)",
        "decision := decision",
        "a := b\nb := a\ndecision := a",
        "decision := data.chiron.profile",
    ] {
        assert!(
            matches!(profile(text), Err(PolicyError::Circle { .. })),
            "{text}: {:?}",
            profile(text).err()
        );
    }
    let mut chain = String::from("r0 := 1\n");
    for n in 1..3_000 {
        writeln!(chain, "r{n} := r{}", n - 1).unwrap();
    }
    chain.push_str("decision := r2999");
    assert!(matches!(profile(&chain), Err(PolicyError::Circle { .. })));
}

#[test]
fn the_deepest_rules_that_are_allowed_fit_the_stack() {
    let (open, close) = ("abs(".repeat(20), ")".repeat(20));
    let mut chain = String::from("f0(x) := x\n");
    for n in 1..95 {
        writeln!(chain, "f{n}(x) := {open}f{}([[x]][0][0]){close}", n - 1).unwrap();
    }
    writeln!(chain, "decision := {GOOD} if f94(1) == 1").unwrap();
    expect(&profile(&chain).unwrap(), &exemplary(), Admit, &[]);
}

#[test]
fn clock_chance_and_network_may_not_be_asked() {
    for builtin in [
        "time.now_ns()",
        "rand.intn(\"a\", 5)",
        "http.send({\"url\": \"x\"})",
        "opa.runtime()",
    ] {
        let text = format!("x := {builtin}\ndecision := {GOOD}");
        assert!(
            matches!(profile(&text), Err(PolicyError::Forbidden { .. })),
            "{builtin}"
        );
    }
    assert!(matches!(
        profile("decision := no_such_function(1)"),
        Err(PolicyError::UnknownFunction { .. })
    ));
}

#[test]
fn a_builtin_error_decides_nothing() {
    let message = undecided(&format!("decision := {GOOD} if to_number(\"x\") == 1"));
    assert!(!message.is_empty());
    // Negation must not turn an error into truth.
    undecided(&format!("decision := {GOOD} if not to_number(\"x\") == 1"));
}

#[test]
fn a_builtin_that_multiplies_is_bounded() {
    let mut doubling = String::from("s0 := \"aaaaaaaaaaaaaaaa\"\n");
    for n in 1..60 {
        writeln!(doubling, "s{n} := concat(\"\", [s{0}, s{0}])", n - 1).unwrap();
    }
    undecided(&format!("{doubling}decision := {GOOD} if count(s59) > 0"));
    undecided(&format!(
        "decision := {GOOD} if count(numbers.range(1, 1000000000)) > 0"
    ));
    undecided(&format!(
        "decision := {GOOD} if count(sprintf(\"%1000000000d\", [1])) > 0"
    ));
    undecided(&format!("decision := {GOOD} if bits.lsh(1, 8000000000) > 0"));
}

#[test]
fn an_answer_of_another_shape_is_no_answer() {
    for answer in [
        "true",
        "\"admit\"",
        "[]",
        "{\"admit\": true}",
        "{\"admit\": \"true\", \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": []}",
        "{\"admit\": true, \"requirements\": {\"structure\": true}, \"objections\": []}",
        "{\"admit\": true, \"requirements\": {}, \"objections\": []}",
        "{\"admit\": true, \"requirements\": {\"structure\": true, \"hashes\": false}, \"objections\": []}",
        "{\"admit\": true, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": [], \"force\": true}",
        "{\"admit\": true, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": [{\"check\": \"x\"}]}",
        "{\"admit\": true, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": [{\"check\": \"x\", \"code\": \"y\", \"message\": \"m\", \"decision\": \"admit\"}]}",
        "{\"admit\": false, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": []}",
        "{\"admit\": false, \"requirements\": {\"structure\": false, \"hashes\": true}, \"objections\": []}",
    ] {
        undecided(&format!("decision := {answer}"));
    }
}

#[test]
fn an_answer_that_admits_and_objects_does_not_admit() {
    let policy = profile(
        "decision := {\"admit\": true, \"requirements\": {\"structure\": true, \"hashes\": true}, \"objections\": [{\"check\": \"policy\", \"code\": \"no\", \"message\": \"m\", \"decision\": \"refuse\"}]}",
    );
    expect(&policy.unwrap(), &exemplary(), Refuse, &["policy/no"]);
}

#[test]
fn no_policy_admits_what_did_not_pass_structure_and_hashes() {
    let policy = profile(&format!("decision := {GOOD}")).unwrap();
    expect(
        &policy,
        &exemplary().failing(CheckName::Structure, "x"),
        Quarantine,
        &["policy/undecided"],
    );
    expect(
        &policy,
        &exemplary().without(CheckName::Structure),
        Quarantine,
        &["policy/undecided"],
    );
    expect(
        &policy,
        &exemplary().outcome(CheckName::Hashes, Outcome::Error),
        Quarantine,
        &["policy/undecided"],
    );
}

#[test]
fn evidence_about_another_content_is_no_evidence() {
    let mut file = given();
    file.evidence[0].subject = Digest::of(b"other");
    expect(&standard(), &file, Quarantine, &["structure/no-evidence"]);
    let mut file = given();
    file.evidence[4].subject = Digest::of(b"other");
    expect(&standard(), &file, Quarantine, &["reproducibility/no-evidence"]);
}

#[test]
fn an_almost_empty_input_is_refused_by_its_schema() {
    for document in [
        json!({}),
        json!({ "schema": INPUT_SCHEMA }),
        json!({ "schema": INPUT_SCHEMA, "checks": {} }),
        json!([]),
        Value::Null,
    ] {
        assert!(input::checked(&document).is_err());
    }
}

/// An input document that every profile admits.
fn document() -> Value {
    let evidence: Vec<_> = exemplary()
        .evidence
        .iter()
        .map(|e| (Digest::of(&e.to_bytes()), e.clone()))
        .collect();
    let case = Case {
        file: exemplary().judge(&standard()).file,
        evidence: &evidence,
        handed_in: false,
        name_taken_by: None,
        circumstances: Circumstances::default(),
        now: now(),
    };
    serde_json::to_value(PolicyInput::new(&case, &Settings::default())).unwrap()
}

#[test]
fn the_schema_of_the_input_knows_every_check() {
    let schema = input_schema();
    let names = &schema["properties"]["checks"]["propertyNames"]["enum"];
    assert_eq!(names, &json!(CheckName::ALL));
    jsonschema::validator_for(&schema).unwrap();
}

#[test]
fn an_unknown_outcome_or_field_is_refused_by_the_schema() {
    input::checked(&document()).unwrap();
    let mut maybe = document();
    maybe["checks"]["structure"]["outcome"] = "maybe".into();
    assert!(input::checked(&maybe).is_err());
    let mut extra = document();
    extra["force"] = true.into();
    assert!(input::checked(&extra).is_err());
    let mut unknown = document();
    unknown["checks"]["mood"] = document()["checks"]["structure"].clone();
    assert!(input::checked(&unknown).is_err());
}

#[test]
fn taking_any_part_of_the_input_away_never_admits() {
    for profile in Profile::ALL {
        let policy = Policy::builtin(profile);
        let admits = |document: &Value| {
            let value = regorus::Value::from_json_str(&document.to_string()).unwrap();
            ask(&policy, value).is_ok_and(|(decision, site)| {
                decision.admit && decision.objections.is_empty() && site.is_empty()
            })
        };
        assert!(admits(&document()));
        assert!(!admits(&json!({})));
        for check in ["structure", "hashes"] {
            let mut without = document();
            without["checks"].as_object_mut().unwrap().remove(check);
            assert!(!admits(&without), "{profile:?} without {check}");
        }
        if profile == Profile::Audit {
            continue;
        }
        for key in [
            "checks",
            "age",
            "history",
            "licence",
            "publishers",
            "owned",
            "yanked",
        ] {
            let mut without = document();
            without.as_object_mut().unwrap().remove(key);
            let unasked = matches!(key, "age" | "yanked"); // the default settings ask for neither
            assert!(unasked || !admits(&without), "{profile:?} without {key}");
        }
        for check in CheckName::ALL {
            let mut without = document();
            without["checks"].as_object_mut().unwrap().remove(check.as_str());
            assert!(!admits(&without), "{profile:?} without {check}");
        }
    }
}

#[test]
fn facts_that_nest_without_end_are_not_judged() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let file = given().with(CheckName::Structure, Outcome::Pass, &json!({ "x": deep }));
    expect(&standard(), &file, Quarantine, &["policy/undecided"]);
}

#[test]
fn facts_without_end_are_not_judged() {
    let long = "x".repeat(17 << 20);
    let file = given().with(CheckName::Structure, Outcome::Pass, &json!({ "x": long }));
    expect(&standard(), &file, Quarantine, &["policy/undecided"]);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Pass),
        Just(Outcome::Fail),
        Just(Outcome::Absent),
        Just(Outcome::Error),
        Just(Outcome::Skipped)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Structure and hashes are the floor, whatever is missing and whatever the rest says; a verdict that does not
    /// admit says why.
    #[test]
    fn fails_closed(found in proptest::collection::vec(proptest::option::of(outcomes()), 6), handed_in: bool, p in 0..3_usize) {
        let policy = Policy::builtin(Profile::ALL[p]);
        let mut file = exemplary();
        file.handed_in = handed_in;
        for (check, outcome) in CheckName::ALL.into_iter().zip(&found) {
            file = match outcome {
                Some(outcome) => file.outcome(check, *outcome),
                None => file.without(check),
            };
        }
        let verdict = file.judge(&policy);
        prop_assert_eq!(verdict.reasons.is_empty(), verdict.decision == Admit);
        let hashed = found[1] == Some(Outcome::Pass)
            || (found[1] == Some(Outcome::Absent) && handed_in && p != 0);
        let floor = found[0] == Some(Outcome::Pass) && hashed;
        if verdict.decision == Admit {
            prop_assert!(floor);
            if p < 2 {
                for outcome in &found {
                    prop_assert!(matches!(outcome, Some(Outcome::Pass | Outcome::Absent)));
                }
            }
        } else if p == 2 {
            prop_assert!(!floor);
        }
    }
}
