//! What a source says of its build: the table `[build-system]` of `pyproject.toml` (PEP 518, PEP 517).

use serde::Deserialize;

/// Longest list of requirements or folders that is read. Threat: a source that asks without end.
const MAX_ENTRIES: usize = 100;

/// How a source wants to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BuildSystem {
    pub(super) requires: Vec<String>,
    /// `module:object`.
    pub(super) backend: String,
    pub(super) backend_path: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "build-system")]
    build_system: Option<Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    requires: Option<Vec<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl BuildSystem {
    /// PEP 517: a source that names no backend is one of setuptools' from before.
    fn legacy(requires: Option<Vec<String>>) -> Self {
        Self {
            requires: requires.unwrap_or_else(|| vec!["setuptools".to_owned(), "wheel".to_owned()]),
            backend: "setuptools.build_meta:__legacy__".to_owned(),
            backend_path: Vec::new(),
        }
    }

    /// From the text of `pyproject.toml`; `None` when the source has none.
    pub(super) fn parse(pyproject: Option<&str>) -> Result<Self, String> {
        let Some(text) = pyproject else {
            return Ok(Self::legacy(None));
        };
        let document: Document = toml::from_str(text)
            .map_err(|error| format!("pyproject.toml cannot be read: {}", error.message()))?;
        let Some(table) = document.build_system else {
            return Ok(Self::legacy(None));
        };
        let long = [
            table.requires.as_ref().map_or(0, Vec::len),
            table.backend_path.len(),
        ];
        if long.iter().any(|entries| *entries > MAX_ENTRIES) {
            return Err(format!(
                "[build-system] has a list of more than {MAX_ENTRIES} entries"
            ));
        }
        let Some(backend) = table.build_backend else {
            return Ok(Self::legacy(table.requires));
        };
        Ok(Self {
            requires: table.requires.unwrap_or_default(),
            backend,
            backend_path: table.backend_path,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_three_ways_to_say_nothing() {
        let legacy = BuildSystem::legacy(None);
        assert_eq!(BuildSystem::parse(None).unwrap(), legacy);
        assert_eq!(
            BuildSystem::parse(Some("[project]\nname = \"a\"")).unwrap(),
            legacy
        );
        let some = BuildSystem::parse(Some("[build-system]\nrequires = [\"setuptools>=42\"]")).unwrap();
        assert_eq!(some.requires, ["setuptools>=42"]);
        assert_eq!(some.backend, legacy.backend);
    }

    #[test]
    fn a_backend_in_the_tree() {
        let text = "[build-system]\nrequires = []\nbuild-backend = \"own\"\nbackend-path = [\".\"]";
        let system = BuildSystem::parse(Some(text)).unwrap();
        assert_eq!(
            (
                system.backend.as_str(),
                system.backend_path.len(),
                system.requires.len()
            ),
            ("own", 1, 0)
        );
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        assert!(
            BuildSystem::parse(Some("[build-system\n"))
                .unwrap_err()
                .contains("cannot be read")
        );
        assert!(BuildSystem::parse(Some("[build-system]\nrequires = 3")).is_err());
        let long = format!("[build-system]\nrequires = [{}]", "\"a\",".repeat(101));
        assert!(
            BuildSystem::parse(Some(&long))
                .unwrap_err()
                .contains("more than 100")
        );
    }
}
