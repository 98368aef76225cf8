#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn github() -> (Value, Certificate) {
    let repository = "https://github.com/acme/app";
    let certificate = Certificate {
        issuer: Some(GITHUB_ISSUER.to_owned()),
        repository: Some(repository.to_owned()),
        build_config: Some(format!("{repository}/.github/workflows/release.yml@refs/tags/v1")),
        commit: Some("c0ffee".to_owned()),
        git_ref: Some("refs/tags/v1".to_owned()),
        environment: Some("Release".to_owned()),
        ..Certificate::default()
    };
    let claim = json!({"kind": "GitHub", "repository": "acme/app", "workflow": "release.yml", "environment": "release"});
    (claim, certificate)
}

fn gitlab() -> (Value, Certificate) {
    let repository = "https://gitlab.com/group/sub/app";
    let certificate = Certificate {
        issuer: Some(GITLAB_ISSUER.to_owned()),
        repository: Some(repository.to_owned()),
        build_config: Some(format!("{repository}//.gitlab-ci.yml@c0ffee")),
        commit: Some("c0ffee".to_owned()),
        ..Certificate::default()
    };
    let claim =
        json!({"kind": "GitLab", "repository": "group/sub/app", "workflow_filepath": ".gitlab-ci.yml"});
    (claim, certificate)
}

fn google() -> (Value, Certificate) {
    let certificate = Certificate {
        issuer: Some(GOOGLE_ISSUER.to_owned()),
        identity: Some(Identity::Email("robot@example.com".to_owned())),
        ..Certificate::default()
    };
    (
        json!({"kind": "Google", "email": "robot@example.com"}),
        certificate,
    )
}

fn circleci() -> (Value, Certificate) {
    let certificate = Certificate {
        issuer: Some(CIRCLECI_ISSUER.to_owned()),
        build_signer: Some("https://circleci.com/api/v2/projects/p-1/pipeline-definitions/d-2".to_owned()),
        repository: Some("github.com/acme/app".to_owned()),
        git_ref: Some("refs/heads/main".to_owned()),
        ..Certificate::default()
    };
    let claim = json!({"kind": "CircleCI", "project_id": "p-1", "pipeline_definition_id": "d-2",
                       "vcs_origin": "github.com/acme/app", "vcs_ref": "refs/heads/main"});
    (claim, certificate)
}

#[test]
fn each_kind_holds_against_its_own_certificate_only() {
    let all = [github(), gitlab(), google(), circleci()];
    for (i, (claim, _)) in all.iter().enumerate() {
        let publisher = Publisher::read(claim).unwrap();
        for (j, (_, certificate)) in all.iter().enumerate() {
            let held = publisher.holds(certificate);
            assert_eq!(held.is_ok(), i == j, "{publisher:?} {held:?}");
            if let Err(flaw) = held {
                assert_eq!(flaw.code, Code::WrongPublisher);
            }
        }
    }
}

#[test]
fn every_member_of_a_claim_counts() {
    for (claim, certificate) in [github(), gitlab(), google(), circleci()] {
        for member in claim.as_object().unwrap().keys().filter(|key| *key != "kind") {
            let mut other = claim.clone();
            other[member] = json!("other");
            let flaw = Publisher::read(&other)
                .unwrap()
                .holds(&certificate)
                .expect_err(member);
            assert_eq!(flaw.code, Code::WrongPublisher, "{member}");
        }
    }
}

#[test]
fn a_certificate_without_a_ref_is_no_ones() {
    let (claim, mut certificate) = github();
    certificate.commit = None;
    certificate.git_ref = None;
    assert!(Publisher::read(&claim).unwrap().holds(&certificate).is_err());
    certificate.build_config = Some("https://github.com/acme/app/.github/workflows/release.yml".to_owned());
    assert!(Publisher::read(&claim).unwrap().holds(&certificate).is_err());
}

#[test]
fn an_address_in_a_uri_is_no_address() {
    let (claim, mut certificate) = google();
    certificate.identity = Some(Identity::Uri("robot@example.com".to_owned()));
    assert!(Publisher::read(&claim).unwrap().holds(&certificate).is_err());
}

#[test]
fn an_environment_that_an_old_certificate_does_not_name_is_passed_over() {
    let (claim, mut certificate) = github();
    certificate.environment = None;
    assert!(Publisher::read(&claim).unwrap().holds(&certificate).is_ok());
}

#[test]
fn unknown_kinds_cannot_be_judged() {
    for value in [json!({"kind": "ActiveState"}), json!({}), json!(null), json!([1])] {
        assert_eq!(
            Publisher::read(&value).unwrap_err().code,
            Code::UnknownPublisher,
            "{value}"
        );
    }
    let halves = json!({"kind": "GitHub", "repository": "acme/app"});
    assert_eq!(Publisher::read(&halves).unwrap_err().code, Code::Malformed);
}

proptest! {
    #[test]
    fn no_other_repository_passes(repository in "[a-z./@-]{1,12}") {
        let (mut claim, certificate) = github();
        prop_assume!(repository != "acme/app");
        claim["repository"] = json!(repository);
        prop_assert!(Publisher::read(&claim).unwrap().holds(&certificate).is_err());
    }
}
