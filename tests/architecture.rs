//! Promise: the walls of README's map stand. The compiler cannot see them, so this reads the source.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines of one source file at most: more than this is not read in one go.
const MAX_LINES: usize = 500;

/// Who may import whom inside the root crate.
#[rustfmt::skip] // a list that is read as a table
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("lib", &[]),
    (
        "cli",
        &["advisories", "api", "app", "blocking", "config", "http", "package", "policy", "rebuild", "telemetry", "upstream", "verify", "keys", "proxy", "tuf_client", "bundle", "oci", "statement"],
    ),
    (
        "app",
        &[
            "api", "blocking", "catalog", "config", "http", "index", "ingest", "jobs", "mirror", "package",
            "advisories", "policy", "rebuild", "statement", "telemetry", "upstream", "verify", "keys", "publish", "ceremony",
            "snapshot", "bundle",
        ],
    ),
    (
        "http",
        &[
            "advisories", "api", "blocking", "catalog", "index", "ingest", "jobs", "mirror", "package", "policy", "statement",
            "telemetry", "upstream", "verify", "keys", "publish", "ceremony", "snapshot", "bundle",
        ],
    ),
    (
        "snapshot",
        &[
            "advisories", "api", "blocking", "bundle", "catalog", "config", "index", "ingest", "mirror", "package", "policy", "publish",
            "statement", "telemetry", "tuf_client", "verify",
        ],
    ),
    ("oci", &["blocking", "bundle", "package", "upstream"]),
    ("bundle", &["blocking", "package", "statement", "tuf_client"]),
    ("proxy", &["blocking", "http", "index", "package", "telemetry", "tuf_client", "upstream"]),
    ("tuf_client", &["blocking"]),
    ("ceremony", &["api", "blocking", "catalog", "keys", "publish"]),
    ("publish", &["blocking", "catalog", "index", "keys", "package", "policy", "telemetry", "verify"]),
    ("keys", &["blocking"]),
    (
        "rebuild",
        &["blocking", "catalog", "index", "mirror", "package", "upstream", "verify"],
    ),
    (
        "jobs",
        &[
            "api", "blocking", "catalog", "index", "ingest", "mirror", "package", "policy", "rebuild", "statement",
            "telemetry", "upstream", "verify", "publish", "snapshot", "bundle",
        ],
    ),
    (
        "mirror",
        &["blocking", "catalog", "config", "index", "ingest", "package", "telemetry", "upstream", "verify"],
    ),
    (
        "ingest",
        &[
            "advisories", "blocking", "catalog", "config", "package", "policy", "statement", "telemetry", "upstream",
            "verify",
        ],
    ),
    ("index", &["catalog", "package", "verify"]),
    ("catalog", &["bundle", "package", "policy", "verify"]),
    ("policy", &["config", "package", "verify"]),
    ("verify", &["package", "statement"]),
    ("statement", &[]),
    ("upstream", &["blocking", "package"]),
    ("advisories", &["blocking", "package", "policy", "verify"]),
    ("package", &[]),
    ("blocking", &[]),
    ("config", &[]),
    ("telemetry", &[]),
    ("api", &[]),
];

/// What some modules may take of wider ones: the names after `crate::MODULE::`.
const ONLY_THESE: &[(&str, &str, &[&str])] = &[
    ("http", "upstream", &["Mode", "State", "UpstreamError"]),
    ("index", "verify", &["DocumentKind"]),
    ("oci", "upstream", &["parse_retry_after"]),
    ("proxy", "upstream", &["FlightLost", "Flights"]),
    ("mirror", "config", &["OwnedPatterns"]),
    (
        "policy",
        "config",
        &[
            "Clock",
            "OwnedPattern",
            "OwnedPatterns",
            "Policy",
            "Publisher",
            "PublisherKind",
            "Rule",
            "Severity",
        ],
    ),
    ("ingest", "config", &["OwnedPatterns"]),
    // The log names a bundle with the words of its manifest.
    (
        "catalog",
        "bundle",
        &["Scope", "Seen", "SnapshotId", "TufVersions"],
    ),
    (
        "mirror",
        "verify",
        &[
            "CheckName",
            "Document",
            "DocumentKind",
            "DocumentOrigin",
            "Outcome",
            "Report",
            "advisories",
        ],
    ),
];

/// What each module may take of the store. Absent: nothing.
const OF_THE_STORE: &[(&str, &[&str])] = &[
    ("cli", &["*"]),
    ("app", &["*"]),
    ("http", &["*"]),
    ("jobs", &["*"]),
    ("rebuild", &["BlobError", "Digest"]),
    ("snapshot", &["*"]),
    ("bundle", &["*"]),
    ("oci", &["Digest", "digest"]),
    ("mirror", &["BlobError", "Digest"]),
    (
        "ingest",
        &["BlobError", "BlobStore", "Digest", "Measured", "StagedBlob"],
    ),
    ("index", &["Digest"]),
    ("publish", &["*"]),
    ("ceremony", &["Digest"]),
    (
        "proxy",
        &["BlobError", "BlobOptions", "BlobStore", "Digest", "OpenBlob"],
    ),
    ("tuf_client", &["Digest"]),
    ("catalog", &["*"]),
    ("policy", &["Digest", "digest"]),
    ("verify", &["Digest", "Measured", "digest", "hashing"]),
    ("statement", &["Digest"]),
    ("advisories", &["*"]),
    ("upstream", &["Digest", "digest"]),
    ("package", &["Digest", "digest"]),
];

/// PEP 740's predicate type, below any host.
const NAMES_LIKE_ADDRESSES: &[&str] = &[concat!("https://docs.", "py", "pi.org/attestations/publish/v1")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder, sorted, without what is generated or is not ours.
fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() || [".git", "target", "chiron-data"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    let files = files_under(&root().join(folder)).into_iter();
    let rust = files.filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The source without its comments, so that a doc link is no import.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.find("//").map_or(line, |at| &line[..at]));
    lines.collect::<Vec<_>>().join("\n")
}

/// The identifiers that follow `prefix::` in the code, a group's first names each.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let marker = format!("{prefix}::");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&marker) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[at + marker.len()..];
        let list = match rest.strip_prefix('{') {
            Some(group) => group[..group.find("};").unwrap_or(group.len())].to_owned(),
            None => identifier(rest),
        };
        let mut depth = 0_usize;
        let mut start = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => start = true,
                _ if start && depth == 0 && !c.is_whitespace() => {
                    names.insert(identifier(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The top module that a file of `src/` belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn modules_import_only_what_the_map_allows() {
    let may: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut imports = 0;
    for (path, text) in rust_files("src") {
        let module = module_of(&path);
        let allowed = may
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} is not on the map"));
        let code = code(&text);
        for name in names_after(&code, "crate") {
            imports += 1;
            if name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {module} imports {name}", path.display()));
            }
        }
        for (_, of, only) in ONLY_THESE.iter().filter(|(who, ..)| *who == module) {
            for name in names_after(&code, &format!("crate::{of}")) {
                if !only.contains(&name.as_str()) {
                    wrong.push(format!("{}: {module} takes {name} of {of}", path.display()));
                }
            }
        }
    }
    assert!(
        imports > 100,
        "only {imports} imports were found: the reader is broken"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_map_has_every_module_and_no_circle() {
    let there: BTreeSet<String> = rust_files("src")
        .iter()
        .map(|(path, _)| module_of(path))
        .collect();
    let mapped: BTreeSet<String> = MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(there, mapped);
    // Taking away what imports nothing that is left must take away everything.
    let mut left: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    while !left.is_empty() {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, of)| of.iter().all(|name| !left.contains_key(name)))
            .map(|(name, _)| *name)
            .collect();
        assert!(
            !free.is_empty(),
            "these import each other in a circle: {:?}",
            left.keys()
        );
        left.retain(|name, _| !free.contains(name));
    }
}

#[test]
fn each_module_takes_of_the_store_only_what_it_may() {
    let may: BTreeMap<&str, &[&str]> = OF_THE_STORE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        let module = module_of(&path);
        let allowed = may.get(module.as_str()).copied().unwrap_or_default();
        for name in names_after(&code(&text), "chiron_storage") {
            if !allowed.contains(&"*") && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {module} takes {name} of the store", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_members_know_neither_each_other_nor_the_root() {
    for (folder, strangers) in [
        ("storage", ["chiron_tuf", "chiron"]),
        ("tuf-repo", ["chiron_storage", "chiron"]),
    ] {
        for (path, text) in rust_files(folder) {
            for stranger in strangers {
                let names = names_after(&code(&text), stranger);
                assert!(
                    names.is_empty(),
                    "{} imports {stranger}: {names:?}",
                    path.display()
                );
            }
        }
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(
            !manifest.contains("path = "),
            "{folder} depends on another package of this workspace"
        );
    }
}

#[test]
fn one_file_names_the_database() {
    let files = ["src", "storage", "tuf-repo"].into_iter().flat_map(rust_files);
    let naming: Vec<PathBuf> = files
        .filter(|(_, text)| text.contains("rocksdb"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(naming, [root().join("storage/src/db.rs")]);
}

#[test]
fn files_are_short_and_there_is_no_drawer() {
    let mut long = Vec::new();
    for (path, text) in ["src", "storage", "tuf-repo"].into_iter().flat_map(rust_files) {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines} lines", path.display()));
        }
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            !["utils", "util", "helpers", "misc", "common"].contains(&stem.as_str()),
            "{}",
            path.display()
        );
        assert!(!code(&text).contains("mod utils"), "{}", path.display());
    }
    assert!(long.is_empty(), "over {MAX_LINES} lines:\n{}", long.join("\n"));
}

/// The hosts that pip itself has built in; none is written here.
fn hosts_pip_knows() -> Vec<String> {
    let code = "from pip._internal.models.index import PyPI, TestPyPI\n\
                print(*{h for i in (PyPI, TestPyPI) for h in (i.netloc, i.file_storage_domain)})";
    let asked = Command::new("python3")
        .args(["-c", code])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = asked.map(|output| (output.status.success(), output.stdout)) else {
        return Vec::new();
    };
    match output {
        (true, said) => String::from_utf8(said)
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        (false, _) => Vec::new(),
    }
}

#[test]
fn no_registry_is_written_anywhere() {
    let hosts = hosts_pip_knows();
    if hosts.is_empty() {
        assert!(
            std::env::var("CHIRON_TESTS_REQUIRE").is_err(),
            "python3 has no pip to ask"
        );
        eprintln!("LEFT OUT: python3 has no pip to ask which hosts must not be written");
        return;
    }
    assert!(
        hosts.len() >= 2 && hosts.iter().all(|host| host.contains('.')),
        "{hosts:?}"
    );
    let mut wrong = Vec::new();
    let mut read = 0;
    for path in files_under(root()) {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        read += 1;
        // Names that a specification gives to a kind of statement look like addresses, and nobody goes there.
        let text = NAMES_LIKE_ADDRESSES
            .iter()
            .fold(text, |text, name| text.replace(name, ""));
        for (n, line) in text.lines().enumerate() {
            if hosts.iter().any(|host| line.contains(host)) {
                wrong.push(format!("{}:{}", path.display(), n + 1));
            }
        }
    }
    assert!(read > 100, "only {read} files were read");
    assert!(
        wrong.is_empty(),
        "a registry's address is written in\n{}",
        wrong.join("\n")
    );
}
