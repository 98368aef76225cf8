//! Credentials that come with where we run: a web identity (EKS), the container (ECS, EKS), the machine (EC2, IMDSv2).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::address::{self, below};
use super::aws::CA_BUNDLE;
use super::aws_credentials::nowhere;
use super::error::Fault;
use super::http::{Answer, Ask, Http, origin, passes};
use super::said::said;
use super::secret_text::SecretText;
use super::uri::is_segment;
use super::{Surroundings, read_file};

/// What containers of ECS and machines of EC2 give.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: SecretText,
    secret_access_key: SecretText,
    token: SecretText,
    expiration: jiff::Timestamp,
}

impl From<Given> for Credentials {
    fn from(given: Given) -> Self {
        Self::new(
            given.access_key_id.to_owned(),
            given.secret_access_key.to_owned(),
            Some(given.token.to_owned()),
            Some(SystemTime::from(given.expiration)),
            "role",
        )
    }
}

/// `AssumeRoleWithWebIdentity`, where `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN` are set.
pub(super) async fn web_identity(around: &Surroundings, region: &str) -> Result<Option<Credentials>, Fault> {
    let (Some(file), Some(role)) = (
        around.var("AWS_WEB_IDENTITY_TOKEN_FILE"),
        around.var("AWS_ROLE_ARN"),
    ) else {
        return Ok(None);
    };
    let session = around
        .var("AWS_ROLE_SESSION_NAME")
        .map_or_else(|| "chiron".to_owned(), |name| name.to_string());
    let text = around.var("AWS_ENDPOINT_URL_STS").map_or_else(
        || {
            let china = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://sts.{region}.amazonaws.com{china}/")
        },
        |text| text.to_string(),
    );
    let url =
        address::service(&text).map_err(|why| Fault::Refused(format!("AWS_ENDPOINT_URL_STS: {why}")))?;
    let authorities = match around.var(CA_BUNDLE) {
        None => None,
        Some(path) => Some(read_file(path.to_string()).await?),
    };
    let http = Http::new(
        &url,
        authorities.as_deref().map(Vec::as_slice),
        CA_BUNDLE,
        around.timeout,
    )?;
    let token = read_file(file.to_string()).await?;
    let token = std::str::from_utf8(&token).unwrap_or_default().trim();
    let form = Zeroizing::new(
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", "2011-06-15")
            .append_pair("RoleArn", &role)
            .append_pair("RoleSessionName", &session)
            .append_pair("WebIdentityToken", token)
            .finish(),
    );
    let ask = Ask::new(http::Method::POST, &url)
        .with("content-type", "application/x-www-form-urlencoded")?
        .body(form.as_bytes().to_vec());
    let answer = http.repeated(&ask, |_| false).await?;
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    if !answer.status.is_success() {
        let (code, words) = (
            element(text, "Code").unwrap_or_default(),
            element(text, "Message").unwrap_or_default(),
        );
        return Err(failed(
            &answer,
            format!(
                "{} does not give the role {} ({}): {}",
                origin(&url),
                said(&role, &[]),
                said(code, &[token]),
                said(words, &[token])
            ),
        ));
    }
    let read = || {
        Some(Given {
            access_key_id: element(text, "AccessKeyId")?.into(),
            secret_access_key: element(text, "SecretAccessKey")?.into(),
            token: element(text, "SessionToken")?.into(),
            expiration: element(text, "Expiration")?.parse().ok()?,
        })
    };
    let given = read()
        .ok_or_else(|| Fault::Refused(format!("{} answers, and not as STS documents it", origin(&url))))?;
    Ok(Some(given.into()))
}

/// What stands in the one element of this name. STS's values are base64, names and times: none has an entity in it.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    (!value.contains(['<', '&'])).then(|| value.trim())
}

/// The container's credentials, where `AWS_CONTAINER_CREDENTIALS_…` says where they are.
pub(super) async fn container(around: &Surroundings) -> Result<Option<Credentials>, Fault> {
    let relative = around.var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let full = around.var("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let text = match (relative, full) {
        (Some(path), _) => format!("http://169.254.170.2/{}", path.trim_start_matches('/')),
        (None, Some(text)) => text.to_string(),
        (None, None) => return Ok(None),
    };
    let url = address::metadata(&text)
        .map_err(|why| Fault::Refused(format!("AWS_CONTAINER_CREDENTIALS_FULL_URI: {why}")))?;
    let token = match around.var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => {
            let bytes = read_file(path.to_string()).await?;
            Some(Zeroizing::new(String::from_utf8_lossy(&bytes).trim().to_owned()))
        }
        None => around.var("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    };
    let mut ask = Ask::get(&url);
    if let Some(token) = &token {
        ask = ask.with("authorization", token)?;
    }
    let answer = Http::on_the_link(&url, around.timeout)?
        .repeated(&ask, |_| false)
        .await?;
    given(&url, &answer).map(Some)
}

/// The machine's credentials, by IMDSv2 only: version 1 answers forged requests too.
pub(super) async fn machine(around: &Surroundings) -> Result<Credentials, Fault> {
    let text = around
        .var("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        .map_or_else(|| "http://169.254.169.254".to_owned(), |text| text.to_string());
    let base = address::metadata(&text)
        .map_err(|why| Fault::Refused(format!("AWS_EC2_METADATA_SERVICE_ENDPOINT: {why}")))?;
    let http = Http::on_the_link(&base, around.timeout)?;
    let url = below(&base, ["latest", "api", "token"]);
    let ask = Ask::new(http::Method::PUT, &url).with("x-aws-ec2-metadata-token-ttl-seconds", "21600")?;
    // Off AWS nobody answers here, which is no passing trouble.
    let answer = match http.once(&ask).await {
        Ok(answer) if answer.status.is_success() => answer,
        Ok(answer) if passes(answer.status) => {
            return Err(Fault::Unavailable(format!("{} is busy", origin(&base))));
        }
        Ok(_) | Err(Fault::Unavailable(_)) => {
            return Err(Fault::Refused(nowhere("this machine has no metadata service")));
        }
        Err(fault) => return Err(fault),
    };
    let token = Zeroizing::new(String::from_utf8_lossy(&answer.body).trim().to_owned());
    let get = async |url: &Url| {
        let ask = Ask::get(url).with("x-aws-ec2-metadata-token", &token)?;
        http.repeated(&ask, |_| false).await
    };
    let folder = ["latest", "meta-data", "iam", "security-credentials"];
    let answer = get(&below(&base, folder.into_iter().chain([""]))).await?;
    let role = String::from_utf8_lossy(&answer.body).trim().to_owned();
    if !answer.status.is_success() || !is_role(&role) {
        return Err(Fault::Refused(nowhere("this machine has no role")));
    }
    let url = below(&base, folder.into_iter().chain([role.as_str()]));
    given(&url, &get(&url).await?)
}

/// IAM's names of roles.
fn is_role(text: &str) -> bool {
    let plain: String = text
        .chars()
        .map(|c| if "+=,@".contains(c) { '_' } else { c })
        .collect();
    is_segment(&plain)
}

fn given(url: &Url, answer: &Answer) -> Result<Credentials, Fault> {
    if !answer.status.is_success() {
        let why = format!(
            "{} gives no credentials (status {})",
            origin(url),
            answer.status.as_u16()
        );
        return Err(failed(answer, why));
    }
    answer.json::<Given>().map(Credentials::from)
}

fn failed(answer: &Answer, why: String) -> Fault {
    if passes(answer.status) {
        Fault::Unavailable(why)
    } else {
        Fault::Refused(why)
    }
}
