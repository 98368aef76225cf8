//! Why a call failed, and what that means for the exit status.

use std::path::PathBuf;

use http::StatusCode;

use crate::cli::exit::Failure;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no (RFC 9457).
    #[error("{detail}")]
    Problem {
        /// HTTP status.
        status: StatusCode,
        /// The problem's `type`, which is stable.
        kind: String,
        /// What the server says.
        detail: String,
    },
    /// No connection, or it broke.
    #[error("cannot talk to {server}: {cause}")]
    Unreachable {
        /// As the user named it.
        server: String,
        /// Every cause, outermost first.
        cause: String,
    },
    /// The answer is not what the admin API sends.
    #[error("{server} answered {what}, which is not what Chiron's admin API sends")]
    Strange {
        /// As the user named it.
        server: String,
        /// What came.
        what: String,
    },
    /// A file to send cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem {
                status,
                ref kind,
                ref detail,
            } => problem(status, kind, detail),
            ClientError::Unreachable { .. } => Self::upstream(error)
                .next("check that the daemon runs and that --server (or CHIRON_SERVER) is right"),
            ClientError::Strange { .. } => {
                Self::upstream(error).next("check that --server names a Chiron daemon, without a path")
            }
            ClientError::File { ref path, ref source } => Self::file("read", path, source),
        }
    }
}

/// What a problem document means for the exit status: its stable `type` first, its status else.
fn problem(status: StatusCode, kind: &str, detail: &str) -> Failure {
    match kind.strip_prefix("urn:chiron:problem:").unwrap_or_default() {
        "not-admitted" | "signature-refused" | "other-document" => return Failure::not_admitted(detail),
        "damaged" => {
            return Failure::integrity(detail)
                .next("`chiron scrub` says what is damaged, `chiron scrub --repair` fetches it again");
        }
        "read-only" => {
            return Failure::internal(detail).next("restart the daemon once the disk is well again");
        }
        _ => {}
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::denied(detail).next(
            "give --token (or CHIRON_TOKEN): the daemon keeps it in DATA/admin.token, readable by its user",
        ),
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::not_admitted(detail),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Failure::upstream(detail)
            .next("`chiron status` says which upstream is down; run the command again later"),
        StatusCode::INSUFFICIENT_STORAGE => Failure::internal(detail).next(
            "free some space on the data folder's disk; `chiron gc --dry-run` says what Chiron could free",
        ),
        status if status.is_client_error() => Failure::usage(detail),
        StatusCode::SERVICE_UNAVAILABLE => Failure::upstream(detail).next("run the command again"),
        _ => Failure::internal(detail)
            .next("the daemon's log has the cause; `chiron doctor` checks the data folder"),
    }
}

/// What an answer that is not 2xx says.
pub(super) fn read_problem(status: StatusCode, body: &[u8], whom: &str) -> ClientError {
    #[derive(serde::Deserialize)]
    struct Problem {
        #[serde(default, rename = "type")]
        kind: String,
        title: String,
        #[serde(default)]
        detail: Option<String>,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem {
            status,
            kind: problem.kind,
            detail: problem.detail.unwrap_or(problem.title),
        },
        Err(_) => ClientError::Strange {
            server: whom.to_owned(),
            what: format!("HTTP {status} without a problem document"),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn problems_become_exit_statuses() {
        let status = |code: u16, kind: &str| problem(StatusCode::from_u16(code).unwrap(), kind, "d").status;
        assert_eq!(status(401, ""), ExitStatus::Denied);
        assert_eq!(status(403, ""), ExitStatus::Denied);
        assert_eq!(status(404, ""), ExitStatus::NotAdmitted);
        assert_eq!(status(422, ""), ExitStatus::Usage);
        assert_eq!(status(502, ""), ExitStatus::Upstream);
        assert_eq!(status(507, ""), ExitStatus::Internal);
        assert_eq!(status(500, "urn:chiron:problem:damaged"), ExitStatus::Integrity);
        assert_eq!(
            status(403, "urn:chiron:problem:not-admitted"),
            ExitStatus::NotAdmitted
        );
        assert_eq!(status(503, "urn:chiron:problem:read-only"), ExitStatus::Internal);
        assert_eq!(status(500, ""), ExitStatus::Internal);
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_strange() {
        let strange = read_problem(StatusCode::BAD_GATEWAY, b"<html>", "http://x");
        assert!(matches!(strange, ClientError::Strange { .. }), "{strange}");
        let problem = read_problem(
            StatusCode::CONFLICT,
            br#"{"type":"t","title":"T","status":409}"#,
            "x",
        );
        assert!(matches!(problem, ClientError::Problem { detail, .. } if detail == "T"));
    }
}
