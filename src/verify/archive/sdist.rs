//! Source distributions: one top folder named after the release, nothing that leads out of it, and a `PKG-INFO` that
//! agrees with the file's name (PEP 625 and the spellings before it).

use std::fs::File;

use super::limits::ArchiveLimits;
use super::member::{MemberError, Reader};
use super::names::{NameSet, has_suffix};
use super::report::{Report, Stop};
use super::tarball;
use super::wheel::{check_metadata, is_release, read_small, top_folder};
use super::window::Window;
use super::zip::{lay_out, read_directory, read_members};
use crate::package::DistributionFilename;
use crate::package::metadata::CoreMetadata;

/// Files at the top that say how the sdist is built.
const BUILD_FILES: [&str; 3] = ["pyproject.toml", "setup.py", "setup.cfg"];

/// Checks a `.zip` sdist; returns what `PKG-INFO` says.
pub(super) fn check_zip(
    window: Window<'_>,
    name: &DistributionFilename,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<CoreMetadata, Stop> {
    let mut reader = Reader::new(window);
    let (directory, bytes) = read_directory(&mut reader.window, limits, report)?;
    let mut members = read_members(&bytes, &directory, limits, report)?;
    lay_out(&mut members, &directory, report)?;

    let mut names = NameSet::new(limits);
    for member in &members {
        names.add(member.name, member.name, report);
    }
    let top = check_top(members.iter().map(|member| member.name), name, report)?;
    let pkg_info = read_small(
        &mut reader,
        &members,
        &format!("{top}/PKG-INFO"),
        limits.metadata_bytes,
        report,
    )?;
    let parsed = check_metadata(&pkg_info, name, report)?;
    for member in &members {
        match reader.member(member, |_| {}) {
            Ok(()) => {}
            Err(MemberError::Bad(code, detail)) => report.entry(code, member.name, detail),
            Err(MemberError::Io(error)) => return Err(error.into()),
        }
    }
    report.stop_if_bad()?;
    report.fact("format", "zip");
    report.fact(
        "unpacked_bytes",
        members.iter().map(|member| member.size).sum::<u64>(),
    );
    state_facts(top, members.iter().map(|member| member.name), report);
    Ok(parsed)
}

/// Checks a `.tar.gz` sdist; returns what `PKG-INFO` says.
pub(super) fn check_tar_gz(
    file: &File,
    size: u64,
    name: &DistributionFilename,
    limits: &ArchiveLimits,
    report: &mut Report,
) -> Result<CoreMetadata, Stop> {
    let contents = tarball::read(file, size, limits, report, &mut |_| {})?;
    let all = || contents.names.iter().map(String::as_str);
    let top = check_top(all(), name, report)?;
    let path = format!("{top}/PKG-INFO");
    let Some((_, pkg_info)) = contents.pkg_infos.iter().find(|(found, _)| *found == path) else {
        report.entry("required-file-missing", &path, "the archive does not have it");
        return Err(Stop::Refused);
    };
    let parsed = check_metadata(pkg_info, name, report)?;
    report.fact("format", "tar.gz");
    report.fact("unpacked_bytes", contents.unpacked_bytes);
    report.fact("links", contents.links);
    report.fact("special_mode_folders", contents.special_mode_folders);
    state_facts(top, all(), report);
    Ok(parsed)
}

/// The one top folder, which must be a spelling of the file's `name-version`.
fn check_top<'n>(
    mut names: impl Iterator<Item = &'n str> + Clone,
    name: &DistributionFilename,
    report: &mut Report,
) -> Result<&'n str, Stop> {
    let Some(top) = names.clone().next().map(top_folder) else {
        return Err(report.stop("empty-archive", "the archive has no entries"));
    };
    if !is_release(top, name) {
        let detail = format!(
            "the top folder belongs to another release than {} {}",
            name.project(),
            name.version()
        );
        report.entry("top-folder", top, detail);
    }
    if let Some(other) = names.find(|name| top_folder(name) != top || !name.contains('/') && *name != top) {
        report.entry("top-folder", other, format!("lies beside the top folder {top:?}"));
    }
    report.stop_if_bad()?;
    Ok(top)
}

fn state_facts<'n>(top: &str, names: impl Iterator<Item = &'n str> + Clone, report: &mut Report) {
    report.fact("kind", "sdist");
    report.fact("entries", names.clone().count());
    report.fact("files", names.clone().filter(|name| !name.ends_with('/')).count());
    report.fact("top_folder", top);
    let build: Vec<&str> = BUILD_FILES
        .into_iter()
        .filter(|file| {
            names
                .clone()
                .any(|name| name.strip_prefix(top).and_then(|rest| rest.strip_prefix('/')) == Some(*file))
        })
        .collect();
    report.fact("build_files", build);
    let start_up: Vec<String> = names
        .filter(|name| has_suffix(name, "pth"))
        .map(str::to_owned)
        .collect();
    report.names("pth_files", &start_up);
}
