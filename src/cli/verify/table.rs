//! What `verify` prints: a row for each check of each file, and what would change the judgment.

use std::path::Path;

use serde_json::{Value, json};

use super::bench::Judged;
use crate::cli::checks::{rows, screen, wrapped};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{Output, count, note};
use crate::http::advice::advice;
use crate::policy::{Decision, Verdict};

/// Prints as it goes, and keeps the documents for JSON.
pub(super) struct Table {
    out: Output,
    status: ExitStatus,
    documents: Vec<Value>,
    /// Admitted, quarantined, refused, unreadable.
    counts: [u64; 4],
}

impl Table {
    /// Nothing yet.
    pub(super) const fn new(out: Output) -> Self {
        Self {
            out,
            status: ExitStatus::Done,
            documents: Vec::new(),
            counts: [0; 4],
        }
    }

    /// What became of one file.
    pub(super) fn row(&mut self, path: &Path, judged: Judged) {
        match judged {
            Judged::Unreadable(failure) => {
                self.counts[3] += 1;
                self.status = self.status.worse(failure.status);
                note(&failure);
                self.documents
                    .push(json!({ "path": path.to_string_lossy(), "error": failure.what }));
            }
            Judged::Verdict(verdict) => {
                let mut document = serde_json::to_value(&verdict).unwrap_or_default();
                self.verdict(&verdict, &document);
                if self.out.is_json() {
                    document["path"] = json!(path.to_string_lossy());
                    self.documents.push(document);
                }
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict, document: &Value) {
        let at = match verdict.decision {
            Decision::Admit => 0,
            Decision::Quarantine => 1,
            Decision::Refuse => 2,
        };
        self.counts[at] += 1;
        if at > 0 {
            self.status = self.status.worse(ExitStatus::NotAdmitted);
        }
        for line in screen(&lines(verdict, document)) {
            self.out.line(line);
        }
    }

    /// The sum of it.
    pub(super) fn finish(self) -> Result<ExitStatus, Failure> {
        self.out.document(&self.documents)?;
        let [admitted, quarantined, refused, unreadable] = self.counts;
        let total = count(self.counts.iter().sum(), "file", "files");
        self.out.line(format_args!(
            "{total}: {admitted} would be admitted, {quarantined} quarantined, {refused} refused, {unreadable} could not be read"
        ));
        Ok(self.status)
    }
}

fn lines(verdict: &Verdict, document: &Value) -> Vec<String> {
    let mut lines = vec![
        verdict.file.filename.clone(),
        format!("  sha256          {}", verdict.file.sha256),
    ];
    lines.extend(rows(document));
    let reasons: Vec<String> = verdict
        .reasons
        .iter()
        .map(|reason| format!("{}/{}", reason.check, reason.code))
        .collect();
    let because = if reasons.is_empty() {
        format!("profile {}", verdict.policy.profile)
    } else {
        format!("profile {}: {}", verdict.policy.profile, reasons.join(", "))
    };
    let head = format!("  {:<15} {:<7} ", "decision", verdict.decision.as_str());
    lines.extend(wrapped(&head, "                          ", &because));
    let codes = verdict
        .reasons
        .iter()
        .map(|reason| (reason.check.as_str(), reason.code.as_str()));
    for change in advice(codes, &verdict.file.filename) {
        lines.extend(wrapped("  - ", "    ", &change));
    }
    lines
}
