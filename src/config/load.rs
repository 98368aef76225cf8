//! Finds the configuration, reads it, puts the environment over it, and refuses whatever is not understood.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::check::{check, join, schema};
use super::env;
use super::error::{ConfigError, Problem};
use super::upstream::PIP;
use super::value::Period;

/// Where the configuration of the machine stands.
const SYSTEM_FILE: &str = "/etc/chiron/chiron.toml";
/// What the configuration is called in the working directory.
const LOCAL_FILE: &str = "chiron.toml";
/// The variable that names a configuration file.
const FILE_VARIABLE: &str = "CHIRON_CONFIG";

/// What decides about the configuration; nothing else is read from the process.
#[derive(Clone, Debug)]
pub struct Load {
    /// `--config PATH`.
    pub explicit: Option<PathBuf>,
    /// The environment; only names that start with `CHIRON_` matter.
    pub env: BTreeMap<String, String>,
    /// The working directory, where `chiron.toml` is looked for.
    pub dir: PathBuf,
    /// The machine's file, asked last.
    pub system: PathBuf,
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub config: Config,
    /// Which file was read.
    pub source: Source,
    /// The keys that the environment set, each with its variable.
    pub set_by_env: BTreeMap<String, String>,
}

/// Which file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This one.
    File(PathBuf),
    /// None: built-in defaults.
    BuiltIn,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::BuiltIn => f.write_str("built-in defaults"),
        }
    }
}

impl Load {
    /// Looks in `explicit`, then `$CHIRON_CONFIG`, `./chiron.toml` and the machine's file. `env` is the process's
    /// environment (`std::env::vars_os()`), or whatever a test says.
    pub fn new(explicit: Option<PathBuf>, env: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let env = env
            .into_iter()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
            .filter(|(name, _)| name.starts_with(env::PREFIX))
            // Text that is not UTF-8 carries U+FFFD from here on, and is refused if it is an override.
            .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
            .collect();
        Self {
            explicit,
            env,
            dir: PathBuf::from("."),
            system: PathBuf::from(SYSTEM_FILE),
        }
    }

    /// Reads and checks the configuration.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        match self.find()? {
            Some((path, text)) => self.parse(&text, Source::File(path)),
            None => self.parse("", Source::BuiltIn),
        }
    }

    /// The first file there is. One that was asked for by name must exist; one that exists must be readable, since
    /// falling through to another would quietly use other rules.
    fn find(&self) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let from_env = self
            .env
            .get(FILE_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        if let Some(path) = self.explicit.clone().or(from_env) {
            let text = fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable {
                path: path.clone(),
                source,
            })?;
            return Ok(Some((path, text)));
        }
        for path in [self.dir.join(LOCAL_FILE), self.system.clone()] {
            match fs::read_to_string(&path) {
                Ok(text) => return Ok(Some((path, text))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(ConfigError::Unreadable { path, source }),
            }
        }
        Ok(None)
    }

    /// Checks `text` as the file `source`, with the environment over it.
    pub fn parse(&self, text: &str, source: Source) -> Result<Loaded, ConfigError> {
        let file = match &source {
            Source::File(path) => path.clone(),
            Source::BuiltIn => PathBuf::new(),
        };
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            path: file.clone(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            why: error.message().to_owned(),
        };
        let spanned = DeTable::parse(text).map_err(syntax)?;
        let mut lines = BTreeMap::new();
        note_lines(spanned.get_ref(), "", text, &mut lines);
        let mut document: toml::Table = text.parse().map_err(syntax)?;

        let schema = schema();
        let mut problems = Vec::new();
        if self.env.keys().any(|name| name.starts_with("CHIRON_UPSTREAM__"))
            && !document.contains_key("upstream")
        {
            // So that an override of entry 0 changes the default upstream instead of starting a nameless one.
            document.insert("upstream".to_owned(), default_upstreams()?);
        }
        let set_by_env = env::apply(&self.env, &mut document, &schema, &mut problems);
        let place = |key: &str| place(key, &set_by_env, &lines, &file);

        let refused = |what: String, key: String| Problem {
            place: place(&key),
            key,
            what,
        };
        problems.extend(
            check(&document, &schema)
                .into_iter()
                .map(|finding| refused(finding.what, finding.key)),
        );
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        let config = Config::deserialize(toml::Value::Table(document)).map_err(|error| {
            // The check above is meant to be complete; if it is not, this still refuses.
            ConfigError::Invalid(vec![refused(
                error.message().to_owned(),
                "configuration".to_owned(),
            )])
        })?;
        let contradictions = contradictions(&config);
        if !contradictions.is_empty() {
            return Err(ConfigError::Invalid(
                contradictions
                    .into_iter()
                    .map(|(key, what)| refused(what, key))
                    .collect(),
            ));
        }
        Ok(Loaded {
            config,
            source,
            set_by_env,
        })
    }
}

fn default_upstreams() -> Result<toml::Value, ConfigError> {
    toml::Value::try_from(Config::default().upstream).map_err(|error| {
        ConfigError::Invalid(vec![Problem {
            place: String::new(),
            key: "upstream".to_owned(),
            what: error.to_string(),
        }])
    })
}

/// What is wrong between keys, or needs more than the schema can say.
fn contradictions(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, upstream) in config.upstream.iter().enumerate() {
        let key = |key: &str| format!("upstream[{index}].{key}");
        if upstream.url.is_none() && upstream.name != PIP {
            let what = format!(
                "missing: only the upstream named \"{PIP}\" has an address of its own; \"{}\" needs one",
                upstream.name
            );
            found.push((key("url"), what));
        }
        if config
            .upstream
            .iter()
            .take(index)
            .any(|earlier| earlier.name == upstream.name)
        {
            let what = format!(
                "\"{}\" is the name of an earlier upstream; each needs its own",
                upstream.name
            );
            found.push((key("name"), what));
        }
        for (name, period) in [
            ("connect_timeout", upstream.connect_timeout),
            ("read_timeout", upstream.read_timeout),
            ("total_timeout", upstream.total_timeout),
        ] {
            if period == Period::secs(0) {
                found.push((key(name), NEVER.to_owned()));
            }
        }
    }
    if config.server.request_timeout == Period::secs(0) {
        found.push(("server.request_timeout".to_owned(), NEVER.to_owned()));
    }
    if config.telemetry.otlp_endpoint.is_some() {
        let what = "OTLP export is not built yet, and sending nothing where something was asked for would be a lie; \
                    remove the key and collect GET /metrics instead";
        found.push(("telemetry.otlp_endpoint".to_owned(), what.to_owned()));
    }
    found.extend(config.airgap.contradictions());
    found
}

const NEVER: &str = "a time of 0 would let nothing through; allowed is more than 0";

/// Who said what is at `key`: the environment, a line of the file, or for a missing key the table it is missing in.
fn place(
    key: &str,
    set_by_env: &BTreeMap<String, String>,
    lines: &BTreeMap<String, usize>,
    file: &std::path::Path,
) -> String {
    let mut path = key;
    loop {
        if let Some(variable) = set_by_env.get(path) {
            return format!("environment {variable}");
        }
        if let Some(line) = lines.get(path) {
            return format!("{}:{line}", file.display());
        }
        match path.rfind(['.', '[']) {
            Some(end) => path = &path[..end],
            None => return file.display().to_string(),
        }
    }
}

fn note_lines(table: &DeTable<'_>, path: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let here = join(path, key.get_ref());
        note_line(value.get_ref(), &here, text, lines);
        lines.insert(here, line_of(text, key.span().start));
    }
}

fn note_line(value: &DeValue<'_>, path: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    match value {
        DeValue::Table(table) => note_lines(table, path, text, lines),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let here = format!("{path}[{index}]");
                note_line(item.get_ref(), &here, text, lines);
                lines.insert(here, line_of(text, item.span().start));
            }
        }
        _ => {}
    }
}

/// The line, counted from 1, that the byte at `offset` is on.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
