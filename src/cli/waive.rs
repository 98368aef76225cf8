//! `chiron waive`: a person lets something pass, for one content, one check and a time.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::checks::wrapped;
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::target::Target;
use crate::api::{FileView, RejudgedView, WaiveRequest};

/// Arguments of `waive`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron waive demo-1.0-py3-none-any.whl --check sbom --until 2027-01-31 --reason 'their SBOM comes with 1.1'\n  chiron waive sha256:HEX --check advisories --code critical --until 2027-01-31 --reason 'not reachable here' --person anna\n\nA waiver covers one content, one check and a time; it is an event of the log and it ends by itself.\nWhere the policy asks for two persons, both run the command, each with another --person."
)]
pub struct WaiveArgs {
    /// A file's name or sha256:HEX
    target: String,
    /// Whose objections are waived
    #[arg(long, value_parser = ["structure", "hashes", "signature", "sbom", "reproducibility", "advisories", "policy"])]
    check: String,
    /// Only the objection with this code (`chiron explain` shows it)
    #[arg(long)]
    code: Option<String>,
    /// The last day of the waiver, or a time in RFC 3339
    #[arg(long, value_name = "DATE", value_parser = end_of)]
    until: Timestamp,
    /// Why; 1 to 1,000 characters
    #[arg(long)]
    reason: String,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
}

/// The end of a day (UTC), or the time itself.
fn end_of(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wrong = |_| "write a day as 2027-01-31, or a time as 2027-01-31T12:00:00Z".to_owned();
    let day: Date = text.parse().map_err(wrong)?;
    let next = day.checked_add(1.day()).map_err(wrong)?;
    Ok(next.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp())
}

/// Waives, and says what became of the file.
pub async fn run(context: &Context, args: &WaiveArgs) -> Result<ExitStatus, Failure> {
    let target = Target::parse(&args.target)?;
    let request = WaiveRequest {
        check: args.check.clone(),
        code: args.code.clone(),
        reason: args.reason.clone(),
        until: args.until,
        person: args.person.clone(),
        dry_run: context.global.dry_run,
    };
    context
        .with_client(Open::Existing, async |client| {
            let file = one_file(&target, target.files(client).await?)?;
            let path = format!("/api/v1/files/{}/waive", file.sha256);
            let view: RejudgedView = client.post(&path, &request).await?;
            print(context, &view, "waived")
        })
        .await
}

/// The one file that is meant: a waiver, like a document, belongs to one content.
pub fn one_file(target: &Target, mut files: Vec<FileView>) -> Result<FileView, Failure> {
    let digests: std::collections::BTreeSet<&str> = files.iter().map(|file| file.sha256.as_str()).collect();
    if digests.len() > 1 {
        let list: Vec<String> = files
            .iter()
            .map(|file| format!("{} sha256:{}", file.filename, file.sha256))
            .collect();
        return Err(Failure::usage(format_args!(
            "{target} is more than one content:\n{}",
            list.join("\n")
        ))
        .next("name the one that is meant by its sha256:…"));
    }
    files.pop().ok_or_else(|| target.unknown())
}

/// What the new judgment came to.
pub fn print(context: &Context, view: &RejudgedView, what: &str) -> Result<ExitStatus, Failure> {
    context.out.document(view)?;
    let event = view
        .event
        .map(|event| format!(", event {event}"))
        .unwrap_or_default();
    let dry = if context.global.dry_run {
        "; nothing was changed"
    } else {
        ""
    };
    let became = if view.before == view.state {
        format!("{} as before", view.state)
    } else {
        format!("{} before, {} now", view.before, view.state)
    };
    context
        .out
        .line(format_args!("{}: {what}{event}; {became}{dry}", view.filename));
    for reason in &view.reasons {
        for line in wrapped("  because ", "          ", reason) {
            context.out.line(line);
        }
    }
    Ok(if view.state == "admitted" {
        ExitStatus::Done
    } else {
        ExitStatus::NotAdmitted
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_day_counts_to_its_end() {
        assert_eq!(end_of("2027-01-31").unwrap().to_string(), "2027-02-01T00:00:00Z");
        assert_eq!(
            end_of("2027-01-31T12:00:00Z").unwrap().to_string(),
            "2027-01-31T12:00:00Z"
        );
        for wrong in ["", "tomorrow", "2027-02-30", "31.1.2027"] {
            assert!(end_of(wrong).is_err(), "{wrong}");
        }
    }
}
