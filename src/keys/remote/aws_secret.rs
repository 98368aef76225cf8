//! AWS Secrets Manager: a PKCS#8 PEM, fetched once, that signs in this process.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::aws::{Aws, Service};
use super::error::Fault;
use super::secret_text::SecretText;
use super::stored_key;
use super::uri::{AwsSecret, RemotePlace};
use super::{Opened, Surroundings};

static SECRETS_MANAGER: Service = Service {
    name: "secretsmanager",
    target: "secretsmanager",
    endpoint: "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    permissions: "secretsmanager:GetSecretValue (and kms:Decrypt, where the secret has a key of its own)",
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    secret_string: Option<SecretText>,
    secret_binary: Option<SecretText>,
}

/// Fetches the key (`GetSecretValue`).
pub(super) async fn open(place: &AwsSecret, around: &Surroundings) -> Result<Opened, Fault> {
    let region = place.region.as_deref();
    let aws = Aws::connect(
        &SECRETS_MANAGER,
        place.endpoint.as_ref(),
        region,
        &place.secret,
        around,
    )
    .await?;
    let mut body = json!({"SecretId": place.secret});
    if let (Some(version), Value::Object(fields)) = (&place.version, &mut body) {
        fields.insert("VersionId".to_owned(), json!(version));
    }
    let value: Stored = aws.call("GetSecretValue", &body).await?.json()?;
    let bytes = match (value.secret_string, value.secret_binary) {
        (Some(text), _) => Zeroizing::new(text.as_bytes().to_vec()),
        (None, Some(encoded)) => Zeroizing::new(
            STANDARD
                .decode(encoded.as_bytes())
                .map_err(|_| Fault::Refused("its SecretBinary is no base64".to_owned()))?,
        ),
        (None, None) => return Err(Fault::NotAKey("holds nothing".to_owned())),
    };
    let bytes = match &place.field {
        None if bytes.trim_ascii_start().starts_with(b"{") => {
            return Err(Fault::NotAKey(
                "holds a JSON object; ?field=NAME in the URI says which of its fields is the key".to_owned(),
            ));
        }
        None => bytes,
        Some(field) => stored_key::field(&bytes, field)?,
    };
    Ok(Opened {
        signer: stored_key::read(&bytes)?,
        place: RemotePlace::AwsSecret(place.clone()),
    })
}
