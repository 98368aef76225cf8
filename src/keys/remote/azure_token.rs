//! A token for a vault of Azure: of an application (secret or federated), of App Service, or of the machine.

use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::address::{self, below};
use super::azure_secret::AUTHORITIES;
use super::error::Fault;
use super::http::{Ask, Http, origin, passes};
use super::said::said;
use super::secret_text::SecretText;
use super::uri::is_segment;
use super::{Surroundings, read_file};

/// What a token is for, such as `https://vault.azure.net`.
pub(super) struct Audience(String);

/// A token endpoint's answer.
#[derive(Deserialize)]
struct Granted {
    access_token: SecretText,
}

/// A token endpoint's refusal (RFC 6749, section 5.2).
#[derive(Default, Deserialize)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Audience {
    /// Reads `Bearer authorization="…", resource="…"` (or `scope="…/.default"`) of a 401.
    ///
    /// Threat: a host that asks for a token for somebody else's vault, and uses it there. So the audience must be the
    /// vault's own domain. Where the token comes from is not taken from the vault at all.
    pub(super) fn of_challenge(header: &str, vault: &Url) -> Result<Self, Fault> {
        let field = |name: &str| {
            let (_, rest) = header.split_once(&format!("{name}=\""))?;
            rest.split('"').next()
        };
        let stated = field("resource").or_else(|| field("scope")?.strip_suffix("/.default"));
        let stated = stated.filter(|_| header.starts_with("Bearer "));
        let refuse = |why: &str| Fault::Refused(format!("{} {why}; is it a Key Vault?", origin(vault)));
        let audience = stated.ok_or_else(|| refuse("does not say what its tokens are for"))?;
        let url = Url::parse(audience).map_err(|_| refuse("asks for tokens for no address"))?;
        let of_the_vault = match (url.host_str(), vault.host_str()) {
            (Some(audience), Some(vault)) => {
                vault == audience
                    || vault
                        .strip_suffix(audience)
                        .is_some_and(|rest| rest.ends_with('.') && audience.contains('.'))
            }
            _ => false,
        };
        if url.scheme() == "https" && of_the_vault && url.path() == "/" && url.query().is_none() {
            Ok(Self(audience.trim_end_matches('/').to_owned()))
        } else {
            Err(refuse(
                "asks for tokens for another service than itself, and gets none",
            ))
        }
    }
}

/// Gets a token.
pub(super) async fn token(audience: &Audience, around: &Surroundings) -> Result<Zeroizing<String>, Fault> {
    let client = around.var("AZURE_CLIENT_ID");
    let tenant = around.var("AZURE_TENANT_ID");
    let secret = around.var("AZURE_CLIENT_SECRET");
    let federated = around.var("AZURE_FEDERATED_TOKEN_FILE");
    if secret.is_some() || federated.is_some() {
        let (Some(client), Some(tenant)) = (client, tenant) else {
            return Err(Fault::Refused(
                "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE is set, and AZURE_CLIENT_ID or AZURE_TENANT_ID is not"
                    .to_owned(),
            ));
        };
        let proof = match (secret, federated) {
            (Some(secret), _) => vec![("client_secret", secret)],
            (None, file) => {
                let bytes = read_file(file.unwrap_or_default().to_string()).await?;
                let assertion = String::from_utf8_lossy(&bytes).trim().to_owned();
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                vec![
                    ("client_assertion_type", Zeroizing::new(kind.to_owned())),
                    ("client_assertion", Zeroizing::new(assertion)),
                ]
            }
        };
        return of_application(audience, around, &client, &tenant, &proof).await;
    }
    let endpoint = around.var("IDENTITY_ENDPOINT").zip(around.var("IDENTITY_HEADER"));
    of_machine(audience, around, client, endpoint).await
}

/// OAuth 2.0 client credentials.
async fn of_application(
    audience: &Audience,
    around: &Surroundings,
    client: &str,
    tenant: &str,
    proof: &[(&str, Zeroizing<String>)],
) -> Result<Zeroizing<String>, Fault> {
    if !is_segment(tenant) {
        return Err(Fault::Refused("AZURE_TENANT_ID is no tenant".to_owned()));
    }
    let authority = around.var("AZURE_AUTHORITY_HOST").map_or_else(
        || "https://login.microsoftonline.com/".to_owned(),
        |text| text.to_string(),
    );
    let authority =
        address::service(&authority).map_err(|why| Fault::Refused(format!("AZURE_AUTHORITY_HOST: {why}")))?;
    let url = below(&authority, [tenant, "oauth2", "v2.0", "token"]);
    let form = Zeroizing::new({
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client)
            .append_pair("scope", &format!("{}/.default", audience.0));
        for (name, value) in proof {
            form.append_pair(name, value);
        }
        form.finish()
    });
    let ask = Ask::new(http::Method::POST, &url)
        .with("content-type", "application/x-www-form-urlencoded")?
        .body(form.as_bytes().to_vec());
    let secrets: Vec<&str> = proof.iter().map(|(_, value)| value.as_str()).collect();
    let http = Http::new(&url, None, AUTHORITIES, around.timeout)?;
    let follows = "; the client secret or federation of the application may have ended";
    granted(&http, &ask, &secrets, follows).await
}

/// The identity that Azure gives to a machine, or to an app of App Service.
async fn of_machine(
    audience: &Audience,
    around: &Surroundings,
    client: Option<Zeroizing<String>>,
    endpoint: Option<(Zeroizing<String>, Zeroizing<String>)>,
) -> Result<Zeroizing<String>, Fault> {
    let refuse = |variable: &str, why| Fault::Refused(format!("{variable}: {why}"));
    let (mut url, version, header) = if let Some((endpoint, secret)) = endpoint {
        let url = address::metadata(&endpoint).map_err(|why| refuse("IDENTITY_ENDPOINT", why))?;
        (url, "2019-08-01", ("x-identity-header", secret))
    } else {
        let variable = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
        let base = around
            .var(variable)
            .map_or_else(|| "http://169.254.169.254".to_owned(), |text| text.to_string());
        let base = address::metadata(&base).map_err(|why| refuse(variable, why))?;
        let url = below(&base, ["metadata", "identity", "oauth2", "token"]);
        (url, "2018-02-01", ("metadata", Zeroizing::new("true".to_owned())))
    };
    url.query_pairs_mut()
        .append_pair("api-version", version)
        .append_pair("resource", &audience.0);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", &client);
    }
    let ask = Ask::get(&url).with(header.0, &header.1)?;
    let http = Http::on_the_link(&url, around.timeout)?;
    let secrets = [header.1.as_str()];
    let secrets = if version == "2019-08-01" {
        &secrets[..]
    } else {
        &[]
    };
    match granted(&http, &ask, secrets, "; has this machine an identity?").await {
        Err(Fault::Unavailable(why)) => Err(Fault::Unavailable(format!(
            "there are no Azure credentials: AZURE_CLIENT_SECRET and AZURE_FEDERATED_TOKEN_FILE are not set, and of the machine's identity: {why}"
        ))),
        done => done,
    }
}

async fn granted(
    http: &Http,
    ask: &Ask<'_>,
    secrets: &[&str],
    follows: &str,
) -> Result<Zeroizing<String>, Fault> {
    let answer = http.repeated(ask, |_| false).await?;
    if answer.status.is_success() {
        return answer
            .json::<Granted>()
            .map(|granted| granted.access_token.into_inner());
    }
    let denied: Denied = serde_json::from_slice(&answer.body).unwrap_or_default();
    let why = format!(
        "{} gives no token (status {}, {}): {}",
        origin(ask.url),
        answer.status.as_u16(),
        said(&denied.error, secrets),
        said(&denied.error_description, secrets)
    );
    if passes(answer.status) {
        Err(Fault::Unavailable(why))
    } else {
        Err(Fault::Refused(why + follows))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn read(header: &str, vault: &str) -> Result<String, Fault> {
        Audience::of_challenge(header, &vault.parse().unwrap()).map(|audience| audience.0)
    }

    #[test]
    fn a_token_is_for_the_vaults_own_domain() {
        let header = |what: &str| format!("Bearer authorization=\"https://login.example/t\", {what}");
        let vault = "https://team.vault.example/";
        for what in [
            "resource=\"https://vault.example\"",
            "resource=\"https://vault.example/\"",
            "scope=\"https://vault.example/.default\"",
            "resource=\"https://team.vault.example\"",
        ] {
            let audience = read(&header(what), vault).unwrap();
            assert!(audience.ends_with("vault.example"), "{audience}");
        }
        for what in [
            "resource=\"https://management.example\"",
            "resource=\"https://ault.example\"",
            "resource=\"https://example.evil\"",
            "resource=\"https://example\"",
            "resource=\"http://vault.example\"",
            "resource=\"https://vault.example/other\"",
            "",
        ] {
            assert!(read(&header(what), vault).is_err(), "{what}");
        }
        assert!(read("Basic realm=\"x\", resource=\"https://vault.example\"", vault).is_err());
    }
}
