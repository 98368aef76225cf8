//! What AWS's services have in common: endpoints, signed requests (Signature Version 4), errors.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::address::{self, Authority};
use super::aws_credentials::Chain;
use super::error::Fault;
use super::http::{Answer, Ask, Http, origin, passes};
use super::said::said;
use super::uri::{arn_region, is_region};
use super::{Surroundings, aws_profile, read_file};

/// The variable that names a file of authorities, as AWS's own tools have it.
pub(super) const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// Which service is asked.
pub(super) struct Service {
    /// As endpoints and signatures name it.
    pub(super) name: &'static str,
    /// What stands before the operation in `X-Amz-Target`.
    pub(super) target: &'static str,
    /// The variable with another endpoint.
    pub(super) endpoint: &'static str,
    /// What the caller must be allowed, for the words of a refusal.
    pub(super) permissions: &'static str,
}

/// One service in one region.
pub(super) struct Aws {
    service: &'static Service,
    http: Http,
    endpoint: Url,
    region: String,
    chain: Chain,
    pub(super) around: Surroundings,
}

/// A refusal, in the JSON protocols 1.0 and 1.1. Some services write `message`, some `Message`.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

impl Aws {
    /// Finds region, endpoint and trust; asks nobody yet.
    pub(super) async fn connect(
        service: &'static Service,
        endpoint: Option<&Authority>,
        region: Option<&str>,
        of: &str,
        around: &Surroundings,
    ) -> Result<Self, Fault> {
        let region = match region.or_else(|| arn_region(of)) {
            Some(region) => region.to_owned(),
            None => usual_region(around).await?,
        };
        let endpoint = endpoint_of(service, endpoint, &region, around)?;
        let authorities = match around.var(CA_BUNDLE) {
            None => None,
            Some(path) => Some(read_file(path.to_string()).await?),
        };
        Ok(Self {
            service,
            http: Http::new(
                &endpoint,
                authorities.as_deref().map(Vec::as_slice),
                CA_BUNDLE,
                around.timeout,
            )?,
            chain: Chain::new(around.clone(), region.clone()),
            endpoint,
            region,
            around: around.clone(),
        })
    }

    /// The region that is asked.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Calls an operation that does no harm when it is done twice.
    pub(super) async fn call(&self, operation: &str, body: &Value) -> Result<Answer, Fault> {
        let credentials = self.chain.credentials().await?;
        match self.call_as(&credentials, operation, body).await {
            // What a role gave can end before its time, and a file may have been written anew.
            Err(Told::Expired(_)) => {
                self.chain.forget().await;
                let credentials = self.chain.credentials().await?;
                self.call_as(&credentials, operation, body)
                    .await
                    .map_err(Told::fault)
            }
            done => done.map_err(Told::fault),
        }
    }

    async fn call_as(
        &self,
        credentials: &Credentials,
        operation: &str,
        body: &Value,
    ) -> Result<Answer, Told> {
        let ask = self.signed(credentials, operation, body.to_string())?;
        let answer = self.http.repeated(&ask, is_throttled).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.refusal(&answer, credentials, operation))
    }

    fn signed(&self, credentials: &Credentials, operation: &str, body: String) -> Result<Ask<'_>, Fault> {
        let target = format!("{}.{operation}", self.service.target);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", target.as_str()),
        ];
        let failed = |_| Fault::Refused("the request cannot be signed (Signature Version 4)".to_owned());
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service.name)
            .time((self.around.now)())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| Fault::Refused("the request cannot be signed (Signature Version 4)".to_owned()))?
            .into();
        let request = SignableRequest::new(
            "POST",
            self.endpoint.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        )
        .map_err(failed)?;
        let (instructions, _) = sign(request, &params).map_err(failed)?.into_parts();
        let mut ask = Ask::new(http::Method::POST, &self.endpoint);
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            ask = ask.with(name, value)?;
        }
        Ok(ask.body(body))
    }

    fn refusal(&self, answer: &Answer, credentials: &Credentials, operation: &str) -> Told {
        let (kind, refusal) = kind_of(answer);
        let secrets = [
            credentials.secret_access_key(),
            credentials.session_token().unwrap_or_default(),
        ];
        let words = said(&refusal.message, &secrets);
        let (at, status) = (origin(&self.endpoint), answer.status.as_u16());
        let shown = said(&kind, &secrets);
        let told = format!("{at} refuses {operation} ({shown}): {words}");
        let refused = |follows: &str| Told::Final(Fault::Refused(format!("{told}{follows}")));
        let clock = "; compare this machine's clock with the true time";
        match kind.as_str() {
            "ExpiredTokenException" | "ExpiredToken" => Told::Expired(Fault::Refused(format!(
                "{told}; the credentials ({}) have ended and no fresh ones are to be had",
                self.chain.source()
            ))),
            "RequestExpired" | "RequestTimeTooSkewed" => refused(clock),
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                let skewed = ["expired", "not yet current"]
                    .iter()
                    .any(|word| words.contains(word));
                refused(if skewed {
                    clock
                } else {
                    "; the secret access key is another one than the key id's"
                })
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException" => refused(&format!(
                "; the credentials ({}) are unknown there",
                self.chain.source()
            )),
            "AccessDeniedException" => refused(&format!(
                "; whoever the credentials ({}) are needs {}, in their own policy or the key's",
                self.chain.source(),
                self.service.permissions
            )),
            "NotFoundException" | "ResourceNotFoundException" => Told::Final(Fault::Missing(format!(
                "{at} knows none in the region {} ({words})",
                self.region
            ))),
            "DisabledException" => refused("; somebody has to enable it"),
            "KMSInvalidStateException" => refused("; is it waiting to be deleted, or not yet imported?"),
            "KeyUnavailableException"
            | "KMSInternalException"
            | "DependencyTimeoutException"
            | "InternalServiceError"
            | "InternalFailure"
            | "ServiceUnavailableException" => Told::Final(Fault::Unavailable(told)),
            _ if passes(answer.status) || is_throttled(answer) => {
                Told::Final(Fault::Unavailable(format!("{told} (status {status})")))
            }
            _ => refused(""),
        }
    }
}

/// An error that is final, or that fresh credentials may cure.
enum Told {
    Expired(Fault),
    Final(Fault),
}

impl Told {
    fn fault(self) -> Fault {
        match self {
            Self::Expired(fault) | Self::Final(fault) => fault,
        }
    }
}

impl From<Fault> for Told {
    fn from(fault: Fault) -> Self {
        Self::Final(fault)
    }
}

/// The error's name, without the namespace before it and the address behind it.
fn kind_of(answer: &Answer) -> (String, Refusal) {
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let named = match refusal.kind.as_str() {
        "" => answer.header("x-amzn-errortype").unwrap_or("no error is named"),
        kind => kind,
    };
    let name = named.rsplit('#').next().unwrap_or(named);
    let name = name.split(':').next().unwrap_or(name);
    (name.to_owned(), refusal)
}

/// Said with the status 400 by services that are busy.
fn is_throttled(answer: &Answer) -> bool {
    matches!(
        kind_of(answer).0.as_str(),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded"
    )
}

/// The region that the environment or the profile names.
async fn usual_region(around: &Surroundings) -> Result<String, Fault> {
    let of_env = around
        .var("AWS_REGION")
        .or_else(|| around.var("AWS_DEFAULT_REGION"));
    let region = match of_env {
        Some(region) => Some(region.to_string()),
        None => aws_profile::region(around).await?,
    };
    match region {
        Some(region) if is_region(&region) => Ok(region),
        Some(_) => Err(Fault::Refused(
            "the region that AWS_REGION or the profile names is no region".to_owned(),
        )),
        None => Err(Fault::Refused(
            "the region is not known: add ?region=REGION to the URI, name the key by its ARN, or set AWS_REGION".to_owned(),
        )),
    }
}

fn endpoint_of(
    service: &Service,
    endpoint: Option<&Authority>,
    region: &str,
    around: &Surroundings,
) -> Result<Url, Fault> {
    if let Some(authority) = endpoint {
        return authority
            .url()
            .ok_or_else(|| Fault::Refused("its endpoint is no address".to_owned()));
    }
    for variable in [service.endpoint, "AWS_ENDPOINT_URL"] {
        if let Some(text) = around.var(variable) {
            return address::service(&text).map_err(|why| Fault::Refused(format!("{variable}: {why}")));
        }
    }
    let fips = if around.is_on("AWS_USE_FIPS_ENDPOINT") {
        "-fips"
    } else {
        ""
    };
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    let text = format!("https://{}{fips}.{region}.{domain}/", service.name);
    Url::parse(&text).map_err(|_| Fault::Refused("its region is no region".to_owned()))
}
