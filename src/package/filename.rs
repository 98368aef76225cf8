//! Names of distribution files: wheels and source distributions, as installers read them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use uv_distribution_filename::{DistFilename, DistFilenameError, WheelFilename};

use super::{NameError, ProjectName, Version};

/// Longest file name, in bytes: what common file systems and object stores take as one path component.
pub const MAX_FILENAME_BYTES: usize = 255;

/// The parsed name of a wheel or source distribution, with the exact text it was published under.
///
/// The text is safe as a path component and as a URL segment: ASCII letters, digits and `. _ - + !` only,
/// no leading dot, no `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DistributionFilename {
    raw: Box<str>,
    project: ProjectName,
    inner: Inner,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Inner {
    Wheel(Box<WheelFilename>),
    Sdist { version: Version, format: SdistFormat },
}

/// What a distribution file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistKind {
    /// A built distribution (`.whl`).
    Wheel,
    /// A source distribution (`.tar.gz`, or `.zip` before PEP 625).
    Sdist,
}

/// How a source distribution is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SdistFormat {
    /// `.tar.gz`
    TarGz,
    /// `.zip`
    Zip,
}

/// Why a string is not the name of a distribution file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilenameError {
    /// Nothing there.
    #[error("a file name cannot be empty")]
    Empty,
    /// Over [`MAX_FILENAME_BYTES`]; the name is not repeated.
    #[error("a file name has at most {MAX_FILENAME_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// A character that could leave a folder, hide in a terminal or need escaping in a URL.
    #[error(
        "{filename:?} has the character {found:?}; file names are ASCII letters, digits and . _ - + ! only"
    )]
    Character {
        /// The name.
        filename: String,
        /// The first offender.
        found: char,
    },
    /// A leading dot, or `..` anywhere.
    #[error("{0:?} starts with a dot or contains '..'")]
    Dots(String),
    /// Neither `.whl` nor `.tar.gz` nor `.zip`: eggs, installers, RPMs, signatures, old tarballs.
    #[error("{0:?} is neither a wheel (.whl) nor a source distribution (.tar.gz, .zip)")]
    Kind(String),
    /// A source distribution without a readable `name-version`.
    #[error("{filename:?} is not a source distribution name: {why}")]
    Sdist {
        /// The name.
        filename: String,
        /// What is wrong with it.
        why: String,
    },
    /// A `.whl` that does not follow the binary distribution format.
    #[error("{filename:?} is not a wheel name: {why}")]
    Wheel {
        /// The name.
        filename: String,
        /// What is wrong with it.
        why: String,
    },
    /// The project part is no project name.
    #[error("{filename:?}: {source}")]
    Project {
        /// The name.
        filename: String,
        /// What is wrong with the project's name.
        source: NameError,
    },
    /// A well-formed name, but of another project than the one asked for.
    #[error("{filename:?} is not a file of the project {expected}")]
    OtherProject {
        /// The name.
        filename: String,
        /// The project that was asked for.
        expected: ProjectName,
    },
}

impl DistributionFilename {
    /// Reads a file name on its own.
    ///
    /// A source distribution's name can be ambiguous (`a-1-1.tar.gz`). The last dash that leaves a valid
    /// version behind it is taken as the border; where the project is known, [`Self::parse_for`] is exact.
    pub fn parse(text: &str) -> Result<Self, FilenameError> {
        match split_kind(text)? {
            Packed::Wheel => {
                let wheel = WheelFilename::from_str(text).map_err(|error| FilenameError::Wheel {
                    filename: text.to_owned(),
                    why: error.to_string(),
                })?;
                Self::from_wheel(text, wheel)
            }
            Packed::Sdist(stem, format) => {
                let (project, version) = split_sdist(text, stem)?;
                Ok(Self {
                    raw: text.into(),
                    project,
                    inner: Inner::Sdist { version, format },
                })
            }
        }
    }

    /// Reads a file name that must belong to `project`, as an installer reads the entries of an index page.
    ///
    /// Accepts what pip accepts: any spelling of the name, and versions with dashes (`foo-1.0-beta1.zip`).
    pub fn parse_for(text: &str, project: &ProjectName) -> Result<Self, FilenameError> {
        match split_kind(text)? {
            Packed::Wheel => {
                let parsed = DistFilename::try_from_filename_with_reason(text, project.as_package_name());
                let wheel = match parsed {
                    Ok(DistFilename::WheelFilename(wheel)) => wheel,
                    Ok(DistFilename::SourceDistFilename(_))
                    | Err(DistFilenameError::NoRecognizedExtension(_)) => {
                        return Err(FilenameError::Kind(text.to_owned()));
                    }
                    Err(error) => {
                        return Err(FilenameError::Wheel {
                            filename: text.to_owned(),
                            why: error.to_string(),
                        });
                    }
                };
                if &wheel.name != project.as_package_name() {
                    return Err(other_project(text, project));
                }
                Ok(Self {
                    raw: text.into(),
                    project: project.clone(),
                    inner: Inner::Wheel(Box::new(wheel)),
                })
            }
            Packed::Sdist(stem, format) => {
                let version = sdist_version(text, stem, project)?;
                Ok(Self {
                    raw: text.into(),
                    project: project.clone(),
                    inner: Inner::Sdist { version, format },
                })
            }
        }
    }

    fn from_wheel(text: &str, wheel: WheelFilename) -> Result<Self, FilenameError> {
        let project = ProjectName::parse(wheel.name.as_str()).map_err(|source| FilenameError::Project {
            filename: text.to_owned(),
            source,
        })?;
        Ok(Self {
            raw: text.into(),
            project,
            inner: Inner::Wheel(Box::new(wheel)),
        })
    }

    /// The name as published.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The project the file belongs to.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// The release the file belongs to.
    pub fn version(&self) -> &Version {
        match &self.inner {
            Inner::Wheel(wheel) => &wheel.version,
            Inner::Sdist { version, .. } => version,
        }
    }

    /// Wheel or source distribution.
    pub fn kind(&self) -> DistKind {
        match self.inner {
            Inner::Wheel(_) => DistKind::Wheel,
            Inner::Sdist { .. } => DistKind::Sdist,
        }
    }

    /// The wheel's tags and build number.
    pub fn wheel(&self) -> Option<&WheelFilename> {
        match &self.inner {
            Inner::Wheel(wheel) => Some(wheel),
            Inner::Sdist { .. } => None,
        }
    }

    /// How a source distribution is packed; `None` for a wheel.
    pub fn sdist_format(&self) -> Option<SdistFormat> {
        match self.inner {
            Inner::Wheel(_) => None,
            Inner::Sdist { format, .. } => Some(format),
        }
    }
}

impl fmt::Display for DistributionFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Debug for DistributionFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} {})", &*self.raw, self.project, self.version())
    }
}

/// As the published text. There is no `Deserialize`: reading a source distribution's name back needs the
/// project ([`DistributionFilename::parse_for`]).
impl Serialize for DistributionFilename {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.raw)
    }
}

enum Packed<'a> {
    Wheel,
    /// The name without its extension.
    Sdist(&'a str, SdistFormat),
}

/// Checks the characters, then tells the kinds apart by extension.
fn split_kind(text: &str) -> Result<Packed<'_>, FilenameError> {
    if text.is_empty() {
        return Err(FilenameError::Empty);
    }
    if text.len() > MAX_FILENAME_BYTES {
        return Err(FilenameError::TooLong(text.len()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '!');
    if let Some(found) = text.chars().find(|c| !plain(*c)) {
        return Err(FilenameError::Character {
            filename: text.to_owned(),
            found,
        });
    }
    if text.starts_with('.') || text.contains("..") {
        return Err(FilenameError::Dots(text.to_owned()));
    }
    if text.strip_suffix(".whl").is_some() {
        Ok(Packed::Wheel)
    } else if let Some(stem) = text.strip_suffix(".tar.gz") {
        Ok(Packed::Sdist(stem, SdistFormat::TarGz))
    } else if let Some(stem) = text.strip_suffix(".zip") {
        Ok(Packed::Sdist(stem, SdistFormat::Zip))
    } else {
        Err(FilenameError::Kind(text.to_owned()))
    }
}

/// Name and version around the last dash that has a valid version behind it.
fn split_sdist(text: &str, stem: &str) -> Result<(ProjectName, Version), FilenameError> {
    let sdist = |why: &str| FilenameError::Sdist {
        filename: text.to_owned(),
        why: why.to_owned(),
    };
    let mut why = sdist("it has no dash between name and version");
    for (border, _) in stem.rmatch_indices('-') {
        let Ok(version) = Version::from_str(&stem[border + 1..]) else {
            why = sdist("no part of it is a PEP 440 version");
            continue;
        };
        match ProjectName::parse(&stem[..border]) {
            Ok(project) => return Ok((project, version)),
            Err(source) => {
                why = FilenameError::Project {
                    filename: text.to_owned(),
                    source,
                }
            }
        }
    }
    Err(why)
}

/// The version behind the dash that has a spelling of `project` before it.
fn sdist_version(text: &str, stem: &str, project: &ProjectName) -> Result<Version, FilenameError> {
    let mut ours = false;
    for (border, _) in stem.match_indices('-') {
        if project.is_spelled(&stem[..border]) {
            ours = true;
            if let Ok(version) = Version::from_str(&stem[border + 1..]) {
                return Ok(version);
            }
        }
    }
    if ours {
        let why = "what follows the name is not a PEP 440 version".to_owned();
        return Err(FilenameError::Sdist {
            filename: text.to_owned(),
            why,
        });
    }
    Err(other_project(text, project))
}

fn other_project(text: &str, expected: &ProjectName) -> FilenameError {
    FilenameError::OtherProject {
        filename: text.to_owned(),
        expected: expected.clone(),
    }
}

#[cfg(test)]
mod tests;
