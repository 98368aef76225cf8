//! How keys in services are written: one URI each, without a secret in it.
//!
//! ```text
//! hashivault://MOUNT/KEY[?address=URL&namespace=NAME&version=N]
//! awskms://[ENDPOINT]/KEY-ID-OR-ARN-OR-ALIAS[?region=R]
//! awssecret://[ENDPOINT]/SECRET-ID-OR-ARN[?region=R&version=ID&field=NAME]
//! azuresecret://VAULT-HOST/NAME[/VERSION]
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use url::Url;

use super::address::{self, Authority};
use crate::keys::PlaceError;

/// A key in a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemotePlace {
    /// A key of HashiCorp Vault's or OpenBao's transit engine, which signs there.
    Vault(VaultKey),
    /// A key of AWS KMS, which signs there.
    AwsKms(AwsKey),
    /// A PKCS#8 PEM in AWS Secrets Manager; it is fetched and signs here.
    AwsSecret(AwsSecret),
    /// A PKCS#8 PEM in Azure Key Vault's secrets; it is fetched and signs here.
    AzureSecret(AzureSecret),
}

/// A key of a transit engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultKey {
    /// Where the engine is mounted, without slashes at its ends.
    pub mount: String,
    /// The key's name.
    pub key: String,
    /// The server; without it `VAULT_ADDR`.
    pub address: Option<Url>,
    /// The namespace; without it `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// Which version of the key. A role names one public key, so a key that is rotated in Vault must not move it.
    pub version: Option<u32>,
}

/// A key of AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKey {
    /// Another endpoint than the region's.
    pub endpoint: Option<Authority>,
    /// Key id, key ARN, `alias/NAME` or alias ARN.
    pub key: String,
    /// The region; without it that of the ARN, the environment or the profile.
    pub region: Option<String>,
}

/// A secret of AWS Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsSecret {
    /// Another endpoint than the region's.
    pub endpoint: Option<Authority>,
    /// Name or ARN.
    pub secret: String,
    /// The region; without it that of the ARN, the environment or the profile.
    pub region: Option<String>,
    /// Which version; without it the current one.
    pub version: Option<String>,
    /// Where the secret is a JSON object: the field with the PEM.
    pub field: Option<String>,
}

/// A secret of Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureSecret {
    /// The vault's host.
    pub vault: Authority,
    /// The secret's name.
    pub name: String,
    /// Which version; without it the current one.
    pub version: Option<String>,
}

/// The settings that a kind of URI has, and what is said of another.
const VAULT_SETTINGS: (&[&str], &str) = (
    &["address", "namespace", "version"],
    "it has another setting than ?address=, namespace= and version=",
);
const KMS_SETTINGS: (&[&str], &str) = (&["region"], "it has another setting than ?region=");
const SECRET_SETTINGS: (&[&str], &str) = (
    &["region", "version", "field"],
    "it has another setting than ?region=, version= and field=",
);
const AZURE_SETTINGS: (&[&str], &str) = (
    &[],
    "it has a setting, and there is none; a version follows the name",
);

impl RemotePlace {
    /// What kind of place, in a word for listings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Vault(_) => "vault",
            Self::AwsKms(_) => "aws-kms",
            Self::AwsSecret(_) => "aws-secret",
            Self::AzureSecret(_) => "azure-secret",
        }
    }

    /// What people call the service.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Vault(_) => "Vault",
            Self::AwsKms(_) => "AWS KMS",
            Self::AwsSecret(_) => "AWS Secrets Manager",
            Self::AzureSecret(_) => "Azure Key Vault",
        }
    }
}

impl FromStr for RemotePlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.split_once("://") {
            Some(("hashivault", _)) => text.parse().map(Self::Vault),
            Some(("awskms", _)) => text.parse().map(Self::AwsKms),
            Some(("awssecret", _)) => text.parse().map(Self::AwsSecret),
            Some(("azuresecret", _)) => text.parse().map(Self::AzureSecret),
            _ => Err(PlaceError::new(
                "…",
                "it begins with none of hashivault:// awskms:// awssecret:// azuresecret://",
            )),
        }
    }
}

/// A URI taken apart.
struct Parts {
    text: String,
    url: Url,
    path: String,
    settings: BTreeMap<String, String>,
}

impl Parts {
    fn read(text: &str, (known, otherwise): (&[&str], &'static str)) -> Result<Self, PlaceError> {
        // Before the first slash of the path may stand a password.
        let shown = match text.split_once("://") {
            Some((scheme, rest)) if rest.contains('@') => format!("{scheme}://…"),
            _ => text.to_owned(),
        };
        let fail = |why| PlaceError::new(&shown, why);
        let url = Url::parse(text).map_err(|_| fail("it is no URI"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fail(
                "it has a user name or password in it; secrets belong into the environment or a file",
            ));
        }
        if url.fragment().is_some() {
            return Err(fail("it has a # in it"));
        }
        let path = url.path().trim_start_matches('/').to_owned();
        let mut settings = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            // One that is misspelt would silently not count.
            if !known.contains(&name.as_ref()) {
                return Err(fail(otherwise));
            }
            if settings.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(fail("it has a setting twice"));
            }
        }
        Ok(Self {
            text: shown,
            url,
            path,
            settings,
        })
    }

    fn fail(&self, why: &'static str) -> PlaceError {
        PlaceError::new(&self.text, why)
    }

    fn authority(&self) -> Result<Option<Authority>, PlaceError> {
        match self.url.host_str() {
            None | Some("") => Ok(None),
            Some(host) => Authority::new(host, self.url.port())
                .map(Some)
                .ok_or_else(|| self.fail("its host is no host name")),
        }
    }

    fn region(&mut self, arn: &str) -> Result<Option<String>, PlaceError> {
        let stated = self.settings.remove("region");
        match (&stated, arn_region(arn)) {
            (Some(stated), _) if !is_region(stated) => Err(self.fail("its region is no region")),
            (Some(stated), Some(other)) if stated != other => {
                Err(self.fail("its region is another than its ARN's"))
            }
            _ => Ok(stated),
        }
    }
}

impl FromStr for VaultKey {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut parts = Parts::read(text, VAULT_SETTINGS)?;
        if parts.url.port().is_some() {
            return Err(parts.fail(
                "hashivault://MOUNT/KEY: the server is no part of the path; it is ?address=, or VAULT_ADDR",
            ));
        }
        let whole = format!("{}/{}", parts.url.host_str().unwrap_or_default(), parts.path);
        let (mount, key) = whole.rsplit_once('/').unwrap_or_default();
        if !mount.split('/').all(is_segment) || !is_segment(key) {
            return Err(parts.fail("hashivault://MOUNT/KEY, of letters, digits, '_', '-' and '.'"));
        }
        let address = match parts.settings.remove("address") {
            None => None,
            Some(text) => Some(address::service(&text).map_err(|why| parts.fail(why))?),
        };
        let namespace = parts.settings.remove("namespace");
        let namespace = namespace.map(|name| name.trim_matches('/').to_owned());
        if namespace
            .as_deref()
            .is_some_and(|name| !name.split('/').all(is_segment))
        {
            return Err(parts.fail("its namespace is no path of names"));
        }
        let version = match parts.settings.remove("version") {
            None => None,
            Some(text) => match text.parse() {
                Ok(version) if version > 0 => Some(version),
                _ => return Err(parts.fail("its version is no number from 1 on")),
            },
        };
        Ok(Self {
            mount: mount.to_owned(),
            key: key.to_owned(),
            address,
            namespace,
            version,
        })
    }
}

impl FromStr for AwsKey {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut parts = Parts::read(text, KMS_SETTINGS)?;
        let key = std::mem::take(&mut parts.path);
        if !is_aws_name(&key) {
            return Err(parts.fail("awskms:///KEY, where KEY is a key id, an ARN or alias/NAME"));
        }
        Ok(Self {
            endpoint: parts.authority()?,
            region: parts.region(&key)?,
            key,
        })
    }
}

impl FromStr for AwsSecret {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let mut parts = Parts::read(text, SECRET_SETTINGS)?;
        let secret = std::mem::take(&mut parts.path);
        if !is_aws_name(&secret) {
            return Err(parts.fail("awssecret:///SECRET, where SECRET is a name or an ARN"));
        }
        let version = parts.settings.remove("version");
        if version.as_deref().is_some_and(|version| !is_segment(version)) {
            return Err(parts.fail("its version is no version id"));
        }
        let field = parts.settings.remove("field");
        if field
            .as_deref()
            .is_some_and(|field| field.is_empty() || field.contains(char::is_control))
        {
            return Err(parts.fail("its field is no name"));
        }
        Ok(Self {
            endpoint: parts.authority()?,
            region: parts.region(&secret)?,
            secret,
            version,
            field,
        })
    }
}

impl FromStr for AzureSecret {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let parts = Parts::read(text, AZURE_SETTINGS)?;
        let form = "azuresecret://VAULT-HOST/NAME[/VERSION], name and version of letters, digits and '-'";
        let vault = parts.authority()?.ok_or_else(|| parts.fail(form))?;
        let (name, version) = match parts.path.split_once('/') {
            None => (parts.path.as_str(), None),
            Some((name, version)) => (name, Some(version)),
        };
        let plain = |text: &str| {
            (1..=127).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !plain(name) || version.is_some_and(|version| !plain(version)) {
            return Err(parts.fail(form));
        }
        Ok(Self {
            vault,
            name: name.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

/// One name of a path. Threat: `..` and encoded slashes, which would address another thing than is written.
pub(super) fn is_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= 256 && text.bytes().all(plain) && text.bytes().any(|b| b != b'.')
}

/// What ids, aliases, secret names and ARNs are made of. They travel in a JSON body, never in a path.
fn is_aws_name(text: &str) -> bool {
    let plain = |b: u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'_' | b'-' | b'.' | b'/' | b':' | b'+' | b'=' | b'@' | b',' | b'!'
            )
    };
    (1..=2048).contains(&text.len()) && text.bytes().all(plain)
}

pub(super) fn is_region(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// The region that an ARN names: `arn:PARTITION:SERVICE:REGION:ACCOUNT:…`.
pub(super) fn arn_region(text: &str) -> Option<&str> {
    let region = text.strip_prefix("arn:")?.split(':').nth(2)?;
    is_region(region).then_some(region)
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
