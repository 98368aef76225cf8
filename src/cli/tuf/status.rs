//! `chiron tuf status`: roles, keys, signatures, expiry.

use clap::Args;
use jiff::Timestamp;

use super::change::print_waiting;
use crate::api::{TufExpiry, TufRole, TufRoleKey, TufState, TufStatus};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{AnsiColor, Painted, note};

/// Arguments of `tuf status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf status\n  chiron tuf status --format json | jq -r '.roles[] | [.name, .expires] | @tsv'\n\nExit status 0; 1 when clients refuse something now (expired, signatures missing, changed by hand)."
)]
pub struct StatusArgs {}

/// Shows how it stands.
pub async fn run(context: &Context, _args: &StatusArgs) -> Result<ExitStatus, Failure> {
    let status: TufStatus = context
        .with_client(Open::Existing, async |client| {
            Ok(client.get("/api/v1/tuf").await?)
        })
        .await?;
    context.out.document(&status)?;
    print(context, &status, Timestamp::now());
    let refused = status
        .roles
        .iter()
        .any(|role| role.expiry == TufExpiry::Expired || role.problem.is_some());
    Ok(if refused {
        ExitStatus::NotAdmitted
    } else {
        ExitStatus::Done
    })
}

fn print(context: &Context, status: &TufStatus, now: Timestamp) {
    let out = context.out;
    match (&status.generation, status.state) {
        (Some(generation), _) => out.line(format_args!(
            "generation {} of {}, over the log up to {}, {} bins",
            generation.number,
            generation.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            generation.log_size,
            status.bins
        )),
        (None, TufState::Waiting) => {
            out.line("no repository yet: its first root waits for signatures");
        }
        (None, TufState::Live) => out.line("nothing is published yet"),
        (None, TufState::None) => {
            out.line("no signed repository yet");
            note("next: `chiron tuf init`, or `chiron tuf init --production` for keys that people hold");
        }
    }
    if let Some(root) = &status.root {
        out.line(format_args!("root for clients: {}", root.path));
        out.line(format_args!("  version {}, sha256 {}", root.version, root.sha256));
    }
    if !status.roles.is_empty() {
        roles(context, status, now);
    }
    for waiting in &status.waiting {
        print_waiting(context, waiting);
    }
    for warning in &status.warnings {
        out.painted(&[
            Painted::loud("warning: ", AnsiColor::Yellow),
            Painted::plain(warning),
        ]);
    }
}

/// A row for each role, with the keys below it.
fn roles(context: &Context, status: &TufStatus, now: Timestamp) {
    let rows: Vec<Vec<Painted>> = status.roles.iter().map(|role| row(role, now)).collect();
    let heads = ["role", "version", "signed", "expires", ""].map(Painted::plain);
    let mut widths = heads.clone().map(|head| head.width());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    line(context, &heads, &widths);
    for (role, row) in status.roles.iter().zip(&rows) {
        line(context, row, &widths);
        for key in &role.keys {
            context.out.painted(&key_line(key));
        }
        if let Some(problem) = &role.problem {
            context
                .out
                .painted(&[Painted::plain("    "), Painted::loud(problem, AnsiColor::Red)]);
        }
    }
}

fn line(context: &Context, cells: &[Painted], widths: &[usize]) {
    let mut pieces = Vec::new();
    for (cell, width) in cells.iter().zip(widths) {
        pieces.push(cell.clone());
        pieces.push(Painted::plain(" ".repeat(width.saturating_sub(cell.width()) + 2)));
    }
    while pieces.last().is_some_and(Painted::is_blank) {
        pieces.pop();
    }
    context.out.painted(&pieces);
}

fn row(role: &TufRole, now: Timestamp) -> Vec<Painted> {
    let have = role.keys.iter().filter(|key| key.signed).count();
    let signed = format!("{have} of {}", role.threshold);
    let enough = have >= usize::from(role.threshold);
    vec![
        Painted::plain(&role.name),
        Painted::plain(role.version),
        if enough {
            Painted::coloured(signed, AnsiColor::Green)
        } else {
            Painted::loud(signed, AnsiColor::Red)
        },
        expiry(role, now),
        Painted::plain(if role.online {
            "signed by the daemon"
        } else {
            "signed by people"
        }),
    ]
}

fn expiry(role: &TufRole, now: Timestamp) -> Painted {
    let text = format!("{} ({})", role.expires, distance(now, role.expires));
    match role.expiry {
        TufExpiry::Fine => Painted::coloured(text, AnsiColor::Green),
        TufExpiry::Soon => Painted::loud(text, AnsiColor::Yellow),
        TufExpiry::Expired => Painted::loud(text, AnsiColor::Red),
    }
}

/// In the largest unit of which there are two at least.
fn distance(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.as_second().saturating_sub(now.as_second());
    let amount = match seconds.unsigned_abs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    };
    if seconds < 0 {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

fn key_line(key: &TufRoleKey) -> Vec<Painted> {
    let mark = if key.signed {
        Painted::coloured("    signed   ", AnsiColor::Green)
    } else {
        Painted::plain("    -        ")
    };
    let label = key.label.as_deref().unwrap_or("(not in the key ring)");
    let place = match (&key.place, &key.scheme) {
        (Some(place), Some(scheme)) => format!("  {scheme}, {place}"),
        _ => String::new(),
    };
    let id: String = key.id.chars().take(16).collect();
    vec![mark, Painted::plain(format!("{id}…  {label}{place}"))]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_distance_is_readable() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let later = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        for (seconds, text) in [
            (0, "in 0 s"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (86_400, "in 24 h"),
            (172_800, "in 2 days"),
            (-7_200, "2 h ago"),
        ] {
            assert_eq!(distance(now, later(seconds)), text);
        }
    }
}
