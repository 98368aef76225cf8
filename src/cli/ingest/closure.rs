//! `--with-deps`: what the named releases need, as uv resolves it.
//!
//! Resolution is uv's trade; Chiron only feeds it and takes the pins. Nothing of a package runs:
//! uv is told not to build, so a project without wheels is an error and not an execution.

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::sources::{Sources, merge};
use crate::api::IngestItem;
use crate::cli::context::ResolverIndex;
use crate::cli::exit::Failure;
use crate::cli::output::note;
use crate::package::{Pins, requirements};

/// For what to resolve, and against which index.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// `3.12`; none: uv's own choice.
    pub pythons: &'a [String],
    /// Platform tags; none: this machine.
    pub platforms: &'a [String],
    /// The index.
    pub index: ResolverIndex,
}

/// Resolves for every Python and platform; a release once, with the hashes of all its files.
pub async fn resolve(
    uv: &[String],
    sources: &Sources,
    requirement_files: &[PathBuf],
    wanted: &Wanted<'_>,
) -> Result<Vec<IngestItem>, Failure> {
    let mut resolutions = Vec::new();
    for target in targets(wanted.pythons, wanted.platforms) {
        note(format_args!("resolving with uv{}", target.describe()));
        resolutions.push(compile(uv, sources, requirement_files, &wanted.index, &target).await?);
    }
    Ok(merge(&resolutions))
}

/// One run of the resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    python: Option<String>,
    platform: Option<String>,
}

impl Target {
    fn describe(&self) -> String {
        let python = self
            .python
            .as_deref()
            .map(|python| format!(" for Python {python}"));
        let platform = self.platform.as_deref().map(|platform| format!(" on {platform}"));
        python.unwrap_or_default() + &platform.unwrap_or_default()
    }
}

/// Every Python on every platform; platforms that uv does not tell apart once.
fn targets(pythons: &[String], platforms: &[String]) -> Vec<Target> {
    let or_none = |texts: Vec<String>| -> Vec<Option<String>> {
        if texts.is_empty() {
            vec![None]
        } else {
            texts.into_iter().map(Some).collect()
        }
    };
    let mut triples: Vec<String> = platforms.iter().filter_map(|tag| uv_platform(tag)).collect();
    triples.sort_unstable();
    triples.dedup();
    let platforms = or_none(triples);
    or_none(pythons.to_vec())
        .into_iter()
        .flat_map(|python| {
            platforms.iter().map(move |platform| Target {
                python: python.clone(),
                platform: platform.clone(),
            })
        })
        .collect()
}

/// A wheel's platform tag as `uv --python-platform` names it; `any` says nothing about a platform.
fn uv_platform(tag: &str) -> Option<String> {
    if tag == "any" {
        return None;
    }
    for family in ["manylinux_2_", "manylinux2010", "manylinux2014", "manylinux1"] {
        let Some(rest) = tag.strip_prefix(family) else {
            continue;
        };
        let (level, arch) = if family.ends_with("2_") {
            let (minor, arch) = rest.split_once('_')?;
            (format!("{family}{minor}"), arch)
        } else {
            (family.to_owned(), rest.strip_prefix('_')?)
        };
        return Some(format!("{arch}-{level}"));
    }
    if let Some(rest) = tag.strip_prefix("musllinux_") {
        let arch = rest.splitn(3, '_').nth(2)?;
        return Some(format!("{arch}-unknown-linux-musl"));
    }
    if tag.starts_with("macosx_") {
        let arch = if tag.ends_with("x86_64") {
            "x86_64"
        } else {
            "aarch64"
        };
        return Some(format!("{arch}-apple-darwin"));
    }
    Some(match tag {
        "win_amd64" => "x86_64-pc-windows-msvc".to_owned(),
        "win32" => "i686-pc-windows-msvc".to_owned(),
        "win_arm64" => "aarch64-pc-windows-msvc".to_owned(),
        // `linux`, `windows`, `macos` and triples are uv's own words.
        other => other.to_owned(),
    })
}

/// uv as it can be called here: `$UV`, `uv` on the path, or Python's module.
pub async fn find_uv() -> Result<Vec<String>, Failure> {
    let mut candidates: Vec<Vec<String>> = Vec::new();
    if let Ok(named) = std::env::var("UV")
        && !named.is_empty()
    {
        candidates.push(vec![named]);
    }
    candidates.push(vec!["uv".to_owned()]);
    candidates.push(["python3", "-m", "uv"].map(ToOwned::to_owned).to_vec());
    for candidate in candidates {
        let found = command(&candidate)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if found.is_ok_and(|status| status.success()) {
            return Ok(candidate);
        }
    }
    Err(Failure::usage("--with-deps needs uv to resolve, and it is not here")
        .next("install it with `python3 -m pip install uv` (or set UV to its path), or give a lock file with --lock"))
}

fn command(uv: &[String]) -> Command {
    let mut command = Command::new(uv.first().map_or("uv", String::as_str));
    command
        .args(uv.iter().skip(1))
        // What opens this process's keys is nobody else's.
        .env_remove("CHIRON_TUF_PASSPHRASE")
        .env_remove("CHIRON_TUF_PIN")
        .kill_on_drop(true);
    command
}

async fn compile(
    uv: &[String],
    sources: &Sources,
    requirement_files: &[PathBuf],
    index: &ResolverIndex,
    target: &Target,
) -> Result<Pins, Failure> {
    let mut command = command(uv);
    command.args([
        "pip",
        "compile",
        "--generate-hashes",
        "--no-build",
        "--no-header",
        "--no-annotate",
        "--quiet",
    ]);
    if let Some(python) = &target.python {
        command.args(["--python-version", python]);
    }
    if let Some(platform) = &target.platform {
        command.args(["--python-platform", platform]);
    }
    // In the environment and not among the arguments: it may hold a password.
    command
        .env("UV_DEFAULT_INDEX", index.url.as_str())
        .env_remove("UV_INDEX_URL");
    if let Some(cert) = &index.cert
        && std::env::var_os("SSL_CERT_FILE").is_none()
    {
        command.env("SSL_CERT_FILE", cert);
    }
    command.args(requirement_files);
    if !sources.specs.is_empty() {
        command.arg("-");
    }
    let output = feed(command, sources.specs.join("\n")).await.map_err(|error| {
        Failure::internal(format_args!("cannot run uv: {error}")).next("check that uv runs: uv --version")
    })?;
    if !output.status.success() {
        return Err(not_resolved(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    requirements::parse_requirements(&text)
        .map_err(|error| Failure::internal(format_args!("cannot read what uv resolved: {error}")))
}

/// Runs the command with `input` on its stdin, reading its output at the same time.
async fn feed(mut command: Command, input: String) -> io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // uv may have failed before it read all; its own message says more than a broken pipe.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output
}

/// uv's own words, and whether trying again may help.
fn not_resolved(stderr: &str) -> Failure {
    const NETWORK: [&str; 5] = [
        "Failed to fetch",
        "error sending request",
        "dns error",
        "Connect",
        "operation timed out",
    ];
    let what = format!(
        "uv could not resolve what this needs; nothing was brought in. uv says:\n{}",
        stderr.trim()
    );
    if NETWORK.iter().any(|sign| stderr.contains(sign)) {
        Failure::upstream(what).next("check the network and the index, then run the command again")
    } else {
        Failure::not_admitted(what).next("change the specs, --python or --platform")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn platform_tags_become_uvs_words() {
        for (tag, uv) in [
            ("manylinux_2_28_x86_64", Some("x86_64-manylinux_2_28")),
            ("manylinux2014_aarch64", Some("aarch64-manylinux2014")),
            ("musllinux_1_2_x86_64", Some("x86_64-unknown-linux-musl")),
            ("macosx_11_0_arm64", Some("aarch64-apple-darwin")),
            ("macosx_10_9_x86_64", Some("x86_64-apple-darwin")),
            ("win_amd64", Some("x86_64-pc-windows-msvc")),
            ("linux", Some("linux")),
            ("any", None),
        ] {
            assert_eq!(uv_platform(tag).as_deref(), uv, "{tag}");
        }
    }

    #[test]
    fn every_python_meets_every_platform_once() {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all = targets(
            &texts(&["3.11", "3.12"]),
            &texts(&["win_amd64", "linux", "linux", "any"]),
        );
        assert_eq!(all.len(), 4);
        assert_eq!(
            targets(&[], &[]),
            [Target {
                python: None,
                platform: None
            }]
        );
        assert_eq!(targets(&[], &texts(&["any"])).len(), 1);
    }

    #[test]
    fn a_network_failure_is_told_from_a_conflict() {
        assert_eq!(
            not_resolved("error: Failed to fetch: `http://x`").status,
            ExitStatus::Upstream
        );
        assert_eq!(
            not_resolved("  × No solution found").status,
            ExitStatus::NotAdmitted
        );
    }
}
