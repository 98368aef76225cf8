//! A verdict's checks for a terminal: a row for each with the facts that decided, all on one screen. Read from the
//! document, so that a verdict of another version is shown as far as it is understood. Writing to a `String` cannot fail.

use std::fmt::Write as _;

use serde_json::Value;

/// Lines of the whole answer of `explain`, `show FILE` and `verify`, as far as one file goes.
pub const SCREEN_LINES: usize = 40;

/// Characters of a line.
pub const SCREEN_COLUMNS: usize = 100;

/// Lines of facts below a check's own row.
const FACTS: usize = 6;

/// Lines of facts below all checks that did not pass.
const FACTS_OF_ALL: usize = 14;

/// The same below a check that passed.
const FACTS_OF_A_PASS: usize = 2;

/// Lines of a check's summary.
const SUMMARY: usize = 3;

/// Names of a list that are spelled out.
const NAMES: usize = 3;

/// Where facts begin.
const INDENT: &str = "                           ";

/// The rows of all checks, in the verdict's order.
pub fn rows(verdict: &Value) -> Vec<String> {
    let bad = list(&verdict["checks"])
        .filter(|check| text(&check["outcome"]) != "pass")
        .count();
    // The more there is to say, the less of each: every check keeps its place on the screen.
    let facts = (FACTS_OF_ALL / bad.max(1)).clamp(FACTS_OF_A_PASS, FACTS);
    list(&verdict["checks"])
        .flat_map(|found| check(found, facts))
        .collect()
}

/// One check: its outcome and summary, and below it what decided.
fn check(check: &Value, facts_shown: usize) -> Vec<String> {
    let summary = text(&check["summary"]);
    let head = format!(
        "  {:<15} {:<7} {summary}",
        text(&check["check"]),
        text(&check["outcome"])
    );
    // What is no pass is read to its end; a pass is a word.
    let passed = text(&check["outcome"]) == "pass";
    let mut rows = if passed {
        vec![cut(&head)]
    } else {
        let start = format!("  {:<15} {:<7} ", text(&check["check"]), text(&check["outcome"]));
        wrapped(&start, INDENT, summary)
    };
    if rows.len() > SUMMARY {
        rows.truncate(SUMMARY);
        rows = rows.iter().map(|row| cut(row)).collect();
    }
    let mut facts = facts_of(text(&check["check"]), &check["facts"]);
    // A finding that the summary repeats word for word says nothing new.
    facts.retain(|fact| !summary.contains(fact.split_once(": ").map_or(fact.as_str(), |(_, detail)| detail)));
    let most = if passed { FACTS_OF_A_PASS } else { facts_shown };
    let more = facts.len().saturating_sub(most);
    if more > 0 {
        facts.truncate(most - 1);
        facts.push(format!("and {} more (--format json)", more + 1));
    }
    rows.extend(facts.iter().map(|fact| cut(&format!("{INDENT}{fact}"))));
    rows
}

/// The decisive facts of a check, the gravest first.
fn facts_of(check: &str, facts: &Value) -> Vec<String> {
    let mut lines: Vec<String> = list(&facts["findings"]).map(finding).collect();
    match check {
        "structure" => structure(facts, &mut lines),
        "signature" => signature(facts, &mut lines),
        "sbom" => sbom(facts, &mut lines),
        "reproducibility" => reproducibility(facts, &mut lines),
        "advisories" => advisories(facts, &mut lines),
        _ => {}
    }
    lines.dedup();
    lines
}

/// A finding in one line: its code, where, and what.
pub fn finding(finding: &Value) -> String {
    let entry = match text(&finding["entry"]) {
        "" => String::new(),
        entry => format!(" {entry}:"),
    };
    format!("{}:{entry} {}", text(&finding["code"]), text(&finding["detail"]))
}

fn structure(facts: &Value, lines: &mut Vec<String>) {
    for (what, key) in [
        ("code that runs when Python starts", "start_up"),
        ("bundled libraries", "bundled_library_folders"),
    ] {
        let names = &facts[key];
        let first: Vec<&str> = list(&names["first"]).map(text).collect();
        if names["count"].as_u64().unwrap_or(0) > 0 {
            lines.push(format!(
                "{what}: {}",
                some(&first, names["count"].as_u64().unwrap_or(0))
            ));
        }
    }
}

fn signature(facts: &Value, lines: &mut Vec<String>) {
    for attestation in list(&facts["attestations"]) {
        let said = |key: &str| text(&attestation[key]);
        let who = [said("repository"), said("identity"), said("key")]
            .into_iter()
            .find(|who| !who.is_empty())
            .unwrap_or("an unknown signer");
        let verified = attestation["verified"] == true;
        let word = if verified { "signed by" } else { "NOT verified:" };
        let mut line = format!("{} {word} {who}", said("kind"));
        for (key, name) in [
            ("workflow", ", "),
            ("ref", " at "),
            ("signed_at", ", "),
            ("root", ", root "),
        ] {
            if !said(key).is_empty() {
                line += name;
                line += said(key);
            }
        }
        lines.push(line);
        if !verified && attestation["publisher"].is_object() {
            lines.push(format!(
                "claimed by the index: {}",
                inline(&attestation["publisher"])
            ));
            let certificate: Vec<String> = ["issuer", "repository", "workflow", "environment", "identity"]
                .into_iter()
                .filter(|key| !said(key).is_empty())
                .map(|key| format!("{key} {}", said(key)))
                .collect();
            if !certificate.is_empty() {
                lines.push(format!("in the certificate:   {}", certificate.join(", ")));
            }
        }
    }
}

fn sbom(facts: &Value, lines: &mut Vec<String>) {
    for document in list(&facts["documents"]) {
        let mut line = format!(
            "{} {} {}",
            text(&document["format"]),
            text(&document["version"]),
            text(&document["role"]),
        );
        if document["valid"] == false {
            line += ", INVALID";
        }
        if let Some(count) = number(&document["components"]) {
            let _ = write!(line, ", {count} components");
        }
        if !text(&document["where"]).is_empty() {
            let _ = write!(line, ", in {}", text(&document["where"]));
        }
        lines.push(line);
    }
    let unclaimed: Vec<&str> = list(&facts["unclaimed"]).map(text).collect();
    if !unclaimed.is_empty() {
        lines.push(format!(
            "bundled, and named by no component: {}",
            some(&unclaimed, unclaimed.len() as u64)
        ));
    }
    if facts["licence"]["agrees"] == false {
        lines.push(format!(
            "its licence differs from METADATA's: {}",
            text(&facts["licence"]["expression"])
        ));
    }
}

fn reproducibility(facts: &Value, lines: &mut Vec<String>) {
    let source = &facts["source"];
    if !text(&source["filename"]).is_empty() {
        let level = match text(&facts["level"]) {
            "" => String::new(),
            level => format!("level {level}, "),
        };
        lines.push(format!(
            "{level}source {} {}",
            text(&source["axis"]),
            text(&source["filename"])
        ));
    }
    let trace = &facts["trace"];
    let missing: Vec<String> = list(&trace["missing"])
        .map(|missing| match text(&missing["why"]) {
            "" => text(missing).to_owned(),
            why => format!("{} ({why})", text(&missing["path"])),
        })
        .collect();
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    if let (Some(files), Some(found)) = (number(&trace["files"]), number(&trace["in_source"]))
        && files > found
    {
        lines.push(format!(
            "not in the source: {}",
            some(&missing, files.saturating_sub(found))
        ));
    }
    let reached = matches!(
        text(&facts["level"]),
        "bit" | "time" | "container" | "generator" | "traced"
    );
    match text(&facts["rebuild"]) {
        _ if reached => {}
        "wanted" => lines.push("a rebuild is due; the file is judged again when it is done".to_owned()),
        "unavailable" => lines.push("it cannot be rebuilt here (`chiron doctor` says why)".to_owned()),
        _ => {}
    }
    for attempt in list(&facts["attempts"]) {
        let mut line = format!("rebuilt: {}", text(&attempt["level"]));
        if !text(&attempt["backend"]).is_empty() {
            let _ = write!(line, " with {}", text(&attempt["backend"]));
        }
        if !text(&attempt["digest"]).is_empty() {
            let _ = write!(line, " ({})", short_digest(text(&attempt["digest"])));
        }
        lines.push(line);
    }
    let statements = &facts["statements"];
    if let (Some(accepted), Some(needed)) = (number(&statements["accepted"]), number(&statements["needed"]))
        && accepted > 0
    {
        lines.push(format!("{accepted} of {needed} statements by other rebuilders"));
    }
}

fn advisories(facts: &Value, lines: &mut Vec<String>) {
    for matched in list(&facts["matched"]) {
        let malware = if matched["malware"] == true {
            " MALWARE"
        } else {
            ""
        };
        lines.push(format!(
            "{}{malware}: {}",
            text(&matched["id"]),
            text(&matched["summary"])
        ));
        let mut line = match text(&matched["severity"]) {
            "" => "  severity unknown".to_owned(),
            severity => format!("  severity {severity}"),
        };
        if let Some(score) = matched["cvss"].as_f64() {
            let _ = write!(line, " {score}");
        }
        if matched["kev"] == true {
            line += ", known to be exploited";
        }
        let fixed: Vec<&str> = list(&matched["fixed_in"]).map(text).collect();
        if fixed.is_empty() {
            line += ", no fix known";
        } else {
            let _ = write!(line, ", fixed in {}", some(&fixed, fixed.len() as u64));
        }
        if !text(&matched["vex"]["status"]).is_empty() {
            let _ = write!(
                line,
                ", VEX: {} by {}",
                text(&matched["vex"]["status"]),
                text(&matched["vex"]["by"])
            );
        }
        lines.push(line);
    }
}

/// Lines of which no more than a screen are shown, each no wider than one.
pub fn screen(lines: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = lines.iter().map(|line| cut(line)).collect();
    if lines.len() > SCREEN_LINES {
        let left = lines.len() - SCREEN_LINES + 1;
        lines.truncate(SCREEN_LINES - 1);
        lines.push(format!("… {left} more lines; --format json has all of it"));
    }
    lines
}

/// Text over lines of a screen's width, the second and later ones indented.
pub fn wrapped(first: &str, indent: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > SCREEN_COLUMNS {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines.push(line);
    lines
}

/// A line no wider than a screen.
fn cut(line: &str) -> String {
    let line: String = line.chars().map(|c| if c == '\n' { ' ' } else { c }).collect();
    let line = line.trim_end();
    if line.chars().count() <= SCREEN_COLUMNS {
        return line.to_owned();
    }
    let mut kept: String = line.chars().take(SCREEN_COLUMNS - 1).collect();
    kept.push('…');
    kept
}

/// The first of some names, and how many follow.
fn some(names: &[&str], total: u64) -> String {
    let mut text = names.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    let left = total.saturating_sub(names.len().min(NAMES) as u64);
    if left > 0 {
        let _ = write!(text, " and {left} more");
    }
    text
}

/// A flat object in one line.
fn inline(object: &Value) -> String {
    let pairs = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    let pairs: Vec<String> = pairs
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        })
        .collect();
    pairs.join(", ")
}

/// The beginning of a digest: enough to find it by, `--format json` has all of it.
fn short_digest(digest: &str) -> &str {
    let end = if digest.starts_with("sha256:") { 19 } else { 12 };
    digest.get(..end).unwrap_or(digest)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(name: &str, outcome: &str, facts: &Value) -> String {
        let verdict =
            json!({ "checks": [{ "check": name, "outcome": outcome, "summary": "said", "facts": facts }] });
        rows(&verdict).join("\n")
    }

    #[test]
    fn a_wrong_publisher_is_shown_beside_what_was_claimed() {
        let facts = json!({
            "attestations": [{
                "kind": "pep740-publish", "verified": false, "repository": "https://github.com/evil/demo",
                "workflow": "release.yml", "issuer": "https://token.actions.githubusercontent.com",
                "publisher": { "kind": "GitHub", "repository": "good/demo", "environment": null },
            }],
            "findings": [{ "code": "wrong-publisher", "detail": "signed by another repository" }],
        });
        let shown = one("signature", "fail", &facts);
        for part in [
            "wrong-publisher: signed by another repository",
            "NOT verified: https://github.com/evil/demo, release.yml",
            "claimed by the index: kind GitHub, repository good/demo",
            "in the certificate:   issuer https://token.actions",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn what_is_not_in_the_source_is_named() {
        let facts = json!({
            "level": "not-attempted", "source": { "axis": "S2", "filename": "demo-1.0.tar.gz" },
            "trace": { "files": 9, "in_source": 5, "missing": [
                { "path": "a.py", "why": "changed" }, "b.py", "c.py", "d.py",
            ] }, "rebuild": "wanted",
        });
        let shown = one("reproducibility", "error", &facts);
        assert!(
            shown.contains("level not-attempted, source S2 demo-1.0.tar.gz"),
            "{shown}"
        );
        assert!(
            shown.contains("not in the source: a.py (changed), b.py, c.py and 1 more"),
            "{shown}"
        );
        assert!(shown.contains("a rebuild is due"), "{shown}");
    }

    #[test]
    fn an_advisory_has_its_id_its_summary_and_its_fix() {
        let facts = json!({ "matched": [{
            "id": "MAL-2026-1", "malware": true, "severity": "unknown", "fixed_in": ["1.1"], "summary": "steals keys", "cvss": null,
        }]});
        let shown = one("advisories", "fail", &facts);
        assert!(shown.contains("MAL-2026-1 MALWARE: steals keys"), "{shown}");
        assert!(shown.contains("severity unknown, fixed in 1.1"), "{shown}");
    }

    #[test]
    fn long_lists_end() {
        let findings: Vec<Value> = (0..50)
            .map(|n| json!({ "code": "x", "detail": n.to_string() }))
            .collect();
        let shown = one("structure", "fail", &json!({ "findings": findings }));
        assert_eq!(shown.lines().count(), 1 + FACTS);
        assert!(shown.ends_with("and 45 more (--format json)"), "{shown}");
    }

    #[test]
    fn words_are_wrapped_and_kept() {
        let text = "word ".repeat(60);
        let lines = wrapped("- ", "  ", &text);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= SCREEN_COLUMNS));
        assert_eq!(lines.join(" ").matches("word").count(), 60);
    }

    proptest! {
        /// Whatever a verdict holds fits the screen, and nothing of it panics.
        #[test]
        fn nothing_is_wider_than_the_screen(summary in ".{0,300}", code in ".{0,200}", many in 0_usize..80) {
            let findings: Vec<Value> = (0..many).map(|_| json!({ "code": code, "detail": summary })).collect();
            let checks: Vec<Value> = (0..many).map(|_| json!({
                "check": "signature", "outcome": "fail", "summary": summary,
                "facts": { "findings": findings, "attestations": 3, "matched": [code] },
            })).collect();
            let lines = screen(&rows(&json!({ "checks": checks })));
            prop_assert!(lines.len() <= SCREEN_LINES);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= SCREEN_COLUMNS));
        }
    }
}
