//! The exit statuses of the command line, and what a verb says when it fails.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// What the process ends with; the numbers are promises to scripts (`CONTRACT.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Done = 0,
    /// Judged and not admitted, not found, or a verification failed.
    NotAdmitted = 1,
    /// Usage or configuration: nothing was tried.
    Usage = 2,
    /// Upstream or the network failed; trying again may help.
    Upstream = 3,
    /// Stored or imported bytes are not what they should be.
    Integrity = 4,
    /// Refused by access control.
    Denied = 5,
    /// Chiron itself failed: disk full, a bug.
    Internal = 70,
}

impl ExitStatus {
    /// Of two statuses, the one that a script must not miss.
    ///
    /// Damage comes first, then our own failures, then judgments (trying again does not change
    /// them), then the network.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if self.weight() >= other.weight() {
            self
        } else {
            other
        }
    }

    const fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Upstream => 1,
            Self::NotAdmitted => 2,
            Self::Usage => 3,
            Self::Denied => 4,
            Self::Internal => 5,
            Self::Integrity => 6,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a verb could not do its work: what happened, to what, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the process ends with.
    pub status: ExitStatus,
    /// What happened and to which file; one or two sentences, no secrets.
    pub what: String,
    /// What the reader can do now.
    pub next: Option<String>,
}

impl Failure {
    fn new(status: ExitStatus, what: impl fmt::Display) -> Self {
        Self {
            status,
            what: what.to_string(),
            next: None,
        }
    }

    /// Nothing was tried: the command line or the configuration is wrong.
    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, what)
    }

    /// Upstream, the daemon or the network did not do its part.
    pub fn upstream(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Upstream, what)
    }

    /// Something was looked at and found wanting, or was not found.
    pub fn not_admitted(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::NotAdmitted, what)
    }

    /// Bytes at rest are not what they should be.
    pub fn integrity(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Integrity, what)
    }

    /// The token is missing or may not do this.
    pub fn denied(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Denied, what)
    }

    /// Chiron's own failure.
    pub fn internal(what: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Internal, what)
    }

    /// A file that the user named cannot be read or written.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let failure = Self::usage(format_args!("cannot {doing} {}: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self {
                status: ExitStatus::Internal,
                ..failure
            }
            .next("free some space and run the command again"),
            _ => failure,
        }
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// The failure as the one document that `--format json` promises.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "error": { "exit": self.status as u8, "what": self.what, "next": self.next }
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.next {
            Some(next) => write!(f, "\n next: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contract() {
        let numbers = [
            ExitStatus::Done,
            ExitStatus::NotAdmitted,
            ExitStatus::Usage,
            ExitStatus::Upstream,
            ExitStatus::Integrity,
            ExitStatus::Denied,
            ExitStatus::Internal,
        ]
        .map(|status| status as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 70]);
    }

    #[test]
    fn damage_outweighs_judgment_and_judgment_outweighs_the_network() {
        use ExitStatus::{Done, Integrity, Internal, NotAdmitted, Upstream};
        assert_eq!(Done.worse(Upstream), Upstream);
        assert_eq!(Upstream.worse(NotAdmitted), NotAdmitted);
        assert_eq!(NotAdmitted.worse(Upstream), NotAdmitted);
        assert_eq!(Internal.worse(NotAdmitted), Internal);
        assert_eq!(Internal.worse(Integrity), Integrity);
    }

    #[test]
    fn a_failure_says_what_and_what_next() {
        let failure = Failure::usage("`flsk` is not a project").next("check the spelling");
        assert_eq!(
            failure.to_string(),
            "error: `flsk` is not a project\n next: check the spelling"
        );
        assert_eq!(failure.to_json()["error"]["exit"], 2);
    }

    #[test]
    fn a_full_disk_is_not_the_users_fault() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(
            Failure::file("write", Path::new("x"), &full).status,
            ExitStatus::Internal
        );
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(
            Failure::file("read", Path::new("x"), &missing).status,
            ExitStatus::Usage
        );
    }
}
