//! AWS's profile files: `~/.aws/credentials` and `~/.aws/config`, as far as they hold keys and a region.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use zeroize::Zeroizing;

use super::error::Fault;
use super::{Surroundings, read_file, read_file_if_there};

/// Settings by which a profile says that its credentials come from elsewhere.
const ELSEWHERE: [&str; 6] = [
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "web_identity_token_file",
    "login_session",
];

/// The settings of one profile.
#[derive(Default)]
struct Profile {
    settings: BTreeMap<String, Zeroizing<String>>,
    is_there: bool,
}

/// The region that the profile names.
pub(super) async fn region(around: &Surroundings) -> Result<Option<String>, Fault> {
    let profile = read(around).await?;
    Ok(profile.settings.get("region").map(|region| region.to_string()))
}

/// The keys that the profile holds. A profile that was asked for by name must have some.
pub(super) async fn credentials(around: &Surroundings) -> Result<Option<Credentials>, Fault> {
    let profile = read(around).await?;
    let named = around.var("AWS_PROFILE");
    let name = named.as_ref().map_or("default", |name| name.as_str());
    let get = |name: &str| profile.settings.get(name);
    if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
        let token = get("aws_session_token").map(|token| token.to_string());
        return Ok(Some(Credentials::new(
            id.as_str(),
            secret.as_str(),
            token,
            None,
            "profile",
        )));
    }
    if let Some(way) = ELSEWHERE.iter().find(|way| get(way).is_some()) {
        return Err(Fault::Refused(format!(
            "the AWS profile {name:?} gets its credentials by {way}, which Chiron does not do; let the role come from the machine or container, or give keys in the environment (`aws configure export-credentials --format env` prints them)"
        )));
    }
    match (named, profile.is_there) {
        (None, _) => Ok(None),
        (Some(name), true) => Err(Fault::Refused(format!(
            "the AWS profile {:?} of AWS_PROFILE holds no keys",
            name.as_str()
        ))),
        (Some(name), false) => Err(Fault::Refused(format!(
            "AWS_PROFILE names the profile {:?}, and neither the credentials file nor the config file has it",
            name.as_str()
        ))),
    }
}

async fn read(around: &Surroundings) -> Result<Profile, Fault> {
    let name = around
        .var("AWS_PROFILE")
        .map_or_else(|| "default".to_owned(), |name| name.to_string());
    let mut profile = Profile::default();
    // The credentials file counts for more.
    for (variable, usual, prefix) in [
        ("AWS_CONFIG_FILE", ".aws/config", "profile "),
        ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""),
    ] {
        let text = match (around.var(variable), around.at_home(usual)) {
            (Some(path), _) => Some(read_file(path.to_string()).await?),
            (None, Some(path)) => read_file_if_there(path).await?,
            (None, None) => None,
        };
        let Some(text) = text else { continue };
        let text = std::str::from_utf8(&text)
            .map_err(|_| Fault::Refused(format!("the file of {variable} is no text")))?;
        profile.add(text, &name, prefix);
    }
    Ok(profile)
}

impl Profile {
    /// Takes the settings of the section `name`. In the config file sections but `default` have `profile` before them.
    fn add(&mut self, text: &str, name: &str, prefix: &str) {
        let mut ours = false;
        for line in text.lines() {
            // What is indented belongs to the setting above it, and none of ours has such.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            let line = line.trim_end();
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                let section = section.trim();
                ours = section.strip_prefix(prefix).map(str::trim) == Some(name)
                    || (name == "default" && section == "default");
                self.is_there |= ours;
            } else if ours && let Some((name, value)) = line.split_once('=') {
                let value = Zeroizing::new(value.trim().to_owned());
                if !value.is_empty() {
                    self.settings.insert(name.trim().to_ascii_lowercase(), value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(config: &str, credentials: &str, name: &str) -> Profile {
        let mut profile = Profile::default();
        profile.add(config, name, "profile ");
        profile.add(credentials, name, "");
        profile
    }

    #[test]
    fn sections_are_told_apart() {
        let config = "[default]\nregion = eu-west-1\n[profile ci]\nregion=eu-central-1\ns3 =\n  max = 1\n";
        let credentials = "[default]\naws_access_key_id = A\n# [ci]\n[ci]\naws_access_key_id=B\naws_secret_access_key = C = D \n";
        let get = |name: &str, setting: &str| {
            let profile = profile(config, credentials, name);
            profile.settings.get(setting).map(|value| value.to_string())
        };
        assert_eq!(get("default", "region").as_deref(), Some("eu-west-1"));
        assert_eq!(get("default", "aws_access_key_id").as_deref(), Some("A"));
        assert_eq!(get("ci", "region").as_deref(), Some("eu-central-1"));
        assert_eq!(get("ci", "aws_secret_access_key").as_deref(), Some("C = D"));
        assert_eq!(get("ci", "max"), None);
        assert!(!profile(config, credentials, "prod").is_there);
        assert!(
            !profile("[ci]\nregion = x\n", "", "ci").is_there,
            "of config it is `profile ci`"
        );
    }
}
