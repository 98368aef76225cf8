//! `/explain/{filename}`: why a file is or is not served, and what would change that.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use chiron_storage::Digest;
use http::{HeaderMap, header};

use super::admin::history;
use super::advice::advice;
use super::problem::Problem;
use crate::api::{Explanation, FileOutcome, FileResult, FileView};
use crate::catalog::{Actor, FileRow, FileState, Waits};
use crate::mirror::{Asked, Mirror};
use crate::package::DistributionFilename;
use crate::policy::{Decision, Verdict};

/// `GET /explain/{filename}`, or `/explain/{sha256}`: HTML for people, JSON for who asks for it.
pub async fn explain(
    State(mirror): State<Mirror>,
    Path(what): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = explanation(&mirror, &what).await?;
    let json = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"));
    let mut response = if json {
        axum::Json(found).into_response()
    } else {
        Html(page(&found)).into_response()
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    response
        .headers_mut()
        .insert(header::VARY, http::HeaderValue::from_static("Accept"));
    Ok(response)
}

async fn explanation(mirror: &Mirror, what: &str) -> Result<Explanation, Problem> {
    if let Ok(digest) = what.parse::<Digest>() {
        let rows = mirror.catalog().by_digest(digest).await?;
        return match rows.first() {
            Some(row) => judged(mirror, row).await,
            None => Err(Problem::not_found(format!(
                "no file with sha256 {digest} was ever judged here"
            ))),
        };
    }
    let name = match DistributionFilename::parse(what) {
        Ok(name) => name,
        Err(why) => {
            return Ok(Explanation {
                filename: what.to_owned(),
                served: false,
                because: format!("this is no name of a wheel or sdist: {why}"),
                what_would_change_it: vec!["only files that installers can parse are served".to_owned()],
                file: None,
                verdict: None,
            });
        }
    };
    let rows = mirror.catalog().by_name(name.project(), name.raw()).await?;
    // Admitted first, else the newest word.
    let best = rows
        .iter()
        .max_by_key(|row| (row.state == FileState::Admitted, row.since));
    match best {
        Some(row) => judged(mirror, row).await,
        None => unjudged(mirror, &name).await,
    }
}

async fn judged(mirror: &Mirror, row: &FileRow) -> Result<Explanation, Problem> {
    let verdict = mirror.catalog().doc(row.judged.verdict).await?;
    let mut verdict: Option<serde_json::Value> =
        verdict.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(verdict) = verdict.as_mut().and_then(serde_json::Value::as_object_mut) {
        let history = history(mirror.catalog(), row).await?;
        verdict.insert(
            "history".to_owned(),
            serde_json::to_value(history).unwrap_or_default(),
        );
    }
    let (because, change) = why(row);
    Ok(Explanation {
        filename: row.judged.filename.clone(),
        served: row.state == FileState::Admitted,
        because,
        what_would_change_it: change,
        file: Some(view_of(row)),
        verdict,
    })
}

/// One sentence, and what would change it.
fn why(row: &FileRow) -> (String, Vec<String>) {
    let reasons = reasons_of(row).join("; ");
    let remedies = || {
        let codes = row
            .judged
            .reasons
            .iter()
            .map(|r| (r.check.as_str(), r.code.as_str()));
        advice(codes, &row.judged.filename)
    };
    let one = |what: &str| vec![what.to_owned()];
    match row.state {
        FileState::Admitted if row.yanked.is_some() => (
            "it was admitted, and is marked as yanked: installers take it only when it is pinned".to_owned(),
            one("`chiron unyank` takes an operator's yank back; upstream's goes when upstream takes it back"),
        ),
        FileState::Admitted => (
            "it passed every check that the policy asks for".to_owned(),
            one("`chiron yank` or `chiron revoke` takes it out of service"),
        ),
        FileState::Quarantined if row.is_damaged() => (
            format!("its stored bytes are damaged: {reasons}"),
            one("`chiron scrub --repair` fetches the same bytes again and restores it"),
        ),
        FileState::Quarantined => {
            let what = match row.waits() {
                Some(Waits::Rebuild) => "it waits for its rebuild from source",
                Some(Waits::Age) => "it is younger than the policy wants",
                Some(Waits::Upstream) => {
                    "upstream did not give what belongs to it; the next request asks again"
                }
                None => "it could not be judged good",
            };
            (format!("{what}: {reasons}"), remedies())
        }
        FileState::Refused => (format!("it was judged and refused: {reasons}"), remedies()),
        FileState::Revoked if row.is_revoked_by_chiron() => (
            format!("it was admitted once, judged again and revoked: {reasons}"),
            remedies(),
        ),
        FileState::Revoked if matches!(row.revoked_by, Some(Actor::Sender(_))) => (
            format!("it was revoked where it came from: {reasons}"),
            one(
                "a later bundle takes the revocation back when the sender does; `chiron restore` does so here",
            ),
        ),
        FileState::Revoked => (
            format!("it was revoked: {reasons}"),
            one("`chiron restore` takes the revocation back"),
        ),
    }
}

async fn unjudged(mirror: &Mirror, name: &DistributionFilename) -> Result<Explanation, Problem> {
    let said = |because: String, change: &str| {
        Ok(Explanation {
            filename: name.raw().to_owned(),
            served: false,
            because,
            what_would_change_it: vec![change.to_owned()],
            file: None,
            verdict: None,
        })
    };
    if mirror.is_owned(name.project()) {
        let because = format!(
            "nobody has handed it in, and {} is a name that only this site supplies",
            name.project()
        );
        return said(because, "`chiron ingest FILE` hands it in");
    }
    match mirror.ask(name.project()).await {
        Asked::Known(known) => {
            if let Some(candidate) = known.candidates.named(name.raw()).next() {
                if let Some(denied) = mirror.denied(&candidate.sha256) {
                    let mut found = judged(mirror, &denied.row).await?;
                    found.because = format!("upstream sent other bytes than it promises: {}", found.because);
                    return Ok(found);
                }
                let because =
                    "upstream offers it; nobody has asked for it yet, so it has not been judged".to_owned();
                return said(because, "the first download, or `chiron ingest`, runs the gate");
            }
            match known.candidates.why_skipped(name.raw()) {
                Some(why) => said(
                    format!("upstream's entry for it cannot be used: {why}"),
                    "upstream must publish a sound entry",
                ),
                None => said(
                    "upstream does not list it".to_owned(),
                    "check the name; `chiron ingest FILE` hands a file in",
                ),
            }
        }
        Asked::Nothing if mirror.may_ask(name.project()) => said(
            format!("no upstream has {}", name.project()),
            "check the name; `chiron ingest FILE` hands a file in",
        ),
        Asked::Nothing => said(
            "it was never brought in".to_owned(),
            "`chiron ingest` brings it in",
        ),
        Asked::Lost => Err(Problem::broke_off(name.raw())),
        Asked::Down(error) => said(
            format!("it is not here and upstream cannot be asked: {error}"),
            "try again when upstream answers",
        ),
    }
}

fn reasons_of(row: &FileRow) -> Vec<String> {
    // Chiron's own note repeats the first of the reasons.
    row.note
        .iter()
        .filter(|_| !row.is_revoked_by_chiron() || row.judged.reasons.is_empty())
        .cloned()
        .chain(row.judged.reasons.iter().map(ToString::to_string))
        .collect()
}

/// A row as the admin API shows it.
pub fn view_of(row: &FileRow) -> FileView {
    let judged = &row.judged;
    FileView {
        filename: judged.filename.clone(),
        project: judged.project.to_string(),
        version: judged.version.clone(),
        sha256: judged.sha256.to_string(),
        size: judged.size,
        state: row.state.as_str().to_owned(),
        reasons: if row.state == FileState::Admitted {
            Vec::new()
        } else {
            reasons_of(row)
        },
        requires_python: judged.requires_python.clone(),
        upload_time: judged.upload_time.clone(),
        decided_at: row.at,
        origin: judged.origin.to_string(),
        yanked: row.yanked.as_ref().map(|mark| mark.reason.clone()),
        core_metadata: judged.core_metadata.map(|d| d.to_string()),
        verdict: judged.verdict.to_string(),
        event: row.since,
    }
}

/// What a verdict would have made of a file.
pub fn result_of_verdict(verdict: &Verdict) -> FileResult {
    FileResult {
        filename: verdict.file.filename.clone(),
        project: verdict.file.project.clone(),
        version: Some(verdict.file.version.clone()),
        sha256: Some(verdict.file.sha256.to_string()),
        size: Some(verdict.file.size),
        outcome: match verdict.decision {
            Decision::Admit => FileOutcome::WouldFetch,
            Decision::Quarantine => FileOutcome::Quarantined,
            Decision::Refuse => FileOutcome::Refused,
        },
        reasons: verdict.reasons.iter().map(ToString::to_string).collect(),
    }
}

/// The page for people; the whole interface for them comes later. Writing to a `String` cannot fail.
fn page(found: &Explanation) -> String {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}\
         table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #8884}\
         pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85em}:root{color-scheme:light dark}</style>",
    );
    let name = escape(&found.filename);
    let verb = if found.served {
        "is served"
    } else {
        "is not served"
    };
    let _ = writeln!(
        html,
        "<title>{name} {verb}</title></head><body><main><h1>{name}</h1>"
    );
    let _ = write!(
        html,
        "<p><strong>It {verb}</strong>: {}.</p>\n<h2>What would change that</h2><ul>",
        escape(&found.because)
    );
    for change in &found.what_would_change_it {
        let _ = write!(html, "<li>{}</li>", escape(change));
    }
    html += "</ul>\n";
    let checks = found
        .verdict
        .as_ref()
        .and_then(|v| v.get("checks"))
        .and_then(|c| c.as_array());
    if let Some(checks) = checks {
        html += "<h2>Checks</h2><table><thead><tr><th scope=\"col\">Check</th><th scope=\"col\">Outcome</th><th scope=\"col\">Summary and facts</th></tr></thead><tbody>\n";
        for check in checks {
            let text = |key: &str| escape(check.get(key).and_then(|v| v.as_str()).unwrap_or_default());
            let facts = check
                .get("facts")
                .map(|f| serde_json::to_string_pretty(f).unwrap_or_default());
            let _ = writeln!(
                html,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}<details><summary>Facts</summary><pre>{}</pre></details></td></tr>",
                text("check"),
                text("outcome"),
                text("summary"),
                escape(&facts.unwrap_or_default()),
            );
        }
        html += "</tbody></table>\n";
    }
    if let Some(file) = &found.file {
        let _ = writeln!(
            html,
            "<p>SHA-256 <code>{}</code>, {} bytes, from {}, event {} of the log at {}.</p>",
            file.sha256,
            file.size,
            escape(&file.origin),
            file.event,
            file.decided_at,
        );
    }
    html += "</main></body></html>\n";
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text_in_the_page() {
        let found = Explanation {
            filename: "<script>alert(1)</script>".to_owned(),
            served: false,
            because: "a & b".to_owned(),
            what_would_change_it: vec!["\"quoted\"".to_owned()],
            file: None,
            verdict: None,
        };
        let html = page(&found);
        assert!(!html.contains("<script>"));
        assert!(html.contains("a &amp; b") && html.contains("&quot;quoted&quot;"));
    }
}
