//! Judging one file at hand: the same checks and the same policy as in the daemon, with nothing stored.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chiron_storage::{Digest, Measure, Measured};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::given::{self, Given, source_beside};
use super::{VerifyArgs, filename};
use crate::advisories::Offline;
use crate::app::{self, App, OpenMode, archive_limits, sbom_limits};
use crate::cli::context::{Context, app_failure};
use crate::cli::exit::Failure;
use crate::cli::output::{bytes, note};
use crate::cli::policy::{policy_in_force, policy_named};
use crate::config::Config;
use crate::package::{DistKind, DistributionFilename, HashClaim};
use crate::policy::{Case, Circumstances, JudgedFile, Policy, Verdict, decide};
use crate::verify::reproducibility::{Rebuilt, SourceCommit, after_rebuild};
use crate::verify::signature::AttestationFact;
use crate::verify::{Attached, CheckName, Checks, Evidence, Outcome, Published, SourceArchive, examine};

/// Bytes read at a time while a file is measured.
const READ_BYTES: usize = 1 << 20;

/// What is needed to judge a file.
pub(super) struct Bench {
    policy: Policy,
    checks: Checks,
    given: Given,
    source: Option<PathBuf>,
    max_file: u64,
    advisories: Option<Offline>,
    now: Timestamp,
}

/// What became of one file.
pub(super) enum Judged {
    Verdict(Box<Verdict>),
    Unreadable(Failure),
}

/// What came of a rebuild that was asked for: nothing when the file is none that is rebuilt.
pub(super) type Rebuild = Option<Result<Rebuilt, String>>;

impl Bench {
    /// Reads what the command line and the configuration name.
    pub(super) fn new(context: &Context, args: &VerifyArgs) -> Result<Self, Failure> {
        let config = context.config()?;
        let trust = given::trust(args, || app::trust(&config.trust).map_err(Failure::usage))?;
        let policy = match args.policy.as_deref() {
            Some(name) => policy_named(&config, name)?,
            None => policy_in_force(&config)?,
        };
        Ok(Self {
            policy,
            checks: Checks {
                archive: archive_limits(&config.limits),
                trust,
                sbom: sbom_limits(&config.sbom),
                ..Checks::default()
            },
            given: Given::read(args)?,
            source: args.source.clone(),
            max_file: config.limits.file.bytes(),
            advisories: args
                .advisories
                .as_ref()
                .map(|path| read_advisories(path, &config))
                .transpose()?,
            now: Timestamp::now(),
        })
    }

    pub(super) fn judge(&self, path: &Path, sha256: Option<Digest>, rebuild: Option<&Rebuild>) -> Judged {
        match self.try_judge(path, sha256, rebuild.and_then(Option::as_ref)) {
            Ok(verdict) => Judged::Verdict(Box::new(verdict)),
            Err(failure) => Judged::Unreadable(failure),
        }
    }

    fn try_judge(
        &self,
        path: &Path,
        sha256: Option<Digest>,
        rebuild: Option<&Result<Rebuilt, String>>,
    ) -> Result<Verdict, Failure> {
        let (file, measured) = self.open(path)?;
        let filename = filename(path);
        let (evidence, project, version) = match DistributionFilename::parse(&filename) {
            Ok(name) => {
                let attached = Attached {
                    documents: self.given.documents(path)?,
                    source: self.source(path, &name)?,
                    advisories: self
                        .advisories
                        .as_ref()
                        .map(|database| database.project(name.project())),
                    ..Attached::default()
                };
                let mut evidence = self.examined(&file, &measured, &name, sha256, &attached);
                self.ask_identity(&mut evidence);
                if let Some(rebuild) = rebuild {
                    self.add_rebuild(&mut evidence, rebuild);
                }
                (evidence, name.project().to_string(), name.version().to_string())
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
            circumstances: Circumstances {
                advisories: self.advisories.as_ref().map(Offline::reference),
                ..Circumstances::default()
            },
            now: self.now,
        };
        Ok(decide(&self.policy, &case))
    }

    fn open(&self, path: &Path) -> Result<(File, Measured), Failure> {
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
        Ok((file, measured))
    }

    fn examined(
        &self,
        file: &File,
        measured: &Measured,
        name: &DistributionFilename,
        sha256: Option<Digest>,
        attached: &Attached,
    ) -> Vec<Evidence> {
        let published = Published {
            hashes: sha256.map(claim).into_iter().collect(),
            by: "the command line".to_owned(),
            ..Published::default()
        };
        examine(
            file,
            measured,
            name,
            &published,
            attached,
            &self.checks,
            self.now,
            |_| (),
        )
        .evidence
    }

    /// The source that a wheel is held against: the sdist that was named, or the one beside it. It passes the first
    /// checks itself before anything is compared with it.
    fn source(&self, wheel: &Path, name: &DistributionFilename) -> Result<SourceArchive, Failure> {
        if name.kind() != DistKind::Wheel {
            return Ok(SourceArchive::NotPublished);
        }
        let Some(path) = self.source.clone().or_else(|| source_beside(wheel, name)) else {
            return Ok(SourceArchive::NotPublished);
        };
        let sdist = DistributionFilename::parse(&filename(&path))
            .map_err(|why| Failure::usage(format_args!("{}: {why}", path.display())))?;
        if sdist.kind() != DistKind::Sdist
            || sdist.project() != name.project()
            || sdist.version() != name.version()
        {
            return Err(Failure::usage(format_args!(
                "{} is no source of {} {}",
                path.display(),
                name.project(),
                name.version()
            ))
            .next("name the sdist of the same release"));
        }
        let (file, measured) = self.open(&path)?;
        let attached = Attached {
            // What was given by hand speaks of the wheel.
            documents: Given::nothing().documents(&path)?,
            ..Attached::default()
        };
        let evidence = self.examined(&file, &measured, &sdist, None, &attached);
        if let Some(bad) = evidence.iter().find(|e| e.outcome == Outcome::Fail) {
            return Ok(SourceArchive::Refused(format!(
                "{}: {}: {}",
                sdist.raw(),
                bad.check,
                bad.summary
            )));
        }
        let commit = evidence
            .iter()
            .find(|e| e.check == CheckName::Signature && e.outcome == Outcome::Pass)
            .and_then(|e| SourceCommit::from_signature_facts(&e.facts));
        Ok(SourceArchive::Sdist {
            name: sdist,
            file,
            size: measured.size,
            sha256: measured.sha256,
            commit,
        })
    }

    /// `--identity`: a verified signature of exactly this signer, or the check fails.
    fn ask_identity(&self, evidence: &mut [Evidence]) {
        let Some((text, rule)) = &self.given.identity else {
            return;
        };
        let Some(signature) = evidence
            .iter_mut()
            .find(|e| e.check == CheckName::Signature && e.outcome != Outcome::Skipped)
        else {
            return;
        };
        let attestations: Vec<AttestationFact> = signature
            .facts
            .get("attestations")
            .and_then(|list| serde_json::from_value(list.clone()).ok())
            .unwrap_or_default();
        if attestations
            .iter()
            .any(|attestation| attestation.verified && rule.matches(attestation))
        {
            return;
        }
        let signers: Vec<&str> = attestations.iter().map(AttestationFact::signer).collect();
        let detail = if signers.is_empty() {
            format!("it is not signed by {text}: no signature of it verifies")
        } else {
            format!("it is signed by {}, not by {text}", signers.join(", "))
        };
        let finding = json!({ "code": "wrong-publisher", "detail": detail });
        match signature.facts.get_mut("findings").and_then(Value::as_array_mut) {
            Some(findings) => findings.insert(0, finding),
            None => {
                signature.facts.insert("findings".to_owned(), json!([finding]));
            }
        }
        signature.outcome = Outcome::Fail;
        signature.summary = detail;
    }

    /// `--rebuild`: what came of it is a fact; that it could not be tried is one too, and never a pass.
    fn add_rebuild(&self, evidence: &mut [Evidence], rebuild: &Result<Rebuilt, String>) {
        let Some(before) = evidence
            .iter_mut()
            .find(|e| e.check == CheckName::Reproducibility && e.outcome != Outcome::Skipped)
        else {
            return;
        };
        match rebuild {
            Ok(rebuilt) => {
                let report = after_rebuild(before, rebuilt);
                *before = report.into_evidence(CheckName::Reproducibility, before.subject, self.now);
            }
            Err(why) => before.summary = format!("{}; not rebuilt: {why}", before.summary),
        }
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
        let structure = Evidence::new(
            CheckName::Structure,
            subject,
            Outcome::Fail,
            format!("the file's name: {why}"),
            facts,
            self.now,
        );
        let rest = CheckName::ALL.into_iter().skip(1).map(|check| {
            let summary = "not looked at: the file's name says no release";
            Evidence::new(check, subject, Outcome::Skipped, summary, Map::new(), self.now)
        });
        std::iter::once(structure).chain(rest).collect()
    }
}

/// Rebuilds the wheels among the files, one after the other, if that was asked for. What a build needs is taken from
/// the configured index, through a data folder that is thrown away.
pub(super) async fn rebuilds(context: &Context, args: &VerifyArgs) -> Result<Vec<Rebuild>, Failure> {
    if !args.rebuild {
        return Ok(Vec::new());
    }
    let mut config = context.config()?;
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
    folder.path().join("data").clone_into(&mut config.storage.path);
    let settings = app::rebuild_settings(&config.reproducibility);
    let path = config.storage.path.clone();
    let app = App::open(config, OpenMode::Verb)
        .await
        .map_err(|error| app_failure(error, &path))?;
    let rebuilder = app.rebuilder(settings).await;
    let mut done = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let wheel = DistributionFilename::parse(&filename(file))
            .ok()
            .filter(|name| name.kind() == DistKind::Wheel);
        let Some(name) = wheel else {
            done.push(None);
            continue;
        };
        note(format_args!("rebuilding {}", name.raw()));
        let source = args.source.clone().or_else(|| source_beside(file, &name));
        let rebuilt = rebuilder
            .at_hand(file, source.as_deref(), None, &CancellationToken::new())
            .await;
        done.push(Some(rebuilt.map_err(|error| error.to_string())));
    }
    app.shutdown().await;
    Ok(done)
}

fn read_advisories(path: &Path, config: &Config) -> Result<Offline, Failure> {
    let settings = app::advisory_settings(&config.advisories);
    Offline::read(path, &settings, Timestamp::now()).map_err(|error| {
        Failure::usage(format_args!("{}: {error}", path.display()))
            .next("it must be a zip dump or a folder of OSV records; nothing was judged")
    })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;
    use crate::policy::{Decision, Profile};

    fn bench() -> Bench {
        Bench {
            policy: Policy::builtin(Profile::Standard),
            checks: Checks::default(),
            given: Given::nothing(),
            source: None,
            max_file: 1_000,
            advisories: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn judge(path: &Path, sha256: Option<Digest>) -> Result<Verdict, Failure> {
        bench().try_judge(path, sha256, None)
    }

    #[test]
    fn a_file_with_no_releases_name_is_refused_and_not_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, b"hello").unwrap();
        let verdict = judge(&path, None).unwrap();
        assert_eq!(verdict.decision, Decision::Refuse);
        assert!(
            verdict.reasons.iter().any(|reason| reason.code == "filename"),
            "{:?}",
            verdict.reasons
        );
    }

    #[test]
    fn what_is_no_archive_is_refused_and_what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&path, b"not a zip").unwrap();
        assert_eq!(judge(&path, None).unwrap().decision, Decision::Refuse);
        std::fs::write(&path, vec![0; 1_001]).unwrap();
        assert_eq!(judge(&path, None).unwrap_err().status, ExitStatus::NotAdmitted);
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        assert_eq!(
            judge(Path::new("/no/such.whl"), None).unwrap_err().status,
            ExitStatus::Usage
        );
    }

    #[test]
    fn another_digest_is_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&path, b"x").unwrap();
        let verdict = judge(&path, Some(Digest::of(b"y"))).unwrap();
        assert_eq!(verdict.decision, Decision::Refuse);
        let hashes = verdict
            .checks
            .iter()
            .find(|check| check.check == CheckName::Hashes)
            .unwrap();
        assert_eq!(hashes.outcome, Outcome::Fail);
    }

    #[test]
    fn another_releases_sdist_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a-1-py3-none-any.whl");
        std::fs::write(&wheel, b"x").unwrap();
        let mut bench = bench();
        bench.source = Some(folder.path().join("a-2.tar.gz"));
        assert_eq!(
            bench.try_judge(&wheel, None, None).unwrap_err().status,
            ExitStatus::Usage
        );
    }
}
