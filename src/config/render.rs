//! Writes a configuration as a `chiron.toml` that explains itself.

use serde_json::Value as Json;

use super::Config;
use super::check::schema;

/// The sections, in the order a reader wants them.
const SECTIONS: [&str; 17] = [
    "server",
    "storage",
    "upstream",
    "owned",
    "policy",
    "publisher",
    "trust",
    "index",
    "limits",
    "sbom",
    "advisories",
    "gate",
    "reproducibility",
    "log",
    "tuf",
    "airgap",
    "telemetry",
];

/// Keys that stand first in their section, whatever the alphabet says.
const FIRST: [&str; 6] = ["listen", "path", "name", "mode", "url", "file"];

/// Columns of a comment.
const WIDTH: usize = 100;

impl Config {
    /// This configuration as TOML with every key's description above it. A key that has its default value is
    /// written as a comment, so that the file pins only what was chosen. Passwords in addresses are masked.
    pub fn to_toml_commented(&self) -> String {
        let schema = schema();
        let values = serde_json::to_value(self).unwrap_or_default();
        let mut page = Page(vec![
            "# Chiron's configuration. A key that is commented out has the value shown.".to_owned(),
            "# Every key has an environment override: CHIRON_SECTION__KEY, CHIRON_UPSTREAM__0__MODE."
                .to_owned(),
        ]);
        for section in SECTIONS {
            let about = &schema["properties"][section];
            page.0.push(String::new());
            page.comment(&about["description"]);
            match &values[section] {
                Json::Array(items) if items.is_empty() => {
                    page.table(format!("# [[{section}]]"), &about["items"], &Json::Null);
                }
                Json::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        if index > 0 {
                            page.0.push(String::new());
                        }
                        page.table(format!("[[{section}]]"), &about["items"], item);
                    }
                }
                table => page.table(format!("[{section}]"), about, table),
            }
        }
        page.0.push(String::new());
        page.0.join("\n")
    }
}

/// Lines as they come.
struct Page(Vec<String>);

impl Page {
    /// A header and every key: description, then `key = value`, commented out when it is the default.
    fn table(&mut self, header: String, schema: &Json, values: &Json) {
        let section = header.trim_matches(['#', ' ', '[', ']']).to_owned();
        self.0.push(header);
        let mut properties: Vec<(&String, &Json)> =
            schema["properties"].as_object().into_iter().flatten().collect();
        properties.sort_by_key(|(key, _)| {
            (
                FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()),
                key.as_str(),
            )
        });
        for (key, about) in &properties {
            let (key, about) = (*key, *about);
            self.comment(&about["description"]);
            let given = values.get(key).filter(|value| !value.is_null());
            let chosen = given.is_some_and(|value| about.get("default") != Some(value));
            let default = about.get("default").filter(|value| !value.is_null());
            let shown = given
                .or(default)
                .or(about["examples"].get(0))
                .map_or_else(String::new, toml_value);
            let mark = if chosen { "" } else { "# " };
            self.0.push(format!("{mark}{key} = {shown}"));
        }
        // A list of tables inside the section: what one entry has.
        for (key, about) in properties {
            if about["items"]["properties"].is_object() {
                self.0.push(String::new());
                self.table(format!("# [[{section}.{key}]]"), &about["items"], &Json::Null);
            }
        }
    }

    /// `text` as comment lines of at most [`WIDTH`] columns.
    fn comment(&mut self, text: &Json) {
        let mut line = String::from("#");
        for word in text.as_str().unwrap_or_default().split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.0.push(std::mem::replace(&mut line, String::from("#")));
            }
            line.push(' ');
            line.push_str(word);
        }
        if line.len() > 1 {
            self.0.push(line);
        }
    }
}

/// A single JSON value in TOML's spelling.
fn toml_value(value: &Json) -> String {
    toml::Value::try_from(value).map_or_else(|_| String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::config::{Load, Mode, Owned, OwnedPattern, Profile, Source};

    fn read(text: &str) -> Config {
        Load::new(None, [])
            .parse(text, Source::File("chiron.toml".into()))
            .expect(text)
            .config
    }

    #[test]
    fn sections_are_those_of_the_schema() {
        let schema = schema();
        let known: BTreeSet<&str> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(BTreeSet::from(SECTIONS), known);
    }

    #[test]
    fn what_was_chosen_is_pinned_and_the_rest_is_shown() {
        let mut config = Config::default();
        config.server.listen = "0.0.0.0:80".parse().unwrap();
        config.upstream[0].mode = Mode::Curated;
        config.policy.profile = Profile::Strict;
        config.storage.path = "/srv/it's \"here\"\\".into();
        config.owned = vec![Owned {
            pattern: "acme-*".parse::<OwnedPattern>().unwrap(),
        }];
        let text = config.to_toml_commented();
        for line in [
            "listen = \"0.0.0.0:80\"",
            "# verdict_wait = \"12s\"",
            "[[upstream]]",
            "name = \"pip\"",
            "mode = \"curated\"",
            "# url = \"https://index.example/simple/\"",
            "[[owned]]",
            "pattern = \"acme-*\"",
            "profile = \"strict\"",
            "# min_free = \"256MiB\"",
            "# open_files = 1024",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line} is not in\n{text}"
            );
        }
        assert_eq!(read(&text), config);
    }

    #[test]
    fn every_key_is_described() {
        let text = Config::default().to_toml_commented();
        let lines: Vec<&str> = text.lines().collect();
        let key = |line: &str| {
            let (key, _) = line.trim_start_matches("# ").split_once(" = ")?;
            key.bytes()
                .all(|c| c.is_ascii_lowercase() || c == b'_')
                .then(|| key.to_owned())
        };
        let mut keys = 0;
        for pair in lines.windows(2) {
            if let Some(name) = key(pair[1]) {
                keys += 1;
                assert!(
                    pair[0].starts_with("# ") && key(pair[0]).is_none(),
                    "{name} has no description"
                );
            }
        }
        // A section is a key too, and is written as a header.
        let known = super::super::check::known_keys(&schema());
        assert_eq!(keys, known.iter().filter(|key| key.contains('.')).count());
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "a line is too long");
    }

    #[test]
    fn passwords_are_masked() {
        let mut config = Config::default();
        config.upstream[0].url = Some("https://ci:hunter2@a.example/simple/".parse().unwrap());
        let text = config.to_toml_commented();
        assert!(
            text.contains("url = \"https://****@a.example/simple/\""),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}
