//! A site's own rules: what they add, what the linter and the test runner say of them.

use serde_json::json;

use super::super::*;
use super::*;
use Decision::{Admit, Quarantine};

fn site(files: &[(&str, &str)], data: &Value) -> Result<Policy, PolicyError> {
    let files = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    Policy::new(
        Profile::Standard,
        Settings::default(),
        &SiteRules {
            files,
            data: facts(data),
        },
    )
}

const START_UP: &str = r#"package chiron.site

objections contains {
	"check": "policy",
	"code": "start-up-code",
	"message": "it runs code when Python starts",
	"decision": "quarantine",
} if {
	input.checks.structure.facts.start_up.count > 0
	not input.file.project in data.site.may_start
}

test_a_listed_project_may if {
	count(objections) == 0 with input as {"file": {"project": "demo"}, "checks": {"structure": {"facts": {"start_up": {"count": 1}}}}}
		with data.site.may_start as ["demo"]
}

test_others_may_not if {
	count(objections) == 1 with input as {"file": {"project": "x"}, "checks": {"structure": {"facts": {"start_up": {"count": 1}}}}}
		with data.site.may_start as ["demo"]
}

test_that_fails if objections["x"]
"#;

#[test]
fn a_site_adds_objections_and_data() {
    let wheel = given().with(
        CheckName::Structure,
        Outcome::Pass,
        &json!({ "start_up": { "count": 1 } }),
    );
    let policy = site(&[("a.rego", START_UP)], &json!({ "may_start": [] })).unwrap();
    expect(&policy, &wheel, Quarantine, &["policy/start-up-code"]);
    expect(&policy, &given(), Admit, &[]);
    let policy = site(&[("a.rego", START_UP)], &json!({ "may_start": ["demo"] })).unwrap();
    expect(&policy, &wheel, Admit, &[]);
}

#[test]
fn rules_and_data_are_named_by_the_digest() {
    let one = site(&[("a.rego", START_UP)], &json!({ "may_start": [] })).unwrap();
    let two = site(&[("a.rego", START_UP)], &json!({ "may_start": ["demo"] })).unwrap();
    let again = site(&[("a.rego", START_UP)], &json!({ "may_start": [] })).unwrap();
    assert_ne!(one.digest(), two.digest());
    assert_eq!(one.digest(), again.digest());
    assert_ne!(one.digest(), standard().digest());
}

#[test]
fn objections_of_another_shape_decide_nothing() {
    let policy = site(
        &[(
            "a.rego",
            "package chiron.site\nobjections contains \"no\" if true",
        )],
        &json!({}),
    )
    .unwrap();
    expect(&policy, &given(), Quarantine, &["policy/undecided"]);
}

#[test]
fn a_site_writes_its_own_packages_only() {
    let text = "package chiron.checks\npasses(name) if true";
    assert!(matches!(
        site(&[("a.rego", text)], &json!({})),
        Err(PolicyError::Package { .. })
    ));
    let text = "package chiron.site\nx := 1";
    assert!(matches!(
        site(&[("a.rego", text)], &json!({})),
        Err(PolicyError::Missing { .. })
    ));
}

#[test]
fn tests_are_run_as_opa_does() {
    let policy = site(&[("a.rego", START_UP)], &json!({ "may_start": [] })).unwrap();
    let results = test(&policy);
    let told: Vec<_> = results.iter().map(|t| (t.name.as_str(), t.passed)).collect();
    assert_eq!(
        told,
        [
            ("chiron.site.test_a_listed_project_may", true),
            ("chiron.site.test_others_may_not", true),
            ("chiron.site.test_that_fails", false),
        ]
    );
    assert!(results[2].why.as_deref().unwrap().contains("undefined"));
    assert!(results[0].place.starts_with("site/a.rego:"));
}

#[test]
fn the_linter_warns_of_absence_and_of_fields_that_do_not_exist() {
    let text = r#"package chiron.site
deny contains "x" if input.checks.structure.facts.anything == 1
fine if count(deny) == 0
objections contains {"check": "policy", "code": "c", "message": "m", "decision": "refuse"} if {
	input.file.nmae == "x"
	not fine
}
"#;
    let warnings = lint(&site(&[("a.rego", text)], &json!({})).unwrap());
    let codes: Vec<_> = warnings.iter().map(|w| (w.place.as_str(), w.code)).collect();
    assert_eq!(
        codes,
        [
            ("site/a.rego:3:21", "absence"),
            ("site/a.rego:5:15", "unknown-field")
        ]
    );
    assert!(
        warnings[1].message.contains("`name`") || warnings[1].message.contains("`filename`"),
        "{}",
        warnings[1].message
    );
    assert!(
        lint(&site(&[("a.rego", START_UP)], &json!({})).unwrap())
            .iter()
            .all(|w| w.code != "unknown-field")
    );
}

#[test]
fn a_folder_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("rules")).unwrap();
    std::fs::write(at("rules/start.rego"), START_UP).unwrap();
    std::fs::write(at("data.toml"), "may_start = ['demo']").unwrap();
    std::fs::write(at("README.md"), "not rules").unwrap();
    let rules = SiteRules::read(folder.path()).unwrap();
    assert_eq!(rules.files.keys().collect::<Vec<_>>(), ["rules/start.rego"]);
    assert_eq!(rules.data["may_start"], json!(["demo"]));

    std::fs::write(at("data.json"), r#"{"may_start": []}"#).unwrap();
    assert!(
        matches!(SiteRules::read(folder.path()), Err(PolicyError::Data { .. })),
        "said twice"
    );
    std::fs::write(at("data.json"), "[".repeat(100_000)).unwrap();
    assert!(
        matches!(SiteRules::read(folder.path()), Err(PolicyError::Data { .. })),
        "deep JSON"
    );
    std::fs::remove_file(at("data.json")).unwrap();

    std::fs::File::create(at("huge.rego"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    assert!(matches!(
        SiteRules::read(folder.path()),
        Err(PolicyError::TooLong { .. })
    ));
    std::fs::remove_file(at("huge.rego")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("link.rego")).unwrap();
    assert!(matches!(
        SiteRules::read(folder.path()),
        Err(PolicyError::Unreadable { .. })
    ));
}
