//! Licence rules: an SPDX expression held against the identifiers that a site allows and denies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spdx::{Expression, LicenseReq, ParseMode};

use super::{PolicyError, Settings};

/// What the site's lists say of a file's licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceStanding {
    /// The site has no lists.
    NotAsked,
    /// It can be used under allowed licences alone.
    Allowed,
    /// It cannot be used without a licence that is denied, or not allowed.
    Denied,
    /// There is a list, and the file states no licence that SPDX knows.
    Unknown,
}

/// Holds a file's licence expression against the lists.
///
/// `A OR B` is allowed when either is; `A AND B` when both are. A denied licence in a part that can be chosen away
/// does no harm.
pub(super) fn standing(expression: Option<&str>, settings: &Settings) -> LicenceStanding {
    let (allow, deny) = (&settings.licences_allow, &settings.licences_deny);
    if allow.is_empty() && deny.is_empty() {
        return LicenceStanding::NotAsked;
    }
    let Some(parsed) = expression.and_then(|text| Expression::parse_mode(text, ParseMode::LAX).ok()) else {
        return LicenceStanding::Unknown;
    };
    let listed = |list: &[String], licence: &LicenseReq| {
        let name = licence.to_string();
        let bare = licence.license.to_string();
        list.iter()
            .any(|listed| *listed == name || *listed == bare || same_family(listed, &bare))
    };
    let good =
        parsed.evaluate(|licence| !listed(deny, licence) && (allow.is_empty() || listed(allow, licence)));
    if good {
        LicenceStanding::Allowed
    } else {
        LicenceStanding::Denied
    }
}

/// `GPL-3.0` in a list covers `GPL-3.0-only` and `GPL-3.0-or-later`, which SPDX writes in its place.
fn same_family(listed: &str, licence: &str) -> bool {
    licence
        .strip_prefix(listed)
        .is_some_and(|rest| matches!(rest, "-only" | "-or-later" | "+"))
}

/// Refuses a list's entry that is no licence, so that a spelling mistake does not allow everything.
pub(super) fn known(licence: &str) -> Result<(), PolicyError> {
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) if expression.requirements().count() == 1 => Ok(()),
        _ => Err(PolicyError::Setting(format!(
            "policy.licences_allow and policy.licences_deny take SPDX identifiers such as MIT or Apache-2.0; `{licence}` is none"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lists(allow: &[&str], deny: &[&str]) -> Settings {
        Settings {
            licences_allow: allow.iter().map(|s| (*s).to_owned()).collect(),
            licences_deny: deny.iter().map(|s| (*s).to_owned()).collect(),
            ..Settings::default()
        }
    }

    #[test]
    fn a_choice_is_taken_and_a_conjunction_is_not() {
        let lists = lists(&["MIT", "Apache-2.0"], &["GPL-3.0"]);
        let cases = [
            (Some("MIT"), LicenceStanding::Allowed),
            (Some("MIT OR GPL-3.0-only"), LicenceStanding::Allowed),
            (Some("MIT AND GPL-3.0-or-later"), LicenceStanding::Denied),
            (Some("BSD-3-Clause"), LicenceStanding::Denied),
            (Some("whatever you like"), LicenceStanding::Unknown),
            (None, LicenceStanding::Unknown),
        ];
        for (expression, expected) in cases {
            assert_eq!(standing(expression, &lists), expected, "{expression:?}");
        }
    }

    #[test]
    fn without_lists_nothing_is_asked_and_with_a_deny_list_alone_the_rest_is_allowed() {
        assert_eq!(standing(None, &lists(&[], &[])), LicenceStanding::NotAsked);
        let deny = lists(&[], &["AGPL-3.0"]);
        assert_eq!(standing(Some("MIT"), &deny), LicenceStanding::Allowed);
        assert_eq!(standing(Some("AGPL-3.0-only"), &deny), LicenceStanding::Denied);
        assert_eq!(
            standing(Some("AGPL-3.0-only"), &lists(&[], &["AGPL-3.0-only"])),
            LicenceStanding::Denied
        );
    }

    #[test]
    fn a_misspelt_licence_is_refused() {
        known("MIT").unwrap();
        known("GPL-3.0").unwrap();
        assert!(known("MTI").is_err());
        assert!(known("MIT OR Apache-2.0").is_err());
    }
}
