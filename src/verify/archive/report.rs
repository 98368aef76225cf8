//! What the structure check says, and how it stops.

use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value, json};

use crate::package::metadata::CoreMetadata;
use crate::verify::Contents;
use crate::verify::evidence::Outcome;

/// How many findings are listed; all are counted. An archive can hold a hundred thousand defects.
pub const LISTED_FINDINGS: usize = 50;
/// How many names a fact lists; the count beside it is exact.
pub(super) const LISTED_NAMES: usize = 50;
/// Characters of a name or detail that are repeated in a report.
const SHOWN_CHARACTERS: usize = 300;

/// One defect of an archive. Any finding makes the check fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the defect (`duplicate-name`, `record-hash`, …).
    pub code: &'static str,
    /// The entry concerned, shortened and with control characters escaped; `None` for the archive as a whole.
    pub entry: Option<String>,
    /// What is wrong, for a person.
    pub detail: String,
}

/// The result of the structure check.
#[derive(Debug, Clone)]
pub struct Structure {
    /// `pass`, `fail` (the file is bad) or `error` (it could not be read; says nothing about the file).
    pub outcome: Outcome,
    /// One line for a person.
    pub summary: String,
    /// The first [`LISTED_FINDINGS`] defects.
    pub findings: Vec<Finding>,
    /// What is true of the archive, for policy. Holds the findings too (`findings`, `findings_total`).
    pub facts: Map<String, Value>,
    /// A wheel's `METADATA`, byte for byte, when the check passed. `None` for an sdist: its `PKG-INFO` need not be
    /// what a build of it gives, and is not served.
    pub core_metadata: Option<Vec<u8>>,
    /// `METADATA` or `PKG-INFO`, parsed, when the check passed.
    pub parsed: Option<CoreMetadata>,
    /// What later checks need of a wheel, when the check passed.
    pub contents: Option<Contents>,
}

/// Why a check ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The report holds what is wrong with the file.
    Refused,
    /// The file could not be read.
    Unreadable(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Gathers findings and facts while an archive is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    total: u64,
    facts: Map<String, Value>,
}

impl Report {
    /// Notes a defect of one entry.
    pub(super) fn entry(&mut self, code: &'static str, entry: &str, detail: impl AsRef<str>) {
        self.note(code, Some(shown(entry)), detail.as_ref());
    }

    /// Notes a defect of the archive as a whole.
    pub(super) fn archive(&mut self, code: &'static str, detail: impl AsRef<str>) {
        self.note(code, None, detail.as_ref());
    }

    /// Notes a defect after which the archive cannot be read further.
    pub(super) fn stop(&mut self, code: &'static str, detail: impl AsRef<str>) -> Stop {
        self.archive(code, detail);
        Stop::Refused
    }

    fn note(&mut self, code: &'static str, entry: Option<String>, detail: &str) {
        self.total += 1;
        if self.findings.len() < LISTED_FINDINGS {
            self.findings.push(Finding {
                code,
                entry,
                detail: shown(detail),
            });
        }
    }

    /// Ends the check if anything was found so far: a bad archive is not worth more work.
    pub(super) fn stop_if_bad(&self) -> Result<(), Stop> {
        if self.total == 0 {
            Ok(())
        } else {
            Err(Stop::Refused)
        }
    }

    /// States a fact.
    pub(super) fn fact(&mut self, key: &str, value: impl Into<Value>) {
        self.facts.insert(key.to_owned(), value.into());
    }

    /// States a list of names as a fact: how many there are, and the first of them.
    pub(super) fn names(&mut self, key: &str, names: &[String]) {
        let listed: Vec<String> = names.iter().take(LISTED_NAMES).map(|name| shown(name)).collect();
        self.fact(key, json!({ "count": names.len(), "first": listed }));
    }

    /// The end of a check that read the whole archive or stopped at a defect.
    pub(super) fn finish(
        mut self,
        sound: String,
        sound_archive: Option<(Option<Contents>, CoreMetadata)>,
    ) -> Structure {
        let listed: Vec<Value> = self
            .findings
            .iter()
            .map(|finding| json!({ "code": finding.code, "entry": finding.entry, "detail": finding.detail }))
            .collect();
        self.fact("findings", listed);
        self.fact("findings_total", self.total);
        let Some(first) = self.findings.first() else {
            let (contents, parsed) =
                sound_archive.map_or((None, None), |(contents, parsed)| (contents, Some(parsed)));
            let core_metadata = contents
                .as_ref()
                .map(|contents: &Contents| contents.metadata.clone());
            let (outcome, summary, facts) = (Outcome::Pass, sound, self.facts);
            return Structure {
                outcome,
                summary,
                findings: Vec::new(),
                facts,
                core_metadata,
                parsed,
                contents,
            };
        };
        let mut summary = match &first.entry {
            Some(entry) => format!("{}: {entry}: {}", first.code, first.detail),
            None => format!("{}: {}", first.code, first.detail),
        };
        if self.total > 1 {
            let _ = write!(summary, " (and {} more)", self.total - 1); // cannot fail: a String grows
        }
        Structure {
            outcome: Outcome::Fail,
            summary,
            findings: self.findings,
            facts: self.facts,
            core_metadata: None,
            parsed: None,
            contents: None,
        }
    }

    /// The end of a check that could not read the file: whatever was noted before says nothing about it.
    pub(super) fn unreadable(error: &io::Error) -> Structure {
        let mut facts = Map::new();
        facts.insert("error".to_owned(), error.kind().to_string().into());
        Structure {
            outcome: Outcome::Error,
            summary: format!("the file could not be read, so nothing is known about it: {error}"),
            findings: Vec::new(),
            facts,
            core_metadata: None,
            parsed: None,
            contents: None,
        }
    }
}

/// Makes text from an archive fit to print: control characters escaped, length bounded.
pub(in crate::verify) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARACTERS {
            out.push('…');
            break;
        }
        if is_invisible(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, and those that change how the text around them is shown (bidirectional overrides, joiners).
pub(super) fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn findings_are_bounded_and_counted() {
        let mut report = Report::default();
        for n in 0..1_000 {
            report.entry("duplicate-name", &n.to_string(), "twice");
        }
        let structure = report.finish(String::new(), None);
        assert_eq!(structure.outcome, Outcome::Fail);
        assert_eq!(structure.findings.len(), LISTED_FINDINGS);
        assert_eq!(structure.facts["findings_total"], 1_000);
        assert_eq!(structure.summary, "duplicate-name: 0: twice (and 999 more)");
    }

    #[test]
    fn text_from_an_archive_cannot_move_the_cursor_or_turn_the_line() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), SHOWN_CHARACTERS + 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_and_not_a_failure() {
        let structure = Report::unreadable(&io::Error::from(io::ErrorKind::UnexpectedEof));
        assert_eq!(structure.outcome, Outcome::Error);
        assert!(structure.findings.is_empty());
    }
}
