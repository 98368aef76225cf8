//! What a verb is about: a project, a release, a file's name, or a digest.

use std::path::Path;

use chiron_storage::Digest;

use super::client::{Client, segment};
use super::exit::Failure;
use crate::api::{FileView, ProjectView};
use crate::package::{DistributionFilename, ProjectName, Version};

/// What the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `sha256:…`.
    Digest(Digest),
    /// The name of a wheel or sdist.
    File(Box<DistributionFilename>),
    /// `flask==3.0.3`.
    Release(ProjectName, Version),
    /// `flask`.
    Project(ProjectName),
}

/// The last part of what may be a path.
pub fn filename_of(text: &str) -> &str {
    Path::new(text)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(text)
}

impl Target {
    /// Reads what the user named.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: String| {
            Failure::usage(format_args!("`{text}` names nothing: {why}"))
                .next("name a project (flask), a release (flask==3.0.3), a file (flask-3.0.3-py3-none-any.whl) or sha256:HEX")
        };
        if let Some(hex) = text.strip_prefix("sha256:") {
            return hex.parse().map(Self::Digest).map_err(|_| {
                wrong(format!(
                    "after `sha256:` come 64 hexadecimal digits, not {}",
                    hex.len()
                ))
            });
        }
        let filename = filename_of(text);
        if is_archive(filename) {
            return DistributionFilename::parse(filename)
                .map(|name| Self::File(Box::new(name)))
                .map_err(|error| wrong(error.to_string()));
        }
        let (project, version) = text
            .split_once("==")
            .map_or((text, None), |(project, version)| (project, Some(version)));
        let project = ProjectName::parse(project.trim()).map_err(|error| wrong(error.to_string()))?;
        match version {
            None => Ok(Self::Project(project)),
            Some(version) => {
                let version = version
                    .trim()
                    .parse()
                    .map_err(|error| wrong(format!("{error}")))?;
                Ok(Self::Release(project, version))
            }
        }
    }

    /// The files that Chiron knows under this name; finding none is a failure.
    pub async fn files(&self, client: &Client) -> Result<Vec<FileView>, Failure> {
        let files = match self {
            Self::Digest(digest) => client
                .find::<FileView>(&format!("/api/v1/files/{digest}"))
                .await?
                .into_iter()
                .collect(),
            Self::File(name) => {
                let all = project_files(client, name.project()).await?;
                all.into_iter()
                    .filter(|file| file.filename == name.raw())
                    .collect()
            }
            Self::Release(project, version) => {
                let all = project_files(client, project).await?;
                all.into_iter().filter(|file| is_version(file, version)).collect()
            }
            Self::Project(project) => project_files(client, project).await?,
        };
        if files.is_empty() {
            Err(self.unknown())
        } else {
            Ok(files)
        }
    }

    /// The answer when nothing is known.
    pub fn unknown(&self) -> Failure {
        Failure::not_admitted(format_args!("Chiron knows nothing of {self}"))
            .next("`chiron explain FILE` says why a file is not here; `chiron ingest SPEC` brings it in")
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
            Self::File(name) => f.write_str(name.raw()),
            Self::Release(project, version) => write!(f, "{project}=={version}"),
            Self::Project(project) => write!(f, "{project}"),
        }
    }
}

/// True for what ends like a wheel or sdist.
pub fn is_archive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".whl", ".tar.gz", ".zip"].iter().any(|end| name.ends_with(end))
}

/// True when the file belongs to the release, however its version is written (PEP 440).
pub fn is_version(file: &FileView, version: &Version) -> bool {
    file.version.parse::<Version>().is_ok_and(|v| v == *version)
}

async fn project_files(client: &Client, project: &ProjectName) -> Result<Vec<FileView>, Failure> {
    let path = format!("/api/v1/projects/{}", segment(project.as_str()));
    Ok(client
        .find::<ProjectView>(&path)
        .await?
        .map(|project| project.files)
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn each_form_is_told_apart() {
        let shown = |text: &str| Target::parse(text).unwrap();
        assert!(matches!(shown("Flask"), Target::Project(p) if p.as_str() == "flask"));
        assert!(matches!(shown("flask==3.0"), Target::Release(..)));
        assert!(matches!(
            shown("./dir/flask-3.0.3-py3-none-any.whl"),
            Target::File(_)
        ));
        let digest = Digest::of(b"x");
        assert_eq!(shown(&format!("sha256:{digest}")), Target::Digest(digest));
    }

    #[test]
    fn nonsense_is_a_usage_error_with_advice() {
        for text in ["sha256:12", "flask==", "", "a b", "../", "flask==3.0.3==4"] {
            let failure = Target::parse(text).unwrap_err();
            assert_eq!(failure.status, ExitStatus::Usage, "{text}");
            assert!(failure.next.is_some());
        }
    }
}
