//! The policy that a configuration asks for.

use crate::config::{self, Config};
use crate::policy::{Policy, PolicyError, Profile, Settings};

/// The built-in profile that `[policy]` names.
pub const fn profile(configured: config::Profile) -> Profile {
    match configured {
        config::Profile::Strict => Profile::Strict,
        config::Profile::Standard => Profile::Standard,
        config::Profile::Audit => Profile::Audit,
    }
}

/// Profile, settings and the site's own rules, compiled.
///
/// # Errors
///
/// Rules or settings that cannot be used. There is no other policy to fall back to: what starts with this must stop.
pub fn policy(config: &Config) -> Result<Policy, PolicyError> {
    let settings = Settings::new(&config.policy, &config.publisher)?;
    let profile = profile(config.policy.profile);
    let folder = &config.policy.folder;
    if folder.as_os_str().is_empty() {
        Policy::new(profile, settings, &crate::policy::SiteRules::default())
    } else {
        Policy::load(folder, profile, settings)
    }
}
