//! Rules about who signed: the pure question whether a verified attestation is one of a rule's signer.
//! Which rule applies to which project is policy's to say.

use super::facts::AttestationFact;

/// What must be true of a signer; all that is given must match, and an empty rule matches nobody.
/// `*` stands for any run of characters; patterns are anchored at both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityRule {
    /// Exactly this OIDC issuer. Without it only a `key` can match: an identity means nothing without who vouched.
    pub issuer: Option<String>,
    /// The certificate's subject alternative name.
    pub identity: Option<String>,
    /// `owner/name`, or the whole URL.
    pub repository: Option<String>,
    /// Path of the top workflow in the repository, or its file name.
    pub workflow: Option<String>,
    /// Deployment environment.
    pub environment: Option<String>,
    /// Branch or tag.
    pub git_ref: Option<String>,
    /// Exactly this number: pins the repository against one that is made anew under the same name.
    pub repository_id: Option<String>,
    /// Exactly this number of the repository's owner.
    pub owner_id: Option<String>,
    /// Exactly this trusted key, by the name it is configured under.
    pub key: Option<String>,
}

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityRuleError {
    /// Neither a URL nor an address.
    #[error(
        "\"{0}\" is no signer: write a repository (https://github.com/acme/app), a workflow \
         (https://github.com/acme/app/.github/workflows/release.yml@refs/tags/*), or an issuer and an identity with \
         a space between them"
    )]
    Shape(String),
    /// An identity whose issuer is not plain from it.
    #[error("\"{0}\" means nothing without its issuer: write the issuer's URL, a space, and the identity")]
    NoIssuer(String),
}

/// Forges whose certificates say so by their issuer.
const FORGES: [(&str, &str); 2] = [
    (
        "https://github.com/",
        "https://token.actions.githubusercontent.com",
    ),
    ("https://gitlab.com/", "https://gitlab.com"),
];

impl IdentityRule {
    /// Reads what a person writes: `[ISSUER ]IDENTITY`. A URL of a known forge without an `@` is a repository.
    pub fn parse(text: &str) -> Result<Self, IdentityRuleError> {
        let text = text.trim();
        let (issuer, identity) = match text.split_once(char::is_whitespace) {
            Some((issuer, identity)) => (Some(issuer.to_owned()), identity.trim()),
            None => (None, text),
        };
        let shape = || IdentityRuleError::Shape(text.escape_debug().to_string());
        let url = identity.starts_with("https://");
        if identity.is_empty()
            || identity.contains(char::is_whitespace)
            || (!url && !identity.contains('@'))
            || issuer
                .as_deref()
                .is_some_and(|issuer| !issuer.starts_with("https://"))
        {
            return Err(shape());
        }
        let forge = FORGES.iter().find(|(base, _)| identity.starts_with(base));
        let issuer = issuer.or_else(|| forge.map(|(_, issuer)| (*issuer).to_owned()));
        if issuer.is_none() {
            return Err(IdentityRuleError::NoIssuer(identity.escape_debug().to_string()));
        }
        let mut rule = Self {
            issuer,
            ..Self::default()
        };
        if url && !identity.contains('@') {
            rule.repository = Some(identity.to_owned());
        } else {
            rule.identity = Some(identity.to_owned());
        }
        Ok(rule)
    }

    /// Whether the attestation is one of this signer.
    pub fn matches(&self, attestation: &AttestationFact) -> bool {
        if *self == Self::default() || !attestation.verified {
            return false;
        }
        let named = self.identity.is_some() || self.repository.is_some() || self.repository_id.is_some();
        if (named && self.issuer.is_none()) || (self.issuer.is_some() && !named && self.owner_id.is_none()) {
            return false; // half a rule: the issuer alone is everybody, the identity alone is anybody's
        }
        exact(self.issuer.as_ref(), attestation.issuer.as_ref())
            && exact(self.key.as_ref(), attestation.key.as_ref())
            && exact(self.repository_id.as_ref(), attestation.repository_id.as_ref())
            && exact(self.owner_id.as_ref(), attestation.owner_id.as_ref())
            && like(self.identity.as_ref(), attestation.identity.as_ref(), same)
            && like(
                self.repository.as_ref(),
                attestation.repository.as_ref(),
                repository,
            )
            && like(self.workflow.as_ref(), attestation.workflow.as_ref(), workflow)
            && like(self.environment.as_ref(), attestation.environment.as_ref(), same)
            && like(self.git_ref.as_ref(), attestation.git_ref.as_ref(), same)
    }
}

/// As [`IdentityRule::matches`].
pub fn identity_matches(rule: &IdentityRule, attestation: &AttestationFact) -> bool {
    rule.matches(attestation)
}

fn exact(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_none() || wanted == found
}

fn like(wanted: Option<&String>, found: Option<&String>, test: fn(&str, &str) -> bool) -> bool {
    match (wanted, found) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(found)) => test(wanted, found),
    }
}

fn same(pattern: &str, text: &str) -> bool {
    wildcard(pattern, text)
}

/// A rule without a scheme means the path of the URL. The issuer, which must be given too, says of which forge.
fn repository(pattern: &str, url: &str) -> bool {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let inside = path.split_once('/').map_or(path, |(_, rest)| rest);
    let (pattern, text) = if pattern.contains("://") {
        (pattern, url)
    } else {
        (pattern, inside)
    };
    wildcard(pattern, text)
}

/// A rule without a folder means the file name below `.github/workflows/`.
fn workflow(pattern: &str, path: &str) -> bool {
    if pattern.contains('/') {
        return wildcard(pattern, path);
    }
    wildcard(pattern, path.strip_prefix(".github/workflows/").unwrap_or(path))
}

/// `*` as any run of characters, anchored. Linear: each part is looked for once, from the left.
fn wildcard(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests;
