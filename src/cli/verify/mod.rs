//! `chiron verify`: the gate's checks on files at hand, offline; nothing is stored.

mod bench;
mod given;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use chiron_storage::Digest;
use clap::Args;

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use super::output::count;
use bench::Bench;
use table::Table;

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron verify dist/*.whl\n  chiron verify flask-3.0.3-py3-none-any.whl --sha256 34e815df...\n  chiron verify demo-1.0-py3-none-any.whl --attestation demo.provenance --sbom demo.cdx.json --source demo-1.0.tar.gz\n  chiron verify demo-1.0-py3-none-any.whl --identity https://github.com/acme/demo --policy strict\n\nDocuments and the sdist that lie beside FILE are looked at too, unless others of their kind are named.\n\nExit status 0 when every file would be admitted, 1 when one would not. Whether another file of the\nsame name is stored already is the daemon's to know; `chiron ingest --dry-run` asks it."
)]
pub struct VerifyArgs {
    /// Wheels and sdists
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Digest the file must have; for several files one each, in their order
    #[arg(long, value_name = "HEX")]
    sha256: Vec<Digest>,
    /// A provenance, an attestation (PEP 740), a Sigstore bundle or a detached signature; may be given several times
    #[arg(long, value_name = "F")]
    attestation: Vec<PathBuf>,
    /// A bill of materials, CycloneDX or SPDX; may be given several times
    #[arg(long, value_name = "F")]
    sbom: Vec<PathBuf>,
    /// The sdist that the wheel is held against
    #[arg(long, value_name = "SDIST")]
    source: Option<PathBuf>,
    /// Who must have signed it: a repository (<https://github.com/acme/app>), a workflow in it, an e-mail
    /// address; `*` stands for anything
    #[arg(long, value_name = "SIGNER")]
    identity: Option<String>,
    /// Public key that signatures may be made with, in PEM
    #[arg(long, value_name = "PEM")]
    key: Vec<PathBuf>,
    /// Sigstore trust root (`trusted_root.json`) to use instead of the configured ones
    #[arg(long, value_name = "F")]
    trusted_root: Vec<PathBuf>,
    /// Rebuild wheels from their source, in a sandbox; fetches what the build needs from the configured index
    #[arg(long)]
    rebuild: bool,
    /// What to judge by instead of the configured policy: a built-in profile (strict, standard, audit) or a
    /// folder of rules
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// OSV records to look the release up in: a zip dump or a folder
    #[arg(long, value_name = "PATH")]
    advisories: Option<PathBuf>,
    /// Files checked at once [default: the number of processor cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

impl VerifyArgs {
    /// What speaks of one file cannot be given for several.
    fn checked(&self) -> Result<(), Failure> {
        if !self.sha256.is_empty() && self.sha256.len() != self.files.len() {
            return Err(Failure::usage(format_args!(
                "{} and {} do not go together",
                count(self.files.len() as u64, "file", "files"),
                count(self.sha256.len() as u64, "--sha256", "--sha256")
            ))
            .next("give one --sha256 for each file, in the order of the files, or none"));
        }
        let of_one = [
            ("--attestation", !self.attestation.is_empty()),
            ("--sbom", !self.sbom.is_empty()),
            ("--source", self.source.is_some()),
        ];
        if let Some((flag, _)) = of_one.iter().find(|(_, given)| *given && self.files.len() > 1) {
            return Err(Failure::usage(format_args!(
                "{flag} speaks of one file, and {} are named",
                count(self.files.len() as u64, "file", "files")
            ))
            .next("run the command once for each file, or put each document beside its file (FILE.provenance, FILE.cdx.json)"));
        }
        Ok(())
    }
}

/// Checks every file and prints the rows in the order of the arguments.
pub async fn run(context: &Context, args: &VerifyArgs) -> Result<ExitStatus, Failure> {
    args.checked()?;
    let bench = Bench::new(context, args)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let jobs = args.jobs.map_or(cores, usize::from).min(args.files.len());
    let rebuilds = bench::rebuilds(context, args).await?;
    let mut table = Table::new(context.out);
    in_order(
        args.files.len(),
        jobs,
        |n| bench.judge(&args.files[n], args.sha256.get(n).copied(), rebuilds.get(n)),
        |n, judged| table.row(&args.files[n], judged),
    );
    table.finish()
}

/// The last part of a path, as text.
fn filename(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Does `work(0..total)` on `jobs` threads and hands the results to `tell` in order.
fn in_order<T: Send>(
    total: usize,
    jobs: usize,
    work: impl Fn(usize) -> T + Sync,
    mut tell: impl FnMut(usize, T),
) {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total || send.send((n, work(n))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = std::collections::BTreeMap::new();
        let mut due = 0;
        for (n, result) in receive {
            waiting.insert(n, result);
            while let Some(result) = waiting.remove(&due) {
                tell(due, result);
                due += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn results_come_in_the_order_of_the_arguments(total in 0_usize..60, jobs in 1_usize..8) {
            let mut seen = Vec::new();
            in_order(total, jobs.min(total.max(1)), |n| n * 3, |n, value| seen.push((n, value)));
            let expected: Vec<(usize, usize)> = (0..total).map(|n| (n, n * 3)).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
