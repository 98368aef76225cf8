//! `chiron explain`: why a file is or is not served, and what would change that.

use clap::Args;
use http::Method;

use super::checks::{rows, screen, wrapped};
use super::client::{Payload, segment};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::show::about;
use super::target::filename_of;
use crate::api::Explanation;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chiron explain flask-3.0.3-py3-none-any.whl\n\nThe exit status says whether the question could be answered, not whether the file is served;\n`--format json` has that as `served`."
)]
pub struct ExplainArgs {
    /// A file's name; of a path, the last part counts
    file: String,
}

/// Asks for the explanation and prints it.
pub async fn run(context: &Context, args: &ExplainArgs) -> Result<ExitStatus, Failure> {
    let filename = filename_of(&args.file);
    context
        .with_client(Open::Existing, async |client| {
            let path = format!("/explain/{}", segment(filename));
            let reply = client
                .call(Method::GET, &path, "application/json", Payload::Empty)
                .await?;
            let explanation: Explanation = client.read(reply).await?;
            context.out.document(&explanation)?;
            let served = if explanation.served {
                "served"
            } else {
                "not served"
            };
            for line in screen(&lines(&explanation, served)) {
                context.out.line(line);
            }
            Ok(ExitStatus::Done)
        })
        .await
}

/// The answer first, then what would change it, then what every check found: a screen is enough.
fn lines(explanation: &Explanation, served: &str) -> Vec<String> {
    let mut lines = wrapped(
        &format!("{} is {served}: ", explanation.filename),
        "  ",
        &explanation.because,
    );
    if !explanation.what_would_change_it.is_empty() {
        lines.push("what would change that:".to_owned());
        for change in &explanation.what_would_change_it {
            lines.extend(wrapped("  - ", "    ", change));
        }
    }
    lines.extend(explanation.verdict.iter().flat_map(rows));
    if let Some(file) = &explanation.file {
        lines.extend(about(file, explanation.verdict.as_ref()));
    }
    lines
}
