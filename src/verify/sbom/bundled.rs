//! What a wheel carries of others, and whether a bill names it.
//!
//! Tools that repair wheels copy foreign libraries into `name.libs/` (auditwheel, delvewheel) or `.dylibs/` (delocate)
//! under a name with a part of their hash: `libgomp-e985bcbb.so.1.0.0`. A bill names what the library was built from:
//! `pkg:rpm/almalinux/libgomp@8.5.0`. The two are brought together by hash, by file name, or by name alone; a name is a
//! guess, so a library without a component is a warning and a fact for policy, not a failure.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

use chiron_storage::Digest;

use super::bill::Component;
use super::role::python_project;
use crate::package::ProjectName;
use crate::verify::{ContentEntry, Contents};

/// Vendored projects read from a wheel's lists at most. Threat: lists of millions of lines.
const MAX_VENDORED: usize = 2_000;

/// Bundled libraries looked at; real wheels have some hundreds. Threat: a hundred thousand empty ones.
const MAX_LIBRARIES: usize = 10_000;

/// Libraries whose project has a name of its own: library, project.
const ALIASES: [(&str, &str); 24] = [
    ("brotli", "brotli"),
    ("com_err", "e2fsprogs"),
    ("com_err", "krb5"),
    ("crypto", "openssl"),
    ("ssl", "openssl"),
    ("gfortran", "gcc"),
    ("gomp", "gcc"),
    ("gssapi", "krb5"),
    ("k5crypto", "krb5"),
    ("jpeg", "jpegturbo"),
    ("lber", "openldap"),
    ("ldap", "openldap"),
    ("lcms", "littlecms"),
    ("lzma", "xz"),
    ("openblas", "openblas"),
    ("openjp", "openjpeg"),
    ("pq", "postgresql"),
    ("quadmath", "gcc"),
    ("sasl", "cyrussasl"),
    ("scipy_openblas", "openblas"),
    ("sharpyuv", "webp"),
    ("stdc++", "gcc"),
    ("turbojpeg", "jpegturbo"),
    ("z", "zlib"),
];

/// What a wheel carries of others.
#[derive(Debug, Default)]
pub(super) struct Bundled<'c> {
    pub(super) libraries: Vec<&'c ContentEntry>,
    /// Project and version, as the lists pin them.
    pub(super) vendored: BTreeMap<ProjectName, String>,
}

impl<'c> Bundled<'c> {
    pub(super) fn of(contents: &'c Contents) -> Self {
        let libraries = contents
            .entries
            .iter()
            .filter(|entry| is_bundled_library(&entry.name))
            .take(MAX_LIBRARIES);
        let mut vendored = BTreeMap::new();
        for (_, list) in &contents.vendor_lists {
            let list = String::from_utf8_lossy(list);
            let pins = list.lines().filter_map(pin);
            vendored.extend(pins.take(MAX_VENDORED));
        }
        Self {
            libraries: libraries.collect(),
            vendored,
        }
    }

    /// How much there is.
    pub(super) fn total(&self) -> u64 {
        (self.libraries.len() + self.vendored.len()) as u64
    }

    /// Everything, as the facts show it.
    pub(super) fn shown(&self) -> impl Iterator<Item = String> {
        let libraries = self.libraries.iter().map(|entry| entry.name.clone());
        libraries.chain(
            self.vendored
                .iter()
                .map(|(name, version)| format!("{name}=={version}")),
        )
    }

    /// What no component of `components` is.
    pub(super) fn unclaimed(&self, components: &[&Component]) -> Vec<String> {
        if self.libraries.is_empty() && self.vendored.is_empty() {
            return Vec::new();
        }
        let claims = Claims::of(components);
        let libraries = self.libraries.iter().filter(|entry| !claims.library(entry));
        let vendored = self
            .vendored
            .iter()
            .filter(|(name, _)| !claims.projects.contains(*name));
        libraries
            .map(|entry| entry.name.clone())
            .chain(vendored.map(|(name, version)| format!("{name}=={version}")))
            .collect()
    }
}

/// What the components of bills lay claim to, looked up in steps that do not grow with their number: a hostile bill and
/// a hostile wheel may each have a hundred thousand of them.
struct Claims<'b> {
    sha256: HashSet<Digest>,
    /// File names and paths.
    paths: HashSet<&'b str>,
    /// See [`key`].
    keys: BTreeSet<String>,
    projects: HashSet<ProjectName>,
}

impl<'b> Claims<'b> {
    fn of(components: &[&'b Component]) -> Self {
        let all = || components.iter().copied();
        Self {
            sha256: all()
                .flat_map(|component| component.sha256.iter().copied())
                .collect(),
            paths: all()
                .flat_map(|component| {
                    let paths = component.paths.iter().map(String::as_str);
                    paths.chain([component.name.as_str()])
                })
                .collect(),
            keys: all().map(|component| key(&component.name)).collect(),
            projects: all().filter_map(python_project).collect(),
        }
    }

    fn library(&self, entry: &ContentEntry) -> bool {
        let file = file_name(&entry.name);
        if self.sha256.contains(&entry.sha256)
            || self.paths.contains(file)
            || self.paths.contains(entry.name.as_str())
        {
            return true;
        }
        let library = key(library_name(file));
        if library.is_empty() {
            return false;
        }
        // One and two letters begin everything: only equal names and aliases speak for those.
        let project_begins = (3..=library.len()).any(|end| self.keys.contains(&library[..end]));
        self.keys.contains(&library)
            || project_begins
            || library.len() >= 3 && self.any_begins_with(&library)
            || ALIASES.iter().any(|(of, project)| {
                (library == *of || of.len() >= 3 && library.starts_with(of)) && self.any_begins_with(project)
            })
    }

    fn any_begins_with(&self, start: &str) -> bool {
        self.keys
            .range::<str, _>((Bound::Included(start), Bound::Unbounded))
            .next()
            .is_some_and(|key| key.starts_with(start))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A shared library in a folder that a repair tool made.
fn is_bundled_library(path: &str) -> bool {
    let in_folder = path.contains("/.dylibs/")
        || path
            .split_once('/')
            .is_some_and(|(top, _)| top.strip_suffix(".libs").is_some_and(|stem| !stem.is_empty()));
    let file = file_name(path).to_ascii_lowercase();
    let is_library = [".so", ".dll", ".dylib"]
        .iter()
        .any(|suffix| file.ends_with(suffix));
    in_folder && (is_library || file.contains(".so."))
}

/// `libgfortran-040039e1-0352e75f.so.5.0.0` is `libgfortran`.
pub(super) fn library_name(file: &str) -> &str {
    let mut name = file.split_once('.').map_or(file, |(stem, _)| stem);
    while let Some((front, last)) = name.rsplit_once('-') {
        let is_hash = last.len() >= 6 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash && !last.is_empty() {
            break;
        }
        name = front;
    }
    name
}

/// Letters, digits, `_` and `+` of a name, in lower case, without `lib` before and version digits behind.
fn key(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '+'))
        .map(|character| character.to_ascii_lowercase())
        .collect();
    let name = name
        .strip_prefix("lib")
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&name);
    let name = name.strip_suffix("64_").unwrap_or(name);
    name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '_')
        .to_owned()
}

/// `name==version` at the front of a line of a requirements file; markers, hashes and comments may follow.
fn pin(line: &str) -> Option<(ProjectName, String)> {
    let line = line.split(['#', ';']).next()?;
    let line = line.split_whitespace().next()?;
    let (name, version) = line.split_once("==")?;
    let name = name.split_once('[').map_or(name, |(name, _)| name);
    let version = version.trim();
    let is_version = !version.is_empty()
        && version.len() <= 64
        && version
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+!-_".contains(&byte));
    is_version.then(|| Some((ProjectName::parse(name.trim()).ok()?, version.to_owned())))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str) -> ContentEntry {
        ContentEntry {
            name: name.to_owned(),
            size: 1,
            sha256: Digest::of(name.as_bytes()),
            mode: 0,
        }
    }

    fn component(name: &str, purl: &str) -> Component {
        Component {
            name: name.to_owned(),
            purl: (!purl.is_empty()).then(|| purl.to_owned()),
            ..Component::default()
        }
    }

    #[test]
    fn libraries_lie_in_the_folders_of_repair_tools() {
        for path in [
            "numpy.libs/libz-1a2b3c4d.so.1",
            "a/.dylibs/libx.dylib",
            "p.libs/msvcp140-abcdef12.dll",
        ] {
            assert!(is_bundled_library(path), "{path}");
        }
        for path in [
            "a/b.so",
            "numpy.libs/readme.txt",
            ".libs/x.so",
            "a/libs/x.so",
            "numpy.libs/",
        ] {
            assert!(!is_bundled_library(path), "{path}");
        }
    }

    #[test]
    fn names_lose_their_hashes() {
        for (file, name) in [
            ("libXau-154567c4.so.6.0.0", "libXau"),
            ("libgfortran-040039e1-0352e75f.so.5.0.0", "libgfortran"),
            ("libscipy_openblas64_-32a4b2a6.so", "libscipy_openblas64_"),
            ("libfoo-bar.1.dylib", "libfoo-bar"),
            ("-", ""),
        ] {
            assert_eq!(library_name(file), name, "{file}");
        }
    }

    #[test]
    fn real_libraries_are_found_under_the_names_of_their_projects() {
        for (file, name) in [
            ("pillow.libs/libXau-154567c4.so.6.0.0", "libXau"),
            ("pillow.libs/libjpeg-6dc8d115.so.62.4.0", "libjpeg-turbo"),
            ("pillow.libs/libpng16-1d1ba958.so.16.58.0", "libpng"),
            ("pillow.libs/libwebpmux-8fb1c9f6.so.3.1.2", "libwebp"),
            ("pillow.libs/libsharpyuv-0066295b.so.0.1.2", "libwebp"),
            ("pillow.libs/libopenjp2-e530e1bf.so.2.5.4", "openjpeg"),
            ("pillow.libs/liblzma-de26b416.so.5.8.4", "xz"),
            ("pillow.libs/libbrotlidec-7e5462ba.so.1.2.0", "brotli"),
            ("numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "gcc"),
            ("numpy.libs/libscipy_openblas64_-32a4b2a6.so", "OpenBLAS"),
            ("p.libs/libkeyutils-dfe70bd6.so.1.5", "keyutils-libs"),
            ("p.libs/libsasl2-84219a89.so.3.0.0", "cyrus-sasl-lib"),
            ("p.libs/libcrypto-3a0647ea.so.3", "openssl"),
            ("p.libs/libz-1a2b3c4d.so.1", "zlib"),
        ] {
            let contents = Contents {
                entries: vec![entry(file)],
                ..Contents::default()
            };
            let bundled = Bundled::of(&contents);
            assert_eq!(
                bundled.unclaimed(&[&component(name, "")]),
                [""; 0],
                "{file} {name}"
            );
            assert_eq!(bundled.unclaimed(&[&component("requests", "")]), [file], "{file}");
        }
    }

    #[test]
    fn a_hash_or_a_path_claims_whatever_the_name() {
        let contents = Contents {
            entries: vec![entry("p.libs/libq-12345678.so")],
            ..Contents::default()
        };
        let bundled = Bundled::of(&contents);
        let mut claims = component("anything", "");
        claims.sha256 = vec![contents.entries[0].sha256];
        assert!(bundled.unclaimed(&[&claims]).is_empty());
        claims.sha256.clear();
        assert_eq!(bundled.unclaimed(&[&claims]).len(), 1);
        claims.paths = vec!["p.libs/libq-12345678.so".to_owned()];
        assert!(bundled.unclaimed(&[&claims]).is_empty());
    }

    #[test]
    fn vendored_projects_are_read_from_pips_list() {
        let list = b"CacheControl==0.14.4\nrequests==2.34.0\n    idna==3.10  # why\n# x==1\n-r other\nrich[all]==14.0; python_version > '3'\nnot a pin\n";
        let contents = Contents {
            vendor_lists: vec![("pip/_vendor/vendor.txt".to_owned(), list.to_vec())],
            ..Contents::default()
        };
        let bundled = Bundled::of(&contents);
        let shown: Vec<String> = bundled.shown().collect();
        assert_eq!(
            shown,
            [
                "cachecontrol==0.14.4",
                "idna==3.10",
                "requests==2.34.0",
                "rich==14.0"
            ]
        );
        let claims = [component("idna", "pkg:pypi/idna@3.10"), component("Requests", "")];
        let claims: Vec<&Component> = claims.iter().collect();
        assert_eq!(bundled.unclaimed(&claims), ["cachecontrol==0.14.4", "rich==14.0"]);
    }

    proptest! {
        #[test]
        fn any_list_and_any_name_are_read(list in proptest::collection::vec(any::<u8>(), 0..200), name in ".{0,30}") {
            let contents = Contents {
                entries: vec![entry(&format!("p.libs/{name}.so"))],
                vendor_lists: vec![("p/_vendor/vendor.txt".to_owned(), list)],
                ..Contents::default()
            };
            let bundled = Bundled::of(&contents);
            prop_assert!(bundled.unclaimed(&[&component(&name, "")]).len() <= bundled.shown().count());
        }
    }
}
