//! What `[airgap]` says, with the senders' roots read from their files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use chiron_tuf::{Envelope, Root};
use jiff::SignedDuration;

use super::AppError;
use crate::config::Config;
use crate::snapshot::{KnownSender, Settings};

/// Bytes of a root at most, as TUF clients bound it. Threat: a path that leads to something endless.
const MAX_ROOT: u64 = 512_000;

/// The settings that a configuration asks for, or which file is bad.
pub fn airgap_settings(config: &Config) -> Result<Settings, AppError> {
    let configured = &config.airgap;
    let senders = configured
        .senders
        .iter()
        .map(|sender| {
            let root = read(&sender.root).map_err(|why| AppError::Sender {
                name: sender.name.clone(),
                path: sender.root.clone(),
                why,
            })?;
            Ok(KnownSender {
                name: sender.name.clone(),
                root,
                origin: sender.origin.clone(),
            })
        })
        .collect::<Result<_, AppError>>()?;
    let max_age = SignedDuration::try_from(configured.max_age.duration()).unwrap_or(SignedDuration::MAX);
    Ok(Settings {
        site: configured.site.as_deref().unwrap_or(&config.log.origin).into(),
        max_age: (!max_age.is_zero()).then_some(max_age),
        adopt_advisories: configured.adopt_advisories,
        folders: configured.folders.clone().into(),
        senders,
    })
}

/// Its signatures are verified when a bundle is: here, that it is a root at all.
fn read(path: &Path) -> Result<Bytes, String> {
    let all = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_ROOT + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = all().map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_ROOT {
        return Err(format!("it has more than {MAX_ROOT} bytes"));
    }
    Envelope::<Root>::parse(&bytes).map_err(|error| format!("it is no TUF root: {error}"))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::config::Sender;

    #[test]
    fn a_bad_root_is_named_and_left_out_keys_have_their_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.json");
        let mut config = Config::default();
        let settings = airgap_settings(&config).unwrap();
        assert_eq!(&*settings.site, config.log.origin);
        assert_eq!(settings.max_age, Some(SignedDuration::from_hours(30 * 24)));
        config.airgap.max_age = crate::config::Period::secs(0);
        assert_eq!(airgap_settings(&config).unwrap().max_age, None);
        config.airgap.senders.push(Sender {
            name: "office".to_owned(),
            root: path.clone(),
            origin: None,
        });
        for content in [None, Some("{}"), Some("not json")] {
            if let Some(content) = content {
                fs::write(&path, content).unwrap();
            }
            let said = airgap_settings(&config).unwrap_err().to_string();
            assert!(
                said.contains("office") && said.contains(path.to_str().unwrap()),
                "{said}"
            );
        }
    }
}
