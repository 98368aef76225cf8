//! `chiron init`: a configuration file that explains itself, the data folder, the log's key, the admin token, the signed
//! repository with its keys.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::client::{Client, token_file};
use super::context::{Context, app_failure, is_initialised};
use super::exit::{ExitStatus, Failure};
use super::output::{ask, note};
use super::tuf::{self, Keys};
use crate::api::TufChange;
use crate::app::{App, OpenMode};
use crate::config::{Config, Source};

/// Where the configuration goes when `--config` names no place.
const CONFIG_FILE: &str = "chiron.toml";

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron init\n  chiron init --wizard\n  chiron init --config /etc/chiron/chiron.toml --data-dir /var/lib/chiron\n\nWhat is there already is kept."
)]
pub struct InitArgs {
    /// Ask four questions first
    #[arg(long)]
    wizard: bool,
}

/// Writes what is missing.
pub async fn run(context: &Context, args: InitArgs) -> Result<ExitStatus, Failure> {
    if context.global.server.is_some() {
        return Err(
            Failure::usage("init makes files on this machine, and --server names a daemon")
                .next("run it without --server (and CHIRON_SERVER)"),
        );
    }
    let file = context
        .global
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(CONFIG_FILE));
    let kept = file.exists();
    let mut config = if kept { context.config()? } else { fresh(context)? };
    let mut keys = Keys::Here;
    if args.wizard {
        if kept {
            return Err(Failure::usage(format_args!(
                "{} is there already, and the wizard does not change it",
                file.display()
            ))
            .next("edit it (`chiron config check` says whether it is sound), or move it away"));
        }
        keys = wizard(&mut config)?;
    }
    let data = config.storage.path.clone();
    let data_kept = is_initialised(&data);
    let mut signed = None;
    if !context.global.dry_run {
        if !kept {
            write_new(&file, &config.to_toml_commented())?;
        }
        let app = App::open(config, OpenMode::Verb)
            .await
            .map_err(|error| app_failure(error, &data))?;
        let client = Client::local(app);
        let made = make_repository(context, &client, keys).await;
        client.close().await;
        signed = made?;
    }
    report(context, &file, kept, &data, data_kept, signed.as_ref())
}

/// The signed repository; `None` when people hold its keys, which was said already.
async fn make_repository(
    context: &Context,
    client: &Client,
    keys: Keys,
) -> Result<Option<TufChange>, Failure> {
    match keys {
        Keys::Here => Ok(Some(tuf::development(client, None, false).await?)),
        Keys::People => {
            tuf::production_by_wizard(context, client).await?;
            Ok(None)
        }
    }
}

/// The defaults with environment and flags over them.
fn fresh(context: &Context) -> Result<Config, Failure> {
    let mut config = context.loader().parse("", Source::BuiltIn)?.config;
    context.override_config(&mut config);
    Ok(config)
}

/// Four questions; an empty answer takes what is offered.
fn wizard(config: &mut Config) -> Result<Keys, Failure> {
    let no_terminal = || {
        Failure::usage("--wizard asks on a terminal, and stdin is none")
            .next("run `chiron init` and edit chiron.toml")
    };
    let folder = ask(&format!("Data folder [{}]:", config.storage.path.display())).ok_or_else(no_terminal)?;
    if !folder.is_empty() {
        config.storage.path = PathBuf::from(folder);
    }
    loop {
        let question = format!("Listen on (IP address and port) [{}]:", config.server.listen);
        let answer = ask(&question).ok_or_else(no_terminal)?;
        if answer.is_empty() {
            break;
        }
        match answer.parse::<SocketAddr>() {
            Ok(address) => {
                config.server.listen = address;
                break;
            }
            Err(_) => note(format_args!(
                "`{answer}` is not one; such as 127.0.0.1:8080 or 0.0.0.0:8080"
            )),
        }
    }
    loop {
        let question =
            "Fetch what is asked for on demand, or serve only what you ingest? [on-demand]/curated:";
        let answer = ask(question).ok_or_else(no_terminal)?;
        let mode = match answer.as_str() {
            "" | "on-demand" => crate::config::Mode::OnDemand,
            "curated" => crate::config::Mode::Curated,
            _ => {
                note("answer on-demand or curated");
                continue;
            }
        };
        for upstream in &mut config.upstream {
            upstream.mode = mode;
        }
        return tuf::ask_who_holds_keys().ok_or_else(no_terminal);
    }
}

/// Writes a file that must not exist yet.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file("make the folder", folder, &error))?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::file("write", path, &error))
}

fn report(
    context: &Context,
    file: &Path,
    kept: bool,
    data: &Path,
    data_kept: bool,
    signed: Option<&TufChange>,
) -> Result<ExitStatus, Failure> {
    let token = token_file(data);
    let repository = data.join("tuf");
    let repository_kept = signed.is_some_and(|change| change.unchanged);
    context.out.document(&json!({
        "dry_run": context.global.dry_run,
        "config": { "path": file, "written": !kept },
        "data_dir": { "path": data, "made": !data_kept },
        "admin_token": token,
        "tuf": { "path": repository, "made": signed.is_some_and(|change| change.published.is_some()) },
    }))?;
    let word = |was_there: bool| match (was_there, context.global.dry_run) {
        (true, _) => "kept",
        (false, true) => "would be made",
        (false, false) => "made",
    };
    context
        .out
        .line(format_args!("configuration  {}  {}", file.display(), word(kept)));
    context.out.line(format_args!(
        "data folder    {}  {}",
        data.display(),
        word(data_kept)
    ));
    context.out.line(format_args!(
        "admin token    {}  {}",
        token.display(),
        word(data_kept)
    ));
    if signed.is_some() || context.global.dry_run {
        context.out.line(format_args!(
            "signed         {}  {}",
            repository.display(),
            word(repository_kept)
        ));
    }
    if context.global.dry_run {
        context.out.line("nothing was changed");
    } else {
        context.out.line("next: chiron serve");
    }
    Ok(ExitStatus::Done)
}
