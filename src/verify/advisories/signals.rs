//! Whether a vulnerability is exploited: CISA's list of known exploited ones (KEV, JSON) and FIRST's scores (EPSS, CSV).
//! Both speak of CVE identifiers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::record::is_id;

/// Entries of one list at most; the real ones have 1,500 (KEV) and 300,000 (EPSS). Threat: memory.
const MAX_ENTRIES: usize = 2_000_000;

/// What is known of exploitation, by CVE.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    kev: BTreeSet<Box<str>>,
    epss: BTreeMap<Box<str>, f32>,
}

/// Why a list was not taken; nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Not the document that it should be.
    #[error("is no {0}")]
    Shape(&'static str),
    /// A line or entry that cannot be read.
    #[error("entry {0}: {1}")]
    Entry(usize, &'static str),
    /// Over the bound.
    #[error("has more than {MAX_ENTRIES} entries")]
    TooMany,
}

impl Signals {
    /// Whether a name is on the list of exploited ones.
    pub fn exploited(&self, name: &str) -> bool {
        self.kev.contains(name)
    }

    /// The score of a name, 0 to 1.
    pub fn likelihood(&self, name: &str) -> Option<f64> {
        // Through text, so that 0.1 stays 0.1.
        self.epss
            .get(name)
            .and_then(|score| score.to_string().parse().ok())
    }

    /// How many names each list has: exploited, scored.
    pub fn counts(&self) -> (usize, usize) {
        (self.kev.len(), self.epss.len())
    }

    /// Adds exploited names.
    pub fn add_kev<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.kev.extend(names.into_iter().map(Into::into));
    }

    /// Adds scores.
    pub fn add_epss<'a>(&mut self, scores: impl IntoIterator<Item = (&'a str, f32)>) {
        self.epss
            .extend(scores.into_iter().map(|(name, score)| (name.into(), score)));
    }

    /// Reads a KEV catalogue in place of the one that is there.
    ///
    /// # Errors
    /// [`SignalError`]; the old list is kept. An entry that cannot be read refuses the whole: leaving it out would
    /// say that it is not exploited.
    pub fn read_kev(&mut self, document: &Value) -> Result<(), SignalError> {
        let list = document["vulnerabilities"].as_array();
        let list = list
            .filter(|list| !list.is_empty())
            .ok_or(SignalError::Shape("KEV catalogue with entries"))?;
        if list.len() > MAX_ENTRIES {
            return Err(SignalError::TooMany);
        }
        let mut kev = BTreeSet::new();
        for (at, entry) in list.iter().enumerate() {
            let cve = entry["cveID"].as_str().filter(|cve| is_id(cve));
            kev.insert(cve.ok_or(SignalError::Entry(at + 1, "no `cveID`"))?.into());
        }
        self.kev = kev;
        Ok(())
    }

    /// Reads EPSS scores (`cve,epss,percentile`, comments with `#` before) in place of those that are there.
    ///
    /// # Errors
    /// As [`Self::read_kev`].
    pub fn read_epss(&mut self, text: &[u8]) -> Result<(), SignalError> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text);
        let headers = reader.headers().map_err(|_| SignalError::Shape("CSV"))?;
        let column = |name| headers.iter().position(|header| header.trim() == name);
        let (Some(cve), Some(score)) = (column("cve"), column("epss")) else {
            return Err(SignalError::Shape(
                "list of EPSS scores (a CSV with the columns cve and epss)",
            ));
        };
        let mut epss = BTreeMap::new();
        for (at, row) in reader.records().enumerate() {
            if at >= MAX_ENTRIES {
                return Err(SignalError::TooMany);
            }
            let row = row.map_err(|_| SignalError::Entry(at + 1, "is no row of the CSV"))?;
            let name = row.get(cve).map(str::trim).filter(|cve| is_id(cve));
            let name = name.ok_or(SignalError::Entry(at + 1, "no CVE"))?;
            let score = row.get(score).and_then(|score| score.trim().parse::<f32>().ok());
            let score = score.filter(|score| (0.0..=1.0).contains(score));
            epss.insert(
                name.into(),
                score.ok_or(SignalError::Entry(at + 1, "no score between 0 and 1"))?,
            );
        }
        if epss.is_empty() {
            return Err(SignalError::Shape("list of EPSS scores with entries"));
        }
        self.epss = epss;
        Ok(())
    }
}

/// Whether a document is a KEV catalogue, sound or not.
pub fn is_kev(document: &Value) -> bool {
    document.get("catalogVersion").is_some() && document["vulnerabilities"].is_array()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_read_whole_or_not_at_all() {
        let mut signals = Signals::default();
        signals
            .read_kev(&json!({ "catalogVersion": "1", "vulnerabilities": [{ "cveID": "CVE-1" }] }))
            .unwrap();
        signals
            .read_epss(b"#model:v1\ncve,epss,percentile\nCVE-1,0.1,0.5\nCVE-2,1,1\n")
            .unwrap();
        assert!(signals.exploited("CVE-1") && !signals.exploited("CVE-2"));
        assert_eq!(signals.likelihood("CVE-1"), Some(0.1));
        for bad in [
            json!({}),
            json!({ "vulnerabilities": [] }),
            json!({ "vulnerabilities": [{ "cveID": "CVE-9" }, {}] }),
        ] {
            assert!(signals.read_kev(&bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "cve,epss\n",
            "a,b\n1,2\n",
            "cve,epss\nCVE-9,2\n",
            "cve,epss\nCVE-9,x\n",
            "cve,epss\nCVE-9\n",
        ] {
            assert!(signals.read_epss(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(signals.counts(), (1, 2), "the old lists are kept");
    }
}
