//! Which index pip on this machine uses, asked of pip.
//!
//! In this order: `PIP_INDEX_URL`, `UV_DEFAULT_INDEX`, the `index-url` of pip's configuration files, pip's own
//! default. The code knows no address. `extra-index-url` is never used: with several equal indexes whoever registers
//! a name first on any of them supplies it (dependency confusion).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::RedactedUrl;

/// Asks an installed pip for its built-in default.
const ASK_DEFAULT: &str = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
/// Longest answer of pip that is read, in bytes. Threat: a broken wrapper script that prints without end.
const MOST_OUTPUT: usize = 1 << 20;
/// Pip's sections of configuration whose `index-url` and `cert` hold for installing, first one first.
const SECTIONS: [&str; 4] = [":env:", "install", "global", "download"];

/// The index that pip uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipIndex {
    /// Its address, with credentials if pip's configuration has them.
    pub url: RedactedUrl,
    /// Where it was found, for logs and `doctor`.
    pub found_in: String,
    /// Pip's `cert` setting: a PEM file of certificate authorities to trust.
    pub cert: Option<PathBuf>,
}

/// Why pip's index is not known. The upstream cannot be used until the configuration names one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PipError {
    /// No pip answered.
    #[error(
        "cannot ask pip for its index ({tried}): install pip, or set PIP_INDEX_URL, or set [[upstream]] url"
    )]
    NoPip {
        /// What was tried, and how each ended.
        tried: String,
    },
    /// The setting is no address.
    #[error("{found_in} is not the address of an http or https index: correct it, or set [[upstream]] url")]
    NotAnIndex {
        /// Where it was found.
        found_in: String,
    },
}

/// How to ask: which programs, with which environment. Tests name their own.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Commands that behave like `pip`, each with its leading arguments; the first that answers is used.
    pub pips: Vec<Vec<OsString>>,
    /// Variables of the environment, read through this instead of directly.
    pub env: fn(&str) -> Option<String>,
    /// Longest time for each question.
    pub timeout: Duration,
}

impl Lookup {
    /// This machine's pip and this process's environment.
    pub fn of_this_machine(timeout: Duration) -> Self {
        let pips = [&["python3", "-m", "pip"][..], &["python", "-m", "pip"], &["pip"]];
        Self {
            pips: pips
                .iter()
                .map(|words| words.iter().map(OsString::from).collect())
                .collect(),
            env: |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()),
            timeout,
        }
    }

    /// Finds pip's index and its `cert`.
    pub async fn find(&self) -> Result<PipIndex, PipError> {
        let from_env = ["PIP_INDEX_URL", "UV_DEFAULT_INDEX"]
            .into_iter()
            .find_map(|name| Some((name, (self.env)(name)?)))
            .map(|(name, value)| index_url(&value, &format!("the environment variable {name}")));
        let cert = (self.env)("PIP_CERT").map(PathBuf::from);
        match (from_env, cert) {
            (Some(found), Some(cert)) => {
                let (url, found_in) = found?;
                Ok(PipIndex {
                    url,
                    found_in,
                    cert: Some(cert),
                })
            }
            (Some(found), None) => {
                let (url, found_in) = found?;
                // Without any pip there is no `cert` setting of pip either.
                let cert = self
                    .ask()
                    .await
                    .ok()
                    .and_then(|asked| asked.setting("cert"))
                    .map(|(_, value)| value.into());
                Ok(PipIndex { url, found_in, cert })
            }
            (None, cert) => {
                let asked = self.ask().await?;
                let (url, found_in) = match asked.setting("index-url") {
                    Some((key, value)) => index_url(&value, &format!("pip's configuration ({key})"))?,
                    None => self.built_in(&asked).await?,
                };
                let cert = cert.or_else(|| asked.setting("cert").map(|(_, value)| value.into()));
                Ok(PipIndex { url, found_in, cert })
            }
        }
    }

    /// The first pip that lists its configuration.
    async fn ask(&self) -> Result<Asked, PipError> {
        let mut tried = Vec::new();
        for pip in &self.pips {
            match self.run(pip, &["config", "list"]).await {
                Ok(list) => {
                    return Ok(Asked {
                        pip: pip.clone(),
                        settings: parse_config_list(&list),
                    });
                }
                Err(why) => tried.push(format!("{}: {why}", shown(pip))),
            }
        }
        Err(PipError::NoPip {
            tried: tried.join("; "),
        })
    }

    /// Pip's own default: from its Python module, else from what its help says.
    async fn built_in(&self, asked: &Asked) -> Result<(RedactedUrl, String), PipError> {
        let mut tried = Vec::new();
        if let [python, _dash_m, _pip] = &asked.pip[..] {
            match self.run(std::slice::from_ref(python), &["-c", ASK_DEFAULT]).await {
                Ok(answer) => return index_url(&answer, "pip's own default"),
                Err(why) => tried.push(format!("{} -c: {why}", shown(std::slice::from_ref(python)))),
            }
        }
        let help = match self.run(&asked.pip, &["install", "--help"]).await {
            Ok(help) => parse_help(&help),
            Err(why) => {
                tried.push(format!("{} install --help: {why}", shown(&asked.pip)));
                None
            }
        };
        match help {
            Some(url) => index_url(&url, "pip's own default"),
            None => Err(PipError::NoPip {
                tried: tried.join("; "),
            }),
        }
    }

    /// Standard output of a command that succeeds in time.
    async fn run(&self, program: &[OsString], arguments: &[&str]) -> Result<String, String> {
        let (name, leading) = program.split_first().ok_or("no command")?;
        let child = Command::new(name)
            .args(leading)
            .args(arguments)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_NO_INPUT", "1")
            .env("NO_COLOR", "1")
            // Or a `pip` folder in the working directory would be run instead of pip.
            .env("PYTHONSAFEPATH", "1")
            .env("COLUMNS", "400")
            // What opens this process's keys is nobody else's.
            .env_remove("CHIRON_TUF_PASSPHRASE")
            .env_remove("CHIRON_TUF_PIN")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let output = match tokio::time::timeout(self.timeout, child).await {
            Err(_) => return Err(format!("no answer in {:?}", self.timeout)),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err("not found".to_owned());
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Ok(Ok(output)) => output,
        };
        if !output.status.success() {
            return Err(output.status.to_string());
        }
        if output.stdout.len() > MOST_OUTPUT {
            return Err("its answer is too long".to_owned());
        }
        String::from_utf8(output.stdout).map_err(|_| "its answer is not UTF-8".to_owned())
    }
}

/// A pip that answered, and its settings.
struct Asked {
    pip: Vec<OsString>,
    settings: Vec<(String, String)>,
}

impl Asked {
    /// The setting `name` that holds for installing, with its full key; any other section's as a last resort.
    fn setting(&self, name: &str) -> Option<(String, String)> {
        let in_section = |section: &str| {
            let key = format!("{section}.{name}");
            self.settings.iter().find(|(found, _)| *found == key)
        };
        SECTIONS
            .into_iter()
            .find_map(in_section)
            .or_else(|| {
                self.settings
                    .iter()
                    .find(|(key, _)| key.rsplit_once('.').is_some_and(|(_, last)| last == name))
            })
            .filter(|(_, value)| !value.trim().is_empty())
            .cloned()
    }
}

fn shown(program: &[OsString]) -> String {
    program
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// An index address; uv's form `name=address` is understood. Errors do not repeat the value: it may hold a password.
fn index_url(text: &str, found_in: &str) -> Result<(RedactedUrl, String), PipError> {
    let text = text.trim();
    let address = match text.split_once('=') {
        Some((name, rest)) if !name.contains([':', '/']) => rest,
        _ => text,
    };
    match address.parse::<RedactedUrl>() {
        Ok(url) if matches!(url.expose().scheme(), "http" | "https") && url.expose().has_host() => {
            Ok((url, found_in.to_owned()))
        }
        _ => Err(PipError::NotAnIndex {
            found_in: found_in.to_owned(),
        }),
    }
}

/// Lines `key='value'`, as `pip config list` prints them (Python's `repr`).
fn parse_config_list(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.trim().split_once('=')?;
            Some((key.to_owned(), unquote(value)?))
        })
        .collect()
}

/// The text inside a Python string literal without exotic escapes.
fn unquote(literal: &str) -> Option<String> {
    let quote = literal
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'))?;
    let inner = literal.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(next) = chars.next() {
        text.push(if next == '\\' { chars.next()? } else { next });
    }
    Some(text)
}

/// The default of `--index-url` in what `pip install --help` prints.
fn parse_help(text: &str) -> Option<String> {
    let (_, after) = text.split_once("--index-url")?;
    let (_, default) = after.split_once("(default")?;
    let (value, _) = default.split_once(')')?;
    let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    Some(value.trim_start_matches(':').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(list: &str) -> Asked {
        Asked {
            pip: vec!["pip".into()],
            settings: parse_config_list(list),
        }
    }

    #[test]
    fn the_section_for_installing_wins() {
        let list = "global.index-url='https://global.test/simple'\n\
                    install.index-url=\"https://install.test/simple\"\n\
                    global.extra-index-url='https://extra.test/simple'\n\
                    global.cert='/etc/it\\'s.pem'\n";
        let asked = asked(list);
        let found = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
        assert_eq!(
            asked.setting("index-url"),
            found("install.index-url", "https://install.test/simple")
        );
        assert_eq!(asked.setting("cert"), found("global.cert", "/etc/it's.pem"));
        assert_eq!(asked.setting("timeout"), None);
    }

    #[test]
    fn an_extra_index_is_never_the_index() {
        assert_eq!(
            asked("global.extra-index-url='https://extra.test/simple'").setting("index-url"),
            None
        );
        let wheel = asked("wheel.index-url='https://wheel.test/simple'").setting("index-url");
        assert_eq!(
            wheel.unwrap().0,
            "wheel.index-url",
            "a section that is not for installing is better than none"
        );
    }

    #[test]
    fn addresses_are_http_and_are_not_repeated_in_errors() {
        let (url, _) = index_url(" corp=https://u:p@index.test/simple \n", "here").unwrap();
        assert_eq!(url.expose().as_str(), "https://u:p@index.test/simple");
        let (url, _) = index_url("https://index.test/simple?a=b", "here").unwrap();
        assert_eq!(url.expose().query(), Some("a=b"));
        for bad in [
            "file:///srv/simple",
            "index.test/simple",
            "",
            "https://",
            "u:hunter2@index.test",
        ] {
            let error = index_url(bad, "there").unwrap_err();
            assert_eq!(
                error,
                PipError::NotAnIndex {
                    found_in: "there".to_owned()
                }
            );
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn the_default_can_be_read_from_the_help() {
        let help = "  -i, --index-url <url>   Base URL of the Python Package Index (default\n        https://index.test/simple).\n";
        assert_eq!(parse_help(help).unwrap(), "https://index.test/simple");
        assert_eq!(parse_help("usage: pip"), None);
    }

    #[test]
    fn python_literals() {
        assert_eq!(unquote(r"'a\\b'").unwrap(), r"a\b");
        assert_eq!(unquote(r#""it's""#).unwrap(), "it's");
        assert_eq!(unquote("'open"), None);
        assert_eq!(unquote("plain"), None);
        assert_eq!(unquote("'"), None);
    }
}
