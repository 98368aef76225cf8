//! `chiron explain`: why a file is or is not served, and what would change that.

use clap::Args;
use http::Method;

use super::client::{Payload, segment};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::show::print_file;
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
            context.out.line(format_args!(
                "{} is {served}: {}",
                explanation.filename, explanation.because
            ));
            if !explanation.what_would_change_it.is_empty() {
                context.out.line("\nwhat would change that:");
                for change in &explanation.what_would_change_it {
                    context.out.line(format_args!("  - {change}"));
                }
            }
            if let Some(file) = &explanation.file {
                context.out.line("");
                print_file(context.out, file, explanation.verdict.as_ref());
            }
            Ok(ExitStatus::Done)
        })
        .await
}
