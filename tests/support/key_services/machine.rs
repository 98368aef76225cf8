//! The binary on a machine of its own: a home, a keyring, an environment, and no service that somebody else set up.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{aws, azure, vault};
use crate::support::daemon::{Output, command, run};

/// A machine with a keyring and an environment of its own.
pub struct Machine {
    home: tempfile::TempDir,
    pub env: Vec<(String, String)>,
}

impl Machine {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("chiron.toml"), "[tuf]\nkey_timeout = \"1s\"\n").unwrap();
        Self {
            home,
            env: Vec::new(),
        }
    }

    /// With the address and token of a Vault.
    pub fn with_vault(vault: &vault::Vault) -> Self {
        let mut machine = Self::new();
        machine.set("VAULT_ADDR", &vault.server.url());
        machine.set("VAULT_TOKEN", vault::TOKEN);
        machine
    }

    /// With the long-lived keys of an AWS account.
    pub fn with_aws() -> Self {
        let mut machine = Self::new();
        machine.set("AWS_ACCESS_KEY_ID", aws::KEY_ID);
        machine.set("AWS_SECRET_ACCESS_KEY", aws::SECRET);
        machine
    }

    /// With the client secret of an Azure application.
    pub fn with_azure(azure: &azure::Azure) -> Self {
        let mut machine = Self::new();
        machine.set("AZURE_AUTHORITY_HOST", &azure.server.url());
        machine.set("AZURE_TENANT_ID", azure::TENANT);
        machine.set("AZURE_CLIENT_ID", azure::CLIENT);
        machine.set("AZURE_CLIENT_SECRET", azure::SECRET);
        machine
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = command(args);
        command.current_dir(self.path()).env("HOME", self.path());
        for (name, _) in std::env::vars() {
            if ["VAULT_", "AWS_", "AZURE_", "IDENTITY_"]
                .iter()
                .any(|start| name.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        // Nobody's machine may answer for the one of this test.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(self.env.iter().cloned());
        run(&mut command)
    }

    pub fn import(&self, place: &str) -> Output {
        self.run(&[
            "tuf", "keys", "import", place, "--label", "key", "--format", "json",
        ])
    }

    /// The place that the ring remembers.
    #[track_caller]
    pub fn imported(&self, place: &str) -> String {
        let imported = self.import(place).expect(0).json();
        imported["keys"][0]["place"].as_str().unwrap().to_owned()
    }

    /// Has every key sign for trial.
    pub fn check(&self) -> Output {
        self.run(&["tuf", "keys", "list", "--check"])
    }

    pub fn keys(&self) -> usize {
        let listed = self.run(&["tuf", "keys", "list", "--format", "json"]);
        // Before the first key there is no ring.
        if listed.status == 0 {
            listed.json()["keys"].as_array().map_or(0, Vec::len)
        } else {
            0
        }
    }

    /// An import that fails: these words, no secret, and nothing left in the ring.
    #[track_caller]
    pub fn refused(&self, place: &str, words: &[&str]) {
        let output = self.import(place);
        assert_ne!(output.status, 0, "{place}: {output}");
        for word in words {
            assert!(output.stderr.contains(word), "{place}: no {word:?} in {output}");
        }
        self.says_no_secret(&output);
        assert_eq!(self.keys(), 0, "{place}");
    }

    pub fn says_no_secret(&self, output: &Output) {
        let said = format!("{}{}", output.stdout, output.stderr);
        let secrets = ["VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET"];
        for (name, secret) in &self.env {
            assert!(
                !secrets.contains(&name.as_str()) || !said.contains(secret.as_str()),
                "{name} is in {output}"
            );
        }
        for secret in [aws::ROLE_TOKEN, aws::ROLE_SECRET, "PRIVATE KEY-----\nM"] {
            assert!(!said.contains(secret), "{secret} is in {output}");
        }
    }
}

/// A new private key as a secret store keeps it.
pub fn pem(scheme: &str) -> String {
    let key = match scheme {
        "ed25519" => chiron_tuf::LocalKey::generate(chiron_tuf::Scheme::Ed25519),
        _ => chiron_tuf::LocalKey::generate(chiron_tuf::Scheme::EcdsaP256),
    };
    let der = key.unwrap().to_pkcs8().unwrap();
    let body = STANDARD.encode(der.as_slice());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}
