//! What is no defect of the bytes: age, licence, yank, and what a person waived.

use serde_json::json;

use super::super::*;
use super::*;
use crate::config::{Clock, Rule};
use CheckName::{Advisories, Sbom, Signature};
use Decision::{Admit, Quarantine, Refuse};

#[test]
fn the_minimum_age_and_its_clocks() {
    let day = 86_400;
    let ago = |days: i64| Some(now() - jiff::SignedDuration::from_secs(days * 86_400));
    let aged = |upload, seen| {
        given().around(move |a| {
            a.upload_time = upload;
            a.first_seen = seen;
        })
    };
    let by = |clock| {
        with_settings(move |s| {
            s.minimum_age_seconds = 7 * day;
            s.minimum_age_clock = clock;
        })
    };
    let young = ["policy/too-young"];
    expect(&by(Clock::Upload), &aged(ago(8), ago(0)), Admit, &[]);
    expect(&by(Clock::Upload), &aged(ago(6), ago(60)), Quarantine, &young);
    expect(&by(Clock::Upload), &aged(None, ago(0)), Quarantine, &young);
    expect(&by(Clock::Upload), &aged(None, ago(8)), Admit, &[]);
    expect(&by(Clock::FirstSight), &aged(ago(80), ago(6)), Quarantine, &young);
    expect(&by(Clock::Later), &aged(ago(8), ago(6)), Quarantine, &young);
    expect(&by(Clock::Later), &aged(ago(8), ago(7)), Admit, &[]);
    expect(&by(Clock::Later), &aged(ago(-1), ago(60)), Quarantine, &young);
    assert!(aged(None, ago(0)).judge(&by(Clock::Later)).reasons[0].is_temporary());
    let own = aged(None, ago(0)).handed_in().around(|a| a.owned = true);
    expect(&by(Clock::Later), &own, Admit, &[]);
}

#[test]
fn a_fix_of_a_known_exploited_hole_need_not_wait() {
    let waits = with_settings(|s| s.minimum_age_seconds = 1_000);
    let fixes = |kev: bool| json!({ "matched": [], "fixes": [{ "id": "CVE-1", "kev": kev }] });
    expect(
        &waits,
        &given().with(Advisories, Outcome::Pass, &fixes(true)),
        Admit,
        &[],
    );
    expect(
        &waits,
        &given().with(Advisories, Outcome::Pass, &fixes(false)),
        Quarantine,
        &["policy/too-young"],
    );
}

#[test]
fn licences_and_yanks() {
    let mit = with_settings(|s| s.licences_allow = vec!["MIT".to_owned()]);
    let licensed = |expression: Value| {
        given().with(
            Sbom,
            Outcome::Absent,
            &json!({ "origin": "generated", "licence": { "expression": expression } }),
        )
    };
    expect(&mit, &licensed("MIT OR GPL-3.0-only".into()), Admit, &[]);
    expect(
        &mit,
        &licensed("GPL-3.0-only".into()),
        Quarantine,
        &["policy/licence-denied"],
    );
    expect(
        &mit,
        &licensed(Value::Null),
        Quarantine,
        &["policy/licence-unknown"],
    );
    let yanked = given().around(|a| a.yanked = Some(String::new()));
    expect(&standard(), &yanked, Admit, &[]);
    expect(
        &with_settings(|s| s.yanked = Rule::Quarantine),
        &yanked,
        Quarantine,
        &["policy/yanked"],
    );
}

#[test]
fn waivers_lift_what_they_cover_and_are_seen() {
    let waive = |check: &str, code: Option<&str>| Waiver {
        check: check.to_owned(),
        code: code.map(str::to_owned),
        reason: "looked at by hand".to_owned(),
        by: vec!["ann".to_owned()],
        until: now() + jiff::SignedDuration::from_hours(1),
        event: 3,
    };
    let bad = given()
        .failing(Signature, "bad-signature")
        .level("differs", "done");
    let waived = |waivers: Vec<Waiver>| bad.clone().around(move |a| a.waivers.clone_from(&waivers));
    expect(
        &standard(),
        &waived(vec![waive("signature", None)]),
        Quarantine,
        &["reproducibility/differs"],
    );
    let both = waived(vec![
        waive("signature", Some("bad-signature")),
        waive("reproducibility", None),
    ]);
    expect(&standard(), &both, Admit, &[]);
    let verdict = both.judge(&standard());
    let seen: Vec<_> = verdict
        .waived
        .iter()
        .map(|w| (w.check.as_str(), w.event))
        .collect();
    assert_eq!(seen, [("signature", 3), ("reproducibility", 3)]);

    let two = with_settings(|s| s.waiver_persons = 2);
    assert_eq!(both.judge(&two).decision, Refuse);
    let expired = both
        .clone()
        .around(|a| a.waivers.iter_mut().for_each(|w| w.until = now()));
    assert_eq!(expired.judge(&standard()).decision, Refuse);

    let malware = given()
        .advisory(|a| a["malware"] = true.into())
        .around(|a| a.waivers = vec![waive("advisories", None)]);
    expect(&standard(), &malware, Refuse, &["advisories/malware"]);
    let mut taken = given().around(|a| a.waivers = vec![waive("policy", None)]);
    taken.taken_by = Some(Digest::of(b"first"));
    expect(&standard(), &taken, Refuse, &["policy/filename-reuse"]);
}
