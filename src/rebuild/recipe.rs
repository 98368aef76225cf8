//! The operator's recipes: how a project is built that does not say so itself. One file `PROJECT.toml` each.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use chiron_storage::Digest;
use serde::Deserialize;

use crate::package::ProjectName;

/// Largest recipe read, bytes.
const MAX_RECIPE: u64 = 64 << 10;

/// Names that the sandbox sets itself.
const TAKEN: [&str; 4] = ["HOME", "PATH", "PYTHONPATH", "SOURCE_DATE_EPOCH"];

/// A recipe. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Recipe {
    /// More build requirements (PEP 508); a pin here wins over everything else.
    pub(super) requires: Vec<String>,
    /// Environment variables.
    pub(super) env: BTreeMap<String, String>,
    /// PEP 517 config settings.
    pub(super) config_settings: BTreeMap<String, String>,
    /// `SOURCE_DATE_EPOCH`, seconds; absent: as the wheel's own times say.
    pub(super) epoch: Option<i64>,
    /// A Python beside the configured one: `3.9`, or a path.
    pub(super) python: Option<String>,
    /// Releases the recipe is for (PEP 440); absent: all.
    pub(super) versions: Option<String>,
}

/// A recipe with the name and digest of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) filename: String,
    pub(super) sha256: Digest,
    pub(super) recipe: Recipe,
}

impl Recipe {
    /// Reads a recipe's text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let recipe: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(name) = recipe.env.keys().find(|name| TAKEN.contains(&name.as_str())) {
            return Err(format!("env.{name} is set by the sandbox itself"));
        }
        let plain = |name: &str| {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            !name.is_empty() && name.bytes().all(word)
        };
        if let Some(name) = recipe.env.keys().find(|name| !plain(name)) {
            return Err(format!("env.{name:?} is no name of an environment variable"));
        }
        if let Some(versions) = &recipe.versions {
            versions
                .parse::<crate::package::Specifiers>()
                .map_err(|error| format!("versions: {error}"))?;
        }
        Ok(recipe)
    }

    /// The recipe for a project; `None` when there is none. An unreadable one is an error: it was meant to be used.
    pub(super) fn find(folder: Option<&Path>, project: &ProjectName) -> Result<Option<Kept>, String> {
        let Some(folder) = folder else {
            return Ok(None);
        };
        let filename = format!("{project}.toml");
        let path = folder.join(&filename);
        let bad = |why: String| format!("the recipe {} cannot be used: {why}", path.display());
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(error.to_string())),
        };
        let mut text = String::new();
        file.take(MAX_RECIPE + 1)
            .read_to_string(&mut text)
            .map_err(|error| bad(error.to_string()))?;
        if text.len() as u64 > MAX_RECIPE {
            return Err(bad(format!("it has more than {MAX_RECIPE} bytes")));
        }
        let recipe = Self::parse(&text).map_err(bad)?;
        Ok(Some(Kept {
            sha256: Digest::of(text.as_bytes()),
            filename,
            recipe,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_recipe_is_found_by_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = ProjectName::parse("Foo_Bar").unwrap();
        assert_eq!(Recipe::find(None, &project), Ok(None));
        assert_eq!(Recipe::find(Some(folder.path()), &project), Ok(None));
        let text = "requires = [\"setuptools==60\"]\nepoch = 5\n[env]\nFOO = \"1\"\n";
        std::fs::write(folder.path().join("foo-bar.toml"), text).unwrap();
        let kept = Recipe::find(Some(folder.path()), &project).unwrap().unwrap();
        assert_eq!(
            (kept.recipe.epoch, kept.recipe.env["FOO"].as_str()),
            (Some(5), "1")
        );
        assert_eq!(kept.sha256, Digest::of(text.as_bytes()));
    }

    #[test]
    fn mistakes_are_said() {
        assert!(Recipe::parse("require = []").unwrap_err().contains("require"));
        assert!(Recipe::parse("[env]\nPATH = \"x\"").unwrap_err().contains("PATH"));
        assert!(Recipe::parse("[env]\n\"A=B\" = \"x\"").is_err());
        assert!(
            Recipe::parse("versions = \"x\"")
                .unwrap_err()
                .contains("versions")
        );
    }
}
