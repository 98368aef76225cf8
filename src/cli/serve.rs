//! `chiron serve`: the daemon.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::client::token_file;
use super::context::{Context, DaemonFile, app_failure, is_initialised};
use super::exit::{ExitStatus, Failure};
use crate::app::{App, OpenMode};
use crate::config::{Config, LogFormat};
use crate::http::{ServeLimits, serve};
use crate::telemetry::init_logs;

/// Overrides the configured log filter.
pub(super) const LOG_VARIABLE: &str = "CHIRON_LOG";

/// Below the data folder: the newest root of the signed repository, for clients.
const TRUSTED_ROOT: &str = "tuf/root.json";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron serve\n  chiron serve --listen 0.0.0.0:8080 --data-dir /var/lib/chiron\n  CHIRON_LOG=debug chiron serve --listen 127.0.0.1:0\n\nWith nothing initialised it initialises the defaults first. SIGINT and SIGTERM end it in an orderly way."
)]
pub struct ServeArgs {
    /// IP address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = listen_address)]
    listen: Option<SocketAddr>,
}

pub(super) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Listens, serves, and ends on a signal.
pub async fn run(context: &Context, args: ServeArgs) -> Result<ExitStatus, Failure> {
    if context.global.server.is_some() {
        return Err(
            Failure::usage("serve starts a daemon, and --server names one that runs")
                .next("run it without --server (and CHIRON_SERVER)"),
        );
    }
    let mut config = context.config()?;
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    if context.global.dry_run {
        return dry_run(context, &config);
    }
    start_logs(&config)?;
    // Before the data folder is opened: a wrong address must not leave one behind.
    let listener = bind(config.server.listen).await?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let mut stop = Stop::listen()?;

    let data = config.storage.path.clone();
    let limits = ServeLimits {
        head_timeout: config.server.request_timeout.duration(),
        grace: config.server.shutdown_grace.duration(),
    };
    let app = App::open(config, OpenMode::Daemon)
        .await
        .map_err(|error| app_failure(error, &data))?;
    let url = format!("http://{}", reachable(address));
    DaemonFile {
        address: url.clone(),
        pid: std::process::id(),
    }
    .write(&data)?;
    announce(context, address, &url, &data)?;

    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut server = std::pin::pin!(serve(listener, app.service(), limits, async {
        let _ = stopped.await;
    }));
    tokio::select! {
        () = &mut server => {}
        name = stop.wait() => {
            tracing::info!(signal = name, "stopping: open requests have {} s", limits.grace.as_secs());
            let _ = stopping.send(());
            // Whoever signals twice means now.
            tokio::select! {
                () = &mut server => {}
                _ = stop.wait() => {}
            }
        }
    }
    app.shutdown().await;
    // Whoever finds it must not be sent to a daemon that has gone.
    let _ = std::fs::remove_file(DaemonFile::path(&data));
    Ok(ExitStatus::Done)
}

fn dry_run(context: &Context, config: &Config) -> Result<ExitStatus, Failure> {
    let data = &config.storage.path;
    let made = is_initialised(data);
    context.out.document(
        &json!({ "dry_run": true, "listen": config.server.listen, "data_dir": data, "initialised": made }),
    )?;
    context
        .out
        .line(format_args!("would listen on http://{}", config.server.listen));
    let would = if made { "would open" } else { "would make" };
    context.out.line(format_args!(
        "{would} the data folder {}; nothing was changed",
        data.display()
    ));
    Ok(ExitStatus::Done)
}

fn start_logs(config: &Config) -> Result<(), Failure> {
    let telemetry = &config.telemetry;
    let filter = std::env::var(LOG_VARIABLE)
        .ok()
        .filter(|filter| !filter.is_empty());
    let filter = filter.as_deref().unwrap_or(&telemetry.log_filter);
    let json = telemetry.log_format == LogFormat::Json;
    // NO_COLOR is the convention of no-color.org.
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    init_logs(json, filter, colour).map_err(Failure::usage)
}

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::usage(format_args!("cannot listen on {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.next("another program has this address; is a daemon running already? else choose another with --listen (port 0: any free one)")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                failure.next("this machine has no such address; 127.0.0.1 is this machine, 0.0.0.0 all its addresses")
            }
            std::io::ErrorKind::PermissionDenied => failure.next("ports below 1024 need a privilege; choose a higher one with --listen"),
            _ => failure.next("choose another address with --listen"),
        }
    })
}

/// The address to connect to: nobody connects to "all addresses".
pub(super) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, bound.port())
}

fn announce(context: &Context, bound: SocketAddr, url: &str, data: &Path) -> Result<(), Failure> {
    let token = token_file(data);
    let root = data.join(TRUSTED_ROOT);
    let proxy = root.exists().then(|| proxy_line(&root, url));
    context.out.document(&json!({
        "listening": format!("http://{bound}"), "index": format!("{url}/simple/"), "data_dir": data, "admin_token": token,
        "proxy": proxy,
    }))?;
    context.out.line(format_args!("listening on http://{bound}"));
    for (_, line) in client_lines(url) {
        context.out.line(format_args!("  {line}"));
    }
    if let Some(line) = proxy {
        context
            .out
            .line("or, on the machine that installs, with everything verified against the root (TUF):");
        context.out.line(format_args!("  {line}"));
    }
    context.out.line(format_args!(
        "data folder {}, admin token in {}",
        data.display(),
        token.display()
    ));
    Ok(())
}

/// The line that puts a verifying proxy before this daemon, ready to copy.
fn proxy_line(root: &Path, url: &str) -> String {
    format!(
        "chiron proxy --root {} --upstream {url}",
        shell_word(&root.display().to_string())
    )
}

/// A word as a shell reads it.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// For each client the line that makes it install from here, ready to copy.
pub fn client_lines(url: &str) -> [(&'static str, String); 2] {
    [
        ("pip", format!("pip install --index-url {url}/simple/ flask")),
        (
            "uv",
            format!("uv pip install --default-index {url}/simple/ flask"),
        ),
    ]
}

/// The signals that end the daemon.
pub(super) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Failure::internal(format_args!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    pub(super) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_printed_address_can_be_connected_to() {
        for (bound, reach) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), reach);
        }
    }

    #[test]
    fn the_printed_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/var/lib/chiron/tuf/root.json", "/var/lib/chiron/tuf/root.json"),
            ("./my data/root.json", "'./my data/root.json'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
        ] {
            assert_eq!(shell_word(path), word);
        }
    }

    #[test]
    fn a_listen_address_is_ip_and_port() {
        assert!(listen_address("127.0.0.1:0").is_ok());
        for wrong in ["8080", "localhost", "127.0.0.1", "127.0.0.1:99999", ""] {
            assert!(listen_address(wrong).is_err(), "{wrong}");
        }
    }
}
