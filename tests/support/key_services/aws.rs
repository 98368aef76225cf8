//! A stand-in for AWS KMS, Secrets Manager, and what gives containers and machines their credentials. Signatures
//! (version 4) are computed here once more, from the bytes that came, and refused when they differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Fault, Key, Reply, Request, Server, Shared};

pub const REGION: &str = "eu-central-1";
pub const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// What roles get.
pub const ROLE_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
pub const ROLE_SECRET: &str = "role-secret-K7MDENG/bPxRfiCYEXAMPLEKEY00";
pub const ROLE_TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE-session-token";
const METADATA_TOKEN: &str = "AQAEAExampleMetadataToken==";

/// The stand-in.
pub struct Aws {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By the part of the ARN after `key/`.
    keys: BTreeMap<String, Key>,
    disabled: Vec<String>,
    aliases: BTreeMap<String, String>,
    secrets: BTreeMap<String, Value>,
    role_ended: bool,
}

impl Aws {
    pub fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let mine = Arc::clone(&state);
        let server = Server::start(move |request, shared| answer(request, shared, &mut mine.lock().unwrap()));
        Self { server, state }
    }

    /// Adds a key under an id and gives its ARN.
    pub fn add(&self, id: &str, key: Key) -> String {
        self.state.lock().unwrap().keys.insert(id.to_owned(), key);
        arn(id)
    }

    pub fn point(&self, alias: &str, id: &str) {
        let mut state = self.state.lock().unwrap();
        state.aliases.insert(format!("alias/{alias}"), id.to_owned());
    }

    pub fn disable(&self, id: &str) {
        self.state.lock().unwrap().disabled.push(id.to_owned());
    }

    /// `{"SecretString": …}` or `{"SecretBinary": …}`.
    pub fn put(&self, name: &str, value: Value) {
        self.state.lock().unwrap().secrets.insert(name.to_owned(), value);
    }

    /// The role's first credentials end at once.
    pub fn end_role(&self) {
        self.state.lock().unwrap().role_ended = true;
    }

    /// `awskms://…` or `awssecret://…` of this endpoint.
    pub fn place(&self, scheme: &str, what: &str) -> String {
        format!("{scheme}://{}/{what}?region={REGION}", self.server.addr)
    }
}

pub fn arn(id: &str) -> String {
    format!("arn:aws:kms:{REGION}:111122223333:key/{id}")
}

fn refuse(kind: &str, words: &str) -> Reply {
    Reply::json(400, &json!({"__type": kind, "message": words})).with("x-amzn-errortype", kind)
}

fn answer(request: &Request, shared: &Shared, state: &mut State) -> Reply {
    match (request.method.as_str(), request.path()) {
        ("PUT", "/latest/api/token")
            if !request.header("x-aws-ec2-metadata-token-ttl-seconds").is_empty() =>
        {
            Reply::text(200, METADATA_TOKEN)
        }
        ("GET", path) if path.starts_with("/latest/") => {
            if request.header("x-aws-ec2-metadata-token") != METADATA_TOKEN {
                return Reply::text(401, "");
            }
            match path.strip_prefix("/latest/meta-data/iam/security-credentials/") {
                Some("") => Reply::text(200, "mirror-role"),
                Some("mirror-role") => role(),
                _ => Reply::text(404, ""),
            }
        }
        ("GET", "/v1/credentials") => match request.header("authorization") {
            "container-authorization" => role(),
            _ => Reply::text(401, ""),
        },
        ("POST", "/") => {
            let service = if request.header("x-amz-target").starts_with("TrentService.") {
                "kms"
            } else {
                "secretsmanager"
            };
            if let Err(reply) = verified(request, service, state) {
                return reply;
            }
            let body = request.json();
            match request.header("x-amz-target") {
                "TrentService.GetPublicKey" => get_public_key(&body, state),
                "TrentService.Sign" => sign(&body, state, shared.fault()),
                "secretsmanager.GetSecretValue" => get_secret_value(&body, state),
                _ => refuse("UnknownOperationException", ""),
            }
        }
        _ => Reply::text(404, ""),
    }
}

/// Credentials of a role, which end in an hour.
fn role() -> Reply {
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    Reply::json(
        200,
        &json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": ROLE_KEY_ID, "SecretAccessKey": ROLE_SECRET, "Token": ROLE_TOKEN, "Expiration": end.to_string()}),
    )
}

/// Signature Version 4, as the service's side has it.
fn verified(request: &Request, service: &str, state: &mut State) -> Result<(), Reply> {
    let header = request.header("authorization");
    let field = |name: &str| {
        let (_, rest) = header.split_once(&format!("{name}="))?;
        Some(rest.split(',').next()?.trim())
    };
    let (Some(credential), Some(signed), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(refuse(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [id, day, REGION, named, "aws4_request"] = scope.as_slice() else {
        return Err(refuse(
            "InvalidSignatureException",
            "Credential should be scoped to a valid region.",
        ));
    };
    let secret = match *id {
        KEY_ID => SECRET,
        ROLE_KEY_ID if request.header("x-amz-security-token") == ROLE_TOKEN => {
            if std::mem::take(&mut state.role_ended) {
                return Err(refuse(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                ));
            }
            ROLE_SECRET
        }
        _ => {
            return Err(refuse(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ));
        }
    };
    let names: Vec<&str> = signed.split(';').collect();
    let must = ["host", "x-amz-date", "x-amz-target", "content-type"];
    let token = request.headers.contains_key("x-amz-security-token");
    if *named != service
        || must.iter().any(|name| !names.contains(name))
        || (token && !names.contains(&"x-amz-security-token"))
    {
        return Err(refuse(
            "InvalidSignatureException",
            "a header that must be signed is not",
        ));
    }
    let date = request.header("x-amz-date");
    let at: Timestamp = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date)
        .unwrap()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp();
    if Timestamp::now().duration_since(at).abs() > SignedDuration::from_mins(5) {
        let words = format!("Signature expired: {date} is now earlier than another time");
        return Err(refuse("InvalidSignatureException", &words));
    }
    let mut canonical = format!("POST\n{}\n\n", request.path());
    for name in &names {
        writeln!(canonical, "{name}:{}", request.header(name)).unwrap();
    }
    write!(canonical, "\n{signed}\n{}", sha256(&request.body)).unwrap();
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{REGION}/{service}/aws4_request\n{}",
        sha256(canonical.as_bytes())
    );
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, REGION, service, "aws4_request", &text] {
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes());
        key = made.as_ref().to_vec();
    }
    if hex::encode(key) == signature {
        return Ok(());
    }
    // The real one repeats what it signed, the session token too.
    let words = format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'{canonical}'"
    );
    Err(refuse("InvalidSignatureException", &words))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn find<'a>(body: &Value, state: &'a State) -> Result<(String, &'a Key), Reply> {
    let named = body["KeyId"].as_str().unwrap_or_default();
    let id = named.rsplit("key/").next().unwrap();
    let id = state.aliases.get(named).map_or(id, String::as_str);
    let key = state.keys.get(id).ok_or_else(|| {
        let words = format!("Key '{named}' does not exist");
        refuse("NotFoundException", &words)
    })?;
    if state.disabled.iter().any(|disabled| disabled == id) {
        return Err(refuse("DisabledException", &format!("{} is disabled.", arn(id))));
    }
    Ok((id.to_owned(), key))
}

fn get_public_key(body: &Value, state: &State) -> Reply {
    let (id, key) = match find(body, state) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let (spec, algorithms) = match key {
        Key::Ed25519(_) => (
            "ECC_NIST_EDWARDS25519",
            json!(["ED25519_SHA_512", "ED25519_PH_SHA_512"]),
        ),
        Key::P256(_) => ("ECC_NIST_P256", json!(["ECDSA_SHA_256"])),
    };
    let spki = STANDARD.encode(key.spki());
    Reply::json(
        200,
        &json!({"KeyId": arn(&id), "PublicKey": spki, "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": algorithms}),
    )
}

fn sign(body: &Value, state: &State, fault: Fault) -> Reply {
    let (id, key) = match find(body, state) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let message = STANDARD.decode(body["Message"].as_str().unwrap_or("?")).unwrap();
    if message.len() > 4096 {
        return refuse(
            "ValidationException",
            "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096",
        );
    }
    let digest = body["MessageType"] == "DIGEST";
    let algorithm = body["SigningAlgorithm"].as_str().unwrap_or_default();
    let fits = matches!(
        (key, algorithm, digest),
        (Key::P256(_), "ECDSA_SHA_256", _) | (Key::Ed25519(_), "ED25519_SHA_512", false)
    );
    if !fits {
        let words = format!("Algorithm {algorithm} and message type are not supported by the key");
        return refuse("InvalidKeyUsageException", &words);
    }
    match key.signature(&message, digest, fault) {
        None => refuse(
            "ValidationException",
            "Digest is invalid length for algorithm ECDSA_SHA_256.",
        ),
        Some(signature) => {
            let signature = STANDARD.encode(signature);
            Reply::json(
                200,
                &json!({"KeyId": arn(&id), "Signature": signature, "SigningAlgorithm": algorithm}),
            )
        }
    }
}

fn get_secret_value(body: &Value, state: &State) -> Reply {
    let name = body["SecretId"].as_str().unwrap_or_default();
    let Some(value) = state.secrets.get(name) else {
        return refuse(
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        );
    };
    let mut answer = value.clone();
    answer["Name"] = json!(name);
    answer["VersionId"] = json!("EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE");
    answer["VersionStages"] = json!(["AWSCURRENT"]);
    Reply::json(200, &answer)
}
