//! `chiron log verify --proof`: proofs in files, checked with nothing but them and the log's key.

use std::path::{Path, PathBuf};

use chiron_storage::log::{ConsistencyProof, InclusionProof, ProofFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::heads::{Heads, signed};
use super::{VerifyArgs, at_hand, prove, tuf};
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};

/// What was verified.
#[derive(Debug, Serialize)]
struct OfflineReport {
    verified: bool,
    origin: String,
    key: String,
    /// Entries that are in the log.
    events: Vec<Proved>,
    /// Smaller logs that larger ones were proved to continue.
    continues: Vec<Continued>,
    /// Files at hand that the log admits.
    files: Vec<Admitted>,
}

/// An entry that is in the log.
#[derive(Debug, Serialize)]
struct Proved {
    n: u64,
    /// Entries of the log that it was proved to be in.
    size: u64,
    event: Value,
    #[serde(skip)]
    says: Says,
}

/// A log that continues a smaller one.
#[derive(Debug, Serialize)]
struct Continued {
    from: u64,
    to: u64,
}

/// A file at hand that the log admits.
#[derive(Debug, Serialize)]
struct Admitted {
    path: PathBuf,
    sha256: String,
    event: u64,
}

/// What an entry says, as far as it is about a file; each kind of event has more.
#[derive(Debug, Deserialize)]
struct Says {
    #[serde(rename = "type")]
    kind: String,
    at: String,
    filename: Option<String>,
    project: Option<String>,
    sha256: Option<String>,
    reason: Option<String>,
}

impl Says {
    /// Whether the file is served from this entry on.
    fn admits(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "admitted" | "restored" | "yanked" | "unyanked"
        )
    }

    fn line(&self) -> String {
        let what = self.filename.as_ref().or(self.project.as_ref());
        [
            format!("{} at {}", self.kind, self.at),
            what.map(|what| format!(": {what}")).unwrap_or_default(),
            self.sha256
                .as_ref()
                .map(|sha256| format!(", sha256:{sha256}"))
                .unwrap_or_default(),
            self.reason
                .as_ref()
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default(),
        ]
        .concat()
    }
}

/// Verifies and reports.
pub async fn run(context: &Context, args: &VerifyArgs) -> Result<ExitStatus, Failure> {
    let text = args.key.as_deref().ok_or_else(|| {
        Failure::usage("a proof is verified with the log's key, and none is given")
            .next("give the one that you keep: --key KEY, or --key FILE (`chiron log key > log.key`, on the machine itself)")
    })?;
    let key = at_hand::key(text)?;
    let mut heads = Heads::default();
    let mut wanted = Vec::new();
    let mut notes = Vec::new();
    for path in args.checkpoint.iter().chain(&args.since) {
        let note = at_hand::read(path, at_hand::MAX_CHECKPOINT_BYTES, "a checkpoint")?;
        let whence = path.display().to_string();
        wanted.push(heads.add(&whence, &signed(&whence, &note, &key)?)?);
        notes.push(note);
    }
    let (inclusions, consistencies) = read_proofs(&args.proof)?;
    if let Some(place) = &args.tuf.tuf {
        notes.extend(inclusions.iter().map(|(_, proof)| proof.checkpoint.clone()));
        notes.extend(consistencies.iter().map(|(_, proof)| proof.checkpoint.clone()));
        let note = tuf::vouched(place, &args.tuf, &notes).await?.checkpoint;
        // Its address may hold a password.
        let whence = "the TUF repository";
        wanted.push(heads.add(whence, &signed(whence, &note, &key)?)?);
    }

    let mut events = Vec::new();
    for (path, proof) in &inclusions {
        let whence = path.display().to_string();
        let head = heads.add(&whence, &signed(&whence, &proof.checkpoint, &key)?)?;
        events.push(inclusion(path, proof, &key)?);
        // Proved in turn below, once every step is known.
        wanted.push(head);
    }
    for (path, proof) in &consistencies {
        let whence = path.display().to_string();
        wanted.push(heads.add(&whence, &signed(&whence, &proof.checkpoint, &key)?)?);
    }
    for (path, proof) in &consistencies {
        heads.step(path, proof, &key)?;
    }
    heads.are_one_log(&wanted)?;

    let files = files(&args.files, &events)?;
    let report = OfflineReport {
        verified: true,
        origin: key.split('+').next().unwrap_or_default().to_owned(),
        key,
        events,
        continues: heads.steps().map(|(from, to)| Continued { from, to }).collect(),
        files,
    };
    context.out.document(&report)?;
    print(context, &report, heads.newest());
    Ok(ExitStatus::Done)
}

type Named<T> = Vec<(PathBuf, T)>;

fn read_proofs(paths: &[PathBuf]) -> Result<(Named<InclusionProof>, Named<ConsistencyProof>), Failure> {
    let (mut inclusions, mut consistencies) = (Vec::new(), Vec::new());
    for path in paths {
        match at_hand::proof(path)? {
            ProofFile::Inclusion(proof) => inclusions.push((path.clone(), proof)),
            ProofFile::Consistency(proof) => consistencies.push((path.clone(), proof)),
        }
    }
    // From small to large, so that each begins where another has ended.
    consistencies.sort_by_key(|(_, proof)| proof.old);
    Ok((inclusions, consistencies))
}

fn inclusion(path: &Path, proof: &InclusionProof, key: &str) -> Result<Proved, Failure> {
    let entry = proof.entry.as_deref().ok_or_else(|| {
        Failure::usage(format_args!(
            "{} does not hold the entry that it is about",
            path.display()
        ))
        .next("make it with `chiron log prove`, which puts the entry in")
    })?;
    let checkpoint = proof
        .verify(entry, key)
        .map_err(|error| prove::wrong(&format_args!("{}: {error}", path.display())))?;
    let strange = |error: serde_json::Error| {
        Failure::integrity(format_args!(
            "entry {} of the log is proved, and is no event of Chiron's: {error}",
            proof.number
        ))
        .next("this is the log of another program, or of a newer Chiron")
    };
    let event: Value = serde_json::from_slice(entry).map_err(strange)?;
    Ok(Proved {
        n: proof.number,
        size: checkpoint.size,
        says: serde_json::from_value(event.clone()).map_err(strange)?,
        event,
    })
}

/// Holds files at hand against what was proved. A file that the log refused is not what its user hopes for, however well
/// that is proved.
fn files(paths: &[PathBuf], events: &[Proved]) -> Result<Vec<Admitted>, Failure> {
    let mut admitted = Vec::new();
    for path in paths {
        let sha256 = at_hand::sha256(path)?.to_string();
        let about = |event: &&Proved| event.says.sha256.as_ref() == Some(&sha256);
        // The newest of several.
        let event = events.iter().filter(about).max_by_key(|event| event.n);
        let event = event.ok_or_else(|| {
            Failure::not_admitted(format_args!(
                "{} has the SHA-256 {sha256}, and no proof is about a file with that content",
                path.display()
            ))
            .next("either the file was changed, or the proof is another file's: chiron log prove FILE --out PROOF")
        })?;
        if !event.says.admits() {
            return Err(Failure::not_admitted(format_args!(
                "{} is a file that was {}",
                path.display(),
                event.says.line()
            ))
            .next("`chiron explain FILE` says why"));
        }
        admitted.push(Admitted {
            path: path.clone(),
            sha256,
            event: event.n,
        });
    }
    Ok(admitted)
}

fn print(context: &Context, report: &OfflineReport, newest: u64) {
    for event in &report.events {
        context.out.line(format_args!(
            "event {} is in the log of {}, signed by {}",
            event.n, event.size, report.origin
        ));
        context.out.line(format_args!("  {}", event.says.line()));
    }
    for step in &report.continues {
        context.out.line(format_args!(
            "the log of {} continues the log of {}",
            step.to, step.from
        ));
    }
    for file in &report.files {
        context.out.line(format_args!(
            "{} is the file of event {}",
            file.path.display(),
            file.event
        ));
    }
    if let Some(last) = report.events.iter().map(|event| event.n).max()
        && last + 1 < newest
    {
        let later = newest - last - 1;
        context.out.line(format_args!(
            "  {later} later entries of the log of {newest} are not looked at: one of them may take this back"
        ));
    }
}

#[cfg(test)]
mod tests;
