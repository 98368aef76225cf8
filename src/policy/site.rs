//! A site's own rules: a folder of Rego files with their data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compile::{MAX_FILE, MAX_TOTAL, PolicyError};
use super::{Policy, Profile, Settings};

/// Files of one folder. Threat: reading without end.
const MAX_FILES: usize = 256;
/// How deep folders may nest.
const MAX_FOLDERS: usize = 8;
/// How deep data may nest. Threat: the stack.
const MAX_DEPTH: usize = 64;

/// Rules and data of a site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRules {
    /// File name, with `/` between folders, and text.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What rules see as `data.site`.
    #[serde(default)]
    pub data: Map<String, Value>,
}

impl SiteRules {
    /// Reads every `*.rego` under a folder, and `data.json` and `data.toml` in it. Other files are left alone.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is too long, or is not what its name says. A link is an error: what it leads to
    /// would not be part of the folder that was looked at.
    pub fn read(folder: &Path) -> Result<Self, PolicyError> {
        let mut rules = Self::default();
        let mut total = 0;
        let mut open = vec![(folder.to_owned(), String::new(), 0)];
        while let Some((path, prefix, depth)) = open.pop() {
            let unreadable = |error: &std::io::Error| unreadable(&path, error);
            for entry in fs::read_dir(&path).map_err(|error| unreadable(&error))? {
                let entry = entry.map_err(|error| unreadable(&error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') {
                    continue;
                }
                let kind = entry.file_type().map_err(|error| unreadable(&error))?;
                if kind.is_dir() && depth < MAX_FOLDERS {
                    open.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
                    continue;
                }
                let rego = Path::new(&name)
                    .extension()
                    .is_some_and(|extension| extension == "rego");
                let data = depth == 0 && (name == "data.json" || name == "data.toml");
                if !rego && !data {
                    continue;
                }
                if !kind.is_file() {
                    return Err(PolicyError::Unreadable {
                        path: entry.path().display().to_string(),
                        why: "it is a link or no file; put the rules themselves into the folder".to_owned(),
                    });
                }
                let text = text_of(&entry.path(), &mut total)?;
                if rego {
                    rules.files.insert(format!("{prefix}{name}"), text);
                } else {
                    rules.add_data(&name, &text)?;
                }
                if rules.files.len() > MAX_FILES {
                    return Err(PolicyError::Unreadable {
                        path: folder.display().to_string(),
                        why: format!("more than {MAX_FILES} files of rules"),
                    });
                }
            }
        }
        Ok(rules)
    }

    fn add_data(&mut self, file: &str, text: &str) -> Result<(), PolicyError> {
        let failed = |why: String| PolicyError::Data {
            file: file.to_owned(),
            why,
        };
        let value: Value = if file == "data.toml" {
            let table: toml::Table =
                toml::from_str(text).map_err(|error| failed(error.message().to_owned()))?;
            serde_json::to_value(table).map_err(|error| failed(error.to_string()))?
        } else {
            serde_json::from_str(text).map_err(|error| failed(error.to_string()))?
        };
        if super::input::deeper_than(&value, MAX_DEPTH) {
            return Err(failed(format!("values nest deeper than {MAX_DEPTH} levels")));
        }
        let Value::Object(table) = value else {
            return Err(failed("it must be an object at the top".to_owned()));
        };
        for (key, value) in table {
            if self.data.insert(key.clone(), value).is_some() {
                return Err(failed(format!("`{key}` is in data.json and in data.toml")));
            }
        }
        Ok(())
    }
}

impl Policy {
    /// A profile with the rules of a folder.
    ///
    /// # Errors
    ///
    /// As [`SiteRules::read`] and [`Policy::new`].
    pub fn load(folder: &Path, profile: Profile, settings: Settings) -> Result<Self, PolicyError> {
        Self::new(profile, settings, &SiteRules::read(folder)?)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> PolicyError {
    PolicyError::Unreadable {
        path: path.display().to_string(),
        why: error.to_string(),
    }
}

/// The length is looked at before the file is read.
fn text_of(path: &Path, total: &mut u64) -> Result<String, PolicyError> {
    let bytes = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    *total += bytes;
    if bytes > MAX_FILE || *total > MAX_TOTAL {
        return Err(PolicyError::TooLong {
            file: path.display().to_string(),
            bytes,
        });
    }
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}
