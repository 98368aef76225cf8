//! `chiron proxy`: what gives an unmodified pip or uv the guarantees of TUF.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chiron_storage::Digest;
use clap::Args;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use url::Url;

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use super::output::note;
use super::serve::{LOG_VARIABLE, Stop, bind, client_lines, listen_address, reachable};
use crate::config::{ByteSize, Period, RedactedUrl};
use crate::http::{ServeLimits, serve_each};
use crate::proxy::{KeptError, Proxy, ProxyError, Settings};
use crate::telemetry::init_logs;
use crate::tuf_client::{Patience, TufClientError, is_loopback};

/// Where it listens unless told otherwise.
const LISTEN: &str = "127.0.0.1:8090";

/// Arguments of `proxy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron proxy --root root.json --upstream http://chiron.example:8080\n  pip install --index-url http://127.0.0.1:8090/simple/ flask\n  chiron proxy --root root.json --upstream http://127.0.0.1:8080 --signed-only\n\nThe root is the one file that must come to this machine by a way that you trust (`chiron tuf root` prints it and its\ndigest); everything after it is verified. docs/proxy.md says what is guaranteed and what is not."
)]
pub struct ProxyArgs {
    /// The trusted root of the repository: a file that came by a way that you trust
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The Chiron whose repository is verified
    #[arg(long, value_name = "URL", value_parser = web_address)]
    upstream: RedactedUrl,
    /// IP address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = LISTEN, value_parser = listen_address)]
    listen: SocketAddr,
    /// Remembers what was verified, and keeps files; one for each upstream. Without it `$STATE_DIRECTORY`, else a folder below `~/.local/state/chiron/proxy`
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// List only what is signed already: a daemon that works on demand is then not asked for more
    #[arg(long)]
    signed_only: bool,
    /// For how long what was verified stands before upstream is asked again; 0s: every request asks
    #[arg(long, value_name = "TIME", default_value = "0s")]
    fresh_for: Period,
    /// Verified files that are kept, the longest unused dropped first
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    keep: ByteSize,
    /// How long upstream may be silent
    #[arg(long, value_name = "TIME", default_value = "15s")]
    timeout: Period,
}

/// An address that may hold a password.
pub(super) fn web_address(text: &str) -> Result<RedactedUrl, String> {
    text.parse()
        .map_err(|_| "write it like http://HOST:PORT".to_owned())
}

/// Listens, serves, and ends on a signal.
pub async fn run(context: &Context, args: ProxyArgs) -> Result<ExitStatus, Failure> {
    let root = std::fs::read(&args.root).map_err(|error| {
        Failure::file("read the root", &args.root, &error)
            .next("`chiron tuf root` on the daemon's machine prints it; docs/proxy.md says how to bring it here safely")
    })?;
    let state = state_folder(args.state.as_deref(), args.upstream.expose())?;
    if context.global.dry_run {
        context
            .out
            .document(&json!({ "dry_run": true, "listen": args.listen, "state": state }))?;
        context.out.line(format_args!(
            "would listen on http://{} and keep its state in {}; nothing was changed",
            args.listen,
            state.display()
        ));
        return Ok(ExitStatus::Done);
    }
    start_logs()?;
    let settings = Settings {
        upstream: args.upstream.expose().clone(),
        signed_only: args.signed_only,
        fresh_for: args.fresh_for.duration(),
        keep: args.keep.bytes(),
        patience: Patience::stalling_after(args.timeout.duration()),
        loopback: args.listen.ip().is_loopback(),
    };
    let proxy = Proxy::open(settings, &root, &state)
        .await
        .map_err(proxy_failure)?;
    // To be compared with what its operator says by another way.
    note(format_args!(
        "trusting {}: sha256 {}",
        args.root.display(),
        Digest::of(&root)
    ));
    let listener = bind(args.listen).await?;
    let address = listener.local_addr().map_err(Failure::internal)?;
    let mut stop = Stop::listen()?;
    first_look(&proxy).await;
    announce(context, address, &state)?;

    let limits = ServeLimits {
        head_timeout: Duration::from_secs(30),
        grace: Duration::from_secs(10),
    };
    let router = proxy.router();
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut server = std::pin::pin!(serve_each(
        listener,
        |_| TowerToHyperService::new(router.clone()),
        limits,
        async {
            let _ = stopped.await;
        }
    ));
    tokio::select! {
        () = &mut server => {}
        name = stop.wait() => {
            tracing::info!(signal = name, "stopping");
            let _ = stopping.send(());
            // Whoever signals twice means now.
            tokio::select! {
                () = &mut server => {}
                _ = stop.wait() => {}
            }
        }
    }
    Ok(ExitStatus::Done)
}

/// Verifies once, and says on stderr what came of it. That upstream is down, or refused, is no reason not to listen: who asks
/// is told why.
async fn first_look(proxy: &Proxy) {
    match proxy.verified().await {
        Ok(verified) => {
            let up_to = match proxy.log_size().await {
                Ok(Some(size)) => format!(", the log up to entry {size}"),
                Ok(None) => String::new(),
                Err(error) => format!(" ({error})"),
            };
            note(format_args!(
                "verified: root {}, timestamp {} (until {}), snapshot {}{up_to}",
                verified.root, verified.timestamp, verified.expires, verified.snapshot
            ));
        }
        Err(error) => note(format_args!(
            "warning: {error}\n next: nothing is handed out until this is mended; /readyz says when it is"
        )),
    }
}

fn announce(context: &Context, bound: SocketAddr, state: &Path) -> Result<(), Failure> {
    let url = format!("http://{}", reachable(bound));
    context.out.document(
        &json!({ "listening": format!("http://{bound}"), "index": format!("{url}/simple/"), "state": state }),
    )?;
    context.out.line(format_args!("listening on http://{bound}"));
    for (_, line) in client_lines(&url) {
        context.out.line(format_args!("  {line}"));
    }
    context.out.line(format_args!("state in {}", state.display()));
    if !is_loopback(&Url::parse(&url).map_err(Failure::internal)?) {
        note(
            "warning: this is not the loopback address: what leaves the proxy is no longer verified by anybody, and whoever is between it and an installer can change it",
        );
    }
    Ok(())
}

/// The folder for this upstream: what was verified of one repository says nothing of another.
fn state_folder(given: Option<&Path>, upstream: &Url) -> Result<PathBuf, Failure> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    // Set by systemd for a unit with StateDirectory=; several are separated by colons, and none is named here then.
    if let Some(given) = variable("STATE_DIRECTORY") {
        return Ok(given);
    }
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let base = base.ok_or_else(|| {
        Failure::usage("there is no place for the proxy's state: neither HOME nor XDG_STATE_HOME is set")
            .next("name a folder with --state DIR")
    })?;
    let host: String = upstream
        .host_str()
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let port = upstream.port_or_known_default().unwrap_or_default();
    Ok(base.join("chiron/proxy").join(format!("{host}-{port}")))
}

fn start_logs() -> Result<(), Failure> {
    let filter = std::env::var(LOG_VARIABLE)
        .ok()
        .filter(|filter| !filter.is_empty());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    init_logs(false, filter.as_deref().unwrap_or("info"), colour).map_err(Failure::usage)
}

fn proxy_failure(error: ProxyError) -> Failure {
    match error {
        ProxyError::Client(error) => client_failure(&error),
        ProxyError::Kept(KeptError::Blob(chiron_storage::BlobError::Locked { path })) => {
            Failure::usage(format_args!("{} is in use by another proxy", path.display()))
                .next("give each proxy a folder of its own with --state")
        }
        ProxyError::Kept(error) => {
            Failure::internal(error).next("name another folder with --state, or set this one right")
        }
    }
}

/// How a verb ends when the client hands nothing out.
pub(super) fn client_failure(error: &TufClientError) -> Failure {
    match error {
        TufClientError::Refused { .. } => Failure::not_admitted(error)
            .next("nothing of it was handed out; `chiron tuf status` and `chiron tuf publish --repair` are for upstream's operator"),
        TufClientError::Unreachable { .. } => {
            Failure::upstream(error).next("look whether upstream runs and is reached from here, then try again")
        }
        TufClientError::State { .. } => Failure::integrity(error),
        TufClientError::Setup(_) => Failure::usage(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_upstream_has_a_state_of_its_own() {
        let folder = |url: &str| state_folder(None, &Url::parse(url).unwrap()).unwrap();
        let a = folder("http://a.example:8080/");
        assert_ne!(a, folder("http://a.example:8081/"));
        assert_ne!(a, folder("http://b.example:8080/"));
        assert_eq!(a, folder("http://user:secret@a.example:8080/x"));
        let given = state_folder(Some(Path::new("here")), &Url::parse("http://a/").unwrap());
        assert_eq!(given.unwrap(), Path::new("here"));
    }

    #[test]
    fn an_upstream_is_a_web_address() {
        assert!(web_address("http://127.0.0.1:8080").is_ok());
        for wrong in ["127.0.0.1:8080", "file:///x", "ftp://x", "", "http://"] {
            assert!(web_address(wrong).is_err(), "{wrong}");
        }
    }
}
