//! Log lines to stderr, for people or for collectors.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter does not parse.
    #[error(
        "the log filter \"{filter}\" is not one: {why}; write a level, or levels by module as in \"info,chiron::upstream=debug\""
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What the parser says.
        why: String,
    },
    /// Logging was set up before in this process.
    #[error("logging is already set up in this process")]
    Twice(#[source] TryInitError),
}

/// Sends log lines that pass `filter` to stderr: one readable line per event, or with `json` one object per line.
///
/// Colours are used only when `colour` says that stderr is a terminal that wants them.
pub fn init_logs(json: bool, filter: &str, colour: bool) -> Result<(), LogsError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse_filter(filter)?)
        .with_writer(io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(colour && !json);
    let set_up = if json {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .finish()
            .try_init()
    } else {
        builder.finish().try_init()
    };
    set_up.map_err(LogsError::Twice)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogsError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|error| LogsError::Filter {
            filter: filter.to_owned(),
            why: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn filters_are_levels_and_modules() {
        for good in ["info", "warn,chiron::upstream=debug", "off", ""] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_filter_is_named_with_an_example() {
        let error = parse_filter("chiron=loud")
            .expect_err("no such level")
            .to_string();
        assert!(
            error.contains("\"chiron=loud\"") && error.contains("chiron::upstream=debug"),
            "{error}"
        );
    }
}
