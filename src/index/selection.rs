//! Which of the files that are listed a request means, as an installer would choose them. Pure.

use super::{Candidate, Candidates};
use crate::package::{DistributionFilename, HashClaim, ProjectName, Specifiers, Version, tags};

/// A release that was asked for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Whose.
    pub project: ProjectName,
    specifier: Option<Specifiers>,
    hashes: Vec<HashClaim>,
}

/// The Pythons and platforms a request keeps.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    pythons: Vec<(u8, u8)>,
    platforms: Vec<tags::PlatformTagSpec>,
}

impl Targets {
    /// From texts like `3.12` and platform tags; empty: everything. The error is a sentence.
    pub fn parse(pythons: &[String], platforms: &[String]) -> Result<Self, String> {
        let pythons = pythons.iter().map(|text| {
            let (major, minor) = text.split_once('.').unwrap_or((text, ""));
            match (major.parse(), minor.split('.').next().unwrap_or_default().parse()) {
                (Ok(major), Ok(minor)) => Ok((major, minor)),
                _ => Err(format!("{text:?} is not a Python version like 3.11")),
            }
        });
        let platforms = platforms.iter().map(|text| {
            text.parse()
                .map_err(|why| format!("{text:?} is not a platform: {why}"))
        });
        Ok(Self {
            pythons: pythons.collect::<Result<_, _>>()?,
            platforms: platforms.collect::<Result<_, _>>()?,
        })
    }

    fn keep(&self, name: &DistributionFilename) -> bool {
        let Some(wheel) = name.wheel() else {
            return true;
        };
        let python = |python: (u8, u8)| match self.platforms.as_slice() {
            [] => tags::runs_on(wheel, python),
            platforms => platforms
                .iter()
                .any(|platform| tags::compatible(wheel, python, platform)),
        };
        match (self.pythons.as_slice(), self.platforms.as_slice()) {
            ([], []) => true,
            ([], platforms) => platforms.iter().any(|p| tags::built_for(wheel, p)),
            (pythons, _) => pythons.iter().any(|p| python(*p)),
        }
    }
}

impl Selection {
    /// A project's name, PEP 440 specifiers and digests (`algorithm:hex`), the latter two as far as somebody gave them. The
    /// error is a sentence.
    pub fn parse(project: &str, specifier: Option<&str>, hashes: &[String]) -> Result<Self, String> {
        let project = ProjectName::parse(project).map_err(|e| e.to_string())?;
        let specifier = specifier
            .filter(|text| !text.trim().is_empty())
            .map(|text| text.parse::<Specifiers>().map_err(|e| format!("{text:?}: {e}")))
            .transpose()?;
        let hashes = hashes
            .iter()
            .map(|text| HashClaim::parse(text).ok_or_else(|| format!("{text:?} is not ALGORITHM:HEX")));
        Ok(Self {
            project,
            specifier,
            hashes: hashes.collect::<Result<_, _>>()?,
        })
    }

    /// Of what upstream lists.
    pub fn choose<'a>(
        &self,
        listed: &'a Candidates,
        targets: &Targets,
    ) -> Vec<(DistributionFilename, &'a Candidate)> {
        let names = |candidate: &&Candidate| candidate.name(listed.project()).ok();
        let files = listed.files().iter();
        self.choose_of(
            files.filter_map(|candidate| Some((names(&candidate)?, candidate))),
            targets,
            |candidate| candidate.file.yanked.is_some(),
            |candidate| candidate.file.claims(),
        )
    }

    /// The files meant: of the newest matching release, or exactly those whose digest is named.
    pub fn choose_of<T: Copy>(
        &self,
        listed: impl Iterator<Item = (DistributionFilename, T)>,
        targets: &Targets,
        is_yanked: impl Fn(T) -> bool,
        claims: impl Fn(T) -> Vec<HashClaim>,
    ) -> Vec<(DistributionFilename, T)> {
        let pinned = !self.hashes.is_empty();
        let named = |file: T| claims(file).iter().any(|claim| self.hashes.contains(claim));
        let matching: Vec<_> = listed
            .filter(|(_, file)| !pinned || named(*file))
            .filter(|(name, _)| self.admits(name.version()) && targets.keep(name))
            .collect();
        if pinned {
            return matching;
        }
        let newest = |pre: bool, yanked: bool| {
            matching
                .iter()
                .filter(|(name, _)| pre || !name.version().any_prerelease())
                .filter(|(_, file)| yanked || !is_yanked(*file))
                .map(|(name, _)| name.version())
                .max()
        };
        // As installers choose: a final release, else a pre-release; a yanked one only when nothing else matches.
        let version = newest(false, false)
            .or_else(|| newest(true, false))
            .or_else(|| newest(true, true));
        let version: Option<Version> = version.cloned();
        matching
            .into_iter()
            .filter(|(name, _)| Some(name.version()) == version.as_ref())
            .collect()
    }

    fn admits(&self, version: &Version) -> bool {
        self.specifier
            .as_ref()
            .is_none_or(|specifier| specifier.contains(version))
    }

    /// How the item reads in a message.
    pub fn describe(&self) -> String {
        let specifier = self
            .specifier
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let hashes = match self.hashes.len() {
            0 => String::new(),
            n => format!(" with one of {n} digests"),
        };
        format!("{}{specifier}{hashes}", self.project)
    }
}
