//! Azure Key Vault: a PKCS#8 PEM kept as a secret, fetched once, that signs in this process.

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::address::below;
use super::azure_token::{self, Audience};
use super::error::Fault;
use super::http::{Answer, Ask, Http, origin, passes};
use super::said::said;
use super::secret_text::SecretText;
use super::stored_key;
use super::uri::{AzureSecret, RemotePlace};
use super::{Opened, Surroundings};

/// The version of the service's interface.
const API_VERSION: &str = "7.4";

/// Where more authorities are set: this service has no variable of its own.
pub(super) const AUTHORITIES: &str = "the system's certificate store (or SSL_CERT_FILE)";

#[derive(Deserialize)]
struct Kept {
    value: SecretText,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Error,
}

#[derive(Default, Deserialize)]
struct Error {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

/// Fetches the key.
pub(super) async fn open(place: &AzureSecret, around: &Surroundings) -> Result<Opened, Fault> {
    let vault = place
        .vault
        .url()
        .ok_or_else(|| Fault::Refused("its host is no address".to_owned()))?;
    let http = Http::new(&vault, None, AUTHORITIES, around.timeout)?;
    let version = place.version.as_deref().into_iter();
    let mut url = below(
        &vault,
        ["secrets", place.name.as_str()].into_iter().chain(version),
    );
    url.query_pairs_mut().append_pair("api-version", API_VERSION);
    // Without a token the vault says whom it believes and what the token must be for.
    let challenged = http.repeated(&Ask::get(&url), |_| false).await?;
    if challenged.status.as_u16() != 401 {
        return Err(refusal(&vault, &challenged, ""));
    }
    let audience = Audience::of_challenge(challenged.header("www-authenticate").unwrap_or_default(), &vault)?;
    let token = azure_token::token(&audience, around).await?;
    let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
    let ask = Ask::get(&url).with("authorization", &bearer)?;
    let answer = http.repeated(&ask, |_| false).await?;
    if !answer.status.is_success() {
        return Err(refusal(&vault, &answer, &token));
    }
    let kept: Kept = answer.json()?;
    Ok(Opened {
        signer: stored_key::read(kept.value.as_bytes())?,
        place: RemotePlace::AzureSecret(place.clone()),
    })
}

fn refusal(vault: &Url, answer: &Answer, token: &str) -> Fault {
    let Refusal { error } = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = said(&error.code, &[token]);
    let words = said(&error.message, &[token]);
    let (at, status) = (origin(vault), answer.status.as_u16());
    let inner = error.innererror.map(|inner| inner.code).unwrap_or_default();
    match (status, inner.as_str()) {
        (404, _) => Fault::Missing(format!("{at} knows no such secret ({code}): {words}")),
        (403, "SecretDisabled") => Fault::Refused(format!("{at} has it disabled; somebody has to enable it")),
        (403, "ForbiddenByFirewall") => Fault::Refused(format!(
            "{at} lets this machine's address not in (its firewall): {words}"
        )),
        (401 | 403, _) => Fault::Refused(format!(
            "{at} refuses ({code}): {words}; the identity needs the role \"Key Vault Secrets User\", or an access policy with get on secrets"
        )),
        _ if passes(answer.status) => Fault::Unavailable(format!("{at} fails (status {status}): {words}")),
        _ => Fault::Refused(format!(
            "{at} answers with the status {status}: {words}; is it a Key Vault?"
        )),
    }
}
