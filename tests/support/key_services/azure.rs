//! A stand-in for Azure Key Vault's secrets, for the token endpoint of Microsoft Entra, and for a machine's identity.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{Reply, Request, Server, form};

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
pub const SECRET: &str = "s~Q8~client-secret-of-the-application";
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.e30.azure-access-token";

/// The stand-in.
pub struct Azure {
    pub server: Server,
    secrets: Arc<Mutex<BTreeMap<String, String>>>,
    audience: Arc<Mutex<String>>,
}

impl Azure {
    pub fn start() -> Self {
        let secrets = Arc::<Mutex<BTreeMap<String, String>>>::default();
        let audience = Arc::new(Mutex::new("https://127.0.0.1".to_owned()));
        let (mine, asked) = (Arc::clone(&secrets), Arc::clone(&audience));
        let server =
            Server::start(move |request, _| answer(request, &mine.lock().unwrap(), &asked.lock().unwrap()));
        Self {
            server,
            secrets,
            audience,
        }
    }

    pub fn put(&self, name: &str, value: &str) {
        self.secrets
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.to_owned());
    }

    /// Asks for tokens for this from now on.
    pub fn set_audience(&self, audience: &str) {
        audience.clone_into(&mut self.audience.lock().unwrap());
    }

    /// `azuresecret://…/NAME`.
    pub fn place(&self, name: &str) -> String {
        format!("azuresecret://{}/{name}", self.server.addr)
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

fn answer(request: &Request, secrets: &BTreeMap<String, String>, audience: &str) -> Reply {
    let parts: Vec<&str> = request.path().trim_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => application(request, tenant, audience),
        ("GET", ["metadata", "identity", "oauth2", "token"]) => machine(request, audience),
        ("GET", ["secrets", name, ..]) => {
            if !request.query().contains_key("api-version") {
                return error(400, "BadParameter", "api-version is required");
            }
            if request.header("authorization") != format!("Bearer {TOKEN}") {
                let challenge = format!(
                    "Bearer authorization=\"https://login.example/{TENANT}\", resource=\"{audience}\""
                );
                return error(
                    401,
                    "Unauthorized",
                    "AKV10000: Request is missing a Bearer or PoP token.",
                )
                .with("www-authenticate", &challenge);
            }
            match secrets.get(*name) {
                Some(value) if value == "(disabled)" => Reply::json(
                    403,
                    &json!({"error": {"code": "Forbidden", "message": "Operation get is not allowed on a disabled secret.", "innererror": {"code": "SecretDisabled"}}}),
                ),
                Some(value) if value == "(forbidden)" => error(
                    403,
                    "Forbidden",
                    "Caller is not authorized to perform action on resource.",
                ),
                Some(value) => Reply::json(
                    200,
                    &json!({"value": value, "id": format!("https://127.0.0.1/secrets/{name}/0123456789abcdef0123456789abcdef"), "attributes": {"enabled": true}}),
                ),
                None => error(
                    404,
                    "SecretNotFound",
                    &format!("A secret with (name/id) {name} was not found in this key vault."),
                ),
            }
        }
        _ => error(404, "ResourceNotFound", "no such path"),
    }
}

fn application(request: &Request, tenant: &str, audience: &str) -> Reply {
    let form = form(&request.body);
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let refuse = |error: &str, words: &str| {
        Reply::json(
            if error == "invalid_client" { 401 } else { 400 },
            &json!({"error": error, "error_description": words, "error_codes": [0], "trace_id": "t"}),
        )
    };
    if request.header("content-type") != "application/x-www-form-urlencoded"
        || field("grant_type") != "client_credentials"
    {
        return refuse(
            "invalid_request",
            "AADSTS900144: The request body must contain 'grant_type'.",
        );
    }
    if tenant != TENANT {
        return refuse("invalid_request", "AADSTS90002: Tenant not found.");
    }
    if field("client_id") != CLIENT {
        return refuse(
            "unauthorized_client",
            "AADSTS700016: Application was not found in the directory.",
        );
    }
    if field("scope") != format!("{audience}/.default") {
        return refuse(
            "invalid_scope",
            "AADSTS500011: The resource principal was not found.",
        );
    }
    let federated = field("client_assertion_type")
        == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        && field("client_assertion") == "a.federated.token";
    if field("client_secret") != SECRET && !federated {
        let words = format!(
            "AADSTS7000215: Invalid client secret provided ({}). Ensure the secret being sent is the client secret value.",
            field("client_secret")
        );
        return refuse("invalid_client", &words);
    }
    Reply::json(
        200,
        &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}),
    )
}

fn machine(request: &Request, audience: &str) -> Reply {
    let query = request.query();
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    if request.header("metadata") != "true" {
        return Reply::json(
            400,
            &json!({"error": "bad_request_102", "error_description": "Required metadata header not specified"}),
        );
    }
    if field("api-version") != "2018-02-01" || field("resource") != audience {
        return Reply::json(
            400,
            &json!({"error": "invalid_resource", "error_description": "AADSTS500011"}),
        );
    }
    Reply::json(
        200,
        &json!({"access_token": TOKEN, "expires_in": "86399", "resource": audience, "token_type": "Bearer"}),
    )
}
