//! What is said to the driver inside the sandbox, and what it says back. Its answers are foreign bytes: whoever builds
//! inside can write them too.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::BuildLimits;
use super::sandbox::Sandbox;
use super::watch::{Killed, Ran};

/// The program that the interpreter inside runs.
const DRIVER: &str = include_str!("driver.py");

/// Most requirements taken from a backend. Threat: a list without end.
const MAX_REQUIRES: usize = 200;

/// Longest sentence taken from inside, characters.
const MAX_REASON: usize = 500;

/// A file that goes in.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) role: Role,
    /// A name that the gate has parsed: safe as a path component.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Sdist,
    Wheel,
}

/// What the driver does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Task {
    /// Reads the source's `pyproject.toml`; runs nothing of the source.
    Describe,
    /// Asks the backend what it needs, and builds when all of that is there.
    Build,
}

/// Permissions of what is unpacked and made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Modes {
    /// As most build tools unpack: others may not write (umask 022).
    Usual,
    /// As they stand in the archive, for publishers whose group may write (umask 002).
    Kept,
}

/// How a build is made.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Plan {
    /// `module:object` (PEP 517).
    pub(super) backend: String,
    /// Folders of the source that the backend may be in.
    pub(super) backend_path: Vec<String>,
    pub(super) config_settings: BTreeMap<String, String>,
    /// On top of the sandbox's own.
    pub(super) env: BTreeMap<String, String>,
    /// Requirements, or names of projects, that the environment answers.
    pub(super) answered: Vec<String>,
    pub(super) modes: Modes,
}

#[derive(Serialize)]
struct Ordered<'a> {
    #[serde(rename = "do")]
    task: Task,
    files: Vec<OrderedFile<'a>>,
    #[serde(flatten)]
    plan: &'a Plan,
}

#[derive(Serialize)]
struct OrderedFile<'a> {
    role: Role,
    name: &'a str,
    size: usize,
}

#[derive(Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Said {
    Described { pyproject: Option<String> },
    Requires { requires: Vec<String> },
    Built { filename: String, size: u64 },
    Failed { step: String, reason: String },
}

/// What came of a task.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Result<Done, String>,
    /// It went beyond its limits.
    pub(super) killed: bool,
    pub(super) log: String,
    pub(super) log_cut: bool,
}

#[derive(Debug)]
pub(super) enum Done {
    /// The text of `pyproject.toml`, if the source has one.
    Described(Option<String>),
    /// The backend wants more than the environment has.
    Requires(Vec<String>),
    /// A file that claims to be a wheel.
    Built { filename: String, bytes: Vec<u8> },
}

/// Lets the driver do a task in a fresh sandbox. Blocking. `Err` is a defect of this machine, not of the source.
pub(super) fn drive(
    sandbox: &Sandbox,
    task: Task,
    plan: &Plan,
    files: &[Input],
    cancel: &CancellationToken,
) -> std::io::Result<Option<Answer>> {
    let order = Ordered {
        task,
        files: files
            .iter()
            .map(|file| OrderedFile {
                role: file.role,
                name: &file.name,
                size: file.bytes.len(),
            })
            .collect(),
        plan,
    };
    let mut head = serde_json::to_vec(&order)?;
    head.push(b'\n');
    let mut input = vec![Bytes::from(head)];
    input.extend(files.iter().map(|file| file.bytes.clone()));
    let ran = sandbox.run(DRIVER, input, cancel)?;
    if ran.killed == Some(Killed::Cancelled) {
        return Ok(None);
    }
    let outcome = understand(&ran, sandbox.limits())?;
    Ok(Some(Answer {
        outcome,
        killed: ran.killed.is_some(),
        log: ran.log,
        log_cut: ran.log_cut,
    }))
}

fn understand(ran: &Ran, limits: &BuildLimits) -> std::io::Result<Result<Done, String>> {
    if let Some(killed) = ran.killed {
        return Ok(Err(killed.why(limits)));
    }
    let said = match serde_json::from_slice::<Said>(&ran.head) {
        Ok(said) if ran.status == Some(0) => said,
        _ => {
            let how = ran.status.map_or_else(
                || "a signal ended it".to_owned(),
                |s| format!("it ended with status {s}"),
            );
            return Ok(Err(format!("the build gave no answer: {how}")));
        }
    };
    Ok(match said {
        Said::Described { pyproject } => Ok(Done::Described(pyproject)),
        Said::Requires { requires } if requires.len() <= MAX_REQUIRES => Ok(Done::Requires(requires)),
        Said::Requires { requires } => Err(format!("the backend asks for {} requirements", requires.len())),
        Said::Failed { step, reason } => {
            let text = format!("{step}: {reason}");
            Err(text
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_REASON)
                .collect())
        }
        Said::Built { filename, size } if size == ran.body_size => {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            (&ran.body).read_to_end(&mut bytes)?;
            Ok(Done::Built { filename, bytes })
        }
        Said::Built { size, .. } => Err(format!("the build said {size} bytes and gave {}", ran.body_size)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Seek as _, Write as _};

    use proptest::prelude::*;

    use super::*;

    fn said(head: &[u8], body: &[u8], status: Option<i32>) -> Result<Done, String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(body).unwrap();
        file.rewind().unwrap();
        let ran = Ran {
            status,
            killed: None,
            head: head.to_vec(),
            body: file,
            body_size: body.len() as u64,
            log: String::new(),
            log_cut: false,
        };
        understand(&ran, &BuildLimits::default()).unwrap()
    }

    #[test]
    fn an_answer_must_be_whole_and_of_a_program_that_ended_well() {
        let built = br#"{"state":"built","filename":"a.whl","size":3}"#;
        assert!(matches!(said(built, b"abc", Some(0)), Ok(Done::Built { bytes, .. }) if bytes == b"abc"));
        assert!(
            said(built, b"abcd", Some(0))
                .unwrap_err()
                .contains("said 3 bytes and gave 4")
        );
        assert!(said(built, b"abc", Some(1)).unwrap_err().contains("status 1"));
        assert!(said(built, b"abc", None).unwrap_err().contains("signal"));
        assert!(said(b"", b"", Some(0)).unwrap_err().contains("no answer"));
    }

    #[test]
    fn what_it_says_is_shortened_and_harmless() {
        let failed = format!(
            r#"{{"state":"failed","step":"build","reason":"\u001b[2J{}"}}"#,
            "x".repeat(5_000)
        );
        let why = said(failed.as_bytes(), b"", Some(0)).unwrap_err();
        assert!(
            why.starts_with("build: [2Jxxx") && why.chars().count() == MAX_REASON,
            "{why}"
        );
        let many = format!(
            r#"{{"state":"requires","requires":[{}"a"]}}"#,
            r#""a","#.repeat(MAX_REQUIRES)
        );
        assert!(
            said(many.as_bytes(), b"", Some(0))
                .unwrap_err()
                .contains("asks for 201")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(head in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(said(&head, b"", Some(0)).is_err());
        }
    }
}
