//! Rules that were put in force while the daemon ran, kept beside the data until the configuration changes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use chiron_storage::Digest;
use serde::{Deserialize, Serialize};

use super::{Policy, PolicyError, Profile, Settings, SiteRules};

/// Bytes of the file. Threat: memory.
const MAX_BYTES: u64 = 16 << 20;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bundle {
    /// The configured policy that it stands in the place of: once that is another, the configuration was changed
    /// later, and counts.
    #[serde(with = "chiron_storage::digest::prefixed")]
    instead_of: Digest,
    profile: Profile,
    rules: SiteRules,
}

/// The file in the data folder that keeps such rules.
#[derive(Debug, Clone)]
pub struct Kept {
    file: PathBuf,
    configured: Digest,
}

impl Kept {
    /// In `file`, over the policy that the configuration asks for.
    pub fn new(file: PathBuf, configured: &Policy) -> Self {
        Self {
            file,
            configured: configured.digest(),
        }
    }

    /// The policy that is kept and still stands in the place of the configured one.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or used. There is no falling back to the configured policy: what was put in force may
    /// be the stricter one.
    pub fn policy(&self, settings: Settings) -> Result<Option<Policy>, PolicyError> {
        let failed = |why: String| PolicyError::Unreadable {
            path: self.file.display().to_string(),
            why: format!(
                "{why}; it holds the policy that was put in force last. Delete it to go back to the configured one"
            ),
        };
        let bytes = match fs::metadata(&self.file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
            Ok(about) if about.len() > MAX_BYTES => {
                return Err(failed(format!("more than {MAX_BYTES} bytes")));
            }
            Ok(_) => fs::read(&self.file).map_err(|error| failed(error.to_string()))?,
        };
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        if bundle.instead_of != self.configured {
            tracing::warn!(
                file = %self.file.display(),
                "the configured policy has changed since another was put in force through the API; the configured one counts"
            );
            return Ok(None);
        }
        Policy::new(bundle.profile, settings, &bundle.rules).map(Some)
    }

    /// Keeps rules, so that the next start finds them. Rules that are the configured ones need no keeping. Blocks.
    ///
    /// # Errors
    ///
    /// The disk refused; the file is as it was before.
    pub fn keep(&self, policy: &Policy, rules: &SiteRules) -> std::io::Result<()> {
        if policy.digest() == self.configured {
            return match fs::remove_file(&self.file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => sync_folder(&self.file),
            };
        }
        let bundle = Bundle {
            instead_of: self.configured,
            profile: policy.profile(),
            rules: rules.clone(),
        };
        let fresh = self.file.with_extension("new");
        let mut out = File::create(&fresh)?;
        out.write_all(&serde_json::to_vec(&bundle)?)?;
        out.sync_all()?;
        fs::rename(&fresh, &self.file)?;
        sync_folder(&self.file)
    }

    /// Whether a policy is the configured one.
    pub fn is_configured(&self, policy: &Policy) -> bool {
        policy.digest() == self.configured
    }
}

/// A rename lasts once its folder is synced.
fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rules(text: &str) -> SiteRules {
        SiteRules {
            files: [("a.rego".to_owned(), text.to_owned())].into(),
            ..SiteRules::default()
        }
    }

    #[test]
    fn what_was_put_in_force_stands_until_the_configuration_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        let configured = Policy::builtin(Profile::Standard);
        let kept = Kept::new(file.clone(), &configured);
        assert!(kept.policy(Settings::default()).unwrap().is_none());

        let rules = rules("package chiron.site\nobjections := set()");
        let other = Policy::new(Profile::Strict, Settings::default(), &rules).unwrap();
        kept.keep(&other, &rules).unwrap();
        assert_eq!(
            kept.policy(Settings::default()).unwrap().unwrap().digest(),
            other.digest()
        );

        let changed = Kept::new(file.clone(), &Policy::builtin(Profile::Audit));
        assert!(changed.policy(Settings::default()).unwrap().is_none());

        kept.keep(&configured, &SiteRules::default()).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_damaged_file_is_no_reason_to_fall_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        let kept = Kept::new(file.clone(), &Policy::builtin(Profile::Standard));
        for text in ["", "{", "{}", "[[[["] {
            fs::write(&file, text).unwrap();
            assert!(
                matches!(
                    kept.policy(Settings::default()),
                    Err(PolicyError::Unreadable { .. })
                ),
                "{text}"
            );
        }
    }
}
