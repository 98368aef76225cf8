//! The publisher that an index names beside an attestation, held against the certificate. The index's word is not
//! signed: that it agrees with the certificate says that index and signer mean the same party, not that this party
//! may publish the project. That is policy's to say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::certificate::{Certificate, Identity};
use super::finding::{Code, Flaw, shown};

const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
const GITLAB_ISSUER: &str = "https://gitlab.com";
const GOOGLE_ISSUER: &str = "https://accounts.google.com";
const CIRCLECI_ISSUER: &str = "https://oidc.circleci.com";

/// A publisher as a PEP 740 provenance object names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum Publisher {
    /// A workflow of GitHub Actions.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// File name below `.github/workflows/`.
        workflow: String,
        /// Deployment environment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
    },
    /// A pipeline of GitLab.
    GitLab {
        /// `group/name`, with subgroups.
        repository: String,
        /// Path of the pipeline's file.
        workflow_filepath: String,
        /// Deployment environment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
    },
    /// A service account of Google Cloud.
    Google {
        /// Its address.
        email: String,
    },
    /// A pipeline of `CircleCI`.
    CircleCI {
        /// Number of the project.
        project_id: String,
        /// Number of the pipeline's definition.
        pipeline_definition_id: String,
        /// Repository, without `https://`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vcs_origin: Option<String>,
        /// Branch or tag.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vcs_ref: Option<String>,
    },
}

impl Publisher {
    /// Reads the `publisher` of a provenance object. Members that are not known are passed over, as the index adds some.
    pub fn read(value: &Value) -> Result<Self, Flaw> {
        let kind = value["kind"].as_str().unwrap_or_default();
        if !["GitHub", "GitLab", "Google", "CircleCI"].contains(&kind) {
            let detail = format!(
                "the index names a publisher of the kind \"{}\", whose certificates are not known here",
                shown(kind)
            );
            return Err(Flaw::new(Code::UnknownPublisher, detail));
        }
        serde_json::from_value(value.clone()).map_err(|error| {
            Flaw::new(
                Code::Malformed,
                format!("publisher {kind}: {}", shown(&error.to_string())),
            )
        })
    }

    /// Whether the certificate is this publisher's.
    pub fn holds(&self, certificate: &Certificate) -> Result<(), Flaw> {
        match self {
            Self::GitHub {
                repository,
                workflow,
                environment,
            } => {
                same("issuer", GITHUB_ISSUER, certificate.issuer.as_deref())?;
                let base = format!("https://github.com/{repository}");
                same("repository", &base, certificate.repository.as_deref())?;
                at_ref(&format!("{base}/.github/workflows/{workflow}"), certificate)?;
                same_environment(environment.as_deref(), certificate)
            }
            Self::GitLab {
                repository,
                workflow_filepath,
                environment,
            } => {
                same("issuer", GITLAB_ISSUER, certificate.issuer.as_deref())?;
                let base = format!("https://gitlab.com/{repository}");
                same("repository", &base, certificate.repository.as_deref())?;
                at_ref(&format!("{base}//{workflow_filepath}"), certificate)?;
                same_environment(environment.as_deref(), certificate)
            }
            Self::Google { email } => {
                same("issuer", GOOGLE_ISSUER, certificate.issuer.as_deref())?;
                let found = match &certificate.identity {
                    Some(Identity::Email(found)) => Some(found.as_str()),
                    _ => None,
                };
                same("e-mail address", email, found)
            }
            Self::CircleCI {
                project_id,
                pipeline_definition_id,
                vcs_origin,
                vcs_ref,
            } => {
                same("issuer", CIRCLECI_ISSUER, certificate.issuer.as_deref())?;
                let pipeline = format!(
                    "https://circleci.com/api/v2/projects/{project_id}/pipeline-definitions/{pipeline_definition_id}"
                );
                same("pipeline", &pipeline, certificate.build_signer.as_deref())?;
                if let Some(origin) = vcs_origin {
                    same("repository", origin, certificate.repository.as_deref())?;
                }
                if let Some(claimed) = vcs_ref {
                    same("ref", claimed, certificate.git_ref.as_deref())?;
                }
                Ok(())
            }
        }
    }
}

fn same(what: &str, claimed: &str, certified: Option<&str>) -> Result<(), Flaw> {
    if certified == Some(claimed) {
        return Ok(());
    }
    let certified = certified.map_or_else(|| "none".to_owned(), |text| format!("\"{}\"", shown(text)));
    let detail = format!(
        "the index names a publisher with the {what} \"{}\", the certificate has {certified}",
        shown(claimed)
    );
    Err(Flaw::new(Code::WrongPublisher, detail))
}

/// The top workflow (`.18`) is `base` at the certificate's own commit (`.13`) or ref (`.14`): the publisher cannot
/// know either beforehand.
fn at_ref(base: &str, certificate: &Certificate) -> Result<(), Flaw> {
    let found = certificate.build_config.as_deref();
    let refs = [&certificate.commit, &certificate.git_ref];
    let fits = refs
        .into_iter()
        .flatten()
        .any(|at| found == Some(&format!("{base}@{at}")));
    if fits {
        return Ok(());
    }
    let found = found.map_or_else(|| "none".to_owned(), |text| format!("\"{}\"", shown(text)));
    let detail = format!(
        "the index names a publisher with the workflow \"{}\", the certificate has {found}",
        shown(base)
    );
    Err(Flaw::new(Code::WrongPublisher, detail))
}

/// Certificates of before 2025 name no environment; one that is named must be the claimed one. Upper and lower case
/// are one, as they are for the platforms.
fn same_environment(claimed: Option<&str>, certificate: &Certificate) -> Result<(), Flaw> {
    match (
        claimed.filter(|name| !name.is_empty()),
        certificate.environment.as_deref(),
    ) {
        (Some(claimed), Some(certified)) if !claimed.eq_ignore_ascii_case(certified) => {
            same("environment", claimed, Some(certified))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
