//! `requirements.txt` as pip writes and reads it: pinned requirements with hashes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;
use uv_pep508::{Requirement, VersionOrUrl};

use super::{HashClaim, ProjectName, Specifiers};

/// Largest file read, in bytes. Ten thousand pins with twenty hashes each have about 16 MiB.
pub const MAX_REQUIREMENTS_BYTES: usize = 32 << 20;
/// Most pins of one file.
pub const MAX_PINS: usize = 100_000;
/// Longest requirement without its options, in bytes.
const MAX_REQUIREMENT_BYTES: usize = 8 << 10;

/// One thing that a requirements or lock file asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The project.
    pub project: ProjectName,
    /// Which releases; empty means any.
    pub specifier: Specifiers,
    /// Extras, normalised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// The environment marker as written. Not evaluated: a mirror serves every environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Only files with one of these digests are meant; empty means any file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<HashClaim>,
    /// The files' names, where the format tells them (lock files).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Where it stands, counted from 1.
    pub line: usize,
}

/// Something that was read and has no effect here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Counted from 1.
    pub line: usize,
    /// For people.
    pub text: String,
}

/// What a requirements or lock file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    /// In the order of the file.
    pub pins: Vec<Pin>,
    /// What had no effect; show it to the user.
    pub notes: Vec<Note>,
}

impl Pins {
    pub(super) fn note(&mut self, line: usize, text: impl Into<String>) {
        self.notes.push(Note {
            line,
            text: text.into(),
        });
    }
}

/// Why a requirements file is refused. Nothing of such a file is used: a part of it would be another set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementsError {
    /// Over [`MAX_REQUIREMENTS_BYTES`].
    #[error("the file has {0} bytes, more than the {MAX_REQUIREMENTS_BYTES} that are read")]
    TooLarge(usize),
    /// Over [`MAX_PINS`].
    #[error("the file has more than {MAX_PINS} requirements")]
    TooMany,
    /// `-r`, `-c`: another file, which this one does not contain.
    #[error(
        "line {line}: {option} is not followed; give that file itself, or one file with everything in it"
    )]
    Included {
        /// Counted from 1.
        line: usize,
        /// As written, without its value.
        option: String,
    },
    /// An option that would change what is installed and is not understood.
    #[error("line {line}: the option {option} is not supported")]
    Option {
        /// Counted from 1.
        line: usize,
        /// As written, without its value.
        option: String,
    },
    /// A URL, a path or an editable project: not something an index has.
    #[error("line {line}: {why}; only named requirements can be brought in from an index")]
    Direct {
        /// Counted from 1.
        line: usize,
        /// What it is.
        why: &'static str,
    },
    /// Not a PEP 508 requirement.
    #[error("line {line}: {text:?} is not a requirement: {why}")]
    Requirement {
        /// Counted from 1.
        line: usize,
        /// The front of it.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// Not `--hash=algorithm:hex`.
    #[error("line {line}: {text:?} is not a hash; it should look like --hash=sha256:<64 hexadecimal digits>")]
    Hash {
        /// Counted from 1.
        line: usize,
        /// The front of it.
        text: String,
    },
    /// The file says `--require-hashes` and does not keep to it.
    #[error("line {line}: {project} has no --hash, but the file says --require-hashes")]
    MissingHash {
        /// Counted from 1.
        line: usize,
        /// The requirement without a hash.
        project: ProjectName,
    },
}

/// Reads a requirements file.
///
/// Options about where and how to look (`--index-url`, `--no-binary`, …) become [`Pins::notes`]; their values
/// are not repeated, since they can hold passwords. `${VARIABLES}` are not expanded.
pub fn parse_requirements(text: &str) -> Result<Pins, RequirementsError> {
    if text.len() > MAX_REQUIREMENTS_BYTES {
        return Err(RequirementsError::TooLarge(text.len()));
    }
    let mut pins = Pins::default();
    let mut require_hashes = false;
    for (line, text) in logical_lines(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        if text.starts_with('-') {
            require_hashes |= options_line(line, &text, &mut pins)?;
            continue;
        }
        if pins.pins.len() >= MAX_PINS {
            return Err(RequirementsError::TooMany);
        }
        let pin = requirement(line, &text, &mut pins)?;
        pins.pins.push(pin);
    }
    if require_hashes && let Some(bare) = pins.pins.iter().find(|pin| pin.hashes.is_empty()) {
        return Err(RequirementsError::MissingHash {
            line: bare.line,
            project: bare.project.clone(),
        });
    }
    Ok(pins)
}

/// Lines after joining continuations and dropping comments, each with the number of its first line. Follows pip:
/// a comment line ends a continuation.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let comment = raw.trim_start().starts_with('#');
        let (start, mut joined) = open.take().unwrap_or((number, String::new()));
        if let (Some(front), false) = (raw.strip_suffix('\\'), comment) {
            joined.push_str(front);
            open = Some((start, joined));
            continue;
        }
        if comment {
            joined.push(' ');
        }
        joined.push_str(raw);
        lines.push((start, joined));
    }
    lines.extend(open);
    lines
        .into_iter()
        .map(|(line, text)| (line, without_comment(&text).trim().to_owned()))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// Cuts at a `#` that starts the line or follows a space; `#` inside a word (a URL fragment) is no comment.
fn without_comment(line: &str) -> &str {
    let mut after_space = true;
    for (place, c) in line.char_indices() {
        if c == '#' && after_space {
            return &line[..place];
        }
        after_space = c.is_whitespace();
    }
    line
}

/// Handles a line of options; `true` when it demands hashes.
fn options_line(line: usize, text: &str, pins: &mut Pins) -> Result<bool, RequirementsError> {
    let mut require_hashes = false;
    for word in text
        .split_whitespace()
        .filter(|word| word.starts_with('-') && *word != "-")
    {
        let option = option_name(word);
        match option {
            "-r" | "--requirement" | "-c" | "--constraint" => {
                return Err(RequirementsError::Included {
                    line,
                    option: option.to_owned(),
                });
            }
            "-e" | "--editable" => {
                return Err(RequirementsError::Direct {
                    line,
                    why: "an editable project is not a file of an index",
                });
            }
            "--require-hashes" => require_hashes = true,
            "-i" | "--index-url" | "--pypi-url" | "--extra-index-url" | "--no-index" | "-f"
            | "--find-links" | "--trusted-host" => {
                pins.note(
                    line,
                    format!("{option} is ignored: files come from the sources this server is set up with"),
                );
            }
            "--pre" | "--prefer-binary" | "--only-binary" | "--no-binary" | "--use-feature" => {
                pins.note(line, format!("{option} is ignored"));
            }
            _ => {
                return Err(RequirementsError::Option {
                    line,
                    option: cut(option, 60),
                });
            }
        }
    }
    Ok(require_hashes)
}

/// `--name` of `--name=value`, `-r` of `-rfile`.
fn option_name(word: &str) -> &str {
    let end = if word.starts_with("--") {
        word.find('=')
    } else {
        word.char_indices().nth(2).map(|(place, _)| place)
    };
    &word[..end.unwrap_or(word.len())]
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// One requirement with its per-requirement options.
fn requirement(line: usize, text: &str, pins: &mut Pins) -> Result<Pin, RequirementsError> {
    // pip's rule: options begin at the first word with a dash.
    let border = text
        .match_indices(char::is_whitespace)
        .map(|(place, space)| place + space.len());
    let border = border
        .into_iter()
        .find(|place| text[*place..].starts_with('-'))
        .unwrap_or(text.len());
    let (text, options) = text.split_at(border);
    let mut pin = named_requirement(line, text.trim())?;
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        match option_name(word) {
            "--hash" => {
                let value = word
                    .strip_prefix("--hash=")
                    .or_else(|| words.next())
                    .unwrap_or_default();
                let claim = HashClaim::parse(value).ok_or_else(|| RequirementsError::Hash {
                    line,
                    text: cut(value, 80),
                })?;
                pin.hashes.push(claim);
            }
            option @ ("--config-settings" | "--config-setting" | "-C" | "--global-option"
            | "--build-option") => {
                pins.note(line, format!("{option} is ignored: nothing is built here"));
                if !word.contains('=') {
                    words.next();
                }
            }
            option => {
                return Err(RequirementsError::Option {
                    line,
                    option: cut(option, 60),
                });
            }
        }
    }
    Ok(pin)
}

fn named_requirement(line: usize, text: &str) -> Result<Pin, RequirementsError> {
    let refused = |why: String| RequirementsError::Requirement {
        line,
        text: cut(text, 80),
        why,
    };
    if text.len() > MAX_REQUIREMENT_BYTES {
        return Err(refused(format!(
            "it is longer than {MAX_REQUIREMENT_BYTES} bytes"
        )));
    }
    let (head, marker) = match text.split_once(';') {
        Some((head, marker)) => (head.trim(), Some(marker.trim())),
        None => (text, None),
    };
    if head.contains('@') || head.contains("://") {
        return Err(RequirementsError::Direct {
            line,
            why: "a URL is not a release of an index",
        });
    }
    if head.starts_with(['.', '/', '\\']) || head.contains(['/', '\\']) {
        return Err(RequirementsError::Direct {
            line,
            why: "a path is not a release of an index",
        });
    }
    if !head.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        // Checked here because the parser would look whether this is a path, with variables expanded.
        return Err(refused("it does not start with a name".to_owned()));
    }
    // Without its marker: markers can nest deep enough to exhaust the parser's stack, and are not evaluated.
    let parsed = Requirement::<Url>::from_str(head).map_err(|error| refused(error.message.to_string()))?;
    let project = ProjectName::parse(parsed.name.as_str()).map_err(|error| refused(error.to_string()))?;
    let specifier = match parsed.version_or_url {
        None => Specifiers::empty(),
        Some(VersionOrUrl::VersionSpecifier(specifier)) => specifier,
        Some(VersionOrUrl::Url(_)) => {
            return Err(RequirementsError::Direct {
                line,
                why: "a URL is not a release of an index",
            });
        }
    };
    if marker.is_some_and(str::is_empty) {
        return Err(refused("nothing follows the semicolon".to_owned()));
    }
    Ok(Pin {
        project,
        specifier,
        extras: parsed
            .extras
            .iter()
            .map(|extra| extra.as_str().to_owned())
            .collect(),
        marker: marker.map(str::to_owned),
        hashes: Vec::new(),
        files: Vec::new(),
        line,
    })
}

#[cfg(test)]
mod tests;
