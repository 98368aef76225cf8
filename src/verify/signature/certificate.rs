//! Who a signing certificate says has signed: the claims that Fulcio writes into it.

/// The claims of a signing certificate. They are worth something only after the verifier has followed the
/// certificate to a trusted root; a `.N` is the extension 1.3.6.1.4.1.57264.1.N of Fulcio's certificate specification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Subject alternative name: an e-mail address or the URI of a workflow.
    pub identity: Option<Identity>,
    /// `.8` (`.1` in old ones): who vouched for the identity.
    pub issuer: Option<String>,
    /// `.9`: the workflow that signed; a reusable one differs from the caller's.
    pub build_signer: Option<String>,
    /// `.11`: where it ran.
    pub runner: Option<String>,
    /// `.12`: the source repository.
    pub repository: Option<String>,
    /// `.13`: the commit.
    pub commit: Option<String>,
    /// `.14`: branch or tag.
    pub git_ref: Option<String>,
    /// `.15`: the repository's number, which no later repository of the same name has.
    pub repository_id: Option<String>,
    /// `.17`: the owner's number.
    pub owner_id: Option<String>,
    /// `.18`: the top workflow, with the ref it was taken from.
    pub build_config: Option<String>,
    /// `.20`: what started it.
    pub trigger: Option<String>,
    /// `.22`: `public` or `private` when it was signed.
    pub visibility: Option<String>,
    /// `.23`: the deployment environment.
    pub environment: Option<String>,
}

/// A subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An e-mail address.
    Email(String),
    /// Anything written as a URI.
    Uri(String),
}

impl Identity {
    /// The text of either.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) => text,
        }
    }
}

impl Certificate {
    /// The top workflow's path inside the repository: `.18` without `.12` before it and the ref behind it.
    pub fn workflow_path(&self) -> Option<&str> {
        let inside = self
            .build_config
            .as_deref()?
            .strip_prefix(self.repository.as_deref()?)?;
        let (path, _ref) = inside.strip_prefix('/')?.rsplit_once('@')?;
        let path = path.strip_prefix('/').unwrap_or(path); // GitLab writes `//`
        (!path.is_empty()).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_workflow_is_taken_out_of_its_uri() {
        let path = |repository: &str, config: &str| {
            let certificate = Certificate {
                repository: Some(repository.to_owned()),
                build_config: Some(config.to_owned()),
                ..Certificate::default()
            };
            certificate.workflow_path().map(str::to_owned)
        };
        let github = "https://github.com/acme/app";
        let file = ".github/workflows/release.yml";
        assert_eq!(
            path(github, &format!("{github}/{file}@refs/tags/v1")).as_deref(),
            Some(file)
        );
        let gitlab = "https://gitlab.com/acme/app";
        assert_eq!(
            path(gitlab, &format!("{gitlab}//.gitlab-ci.yml@refs/heads/main")).as_deref(),
            Some(".gitlab-ci.yml")
        );
        // A repository whose name only begins like the claimed one.
        assert_eq!(path(github, &format!("{github}-evil/{file}@refs/tags/v1")), None);
        assert_eq!(path(github, &format!("{github}/{file}")), None);
        assert_eq!(Certificate::default().workflow_path(), None);
    }
}
