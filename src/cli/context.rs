//! The flags that every verb takes, and what follows from them: configuration, data folder, client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chiron_storage::{BlobError, DbError, LogError};
use clap::Args;
use url::Url;

use super::client::{Client, is_loopback, token_file};
use super::exit::Failure;
use super::output::{Format, Output, note};
use crate::app::{App, AppError, OpenMode};
use crate::config::{Config, Load, Loaded};
use crate::upstream::pip_default::Lookup;

/// How long pip may take for each question; the first start of Python on a cold disk takes seconds.
const PIP_TIMEOUT: Duration = Duration::from_secs(20);

/// Flags that every verb takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Configuration file; else ./chiron.toml, /etc/chiron/chiron.toml, built-in defaults
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "CHIRON_CONFIG",
        help_heading = "Global options"
    )]
    pub config: Option<PathBuf>,
    /// Data folder; overrides `storage.path` (default ./chiron-data)
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub data_dir: Option<PathBuf>,
    /// Act on a running daemon at this address; else the verb opens the data folder itself
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CHIRON_SERVER",
        help_heading = "Global options"
    )]
    pub server: Option<String>,
    /// Token for the daemon; for one on this machine its data folder's admin.token is found
    #[arg(
        long,
        global = true,
        value_name = "T",
        env = "CHIRON_TOKEN",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub token: Option<String>,
    /// How results are written to stdout; progress and logs go to stderr
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Global options"
    )]
    pub format: Format,
    /// Say what would happen, with counts and bytes, and change nothing
    #[arg(long, global = true, help_heading = "Global options")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, global = true, help_heading = "Global options")]
    pub yes: bool,
}

/// What a verb may do about a data folder that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Nothing: it is an error, so that a slip in `--data-dir` does not look like an empty mirror.
    Existing,
    /// Make it, and say so.
    OrCreate,
    /// Work in a scratch folder that is deleted afterwards: a dry run changes nothing.
    OrScratch,
}

/// A verb's surroundings.
pub struct Context {
    /// As given.
    pub global: Global,
    /// Where results go.
    pub out: Output,
}

impl Context {
    /// From the flags.
    pub fn new(mut global: Global) -> Self {
        // An empty variable means "not set", as in most programs.
        global.server = global.server.filter(|server| !server.is_empty());
        global.token = global.token.filter(|token| !token.is_empty());
        global.config = global.config.filter(|path| !path.as_os_str().is_empty());
        let out = Output {
            format: global.format,
        };
        Self { global, out }
    }

    /// The configuration in force, flags over environment over file.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let mut loaded = self.loader().load()?;
        self.override_config(&mut loaded.config);
        Ok(loaded)
    }

    /// As [`Self::load`], the configuration alone.
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(self.load()?.config)
    }

    /// What reads the configuration.
    pub fn loader(&self) -> Load {
        Load::new(self.global.config.clone(), std::env::vars_os())
    }

    /// Puts the flags over a configuration.
    pub fn override_config(&self, config: &mut Config) {
        if let Some(dir) = &self.global.data_dir {
            config.storage.path.clone_from(dir);
        }
    }

    /// Opens the store, remote or local, does the work, and closes it whatever came of it.
    pub async fn with_client<T>(
        &self,
        open: Open,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (client, scratch) = match &self.global.server {
            Some(server) => (Client::remote(server, self.token_for(server)?)?, None),
            None => self.open_local(open).await?,
        };
        let result = work(&client).await;
        client.close().await;
        drop(scratch);
        result
    }

    async fn open_local(&self, open: Open) -> Result<(Client, Option<tempfile::TempDir>), Failure> {
        let mut config = self.config()?;
        let path = config.storage.path.clone();
        let mut scratch = None;
        if !is_initialised(&path) {
            match open {
                Open::Existing => {
                    return Err(Failure::usage(format_args!("there is no data folder at {}", path.display()))
                        .next("`chiron init` makes one; --data-dir names another; --server http://HOST:PORT asks a daemon"));
                }
                Open::OrCreate => note(format_args!("making the data folder {}", path.display())),
                Open::OrScratch => {
                    let folder = tempfile::tempdir()
                        .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
                    folder.path().join("data").clone_into(&mut config.storage.path);
                    scratch = Some(folder);
                }
            }
        }
        let app = App::open(config, OpenMode::Verb)
            .await
            .map_err(|error| app_failure(error, &path))?;
        Ok((Client::local(app), scratch))
    }

    /// The token given; else the one beside the data, for a daemon on this machine only.
    pub fn token_for(&self, server: &str) -> Result<Option<String>, Failure> {
        if self.global.token.is_some() {
            return Ok(self.global.token.clone());
        }
        let local = Url::parse(server).is_ok_and(|server| is_loopback(&server));
        if !local {
            return Ok(None);
        }
        // A configuration that does not load must not stop a verb that asks a daemon.
        let Some(path) = self.config().ok().map(|config| token_file(&config.storage.path)) else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(token) => Ok(Some(token.trim().to_owned())),
            Err(_) => Ok(None),
        }
    }

    /// The index that a resolver asks: the first upstream's. With a daemon, that of pip on this machine.
    pub async fn resolver_index(&self, client: &Client) -> Result<ResolverIndex, Failure> {
        if client.server().is_none() {
            let config = self.config()?;
            if let Some(url) = config.upstream.first().and_then(|upstream| upstream.url.as_ref()) {
                return Ok(ResolverIndex {
                    url: url.expose().clone(),
                    cert: None,
                });
            }
        }
        pip_index().await
    }
}

/// The index that pip on this machine uses, with pip's certificate authorities.
async fn pip_index() -> Result<ResolverIndex, Failure> {
    let found = Lookup::of_this_machine(PIP_TIMEOUT).find().await;
    let found = found
        .map_err(|error| Failure::usage(error).next("name the index: PIP_INDEX_URL=https://HOST/simple/"))?;
    Ok(ResolverIndex {
        url: found.url.expose().clone(),
        cert: found.cert,
    })
}

/// Where a resolver looks.
#[derive(Debug, Clone)]
pub struct ResolverIndex {
    /// May hold a password: never shown, never an argument.
    pub url: Url,
    /// Certificate authorities to trust, when pip is told so.
    pub cert: Option<PathBuf>,
}

/// True when a data folder has been made there.
pub fn is_initialised(path: &Path) -> bool {
    token_file(path).exists()
}

/// What a daemon says of itself in its data folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DaemonFile {
    /// `http://127.0.0.1:8080`.
    pub address: String,
    /// Its process.
    pub pid: u32,
}

impl DaemonFile {
    /// Where it is kept.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("daemon.json")
    }

    /// What the daemon that runs on the folder wrote; `None` when there is none, or it was killed and left its note.
    pub fn of_running(data_dir: &Path) -> Option<Self> {
        let daemon: Self = serde_json::from_slice(&std::fs::read(Self::path(data_dir)).ok()?).ok()?;
        let pid = rustix::process::Pid::from_raw(daemon.pid.cast_signed())?;
        rustix::process::test_kill_process(pid).is_ok().then_some(daemon)
    }

    /// Writes it whole or not at all.
    pub fn write(&self, data_dir: &Path) -> Result<(), Failure> {
        let path = Self::path(data_dir);
        let fresh = data_dir.join("daemon.json.new");
        let text = serde_json::to_vec(self).map_err(Failure::internal)?;
        std::fs::write(&fresh, text)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|error| Failure::file("write", &path, &error))
    }
}

/// The failure to open a data folder.
pub fn app_failure(error: AppError, data_dir: &Path) -> Failure {
    match error {
        AppError::Locked { path } => {
            let failure = Failure::usage(format_args!(
                "another process holds the data folder {}",
                path.display()
            ));
            match DaemonFile::of_running(data_dir) {
                Some(daemon) => failure.next(format_args!(
                    "it is the daemon with process id {}: add --server {} to ask it",
                    daemon.pid, daemon.address
                )),
                None => failure.next("if it is the daemon, add --server http://HOST:PORT (it printed its address); else wait for the other command to end"),
            }
        }
        AppError::Trust(_) => Failure::usage(error)
            .next("set [trust] in the configuration right; nothing was opened or changed"),
        AppError::Sender { .. } => Failure::usage(error)
            .next("set [[airgap.sender]] in the configuration right; nothing was opened or changed"),
        AppError::Policy(_) => Failure::usage(error)
            .next("set [policy], [[publisher]] and the rules in policy.folder right (`chiron policy check` says more); nothing was opened or changed"),
        AppError::Db(DbError::NewerFormat { .. }) => Failure::usage(error)
            .next("use the Chiron that wrote this folder, or a newer one; nothing was changed"),
        AppError::Db(DbError::Corrupt { .. }) | AppError::Log(LogError::Damaged { .. }) => {
            Failure::integrity(error)
                .next("keep the folder as it is and restore it from a backup; nothing was changed")
        }
        AppError::Db(DbError::NoSpace { .. }) | AppError::Blob(BlobError::NoSpace { .. }) => {
            Failure::internal(error).next("free some space on this disk")
        }
        AppError::Folder { ref path, ref source } => {
            let failure = Failure::file("use", path, source);
            match failure.next {
                Some(_) => failure,
                None => failure.next("name another data folder with --data-dir, or set this one right"),
            }
        }
        AppError::Log(LogError::Key { .. } | LogError::KeyFile { .. }) => Failure::usage(error)
            .next("restore keys/log.key from a backup: checkpoints of another key do not continue this log"),
        other => Failure::internal(other).next("`chiron doctor` checks the data folder"),
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::usage(error)
            .next("`chiron config schema` lists every key; `chiron config show` prints what is in force")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn a_held_folder_names_the_server_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let locked = || AppError::Locked {
            path: folder.path().to_owned(),
        };
        let without = app_failure(locked(), folder.path());
        assert_eq!(without.status, ExitStatus::Usage);
        assert!(without.next.unwrap().contains("--server http://"));

        DaemonFile {
            address: "http://127.0.0.1:4711".to_owned(),
            pid: std::process::id(),
        }
        .write(folder.path())
        .unwrap();
        let with = app_failure(locked(), folder.path());
        assert!(with.next.unwrap().contains("--server http://127.0.0.1:4711"));
    }

    #[test]
    fn a_token_is_not_read_for_another_machine() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(token_file(folder.path()), "secret\n").unwrap();
        let global = Global {
            data_dir: Some(folder.path().to_owned()),
            ..Global::default()
        };
        let context = Context::new(global);
        assert_eq!(context.token_for("http://10.0.0.1:80").unwrap(), None);
        assert_eq!(
            context.token_for("http://127.0.0.1:80").unwrap().as_deref(),
            Some("secret")
        );
    }
}
