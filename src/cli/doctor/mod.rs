//! `chiron doctor`: what is wrong with this installation, and what to do about it.

mod airgap;
mod gate;
mod tuf;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::process::Command;

use crate::api::{FileOutcome, IngestItem, IngestRequest, JobView, StatusView};
use crate::cli::client::{Client, ClientError, token_file};
use crate::cli::context::{Context, DaemonFile, Open, is_initialised};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::follow::follow;
use crate::cli::log::verify::verify_log;
use crate::cli::output::{bytes, count};
use crate::cli::serve::client_lines;
use crate::config::Config;
use crate::upstream::pip_default::Lookup;

/// Entries of the log that are read again; `chiron log verify` reads all.
const LOG_ENTRIES: u64 = 256;

/// How long another program may take to say its version.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);

/// A project that every public index has; only its page is asked for.
const PROBE_PROJECT: &str = "pip";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron doctor\n  chiron doctor --clients          what to type so that pip, uv and poetry install from here\n\nExit status 0 when nothing is wrong (warnings do not count); else that of the gravest finding:\n2 configuration or data folder, 3 upstream, 4 damaged log or signed metadata that has expired."
)]
pub struct DoctorArgs {
    /// Find the installers on this machine and print the line that configures each
    #[arg(long)]
    clients: bool,
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Ok,
    Warning,
    Wrong,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    check: &'static str,
    health: Health,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip)]
    status: ExitStatus,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self {
            check,
            health: Health::Ok,
            what: what.into(),
            next: None,
            status: ExitStatus::Done,
        }
    }

    fn warning(check: &'static str, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            health: Health::Warning,
            next: Some(next.into()),
            ..Self::ok(check, what)
        }
    }

    fn wrong(check: &'static str, failure: Failure) -> Self {
        Self {
            check,
            health: Health::Wrong,
            what: failure.what,
            next: failure.next,
            status: failure.status,
        }
    }
}

/// An installer on this machine.
#[derive(Debug, Serialize)]
struct Installer {
    name: &'static str,
    version: Option<String>,
    configure: Vec<String>,
}

/// Runs every check; one that fails does not stop the others.
pub async fn run(context: &Context, args: &DoctorArgs) -> Result<ExitStatus, Failure> {
    let mut findings = Vec::new();
    let mut address = context.global.server.clone();
    match context.load() {
        Ok(loaded) => {
            findings.push(Finding::ok("configuration", loaded.source.to_string()));
            if address.is_none() {
                findings.extend(data_folder(&loaded.config));
            }
            findings.extend(gate::gate(&loaded.config, jiff::Timestamp::now()).await);
            if address.is_none() {
                findings.extend(tuf::keys(&loaded.config).await);
            }
            findings.extend(store(context, &loaded.config, &mut address).await);
            address = address.or_else(|| Some(format!("http://{}", loaded.config.server.listen)));
        }
        Err(failure) => findings.push(Finding::wrong("configuration", failure)),
    }
    findings.push(pip().await);
    let installers = if args.clients {
        installers(address.as_deref().unwrap_or_default()).await
    } else {
        Vec::new()
    };

    let status = findings
        .iter()
        .fold(ExitStatus::Done, |status, finding| status.worse(finding.status));
    let mut document = serde_json::json!({ "exit": status as u8, "checks": findings });
    if args.clients {
        document["clients"] = serde_json::to_value(&installers).map_err(Failure::internal)?;
    }
    context.out.document(&document)?;
    print(context, &findings, &installers);
    Ok(status)
}

fn print(context: &Context, findings: &[Finding], installers: &[Installer]) {
    for finding in findings {
        let word = match finding.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Wrong => "WRONG",
        };
        context
            .out
            .line(format_args!("{word:<8} {:<14} {}", finding.check, finding.what));
        if let Some(next) = &finding.next {
            context.out.line(format_args!("{:<23} next: {next}", ""));
        }
    }
    for installer in installers {
        let version = installer.version.as_deref().unwrap_or("not found");
        context.out.line(format_args!("\n{}: {version}", installer.name));
        for line in &installer.configure {
            context.out.line(format_args!("  {line}"));
        }
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.health == Health::Wrong)
        .count() as u64;
    context.out.line(if wrong == 0 {
        "\nnothing is wrong".to_owned()
    } else {
        format!("\n{}", count(wrong, "thing is wrong", "things are wrong"))
    });
}

/// What can be seen of the data folder without opening it.
fn data_folder(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "data folder";
    let path = &config.storage.path;
    if !is_initialised(path) {
        return vec![Finding::warning(
            CHECK,
            format!("{} is not there yet", path.display()),
            "`chiron init` or `chiron serve` makes it",
        )];
    }
    let mut findings = vec![Finding::ok(CHECK, path.display().to_string())];
    for (what, forbidden, mode) in [(path.clone(), 0o022, "go-w"), (token_file(path), 0o077, "600")] {
        match std::fs::metadata(&what) {
            Ok(metadata) if metadata.permissions().mode() & forbidden != 0 => {
                findings.push(Finding::warning(
                    "permissions",
                    format!(
                        "{} is open to other users (mode {:o})",
                        what.display(),
                        metadata.permissions().mode() & 0o7777
                    ),
                    format!("chmod {mode} {}", what.display()),
                ));
            }
            Ok(_) => {}
            Err(error) => findings.push(Finding::wrong(
                "permissions",
                Failure::file("look at", &what, &error),
            )),
        }
    }
    findings.push(free_space(path, config.storage.min_free.bytes()));
    findings
}

fn free_space(path: &Path, min_free: u64) -> Finding {
    const CHECK: &str = "free space";
    match rustix::fs::statvfs(path) {
        Err(error) => Finding::wrong(CHECK, Failure::file("look at", path, &error.into())),
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let what = format!(
                "{} free, of which {} are kept (storage.min_free)",
                bytes(free),
                bytes(min_free)
            );
            if free <= min_free {
                let failure = Failure::internal(what);
                Finding::wrong(
                    CHECK,
                    failure.next("nothing more is written: free space on this disk, or `chiron gc`"),
                )
            } else if free / 4 <= min_free {
                Finding::warning(CHECK, what, "free space on this disk soon")
            } else {
                Finding::ok(CHECK, what)
            }
        }
    }
}

/// What the store says of itself: through the daemon that holds it, or opened here.
async fn store(context: &Context, config: &Config, address: &mut Option<String>) -> Vec<Finding> {
    let mut global = context.global.clone();
    if global.server.is_none() {
        if !is_initialised(&config.storage.path) {
            return Vec::new();
        }
        if let Some(daemon) = DaemonFile::of_running(&config.storage.path) {
            *address = Some(daemon.address.clone());
            global.server = Some(daemon.address);
        }
    }
    let inner = Context::new(global);
    let looked = inner
        .with_client(Open::Existing, async |client| {
            let mut findings = status(client).await?;
            findings.push(gate::advisories(client).await);
            findings.extend(tuf::repository(client, jiff::Timestamp::now()).await);
            findings.push(upstream(client).await);
            findings.push(match verify_log(client, Some(LOG_ENTRIES), None).await {
                Ok(report) => Finding::ok("log", report.line()),
                Err(failure) => Finding::wrong("log", failure),
            });
            Ok(findings)
        })
        .await;
    looked.unwrap_or_else(|failure| vec![Finding::wrong("store", failure)])
}

async fn status(client: &Client) -> Result<Vec<Finding>, Failure> {
    let status: StatusView = client.get("/api/v1/status").await?;
    let what = format!(
        "{}, {} events, {} projects",
        client.whom(),
        status.log_size,
        status.projects
    );
    let mut findings = vec![Finding::ok("store", what)];
    let bundles = airgap::bundles(&status);
    findings.extend(
        status
            .problems
            .into_iter()
            .map(|problem| Finding::warning("status", problem, "`chiron status` has the rest")),
    );
    findings.extend(bundles);
    Ok(findings)
}

/// Asks upstream for one page, through the same path as an ingest; nothing is fetched. A page asked for
/// within `index.fresh` is not asked for again: the state of the last request counts then.
async fn upstream(client: &Client) -> Finding {
    const CHECK: &str = "upstream";
    const NEXT: &str =
        "check the network, the proxy variables and [[upstream]] url; what is stored is still served";
    match client.get::<StatusView>("/api/v1/status").await {
        Ok(status) if status.upstreams.is_empty() => {
            return Finding::ok(CHECK, "none: what comes in is handed in, or comes in bundles");
        }
        Ok(_) => {}
        Err(error) => return Finding::wrong(CHECK, error.into()),
    }
    let request = IngestRequest {
        items: vec![IngestItem {
            project: PROBE_PROJECT.to_owned(),
            specifier: None,
            hashes: Vec::new(),
        }],
        pythons: Vec::new(),
        platforms: Vec::new(),
        dry_run: true,
    };
    let asked = async {
        let job: JobView = client.post("/api/v1/ingest", &request).await?;
        let job = follow(client, job.id, |_| ()).await?;
        Ok::<_, ClientError>((job, client.get::<StatusView>("/api/v1/status").await?))
    };
    let (job, status) = match asked.await {
        Ok(looked) => looked,
        Err(error) => return Finding::wrong(CHECK, error.into()),
    };
    let failed = job
        .files
        .into_iter()
        .find(|file| file.outcome == FileOutcome::UpstreamFailed);
    if let Some(file) = failed {
        return Finding::wrong(CHECK, Failure::upstream(file.reasons.join("; ")).next(NEXT));
    }
    if let Some(down) = status.upstreams.iter().find(|upstream| upstream.state == "down") {
        let why = down.last_error.as_deref().unwrap_or("no reason was kept");
        return Finding::wrong(
            CHECK,
            Failure::upstream(format_args!("{} is down: {why}", down.name)).next(NEXT),
        );
    }
    Finding::ok(CHECK, "answers")
}

/// Python and pip, which say where the default upstream is.
async fn pip() -> Finding {
    const CHECK: &str = "pip";
    let version = version_of(&["python3", "-m", "pip", "--version"]).await;
    match Lookup::of_this_machine(PROGRAM_TIMEOUT).find().await {
        Ok(index) => {
            let version = version.unwrap_or_else(|| "pip does not answer".to_owned());
            Finding::ok(
                CHECK,
                format!("{version}; its index is {} ({})", index.url, index.found_in),
            )
        }
        Err(error) => Finding::warning(
            CHECK,
            error.to_string(),
            "only needed while an [[upstream]] has no url",
        ),
    }
}

/// The installers on this machine, each with its lines.
async fn installers(address: &str) -> Vec<Installer> {
    let index = format!("{}/simple/", address.trim_end_matches('/'));
    let once = client_lines(address.trim_end_matches('/'));
    let line = |name: &str| {
        once.iter()
            .find(|(client, _)| *client == name)
            .map(|(_, line)| line.clone())
    };
    vec![
        Installer {
            name: "pip",
            version: version_of(&["python3", "-m", "pip", "--version"]).await,
            configure: line("pip")
                .into_iter()
                .chain([format!("pip config set global.index-url {index}")])
                .collect(),
        },
        Installer {
            name: "uv",
            version: version_of(&["uv", "--version"]).await,
            configure: line("uv")
                .into_iter()
                .chain([format!("export UV_DEFAULT_INDEX={index}")])
                .collect(),
        },
        Installer {
            name: "poetry",
            version: version_of(&["poetry", "--version"]).await,
            configure: vec![format!("poetry source add --priority=primary chiron {index}")],
        },
    ]
}

/// The first line a program says of itself.
async fn version_of(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let run = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PROGRAM_TIMEOUT, run).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success())?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        folder.path().clone_into(&mut config.storage.path);
        assert_eq!(data_folder(&config)[0].health, Health::Warning);
        let token = token_file(folder.path());
        std::fs::write(&token, "t").unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = data_folder(&config);
        assert!(
            open.iter()
                .any(|finding| finding.check == "permissions" && finding.what.contains("admin.token"))
        );
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            !data_folder(&config)
                .iter()
                .any(|finding| finding.what.contains("admin.token"))
        );
    }

    #[test]
    fn a_disk_below_its_floor_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(free_space(folder.path(), u64::MAX).health, Health::Wrong);
        assert_eq!(free_space(folder.path(), 0).health, Health::Ok);
    }
}
