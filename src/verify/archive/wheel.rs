//! Wheels: one `.dist-info` that agrees with the file's name, and a `RECORD` that agrees with every byte.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::gather::Gatherer;
use super::limits::ArchiveLimits;
use super::member::{MemberError, Reader};
use super::names::{NameSet, fold, has_suffix, installed_path};
use super::record::{self, Hasher};
use super::report::{Report, Stop};
use super::wheel_facts::{Executables, state_facts};
use super::wheel_file::{TagAgreement, WheelFile, named_tags};
use super::window::Window;
use super::zip::{Member, lay_out, read_directory, read_members};
use crate::package::metadata::CoreMetadata;
use crate::package::{DistributionFilename, Version};
use crate::verify::Contents;

/// What a wheel installs its files under (binary distribution format, "the .data directory").
const SCHEMES: [&str; 5] = ["purelib", "platlib", "headers", "scripts", "data"];

/// The two folders that make an archive a wheel.
#[derive(Debug)]
pub(super) struct Layout<'d> {
    /// `name-version.dist-info`
    pub(super) dist_info: &'d str,
    /// `name-version.data`, if the wheel has one.
    pub(super) data: Option<&'d str>,
}

/// Checks a wheel from its first byte to its last; returns what later checks need, and what `METADATA` says.
pub(super) fn check(
    window: Window<'_>,
    name: &DistributionFilename,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<(Contents, CoreMetadata), Stop> {
    let mut reader = Reader::new(window);
    let (directory, bytes) = read_directory(&mut reader.window, limits, report)?;
    let mut members = read_members(&bytes, &directory, limits, report)?;
    lay_out(&mut members, &directory, report)?;

    let layout = find_layout(&members, name, report)?;
    let mut names = NameSet::new(limits);
    for member in &members {
        names.add(member.name, &installed_path(member.name, layout.data), report);
    }
    report.stop_if_bad()?;

    let mut file = |file: &str, limit: u64, report: &mut Report| {
        let path = format!("{}/{file}", layout.dist_info);
        read_small(&mut reader, &members, &path, limit, report)
    };
    let metadata = file("METADATA", limits.metadata_bytes, report)?;
    let wheel_bytes = file("WHEEL", limits.metadata_bytes, report)?;
    let record = file("RECORD", limits.record_bytes, report)?;

    let parsed = check_metadata(&metadata, name, report)?;
    let (wheel, named) = check_wheel_file(&wheel_bytes, name, report)?;
    let rows = record::read(&record, &members, layout.dist_info, report)?;

    let mut executables = Executables::default();
    let mut gatherer = Gatherer::new(&layout, members.len(), limits);
    for member in &members {
        let row = rows.get(member.name);
        let mut hasher = Hasher::new(row);
        let mut head = Head::default();
        let mut held = gatherer.holds(member).map(|held| (held, Vec::new()));
        let read = reader.member(member, |bytes| {
            head.see(bytes);
            hasher.update(bytes);
            if let Some((_, kept)) = &mut held {
                kept.extend_from_slice(bytes);
            }
        });
        match read {
            Ok(()) => {
                let hashed = hasher.finish();
                check_hash(member, row, &hashed, report);
                gatherer.see(member, head.bytes(), hashed.sha256, held);
            }
            Err(MemberError::Bad(code, detail)) => report.entry(code, member.name, detail),
            Err(MemberError::Io(error)) => return Err(error.into()),
        }
        executables.see(member, head.bytes(), &layout);
    }
    executables.judge(&layout, report);
    report.stop_if_bad()?;

    let entry_points = format!("{}/entry_points.txt", layout.dist_info);
    let entry_points = match members.iter().find(|member| member.name == entry_points) {
        Some(member) => Some(read_small(
            &mut reader,
            &members,
            member.name,
            limits.metadata_bytes,
            report,
        )?),
        None => None,
    };
    state_facts(&members, &layout, &wheel, entry_points.as_deref(), report);
    Ok((gatherer.finish(metadata, wheel_bytes, &wheel, &named), parsed))
}

/// Finds the `.dist-info` and `.data` folders by where files are *installed*: a second `.dist-info` under
/// `.data/purelib` would be another project's once installed.
fn find_layout<'d>(
    members: &[Member<'d>],
    name: &DistributionFilename,
    report: &mut Report,
) -> Result<Layout<'d>, Stop> {
    let mut layout: (Option<&'d str>, Option<&'d str>) = (None, None);
    let mut last = "";
    for member in members {
        let top = top_folder(member.name);
        if top == last {
            continue;
        }
        last = top;
        let folded = fold(top);
        if has_suffix(&folded, "dist-info") && layout.0.replace(top).is_some_and(|other| other != top) {
            report.entry(
                "dist-info-count",
                top,
                "a wheel has one .dist-info folder, this one has several",
            );
        }
        if has_suffix(&folded, "data") && layout.1.replace(top).is_some_and(|other| other != top) {
            report.entry(
                "data-folder",
                top,
                "a wheel has at most one .data folder, this one has several",
            );
        }
    }
    let (dist_info, data) = layout;
    let Some(dist_info) = dist_info else {
        return Err(report.stop("dist-info-missing", "no .dist-info folder: not a wheel"));
    };
    for member in members {
        let path = installed_path(member.name, data);
        if path != member.name && has_suffix(&fold(top_folder(&path)), "dist-info") {
            report.entry(
                "dist-info-count",
                member.name,
                "installs into a .dist-info folder from .data",
            );
        }
        if let Some(inside) = data
            .and_then(|data| member.name.strip_prefix(data))
            .and_then(|rest| rest.strip_prefix('/'))
            && !inside.is_empty()
            && !inside
                .split_once('/')
                .is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
        {
            report.entry(
                "data-scheme",
                member.name,
                "not under one of the five schemes of a .data folder",
            );
        }
    }
    let Some(stem) = dist_info
        .strip_suffix(".dist-info")
        .filter(|stem| is_release(stem, name))
    else {
        let detail = format!(
            "belongs to another release than {} {}",
            name.project(),
            name.version()
        );
        report.entry("dist-info-name", dist_info, detail);
        return Err(Stop::Refused);
    };
    // pip takes any folder that ends in .data, uv only the one spelled like the .dist-info.
    if let Some(data) = data.filter(|data| data.strip_suffix(".data") != Some(stem)) {
        report.entry("data-folder", data, format!("is not spelled like {dist_info:?}"));
    }
    report.stop_if_bad()?;
    Ok(Layout { dist_info, data })
}

/// The first component of a name.
pub(super) fn top_folder(name: &str) -> &str {
    name.split_once('/').map_or(name, |(top, _)| top)
}

/// Whether `stem` is a spelling of the file's `name-version`. Escaped forms are common: `_` stands for `-` in both.
pub(super) fn is_release(stem: &str, name: &DistributionFilename) -> bool {
    stem.match_indices('-').any(|(border, _)| {
        let (project, version) = (&stem[..border], &stem[border + 1..]);
        let same = |version: &str| Version::from_str(version).is_ok_and(|version| version == *name.version());
        name.project().is_spelled(project) && (same(version) || same(&version.replace('_', "-")))
    })
}

/// Unpacks one small file into memory.
pub(super) fn read_small(
    reader: &mut Reader<'_>,
    members: &[Member<'_>],
    path: &str,
    limit: u64,
    report: &mut Report,
) -> Result<Vec<u8>, Stop> {
    let Some(member) = members.iter().find(|member| member.name == path) else {
        report.entry("required-file-missing", path, "the archive does not have it");
        return Err(Stop::Refused);
    };
    if member.size > limit {
        report.entry(
            "entry-too-large",
            path,
            format!("{} bytes; {limit} are allowed", member.size),
        );
        return Err(Stop::Refused);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(member.size).unwrap_or(0));
    match reader.member(member, |chunk| bytes.extend_from_slice(chunk)) {
        Ok(()) => Ok(bytes),
        Err(MemberError::Io(error)) => Err(error.into()),
        Err(MemberError::Bad(code, detail)) => {
            report.entry(code, path, detail);
            Err(Stop::Refused)
        }
    }
}

/// Reads core metadata (`METADATA`, `PKG-INFO`) and holds name and version against the file's name.
pub(super) fn check_metadata(
    bytes: &[u8],
    name: &DistributionFilename,
    report: &mut Report,
) -> Result<CoreMetadata, Stop> {
    let parsed = CoreMetadata::parse(bytes).map_err(|error| report.stop("metadata", error.to_string()))?;
    if parsed.name != *name.project() {
        report.archive(
            "metadata-name",
            format!(
                "the metadata is of {}, the file's name says {}",
                parsed.name,
                name.project()
            ),
        );
    }
    if parsed.version != *name.version() {
        let detail = format!(
            "the metadata is of version {}, the file's name says {}",
            parsed.version,
            name.version()
        );
        report.archive("metadata-version", detail);
    }
    report.stop_if_bad()?;
    report.fact("metadata_version", parsed.metadata_version.clone());
    Ok(parsed)
}

fn check_wheel_file(
    bytes: &[u8],
    name: &DistributionFilename,
    report: &mut Report,
) -> Result<(WheelFile, BTreeSet<String>), Stop> {
    let wheel = WheelFile::parse(bytes).map_err(|detail| report.stop("wheel-file", detail))?;
    let Some((named, build)) = named_tags(name.raw()) else {
        return Err(report.stop("wheel-tags", "the file's name has no tags"));
    };
    match wheel.agreement(&named) {
        TagAgreement::Equal => report.fact("tags_agree", "equal"),
        TagAgreement::Narrowed => report.fact("tags_agree", "narrowed"),
        TagAgreement::Differ => {
            let list = |tags: &BTreeSet<String>| tags.iter().cloned().collect::<Vec<_>>().join(", ");
            let detail = format!(
                "WHEEL has the tags {}, the file's name {}",
                list(&wheel.tags),
                list(&named)
            );
            report.archive("wheel-tags", detail);
        }
    }
    // Tools that add a build tag later (`wheel tags --build`) write both; one that is only in the name is harmless.
    if wheel.build.is_some() && wheel.build.as_deref() != build {
        let detail = format!(
            "WHEEL has build {:?}, the file's name {build:?}",
            wheel.build.as_deref().unwrap_or_default()
        );
        report.archive("wheel-build", detail);
    }
    report.stop_if_bad()?;
    Ok((wheel, named))
}

fn check_hash(
    member: &Member<'_>,
    row: Option<&record::Row<'_>>,
    hashed: &record::Hashed,
    report: &mut Report,
) {
    if let Some(row) = row
        && !row.matches(hashed)
    {
        report.entry(
            "record-hash",
            member.name,
            "its content does not have the hash that RECORD gives for it",
        );
    }
}

/// The first bytes of a member, which say what kind of file it is.
#[derive(Default)]
struct Head {
    bytes: [u8; 4],
    length: usize,
}

impl Head {
    fn see(&mut self, bytes: &[u8]) {
        let take = bytes.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + take].copy_from_slice(&bytes[..take]);
        self.length += take;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
