//! What an index page lists: the admitted files of a view and, in on-demand mode, the candidates that
//! pass what can be judged before a download. Pure.

mod selection;

use std::collections::{HashMap, HashSet};

use chiron_storage::Digest;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::catalog::{FileRow, FileState, ProjectSnapshot, Waits};
use crate::package::simple::{CoreMetadata, IndexFile, IndexPage};
use crate::package::{
    DistributionFilename, FilenameError, PageFile, ProjectName, ProjectPage, SkippedEntry, Status, Version,
};
use crate::verify::DocumentKind;

pub use selection::{Selection, Targets};

/// What must be escaped in one segment of a URL's path: `+` too, since some clients read it as a space.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'+')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A file that upstream lists and that could be brought in: its name parses, it belongs to the project
/// and its SHA-256 is published.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// As published.
    pub sha256: Digest,
    /// Upstream's entry.
    pub file: PageFile,
}

impl Candidate {
    /// Whether it is a wheel.
    #[expect(
        clippy::case_sensitive_file_extension_comparisons,
        reason = "a filename with `.WHL` does not parse"
    )]
    pub fn is_wheel(&self) -> bool {
        self.file.filename.ends_with(".whl")
    }

    /// Its name, parsed: once for the few that are asked for, not for the thousands that are listed.
    pub fn name(&self, project: &ProjectName) -> Result<DistributionFilename, FilenameError> {
        DistributionFilename::parse_for(&self.file.filename, project)
    }
}

/// What one upstream lists of a project, sorted out once.
#[derive(Debug)]
pub struct Candidates {
    project: ProjectName,
    files: Vec<Candidate>,
    by_sha256: HashMap<Digest, Vec<usize>>,
    /// Those that are too young to be offered, by their place in `files`, and until when.
    held_back: HashMap<usize, Timestamp>,
    /// Entries left out, with the reason, for `explain`.
    skipped: Vec<(String, String)>,
    /// PEP 792, upstream's word.
    pub status: Status,
    /// What upstream says of its status.
    pub status_reason: Option<String>,
}

impl Candidates {
    /// Sorts an upstream page, whose entries were parsed when it came in; files over `max_bytes` cannot
    /// pass the gate and are left out.
    pub fn new(page: ProjectPage, max_bytes: u64) -> Self {
        let mut files: Vec<Candidate> = Vec::with_capacity(page.files.len());
        let mut by_sha256: HashMap<Digest, Vec<usize>> = HashMap::with_capacity(page.files.len());
        let mut skipped: Vec<_> = page.skipped.into_iter().map(|s| (s.what, s.why)).collect();
        for file in page.files {
            let Some(sha256) = file.sha256() else {
                skipped.push((file.filename, "upstream publishes no SHA-256 for it".to_owned()));
                continue;
            };
            if file.size.is_some_and(|size| size > max_bytes) {
                skipped.push((
                    file.filename,
                    format!("it is larger than limits.file ({max_bytes} bytes)"),
                ));
                continue;
            }
            by_sha256.entry(sha256).or_default().push(files.len());
            files.push(Candidate { sha256, file });
        }
        Self {
            project: page.name,
            files,
            by_sha256,
            held_back: HashMap::new(),
            skipped,
            status: page.status,
            status_reason: page.status_reason,
        }
    }

    /// The page again, to be kept: what was left out stays out.
    pub fn to_page(&self) -> ProjectPage {
        ProjectPage {
            name: self.project.clone(),
            files: self
                .files
                .iter()
                .map(|candidate| candidate.file.clone())
                .collect(),
            status: self.status,
            status_reason: self.status_reason.clone(),
            skipped: self
                .skipped
                .iter()
                .map(|(what, why)| SkippedEntry {
                    what: what.clone(),
                    why: why.clone(),
                })
                .collect(),
        }
    }

    /// Holds back what is too young: `until` says when a file becomes old enough, and `None` that it is, or that it can only
    /// be told when the file has been looked at. What is held back is not listed, and still judged when it is asked for.
    #[must_use]
    pub fn hold_back(mut self, until: impl Fn(&Candidate) -> Option<Timestamp>) -> Self {
        let files = self.files.iter().enumerate();
        let held = files.filter_map(|(n, candidate)| Some((n, until(candidate)?)));
        self.held_back = held.collect();
        self
    }

    /// When the first of those that are held back becomes old enough.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.held_back.values().min().copied()
    }

    /// Those that a page offers.
    fn offered(&self) -> impl Iterator<Item = &Candidate> {
        let files = self.files.iter().enumerate();
        files.filter_map(|(n, candidate)| (!self.held_back.contains_key(&n)).then_some(candidate))
    }

    /// Whose files these are.
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// All of them, in upstream's order.
    pub fn files(&self) -> &[Candidate] {
        &self.files
    }

    /// The candidate with this content and name.
    pub fn find(&self, sha256: &Digest, filename: &str) -> Option<&Candidate> {
        self.by_sha256
            .get(sha256)?
            .iter()
            .filter_map(|&i| self.files.get(i))
            .find(|candidate| candidate.file.filename == filename)
    }

    /// The candidates with this name.
    pub fn named(&self, filename: &str) -> impl Iterator<Item = &Candidate> {
        self.files
            .iter()
            .filter(move |candidate| candidate.file.filename == filename)
    }

    /// The source distribution of a release, a `.tar.gz` rather than a `.zip`.
    pub fn sdist_of(&self, version: &Version) -> Option<&Candidate> {
        let of_the_release = |candidate: &&Candidate| {
            !candidate.is_wheel()
                && candidate
                    .name(&self.project)
                    .is_ok_and(|name| name.version() == version)
        };
        let sdists = self.files.iter().filter(of_the_release);
        sdists.max_by_key(|candidate| candidate.file.filename.ends_with(".tar.gz"))
    }

    /// Why an entry of upstream's page is not listed here.
    pub fn why_skipped(&self, filename: &str) -> Option<&str> {
        self.skipped
            .iter()
            .find(|(what, _)| what == filename)
            .map(|(_, why)| why.as_str())
    }

    /// How many entries were left out.
    pub fn skipped(&self) -> usize {
        self.skipped.len()
    }
}

/// Puts a project's page together; `None` when there is nothing to list, which is a 404 and never an empty page.
///
/// `root` leads from the page to the host's root (`../..` for `/simple/x/`). `denied` names contents that
/// were judged and found bad although no row says so.
pub fn assemble(
    name: &ProjectName,
    known: Option<&ProjectSnapshot>,
    candidates: Option<&Candidates>,
    denied: impl Fn(&Digest) -> bool,
    root: &str,
) -> Option<IndexPage> {
    let rows = known.map_or(&[][..], |k| &k.files);
    let mut settled: HashSet<(&str, Digest)> = HashSet::with_capacity(rows.len());
    let mut taken: HashSet<&str> = HashSet::with_capacity(rows.len());
    let mut files = Vec::with_capacity(rows.len() + candidates.map_or(0, |c| c.files.len()));
    for row in rows {
        // A verdict that waits for work of ours, or for upstream, hides nothing: who asks for the file waits too.
        if matches!(row.waits(), Some(Waits::Rebuild | Waits::Upstream)) {
            continue;
        }
        if !row.is_only_misnamed() {
            settled.insert((&row.judged.filename, row.judged.sha256));
        }
        // A name stays with the content first admitted under it, even while that is out of service.
        if row.state != FileState::Refused {
            taken.insert(&row.judged.filename);
        }
        if row.state == FileState::Admitted {
            files.push(admitted(row, root));
        }
    }
    let listed = known.is_some_and(|k| k.listed);
    for candidate in candidates.iter().flat_map(|c| c.offered()) {
        let name = candidate.file.filename.as_str();
        if !settled.contains(&(name, candidate.sha256)) && !taken.contains(name) && !denied(&candidate.sha256)
        {
            files.push(offered(candidate, root));
        }
    }
    if files.is_empty() && !listed && candidates.is_none() {
        return None;
    }
    let (mut status, mut reason) =
        known.map_or((Status::default(), None), |k| (k.status, k.status_reason.clone()));
    if status == Status::default()
        && let Some(c) = candidates
    {
        status = c.status;
        reason.clone_from(&c.status_reason);
    }
    Some(IndexPage::new(name.clone(), files, status, reason))
}

fn admitted(row: &FileRow, root: &str) -> IndexFile {
    let judged = &row.judged;
    IndexFile {
        filename: judged.filename.clone(),
        url: file_url(root, &judged.sha256, &judged.filename),
        sha256: judged.sha256,
        requires_python: judged.requires_python.clone(),
        core_metadata: judged
            .core_metadata
            .map_or(CoreMetadata::None, CoreMetadata::Sha256),
        size: Some(judged.size),
        upload_time: judged.upload_time.clone(),
        yanked: row.yanked.as_ref().map(|y| crate::package::Yank::new(&y.reason)),
        provenance: judged
            .found
            .document(DocumentKind::Provenance)
            .map(|_| provenance_url(root, &judged.sha256, &judged.filename)),
    }
}

fn offered(candidate: &Candidate, root: &str) -> IndexFile {
    let file = &candidate.file;
    // A wheel always has metadata: upstream's, or read out of the wheel by ranges. The digest is only
    // stated where upstream states it: an installer refuses metadata that does not match.
    let core_metadata = match file.core_metadata {
        CoreMetadata::Sha256(digest) => CoreMetadata::Sha256(digest),
        _ if candidate.is_wheel() => CoreMetadata::Available,
        _ => CoreMetadata::None,
    };
    IndexFile {
        filename: file.filename.clone(),
        url: file_url(root, &candidate.sha256, &file.filename),
        sha256: candidate.sha256,
        requires_python: file.requires_python.clone(),
        core_metadata,
        size: file.size,
        upload_time: file.upload_time.clone(),
        yanked: file.yanked.clone(),
        provenance: file
            .provenance
            .as_ref()
            .map(|_| provenance_url(root, &candidate.sha256, &file.filename)),
    }
}

/// Where a file's provenance is served (PEP 740): beside it, so that the link names one content.
fn provenance_url(root: &str, sha256: &Digest, filename: &str) -> String {
    let mut url = file_url(root, sha256, filename);
    url.push_str(".provenance");
    url
}

/// Where a file is served, relative to a page that is `root` away from the host's root.
pub fn file_url(root: &str, sha256: &Digest, filename: &str) -> String {
    format!("{root}/files/{sha256}/{}", utf8_percent_encode(filename, SEGMENT))
}
