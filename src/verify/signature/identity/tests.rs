#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::super::facts::tests::attestation;
use super::*;

fn rule(text: &str) -> IdentityRule {
    IdentityRule::parse(text).expect(text)
}

#[test]
fn what_a_person_writes_names_a_signer() {
    let signed = attestation();
    for text in [
        "https://github.com/acme/app",
        "https://github.com/acme/*",
        "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/*",
        "https://token.actions.githubusercontent.com https://github.com/acme/app",
    ] {
        assert!(rule(text).matches(&signed), "{text}");
    }
    for text in [
        "https://github.com/acme/ap",
        "https://github.com/acme/apps",
        "https://gitlab.com/acme/app",
        "https://gitlab.com https://github.com/acme/app",
        "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/*",
        "https://accounts.google.com me@example.com",
    ] {
        assert!(!rule(text).matches(&signed), "{text}");
    }
}

#[test]
fn half_an_identity_is_refused() {
    for text in [
        "",
        "acme/app",
        "http://github.com/acme/app",
        "a b c",
        "x me@example.com",
    ] {
        assert!(
            matches!(IdentityRule::parse(text), Err(IdentityRuleError::Shape(_))),
            "{text}"
        );
    }
    for text in ["me@example.com", "https://forge.example/acme/app"] {
        assert!(
            matches!(IdentityRule::parse(text), Err(IdentityRuleError::NoIssuer(_))),
            "{text}"
        );
    }
}

#[test]
fn all_that_is_given_must_match() {
    let signed = attestation();
    let full = IdentityRule {
        issuer: signed.issuer.clone(),
        repository: Some("acme/app".to_owned()),
        workflow: Some("release.yml".to_owned()),
        environment: Some("pypi".to_owned()),
        git_ref: Some("refs/tags/*".to_owned()),
        repository_id: Some("7".to_owned()),
        owner_id: Some("5".to_owned()),
        ..IdentityRule::default()
    };
    assert!(full.matches(&signed));
    let wrong = Some("other".to_owned());
    for other in [
        IdentityRule {
            issuer: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            repository: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            workflow: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            environment: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            git_ref: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            repository_id: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            owner_id: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            key: wrong.clone(),
            ..full.clone()
        },
        IdentityRule {
            issuer: None,
            ..full.clone()
        },
    ] {
        assert!(!other.matches(&signed), "{other:?}");
    }
}

#[test]
fn empty_and_unverified_match_nothing() {
    let mut signed = attestation();
    assert!(!IdentityRule::default().matches(&signed));
    let everybody = IdentityRule {
        issuer: signed.issuer.clone(),
        ..IdentityRule::default()
    };
    assert!(!everybody.matches(&signed));
    signed.verified = false;
    assert!(!rule("https://github.com/acme/app").matches(&signed));
}

#[test]
fn stars_stand_for_any_run() {
    for (pattern, text) in [
        ("a*c", "abc"),
        ("*", ""),
        ("a*", "a"),
        ("a*b*c", "axbxbxc"),
        ("*c", "abc"),
    ] {
        assert!(wildcard(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("a*c", "ab"),
        ("ab*ba", "aba"),
        ("a", "ab"),
        ("*b*b", "ab"),
        ("", "a"),
    ] {
        assert!(!wildcard(pattern, text), "{pattern} {text}");
    }
}
