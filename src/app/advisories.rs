//! The advisory database's rules and bounds from `[advisories]`.

use std::path::PathBuf;

use jiff::SignedDuration;

use crate::advisories::Settings;
use crate::config;

/// The settings that a configuration asks for.
pub fn advisory_settings(configured: &config::Advisories) -> Settings {
    let path = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    let max_age = SignedDuration::try_from(configured.max_age.duration()).unwrap_or(SignedDuration::MAX);
    Settings {
        max_age: (!max_age.is_zero()).then_some(max_age),
        kev: path(&configured.kev),
        epss: path(&configured.epss),
        vex: path(&configured.vex).into_iter().collect(),
        record_bytes: configured.record_size.bytes(),
        list_bytes: configured.list_size.bytes(),
        entries: u64::from(configured.entries),
        total_bytes: configured.total_size.bytes(),
        upload_bytes: configured.upload.bytes(),
    }
}
