//! Identity rules: which publisher, or which key, may sign which project.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PolicyError;
use crate::config::{OwnedPattern, OwnedPatterns, Publisher, PublisherKind};

/// One rule of `[[publisher]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublisherRule {
    /// Its place in the configuration, for messages.
    pub name: String,
    /// The project, or a pattern of projects.
    #[schemars(with = "String")]
    pub project: OwnedPattern,
    /// What a verified attestation must say: its facts by name.
    pub requires: BTreeMap<String, String>,
}

/// A rule that speaks of the file's project, and whether the file satisfies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublisherStanding {
    /// The rule's place in the configuration.
    pub rule: String,
    /// What it asks, for messages.
    pub requires: BTreeMap<String, String>,
    /// One verified attestation says all of it.
    pub satisfied: bool,
}

impl PublisherRule {
    /// The rule at a place of the configuration.
    ///
    /// # Errors
    ///
    /// A rule that names neither a key nor somebody: everybody who has an account at the issuer would satisfy it.
    pub fn new(number: usize, publisher: &Publisher) -> Result<Self, PolicyError> {
        let name = format!("publisher[{number}]");
        let refused = |why: &str| {
            Err(PolicyError::Setting(format!(
                "{name} ({}): {why}",
                publisher.project
            )))
        };
        let mut requires = BTreeMap::new();
        let mut require = |key: &str, value: Option<&String>| {
            if let Some(value) = value {
                requires.insert(key.to_owned(), value.clone());
            }
        };
        require("key", publisher.key.as_ref());
        require("repository", publisher.repository.as_ref());
        require("workflow", publisher.workflow.as_ref());
        require("environment", publisher.environment.as_ref());
        require("identity", publisher.identity.as_ref());
        require("repository_id", publisher.repository_id.as_ref());
        require("owner_id", publisher.owner_id.as_ref());
        let issuer = match (publisher.kind, &publisher.issuer) {
            (PublisherKind::Key, None) => None,
            (PublisherKind::Key, Some(_)) => return refused("a key has no issuer"),
            (_, Some(issuer)) => Some(issuer.clone()),
            (PublisherKind::Github, None) => Some("https://token.actions.githubusercontent.com".to_owned()),
            (PublisherKind::Gitlab, None) => Some("https://gitlab.com".to_owned()),
            (PublisherKind::Google, None) => Some("https://accounts.google.com".to_owned()),
            (PublisherKind::Circleci, None) => Some("https://oidc.circleci.com".to_owned()),
            (PublisherKind::Other, None) => return refused("the kind `other` needs `issuer`"),
        };
        if publisher.kind == PublisherKind::Key {
            if publisher.key.is_none() || requires.len() > 1 {
                return refused(
                    "the kind `key` takes `key`, the name of a public key of the trust roots, and nothing else",
                );
            }
        } else if publisher.key.is_some() {
            return refused("`key` goes with the kind `key`");
        } else if publisher.repository.is_none()
            && publisher.identity.is_none()
            && publisher.repository_id.is_none()
        {
            return refused(
                "give `repository`, `repository_id` or `identity`: anybody has an account at the issuer",
            );
        }
        if let Some(issuer) = issuer {
            requires.insert("issuer".to_owned(), issuer);
        }
        Ok(Self {
            name,
            project: publisher.project.clone(),
            requires,
        })
    }
}

/// The rules that speak of `project`, held against the attestations of the signature check's facts.
pub(super) fn standings(
    rules: &[PublisherRule],
    project: &str,
    signature: Option<&Map<String, Value>>,
) -> Vec<PublisherStanding> {
    let attestations: Vec<&Map<String, Value>> = signature
        .and_then(|facts| facts.get("attestations"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .filter(|attestation| attestation.get("verified") == Some(&Value::Bool(true)))
        .collect();
    rules
        .iter()
        .filter(|rule| OwnedPatterns::new([rule.project.clone()]).matches(project))
        .map(|rule| PublisherStanding {
            rule: rule.name.clone(),
            requires: rule.requires.clone(),
            satisfied: attestations
                .iter()
                .any(|attestation| says(attestation, &rule.requires)),
        })
        .collect()
}

fn says(attestation: &Map<String, Value>, requires: &BTreeMap<String, String>) -> bool {
    requires.iter().all(|(fact, wanted)| {
        let found = match attestation.get(fact) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return false,
        };
        match fact.as_str() {
            // Hosts and the large forges compare these without case; a repository may come with its address.
            "repository" => {
                let found = found.trim_end_matches('/').to_ascii_lowercase();
                let wanted = wanted.trim_matches('/').to_ascii_lowercase();
                found == wanted || (!wanted.contains("://") && path_of(&found) == Some(wanted.as_str()))
            }
            "workflow" => {
                found == *wanted || (!wanted.contains('/') && found.rsplit('/').next() == Some(wanted))
            }
            _ => found == *wanted,
        }
    })
}

/// `owner/name` of `https://host/owner/name`.
fn path_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    Some(rest.split_once('/')?.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn github() -> Publisher {
        Publisher {
            project: "acme-*".parse().unwrap(),
            kind: PublisherKind::Github,
            issuer: None,
            repository: Some("Acme/tool".to_owned()),
            workflow: Some("release.yml".to_owned()),
            environment: None,
            identity: None,
            repository_id: Some("42".to_owned()),
            owner_id: None,
            key: None,
        }
    }

    fn facts(change: impl Fn(&mut Value)) -> Map<String, Value> {
        let mut attestation = json!({
            "kind": "pep740-publish", "verified": true,
            "issuer": "https://token.actions.githubusercontent.com",
            "repository": "https://github.com/acme/tool", "repository_id": "42", "owner_id": "7",
            "workflow": ".github/workflows/release.yml",
        });
        change(&mut attestation);
        json!({ "attestations": [attestation] })
            .as_object()
            .unwrap()
            .clone()
    }

    #[test]
    fn every_given_key_must_agree_in_one_verified_attestation() {
        let rules = [PublisherRule::new(0, &github()).unwrap()];
        let satisfied =
            |change: fn(&mut Value)| standings(&rules, "acme-a", Some(&facts(change)))[0].satisfied;
        assert!(satisfied(|_| ()));
        assert!(satisfied(|a| a["repository"] = "Acme/Tool".into()));
        assert!(!satisfied(|a| a["verified"] = false.into()));
        assert!(!satisfied(
            |a| a["repository"] = "https://github.com/evil/tool".into()
        ));
        assert!(!satisfied(
            |a| a["repository"] = "https://github.com/evil/acme/tool".into()
        ));
        assert!(
            !satisfied(|a| a["repository_id"] = "43".into()),
            "a resurrected repository"
        );
        assert!(!satisfied(
            |a| a["workflow"] = ".github/workflows/prerelease.yml".into()
        ));
        assert!(!satisfied(|a| a["issuer"] = "https://gitlab.com".into()));
        assert!(!satisfied(|a| {
            a.as_object_mut().unwrap().remove("workflow");
        }));
    }

    #[test]
    fn a_rule_speaks_of_its_projects_only() {
        let rules = [PublisherRule::new(0, &github()).unwrap()];
        assert!(standings(&rules, "other", Some(&facts(|_| ()))).is_empty());
        assert!(!standings(&rules, "acme-a", None)[0].satisfied);
    }

    #[test]
    fn a_rule_that_lets_anybody_sign_is_refused() {
        let anybody = Publisher {
            repository: None,
            repository_id: None,
            ..github()
        };
        assert!(PublisherRule::new(0, &anybody).is_err());
        let no_issuer = Publisher {
            kind: PublisherKind::Other,
            ..github()
        };
        assert!(PublisherRule::new(0, &no_issuer).is_err());
        let key = Publisher {
            kind: PublisherKind::Key,
            ..github()
        };
        assert!(PublisherRule::new(0, &key).is_err());
    }
}
