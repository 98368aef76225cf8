//! What a manifest says, for people and for scripts.

use jiff::Timestamp;
use serde::Serialize;

use super::super::output::{Output, bytes, count};
use crate::bundle::{Manifest, Scope, Totals, TufVersions};

/// A bundle in short.
#[derive(Debug, Serialize)]
pub(super) struct Overview<'a> {
    /// The state that a site has after importing it.
    id: String,
    /// SHA-256 of the signed manifest.
    digest: String,
    /// Whose log, and what the site calls itself.
    origin: &'a str,
    site: &'a str,
    /// The only site that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    scope: Scope,
    /// The state that the receiver must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    created_at: Timestamp,
    log_size: u64,
    log_root: String,
    tuf: TufVersions,
    contents: Totals,
    volumes: usize,
}

impl<'a> Overview<'a> {
    /// Of a manifest whose envelope has this digest.
    pub fn new(manifest: &'a Manifest, digest: &chiron_storage::Digest) -> Self {
        let base = manifest.base.as_ref();
        Self {
            id: manifest.id.to_string(),
            digest: digest.to_string(),
            origin: &manifest.sender.origin,
            site: &manifest.sender.site,
            recipient: manifest.recipient.as_deref(),
            scope: manifest.scope,
            base: base.map(|base| crate::bundle::SnapshotId::new(base.size, &base.root).to_string()),
            created_at: manifest.created_at,
            log_size: manifest.log.size,
            log_root: manifest.log.root.to_string(),
            tuf: manifest.tuf,
            contents: manifest.contents,
            volumes: manifest.volumes.len(),
        }
    }

    /// A few lines.
    pub fn print(&self, out: Output) {
        let Totals {
            entries,
            files,
            file_bytes,
            deltas,
            documents,
            bytes: travel,
        } = self.contents;
        out.line(format_args!("bundle {}  sha256:{}", self.id, self.digest));
        out.line(format_args!(
            "  from            {} ({}), made {}",
            self.site, self.origin, self.created_at
        ));
        if let Some(recipient) = self.recipient {
            out.line(format_args!("  for             {recipient} only"));
        }
        let scope = match self.scope {
            Scope::Interval => "every entry",
            Scope::Selection => "what some requirements need",
            Scope::Fill => "what was asked for again",
        };
        out.line(format_args!(
            "  interval        {scope}, {} to {}",
            self.base.as_deref().unwrap_or("the beginning"),
            self.id
        ));
        out.line(format_args!(
            "  contents        {}, {} of {}{}, {}",
            count(entries, "log entry", "log entries"),
            count(files, "file", "files"),
            bytes(file_bytes),
            if deltas > 0 {
                format!(" ({deltas} as differences)")
            } else {
                String::new()
            },
            count(documents, "document", "documents"),
        ));
        out.line(format_args!(
            "  travels as      {} in {}",
            bytes(travel),
            count(self.volumes as u64, "volume", "volumes")
        ));
    }
}
