//! SLSA provenance v1 (slsa.dev/spec/v1.0/provenance), held against the certificate that signed it: a builder may
//! only speak for itself.

use serde_json::Value;

use super::certificate::{Certificate, Identity};
use super::finding::{Code, Flaw, shown};

/// Build types whose parameters are understood: both name the workflow by repository, path and ref.
const BUILD_TYPES: [&str; 2] = [
    "https://actions.github.io/buildtypes/workflow/v1",
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
];

/// Whether the predicate says what the certificate says.
pub fn agrees(predicate: &Value, certificate: &Certificate) -> Result<(), Flaw> {
    shape(predicate)?;
    let definition = &predicate["buildDefinition"];
    let builder = predicate["runDetails"]["builder"]["id"].as_str();
    let identity = certificate.identity.as_ref().map(Identity::as_str);
    same("builder", builder, identity)?;
    let workflow = &definition["externalParameters"]["workflow"];
    same(
        "repository",
        workflow["repository"].as_str(),
        certificate.repository.as_deref(),
    )?;
    same("workflow", workflow["path"].as_str(), certificate.workflow_path())?;
    same("ref", workflow["ref"].as_str(), certificate.git_ref.as_deref())?;
    let commit = certificate.commit.as_deref();
    let commits = definition["resolvedDependencies"].as_array();
    let mut commits = commits
        .into_iter()
        .flatten()
        .filter_map(|dependency| dependency["digest"]["gitCommit"].as_str());
    if commit.is_none() || !commits.any(|found| Some(found) == commit) {
        let detail = format!(
            "no source of the provenance is at the commit {} of the certificate",
            shown(commit.unwrap_or("(none)"))
        );
        return Err(Flaw::new(Code::WrongProvenance, detail));
    }
    Ok(())
}

/// What can be asked of provenance that a plain key signed: a build type that is understood, and a builder.
pub fn shape(predicate: &Value) -> Result<(), Flaw> {
    let build_type = predicate["buildDefinition"]["buildType"]
        .as_str()
        .unwrap_or_default();
    if !BUILD_TYPES.contains(&build_type) {
        let detail = format!(
            "provenance of the build type \"{}\", which is not known",
            shown(build_type)
        );
        return Err(Flaw::new(Code::WrongProvenance, detail));
    }
    let builder = predicate["runDetails"]["builder"]["id"]
        .as_str()
        .unwrap_or_default();
    if builder.is_empty() {
        return Err(Flaw::new(Code::WrongProvenance, "provenance without a builder"));
    }
    Ok(())
}

fn same(what: &str, stated: Option<&str>, certified: Option<&str>) -> Result<(), Flaw> {
    if stated.is_some() && stated == certified {
        return Ok(());
    }
    let detail = format!(
        "the provenance names the {what} \"{}\", the certificate \"{}\"",
        shown(stated.unwrap_or("(none)")),
        shown(certified.unwrap_or("(none)"))
    );
    Err(Flaw::new(Code::WrongProvenance, detail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    fn provenance() -> (Value, Certificate) {
        let repository = "https://github.com/acme/app";
        let workflow = format!("{repository}/.github/workflows/release.yml@refs/tags/v1");
        let certificate = Certificate {
            identity: Some(Identity::Uri(workflow.clone())),
            repository: Some(repository.to_owned()),
            build_config: Some(workflow.clone()),
            commit: Some("c0ffee".to_owned()),
            git_ref: Some("refs/tags/v1".to_owned()),
            ..Certificate::default()
        };
        let predicate = json!({
            "buildDefinition": {
                "buildType": BUILD_TYPES[0],
                "externalParameters": {"workflow":
                    {"ref": "refs/tags/v1", "repository": repository, "path": ".github/workflows/release.yml"}},
                "resolvedDependencies": [{"digest": {"gitCommit": "c0ffee"}}],
            },
            "runDetails": {"builder": {"id": workflow}},
        });
        (predicate, certificate)
    }

    #[test]
    fn provenance_that_says_what_the_certificate_says_passes() {
        let (predicate, certificate) = provenance();
        assert_eq!(agrees(&predicate, &certificate), Ok(()));
    }

    #[test]
    fn every_contradiction_is_refused() {
        let (predicate, certificate) = provenance();
        for pointer in [
            "/buildDefinition/buildType",
            "/buildDefinition/externalParameters/workflow/ref",
            "/buildDefinition/externalParameters/workflow/repository",
            "/buildDefinition/externalParameters/workflow/path",
            "/buildDefinition/resolvedDependencies/0/digest/gitCommit",
            "/runDetails/builder/id",
        ] {
            for wrong in [json!("other"), json!(null), json!(7)] {
                let mut other = predicate.clone();
                *other.pointer_mut(pointer).unwrap() = wrong;
                let flaw = agrees(&other, &certificate).expect_err(pointer);
                assert_eq!(flaw.code, Code::WrongProvenance, "{pointer}");
            }
        }
        // What neither of them says is not agreed on.
        assert!(agrees(&predicate, &Certificate::default()).is_err());
        assert!(agrees(&Value::Null, &Certificate::default()).is_err());
    }
}
