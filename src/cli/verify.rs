//! `chiron verify`: the gate's checks on files at hand, offline; nothing is stored.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use chiron_storage::{Digest, Measure, Measured};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use super::output::{Output, bytes, count, note};
use super::policy::policy_in_force;
use crate::app::archive_limits;
use crate::package::{DistributionFilename, HashClaim};
use crate::policy::{Case, Circumstances, Decision, JudgedFile, Policy, Profile, Verdict, decide};
use crate::verify::{Attached, CheckName, Checks, Evidence, Outcome, Published, examine};

/// Bytes read at a time while a file is measured.
const READ_BYTES: usize = 1 << 20;

/// Arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron verify dist/*.whl\n  chiron verify flask-3.0.3-py3-none-any.whl --sha256 34e815df...\n  chiron verify wheelhouse/*.whl --jobs 4 --format json\n\nExit status 0 when every file would be admitted, 1 when one would not. Whether another file of the\nsame name is stored already is the daemon's to know; `chiron ingest --dry-run` asks it."
)]
pub struct VerifyArgs {
    /// Wheels and sdists
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Digest the file must have; for several files one each, in their order
    #[arg(long, value_name = "HEX")]
    sha256: Vec<Digest>,
    /// Files checked at once [default: the number of processor cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Built-in profile to judge by, instead of the configured one
    #[arg(long, value_name = "PROFILE", value_parser = ["strict", "standard", "audit"])]
    policy: Option<String>,
}

/// What is needed to judge a file.
struct Bench {
    policy: Policy,
    checks: Checks,
    max_file: u64,
    now: Timestamp,
}

/// What became of one file.
enum Judged {
    Verdict(Box<Verdict>),
    Unreadable(Failure),
}

/// Checks every file and prints the rows in the order of the arguments.
pub fn run(context: &Context, args: &VerifyArgs) -> Result<ExitStatus, Failure> {
    if !args.sha256.is_empty() && args.sha256.len() != args.files.len() {
        return Err(Failure::usage(format_args!(
            "{} and {} do not go together",
            count(args.files.len() as u64, "file", "files"),
            count(args.sha256.len() as u64, "--sha256", "--sha256")
        ))
        .next("give one --sha256 for each file, in the order of the files, or none"));
    }
    let config = context.config()?;
    let bench = Bench {
        policy: match args.policy.as_deref() {
            Some("strict") => Policy::builtin(Profile::Strict),
            Some("audit") => Policy::builtin(Profile::Audit),
            Some(_) => Policy::builtin(Profile::Standard),
            None => policy_in_force(&config),
        },
        checks: Checks {
            archive: archive_limits(&config.limits),
            ..Checks::default()
        },
        max_file: config.limits.file.bytes(),
        now: Timestamp::now(),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let jobs = args.jobs.map_or(cores, usize::from).min(args.files.len());

    let mut table = Table {
        out: context.out,
        status: ExitStatus::Done,
        documents: Vec::new(),
        counts: [0; 4],
    };
    in_order(
        args.files.len(),
        jobs,
        |n| bench.judge(&args.files[n], args.sha256.get(n).copied()),
        |n, judged| {
            table.row(&args.files[n], judged);
        },
    );
    table.finish()
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

impl Bench {
    fn judge(&self, path: &Path, sha256: Option<Digest>) -> Judged {
        match self.try_judge(path, sha256) {
            Ok(verdict) => Judged::Verdict(Box::new(verdict)),
            Err(failure) => Judged::Unreadable(failure),
        }
    }

    fn try_judge(&self, path: &Path, sha256: Option<Digest>) -> Result<Verdict, Failure> {
        let unreadable = |error: &std::io::Error| Failure::file("read", path, error);
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        if file.metadata().map_err(|error| unreadable(&error))?.is_dir() {
            return Err(
                Failure::usage(format_args!("{} is a folder", path.display())).next(format_args!(
                    "name the files in it: chiron verify {}/*.whl",
                    path.display()
                )),
            );
        }
        let measured = measure(&file, self.max_file, path)?;
        let filename = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let (evidence, project, version) = match DistributionFilename::parse(&filename) {
            Ok(name) => {
                let published = Published {
                    hashes: sha256.map(claim).into_iter().collect(),
                    by: "the command line".to_owned(),
                    ..Published::default()
                };
                let examined = examine(
                    &file,
                    &measured,
                    &name,
                    &published,
                    &Attached::default(),
                    &self.checks,
                    self.now,
                    |_| (),
                );
                (
                    examined.evidence,
                    name.project().to_string(),
                    name.version().to_string(),
                )
            }
            Err(error) => (
                self.misnamed(&measured, &error.to_string()),
                String::new(),
                String::new(),
            ),
        };
        let evidence: Vec<_> = evidence
            .into_iter()
            .map(|evidence| (Digest::of(&evidence.to_bytes()), evidence))
            .collect();
        let file = JudgedFile {
            filename,
            project,
            version,
            sha256: measured.sha256,
            size: measured.size,
        };
        let case = Case {
            file,
            evidence: &evidence,
            handed_in: true,
            name_taken_by: None,
            circumstances: Circumstances::default(),
            now: self.now,
        };
        Ok(decide(&self.policy, &case))
    }

    /// A name that is no wheel's and no sdist's fails the first check; nothing parses the file.
    fn misnamed(&self, measured: &Measured, why: &str) -> Vec<Evidence> {
        let facts: Map<String, Value> = [(
            "findings".to_owned(),
            json!([{ "code": "filename", "detail": why }]),
        )]
        .into_iter()
        .collect();
        let subject = measured.sha256;
        vec![
            Evidence::new(
                CheckName::Structure,
                subject,
                Outcome::Fail,
                format!("the file's name: {why}"),
                facts,
                self.now,
            ),
            Evidence::new(
                CheckName::Hashes,
                subject,
                Outcome::Skipped,
                "not compared: the file's name says no release".to_owned(),
                Map::new(),
                self.now,
            ),
        ]
    }
}

fn claim(sha256: Digest) -> HashClaim {
    HashClaim {
        algorithm: "sha256".to_owned(),
        value_hex: sha256.to_string(),
    }
}

/// Size and digests of a file, read once.
fn measure(file: &File, limit: u64, path: &Path) -> Result<Measured, Failure> {
    let mut measure = Measure::new(limit);
    let mut buffer = vec![0; READ_BYTES];
    let mut at = 0;
    loop {
        let read = match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(measure.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::file("read", path, &error)),
        };
        at += read as u64;
        measure.update(&buffer[..read]).map_err(|error| {
            Failure::not_admitted(format_args!(
                "{}: longer than {}",
                path.display(),
                bytes(error.limit)
            ))
            .next("raise limits.file in the configuration if such a file is wanted")
        })?;
    }
}

/// Prints as it goes, and keeps the documents for JSON.
struct Table {
    out: Output,
    status: ExitStatus,
    documents: Vec<Value>,
    /// Admitted, quarantined, refused, unreadable.
    counts: [u64; 4],
}

impl Table {
    fn row(&mut self, path: &Path, judged: Judged) {
        match judged {
            Judged::Unreadable(failure) => {
                self.counts[3] += 1;
                self.status = self.status.worse(failure.status);
                note(&failure);
                self.documents
                    .push(json!({ "path": path.to_string_lossy(), "error": failure.what }));
            }
            Judged::Verdict(verdict) => {
                self.verdict(&verdict);
                if self.out.is_json() {
                    let mut document = serde_json::to_value(&verdict).unwrap_or_default();
                    document["path"] = json!(path.to_string_lossy());
                    self.documents.push(document);
                }
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let (word, at) = match verdict.decision {
            Decision::Admit => ("admit", 0),
            Decision::Quarantine => ("quarantine", 1),
            Decision::Refuse => ("refuse", 2),
        };
        self.counts[at] += 1;
        if at > 0 {
            self.status = self.status.worse(ExitStatus::NotAdmitted);
        }
        self.out.line(format_args!(
            "{}  sha256 {}",
            verdict.file.filename, verdict.file.sha256
        ));
        for check in &verdict.checks {
            self.out.line(format_args!(
                "  {:<12} {:<8} {}",
                check.check.as_str(),
                check.outcome.as_str(),
                check.summary
            ));
            for finding in check
                .facts
                .get("findings")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.out.line(format_args!("    {}", finding_line(finding)));
            }
        }
        self.out.line(format_args!(
            "  {:<12} {word:<8} {}",
            "decision",
            reasons(verdict)
        ));
    }

    fn finish(self) -> Result<ExitStatus, Failure> {
        self.out.document(&self.documents)?;
        let [admitted, quarantined, refused, unreadable] = self.counts;
        let total = count(self.counts.iter().sum(), "file", "files");
        self.out.line(format_args!(
            "{total}: {admitted} would be admitted, {quarantined} quarantined, {refused} refused, {unreadable} could not be read"
        ));
        Ok(self.status)
    }
}

fn finding_line(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let entry = match text("entry") {
        "" => String::new(),
        entry => format!(" {entry}:"),
    };
    format!("{}:{entry} {}", text("code"), text("detail"))
}

fn reasons(verdict: &Verdict) -> String {
    let reasons: Vec<String> = verdict
        .reasons
        .iter()
        .map(|reason| format!("{}/{}", reason.check, reason.code))
        .collect();
    if reasons.is_empty() {
        format!("profile {}", verdict.policy.profile)
    } else {
        reasons.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn bench() -> Bench {
        Bench {
            policy: Policy::builtin(Profile::Standard),
            checks: Checks::default(),
            max_file: 1_000,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_file_with_no_releases_name_is_refused_and_not_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, b"hello").unwrap();
        let verdict = bench().try_judge(&path, None).unwrap();
        assert_eq!(verdict.decision, Decision::Refuse);
        assert_eq!(verdict.reasons[0].code, "filename");
    }

    #[test]
    fn what_is_no_archive_is_refused_and_what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&path, b"not a zip").unwrap();
        assert_eq!(bench().try_judge(&path, None).unwrap().decision, Decision::Refuse);
        std::fs::write(&path, vec![0; 1_001]).unwrap();
        assert_eq!(
            bench().try_judge(&path, None).unwrap_err().status,
            ExitStatus::NotAdmitted
        );
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        assert_eq!(
            bench()
                .try_judge(Path::new("/no/such.whl"), None)
                .unwrap_err()
                .status,
            ExitStatus::Usage
        );
    }

    #[test]
    fn another_digest_is_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&path, b"x").unwrap();
        let verdict = bench().try_judge(&path, Some(Digest::of(b"y"))).unwrap();
        assert_eq!(verdict.decision, Decision::Refuse);
        let hashes = verdict
            .checks
            .iter()
            .find(|check| check.check == CheckName::Hashes)
            .unwrap();
        assert_eq!(hashes.outcome, Outcome::Fail);
    }

    proptest! {
        #[test]
        fn results_come_in_order_whatever_the_threads(total in 0_usize..60, jobs in 1_usize..6) {
            let mut told = Vec::new();
            in_order(total, jobs, |n| n * 3, |n, result| told.push((n, result)));
            prop_assert_eq!(told, (0..total).map(|n| (n, n * 3)).collect::<Vec<_>>());
        }
    }
}
