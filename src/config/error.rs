//! What is wrong with a configuration: everything at once, each with its place, what was found and what is allowed.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why no configuration came of it. The daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not TOML: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// The file or the environment says something that cannot be.
    #[error("{}", listed(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said: `chiron.toml:12` or `environment CHIRON_SERVER__LISTEN`; empty for a built-in value.
    pub place: String,
    /// The key's path, such as `upstream[0].mode`.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}: {}", self.key, self.what)
    }
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
