//! What the built-in profiles ask.

use serde_json::json;

use super::super::*;
use super::*;
use crate::config::{Rule, Severity};
use CheckName::{Advisories, Hashes, Reproducibility, Sbom, Signature, Structure};
use Decision::{Admit, Quarantine, Refuse};

#[test]
fn every_profile_compiles_and_has_nothing_to_warn_of() {
    for profile in Profile::ALL {
        let policy = Policy::new(profile, Settings::default(), &SiteRules::default()).unwrap();
        assert_eq!(policy.digest(), Policy::builtin(profile).digest());
    }
}

#[test]
fn an_unremarkable_wheel_passes_standard_and_audit_and_an_exemplary_one_strict() {
    for profile in [Profile::Standard, Profile::Audit] {
        expect(&Policy::builtin(profile), &given(), Admit, &[]);
    }
    for profile in Profile::ALL {
        expect(&Policy::builtin(profile), &exemplary(), Admit, &[]);
    }
}

#[test]
fn a_hand_made_wheel_without_source_or_digest_passes_standard() {
    let wheel = given().handed_in().outcome(Hashes, Outcome::Absent).with(
        Reproducibility,
        Outcome::Absent,
        &json!({ "level": "not-attempted", "pure": true, "rebuild": "not-asked" }),
    );
    expect(&standard(), &wheel, Admit, &[]);
    expect(&standard(), &wheel.clone().around(|a| a.owned = true), Admit, &[]);
}

#[test]
fn an_absent_digest_is_the_operators_word_only_for_a_file_handed_in() {
    let file = given().outcome(Hashes, Outcome::Absent);
    expect(&standard(), &file, Quarantine, &["hashes/absent"]);
    expect(&standard(), &file.clone().handed_in(), Admit, &[]);
    let strict = Policy::builtin(Profile::Strict);
    expect(
        &strict,
        &exemplary().outcome(Hashes, Outcome::Absent).handed_in(),
        Quarantine,
        &["hashes/absent"],
    );
}

#[test]
fn bad_bytes_are_refused_in_every_profile_and_nothing_else_is_said() {
    for profile in Profile::ALL {
        let mut bad = given().failing(Structure, "record-hash");
        for check in [Hashes, Signature, Sbom, Reproducibility, Advisories] {
            bad = bad.outcome(check, Outcome::Skipped);
        }
        expect(
            &Policy::builtin(profile),
            &bad,
            Refuse,
            &["structure/record-hash", "hashes/skipped"],
        );
    }
}

#[test]
fn what_was_published_must_verify() {
    let cases = [
        (Signature, "bad-signature", "signature/bad-signature"),
        (Sbom, "wrong-hash", "sbom/wrong-hash"),
    ];
    for (check, code, reason) in cases {
        expect(&standard(), &given().failing(check, code), Refuse, &[reason]);
        expect(
            &Policy::builtin(Profile::Audit),
            &given().failing(check, code),
            Admit,
            &[],
        );
    }
    expect(
        &standard(),
        &given().outcome(Signature, Outcome::Error),
        Quarantine,
        &["signature/could-not-check"],
    );
}

#[test]
fn an_sbom_is_published_or_written_here() {
    expect(
        &standard(),
        &given().with(Sbom, Outcome::Absent, &json!({ "origin": "none" })),
        Quarantine,
        &["sbom/absent"],
    );
    let sdist = given()
        .named("demo-1.0.tar.gz")
        .outcome(Sbom, Outcome::Absent)
        .with(
            Reproducibility,
            Outcome::Absent,
            &json!({ "level": "inapplicable" }),
        );
    expect(&standard(), &sdist, Admit, &[]);
    let signed = sdist.with(
        Signature,
        Outcome::Pass,
        &json!({ "attestations": [attestation()] }),
    );
    expect(&Policy::builtin(Profile::Strict), &signed, Admit, &[]);
}

#[test]
fn strict_asks_for_everything() {
    let strict = Policy::builtin(Profile::Strict);
    let all = [
        "signature/absent",
        "sbom/absent",
        "reproducibility/rebuild-pending",
    ];
    expect(&strict, &given(), Quarantine, &all);
    expect(&strict, &exemplary().level("generator", "done"), Admit, &[]);
    expect(
        &strict,
        &exemplary().level("traced", "done"),
        Quarantine,
        &["reproducibility/level-too-low"],
    );
    expect(
        &strict,
        &exemplary().level("traced", "unavailable"),
        Quarantine,
        &["reproducibility/rebuild-unavailable"],
    );
    expect(
        &strict,
        &exemplary().level("differs", "done"),
        Quarantine,
        &["reproducibility/differs"],
    );
}

#[test]
fn a_pure_wheel_must_follow_from_its_source_and_a_compiled_one_is_recorded() {
    let level = |level, rebuild| given().level(level, rebuild);
    expect(
        &standard(),
        &level("not-attempted", "wanted"),
        Quarantine,
        &["reproducibility/rebuild-pending"],
    );
    assert!(level("not-attempted", "wanted").judge(&standard()).reasons[0].is_temporary());
    expect(
        &standard(),
        &level("not-attempted", "unavailable"),
        Quarantine,
        &["reproducibility/rebuild-unavailable"],
    );
    expect(
        &standard(),
        &level("failed", "done"),
        Quarantine,
        &["reproducibility/could-not-check"],
    );
    expect(
        &standard(),
        &level("differs", "done"),
        Quarantine,
        &["reproducibility/differs"],
    );
    for outcome in [Outcome::Error, Outcome::Fail] {
        let compiled = given().with(
            Reproducibility,
            outcome,
            &json!({ "pure": false, "level": "differs" }),
        );
        expect(&standard(), &compiled, Admit, &[]);
        let unknown = given().with(Reproducibility, outcome, &json!({ "level": "differs" }));
        assert_eq!(
            unknown.judge(&standard()).decision,
            Quarantine,
            "a fact that is missing is not false"
        );
    }
}

#[test]
fn known_vulnerabilities() {
    let advisory = |change: fn(&mut Value)| given().advisory(change);
    expect(&standard(), &advisory(|_| ()), Admit, &[]);
    expect(
        &standard(),
        &advisory(|a| a["severity"] = "critical".into()),
        Quarantine,
        &["advisories/critical"],
    );
    expect(
        &standard(),
        &advisory(|a| a["kev"] = true.into()),
        Quarantine,
        &["advisories/known-exploited"],
    );
    expect(
        &standard(),
        &advisory(|a| a["malware"] = true.into()),
        Refuse,
        &["advisories/malware"],
    );
    expect(
        &standard(),
        &advisory(|a| a["severity"] = "unknown".into()),
        Admit,
        &[],
    );
    let careful = with_settings(|s| s.unknown_severity = Rule::Quarantine);
    expect(
        &careful,
        &advisory(|a| a["severity"] = "unknown".into()),
        Quarantine,
        &["advisories/severity-unknown"],
    );
    let low = with_settings(|s| s.maximum_severity = Severity::Low);
    expect(&low, &advisory(|_| ()), Quarantine, &["advisories/high"]);
    expect(
        &standard(),
        &given().outcome(Advisories, Outcome::Error),
        Quarantine,
        &["advisories/could-not-check"],
    );
    let required = with_settings(|s| s.advisories_required = true);
    expect(&required, &given(), Quarantine, &["advisories/absent"]);
    expect(
        &Policy::builtin(Profile::Audit),
        &advisory(|a| a["malware"] = true.into()),
        Admit,
        &[],
    );
}

#[test]
fn a_severity_that_nobody_knows_or_a_missing_fact_is_not_mild() {
    for change in [
        |a: &mut Value| a["severity"] = "harmless".into(),
        |a: &mut Value| {
            a.as_object_mut().unwrap().remove("kev");
        },
        |a: &mut Value| {
            a.as_object_mut().unwrap().remove("severity");
        },
        |a: &mut Value| a["kev"] = "no".into(),
    ] {
        let verdict = given().advisory(change).judge(&standard());
        assert_eq!(verdict.decision, Quarantine);
    }
    let empty = given().with(Advisories, Outcome::Fail, &json!({}));
    assert_eq!(empty.judge(&standard()).decision, Quarantine);
}

#[test]
fn a_vex_statement_excuses_a_vulnerability_and_never_malware() {
    let excused = |a: &mut Value| {
        a["severity"] = "critical".into();
        a["kev"] = true.into();
        a["vex"] = json!({ "status": "not_affected", "by": "acme" });
    };
    expect(&standard(), &given().advisory(excused), Admit, &[]);
    let critical = |a: &mut Value| {
        excused(a);
        a["kev"] = false.into();
    };
    expect(&standard(), &given().advisory(critical), Admit, &[]);
    let affected = |a: &mut Value| {
        critical(a);
        a["vex"]["status"] = "affected".into();
    };
    expect(
        &standard(),
        &given().advisory(affected),
        Quarantine,
        &["advisories/critical"],
    );
    let malware = |a: &mut Value| {
        excused(a);
        a["malware"] = true.into();
    };
    expect(
        &standard(),
        &given().advisory(malware),
        Refuse,
        &["advisories/malware"],
    );
}

#[test]
fn who_may_sign() {
    let rule = PublisherRule {
        name: "publisher[0]".to_owned(),
        project: "demo".parse().unwrap(),
        requires: [("repository".to_owned(), "acme/demo".to_owned())].into(),
    };
    let ruled = with_settings(|s| s.publishers = vec![rule.clone()]);
    let signed = |attestation: Value| {
        given().with(
            Signature,
            Outcome::Pass,
            &json!({ "attestations": [attestation] }),
        )
    };
    let mut foreign = attestation();
    foreign["repository"] = "https://github.com/evil/demo".into();
    expect(&ruled, &signed(attestation()), Admit, &[]);
    expect(
        &ruled,
        &signed(foreign.clone()),
        Refuse,
        &["signature/wrong-publisher"],
    );
    expect(&ruled, &given(), Quarantine, &["signature/publisher-required"]);
    expect(&standard(), &signed(foreign.clone()), Admit, &[]);

    let own = |given: Given| given.handed_in().around(|a| a.owned = true);
    expect(
        &standard(),
        &own(signed(foreign)),
        Quarantine,
        &["signature/publisher-unknown"],
    );
    expect(
        &standard(),
        &own(signed(json!({ "kind": "key", "verified": true, "key": "site" }))),
        Admit,
        &[],
    );
    expect(&ruled, &own(signed(attestation())), Admit, &[]);
    let from_outside = given().around(|a| a.owned = true);
    expect(&standard(), &from_outside, Refuse, &["policy/owned-name"]);
}

#[test]
fn downgrade_and_regression() {
    let before = |a: &mut Circumstances| {
        a.history.signed_since = Some("0.9".to_owned());
        a.history.levels = vec![("bit".to_owned(), "0.9".to_owned())];
    };
    expect(
        &standard(),
        &given().around(before),
        Quarantine,
        &["signature/downgrade"],
    );
    expect(&standard(), &exemplary().around(before), Admit, &[]);
    let fallen = exemplary().around(before).level("generator", "done");
    expect(&standard(), &fallen, Quarantine, &["reproducibility/regression"]);
    expect(
        &Policy::builtin(Profile::Strict),
        &fallen,
        Quarantine,
        &["reproducibility/regression"],
    );
    expect(&Policy::builtin(Profile::Audit), &fallen, Admit, &[]);
}
