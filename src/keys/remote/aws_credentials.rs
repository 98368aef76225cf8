//! Who we are to AWS: the environment, the profile files, a web identity, the container, the machine; in this order,
//! as AWS's own tools look.

use std::sync::OnceLock;
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::sync::Mutex;

use super::error::Fault;
use super::{Surroundings, aws_metadata, aws_profile};

/// How long before their end credentials are fetched anew, so that none end on their way.
const EARLY: Duration = Duration::from_mins(5);

/// The sources, and what the last of them gave.
pub(super) struct Chain {
    around: Surroundings,
    region: String,
    held: Mutex<Option<Credentials>>,
    source: OnceLock<&'static str>,
}

impl Chain {
    pub(super) fn new(around: Surroundings, region: String) -> Self {
        Self {
            around,
            region,
            held: Mutex::new(None),
            source: OnceLock::new(),
        }
    }

    /// Which source gave the credentials, for errors.
    pub(super) fn source(&self) -> &'static str {
        self.source.get().copied().unwrap_or("not yet found")
    }

    /// Credentials that hold for some minutes yet.
    pub(super) async fn credentials(&self) -> Result<Credentials, Fault> {
        let mut held = self.held.lock().await;
        let soon = (self.around.now)() + EARLY;
        match &*held {
            Some(found) if found.expiry().is_none_or(|end| end > soon) => Ok(found.clone()),
            _ => {
                let found = self.find().await?;
                let _ = self.source.set(name_of(&found));
                Ok(held.insert(found).clone())
            }
        }
    }

    /// Looks again next time.
    pub(super) async fn forget(&self) {
        *self.held.lock().await = None;
    }

    async fn find(&self) -> Result<Credentials, Fault> {
        let around = &self.around;
        let id = around.var("AWS_ACCESS_KEY_ID");
        let secret = around.var("AWS_SECRET_ACCESS_KEY");
        match (id, secret) {
            (Some(id), Some(secret)) => {
                let token = around.var("AWS_SESSION_TOKEN").map(|token| token.to_string());
                return Ok(Credentials::new(id.as_str(), secret.as_str(), token, None, "env"));
            }
            (None, None) => {}
            _ => {
                return Err(Fault::Refused(
                    "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set".to_owned(),
                ));
            }
        }
        if let Some(found) = aws_profile::credentials(around).await? {
            return Ok(found);
        }
        if let Some(found) = aws_metadata::web_identity(around, &self.region).await? {
            return Ok(found);
        }
        if let Some(found) = aws_metadata::container(around).await? {
            return Ok(found);
        }
        if around.is_on("AWS_EC2_METADATA_DISABLED") {
            return Err(Fault::Refused(nowhere("the machine's metadata is switched off")));
        }
        aws_metadata::machine(around).await
    }
}

/// The sentence when nobody gave credentials.
pub(super) fn nowhere(machine: &str) -> String {
    format!(
        "there are no AWS credentials: none in the environment (AWS_ACCESS_KEY_ID), the profile files, a web identity (AWS_WEB_IDENTITY_TOKEN_FILE) or the container, and {machine}"
    )
}

fn name_of(credentials: &Credentials) -> &'static str {
    if credentials.session_token().is_some() && credentials.expiry().is_some() {
        "of a role"
    } else if credentials.session_token().is_some() {
        "temporary keys"
    } else {
        "long-lived keys"
    }
}
