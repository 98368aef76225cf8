//! Places of keys as text: the URIs that [`super::uri`] reads.

use std::fmt;

use super::address::Authority;
use super::uri::{AwsKey, AwsSecret, AzureSecret, RemotePlace, VaultKey};

impl fmt::Display for RemotePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(key) => key.fmt(f),
            Self::AwsKms(key) => key.fmt(f),
            Self::AwsSecret(secret) => secret.fmt(f),
            Self::AzureSecret(secret) => secret.fmt(f),
        }
    }
}

impl fmt::Display for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hashivault://{}/{}", self.mount, self.key)?;
        write_settings(
            f,
            [
                ("address", self.address.as_ref().map(ToString::to_string)),
                ("namespace", self.namespace.clone()),
                ("version", self.version.map(|version| version.to_string())),
            ],
        )
    }
}

impl fmt::Display for AwsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awskms://{}/{}", shown(self.endpoint.as_ref()), self.key)?;
        write_settings(f, [("region", self.region.clone())])
    }
}

impl fmt::Display for AwsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awssecret://{}/{}", shown(self.endpoint.as_ref()), self.secret)?;
        write_settings(
            f,
            [
                ("region", self.region.clone()),
                ("version", self.version.clone()),
                ("field", self.field.clone()),
            ],
        )
    }
}

impl fmt::Display for AzureSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "azuresecret://{}/{}", self.vault, self.name)?;
        match &self.version {
            None => Ok(()),
            Some(version) => write!(f, "/{version}"),
        }
    }
}

fn write_settings<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    settings: [(&str, Option<String>); N],
) -> fmt::Result {
    let mut written = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in settings {
        if let Some(value) = value {
            written.append_pair(name, &value);
        }
    }
    match written.finish() {
        query if query.is_empty() => Ok(()),
        query => write!(f, "?{query}"),
    }
}

fn shown(endpoint: Option<&Authority>) -> String {
    endpoint.map(ToString::to_string).unwrap_or_default()
}
