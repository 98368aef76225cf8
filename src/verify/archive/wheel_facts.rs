//! What is true of a sound wheel and may matter to policy: what it runs, what it bundles, what built it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::names::{has_suffix, installed_path};
use super::report::{LISTED_NAMES, Report, shown};
use super::wheel::{Layout, top_folder};
use super::wheel_file::WheelFile;
use super::zip::Member;

/// Files with executable bits, by what they are.
///
/// Which of them are *unexpected* was measured on 241 popular wheels **[m]**: 38 carry the bit on something that is
/// neither script nor native code by its name. Content accounts for most (`#!` scripts, ELF programs without a
/// suffix); Python modules in docutils, redis or certifi and data files in awscli (776), statsmodels (122), pyside6,
/// playwright, debugpy or nltk have it by accident; Bazel sets it on everything (protobuf, selenium). No installer
/// runs a file because of its bit, and refusing those would refuse a tenth of the index. So the bit is a fact, by
/// class, for a stricter policy to judge, and is *refused* where no real wheel has it and nothing can need it: on
/// metadata (`.dist-info`), on files that Python runs at start-up (`.pth`) and on headers, unless every file of the
/// archive has it and it says nothing.
#[derive(Debug, Default)]
pub(super) struct Executables {
    files: u64,
    executable: u64,
    scripts: u64,
    native: u64,
    shebang: u64,
    python: Vec<String>,
    other: Vec<String>,
    refused: Vec<String>,
}

impl Executables {
    /// Counts one member, whose first bytes are `head`.
    pub(super) fn see(&mut self, member: &Member<'_>, head: &[u8], layout: &Layout<'_>) {
        if member.is_folder() {
            return;
        }
        self.files += 1;
        if !member.is_executable() {
            return;
        }
        self.executable += 1;
        let scheme = |scheme: &str| in_scheme(member.name, layout, scheme);
        if scheme("scripts") {
            self.scripts += 1;
        } else if is_metadata(member.name, layout) || is_start_up(member.name, layout) || scheme("headers") {
            self.refused.push(member.name.to_owned());
        } else if is_native_content(head) {
            self.native += 1;
        } else if head.starts_with(b"#!") {
            self.shebang += 1;
        } else if has_suffix(member.name, "py") {
            self.python.push(member.name.to_owned());
        } else {
            self.other.push(member.name.to_owned());
        }
    }

    /// Notes the unexpected ones, and states the rest as a fact.
    pub(super) fn judge(&self, layout: &Layout<'_>, report: &mut Report) {
        let uniform = self.executable == self.files;
        if !uniform {
            for name in &self.refused {
                let what = if is_metadata(name, layout) {
                    "metadata"
                } else {
                    "a file that nothing executes"
                };
                report.entry(
                    "unexpected-executable",
                    name,
                    format!("{what} has an executable bit"),
                );
            }
        }
        let first = |names: &[String]| {
            names
                .iter()
                .take(LISTED_NAMES)
                .map(|name| shown(name))
                .collect::<Vec<_>>()
        };
        report.fact(
            "executables",
            json!({
                "count": self.executable,
                "every_file": uniform,
                "scripts": self.scripts,
                "native": self.native,
                "shebang": self.shebang,
                "python": { "count": self.python.len(), "first": first(&self.python) },
                "unexpected": { "count": self.other.len(), "first": first(&self.other) },
            }),
        );
    }
}

/// ELF, PE, and the five forms of Mach-O.
pub(super) fn is_native_content(head: &[u8]) -> bool {
    const MACH_O: [[u8; 4]; 5] = [
        *b"\xfe\xed\xfa\xce",
        *b"\xfe\xed\xfa\xcf",
        *b"\xce\xfa\xed\xfe",
        *b"\xcf\xfa\xed\xfe",
        *b"\xca\xfe\xba\xbe",
    ];
    head.starts_with(b"\x7fELF")
        || head.starts_with(b"MZ")
        || MACH_O.iter().any(|magic| head.starts_with(magic))
}

fn is_metadata(name: &str, layout: &Layout<'_>) -> bool {
    top_folder(name) == layout.dist_info
}

fn in_scheme(name: &str, layout: &Layout<'_>, scheme: &str) -> bool {
    layout
        .data
        .and_then(|data| name.strip_prefix(data))
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.strip_prefix(scheme))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether Python runs the file whenever it starts: `*.pth` beside the packages, `sitecustomize`, `usercustomize`.
/// A `.pth` under `*.data/data` counts wherever it lies, since that scheme can reach site-packages.
pub(super) fn is_start_up(name: &str, layout: &Layout<'_>) -> bool {
    let path = installed_path(name, layout.data);
    if has_suffix(&path, "pth") && (!path.contains('/') || in_scheme(name, layout, "data")) {
        return true;
    }
    let file = path.rsplit('/').next().unwrap_or_default();
    let at_root = !path.contains('/') || in_scheme(name, layout, "data");
    let module = |module: &str| {
        (at_root
            && file
                .strip_prefix(module)
                .is_some_and(|rest| rest.starts_with('.')))
            || path
                .strip_prefix(module)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    module("sitecustomize") || module("usercustomize")
}

/// Shared libraries and extension modules, by name.
fn is_native_library(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    ["so", "pyd", "dll", "dylib"]
        .iter()
        .any(|suffix| has_suffix(file, suffix))
        || file.contains(".so.")
}

fn is_archive(name: &str) -> bool {
    [
        "whl", "zip", "egg", "jar", "gz", "tgz", "bz2", "xz", "zst", "tar", "7z", "rar",
    ]
    .iter()
    .any(|suffix| has_suffix(name, suffix))
}

/// Folders that wheel repair tools put foreign libraries in: `name.libs/` (auditwheel, delvewheel), `.dylibs/` (delocate).
fn bundled_folder(name: &str) -> Option<&str> {
    let top = top_folder(name);
    if top.len() < name.len() && has_suffix(top, "libs") {
        return Some(top);
    }
    name.find("/.dylibs/").map(|at| &name[..at + "/.dylibs".len()])
}

/// States the facts of a wheel that passed.
pub(super) fn state_facts(
    members: &[Member<'_>],
    layout: &Layout<'_>,
    wheel: &WheelFile,
    entry_points: Option<&[u8]>,
    report: &mut Report,
) {
    let files = || members.iter().filter(|member| !member.is_folder());
    let names = |wanted: &dyn Fn(&str) -> bool| -> Vec<String> {
        files()
            .map(|member| member.name)
            .filter(|name| wanted(name))
            .map(str::to_owned)
            .collect()
    };
    report.fact("kind", "wheel");
    report.fact("entries", members.len());
    report.fact("files", files().count());
    report.fact(
        "packed_bytes",
        members.iter().map(|member| member.compressed).sum::<u64>(),
    );
    report.fact(
        "unpacked_bytes",
        members.iter().map(|member| member.size).sum::<u64>(),
    );
    report.fact(
        "largest_entry_bytes",
        members.iter().map(|member| member.size).max().unwrap_or(0),
    );
    report.fact("dist_info", layout.dist_info);

    let top: BTreeSet<String> = files()
        .map(|member| installed_path(member.name, layout.data))
        .map(|path| top_folder(&path).to_owned())
        .filter(|top| top != layout.dist_info && Some(top.as_str()) != layout.data)
        .collect();
    report.names("top_level", &top.into_iter().collect::<Vec<_>>());

    report.fact("wheel_version", format!("1.{}", wheel.minor));
    report.fact(
        "generator",
        wheel
            .generator
            .as_deref()
            .map_or(Value::Null, |generator| shown(generator).into()),
    );
    report.fact("root_is_purelib", wheel.root_is_purelib);
    report.fact(
        "tags",
        wheel.tags.iter().map(|tag| shown(tag)).collect::<Vec<_>>(),
    );
    report.fact(
        "build",
        wheel
            .build
            .as_deref()
            .map_or(Value::Null, |build| shown(build).into()),
    );

    report.names("start_up", &names(&|name| is_start_up(name, layout)));
    report.names("native_libraries", &names(&is_native_library));
    let bundled: BTreeSet<String> = files()
        .filter_map(|member| bundled_folder(member.name))
        .map(str::to_owned)
        .collect();
    report.names(
        "bundled_library_folders",
        &bundled.into_iter().collect::<Vec<_>>(),
    );
    let sboms = format!("{}/sboms/", layout.dist_info);
    report.names("sboms", &names(&|name| name.starts_with(&sboms)));
    report.names("nested_archives", &names(&is_archive));
    report.names(
        "signatures",
        &names(&|name| {
            name == format!("{}/RECORD.jws", layout.dist_info)
                || name == format!("{}/RECORD.p7s", layout.dist_info)
        }),
    );
    let data: Map<String, Value> = ["purelib", "platlib", "headers", "scripts", "data"]
        .into_iter()
        .map(|scheme| {
            (
                scheme,
                files()
                    .filter(|member| in_scheme(member.name, layout, scheme))
                    .count(),
            )
        })
        .filter(|(_, count)| *count > 0)
        .map(|(scheme, count)| (scheme.to_owned(), count.into()))
        .collect();
    report.fact("data_schemes", data);
    report.names("scripts", &names(&|name| in_scheme(name, layout, "scripts")));
    report.fact(
        "entry_points",
        entry_points.map_or_else(|| json!({}), read_entry_points),
    );
}

/// The commands that an installer makes (`console_scripts`, `gui_scripts`), and how many entries other groups have.
/// Lenient: `entry_points.txt` is a fact here, its reading by an installer is the installer's.
fn read_entry_points(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    let mut groups: Map<String, Value> = Map::new();
    let mut group = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            group = shown(name.trim());
        } else if let Some((name, target)) = line.split_once('=')
            && !line.starts_with(['#', ';'])
            && !group.is_empty()
            && (groups.contains_key(&group) || groups.len() < LISTED_NAMES)
        {
            if group == "console_scripts" || group == "gui_scripts" {
                let scripts = groups.entry(group.clone()).or_insert_with(|| json!({}));
                if let Some(scripts) = scripts
                    .as_object_mut()
                    .filter(|scripts| scripts.len() < LISTED_NAMES)
                {
                    scripts.insert(shown(name.trim()), shown(target.trim()).into());
                }
            } else {
                let count = groups.get(&group).and_then(Value::as_u64).unwrap_or(0);
                groups.insert(group.clone(), (count + 1).into());
            }
        }
    }
    Value::Object(groups)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const LAYOUT: Layout<'_> = Layout {
        dist_info: "p-1.dist-info",
        data: Some("p-1.data"),
    };

    #[test]
    fn start_up_code() {
        for name in [
            "evil.pth",
            "EVIL.PTH",
            "p-1.data/purelib/evil.pth",
            "p-1.data/data/lib/python3.11/site-packages/evil.pth",
            "sitecustomize.py",
            "sitecustomize.cpython-311-x86_64-linux-gnu.so",
            "usercustomize/__init__.py",
            "p-1.data/platlib/sitecustomize.py",
            "p-1.data/data/lib/python3.11/site-packages/sitecustomize.py",
        ] {
            assert!(is_start_up(name, &LAYOUT), "{name}");
        }
        for name in [
            "p/data.pth",
            "p/sitecustomize.py",
            "mysitecustomize.py",
            "sitecustomizer.py",
            "pth",
        ] {
            assert!(!is_start_up(name, &LAYOUT), "{name}");
        }
    }

    #[test]
    fn libraries_and_folders() {
        for name in [
            "a.so",
            "a/b.cpython-311.so",
            "x.libs/libz-1.so.1.2",
            "a.pyd",
            "a.DLL",
            "a/.dylibs/b.dylib",
        ] {
            assert!(is_native_library(name), "{name}");
        }
        assert!(!is_native_library("so"));
        assert!(!is_native_library("a.sock"));
        assert_eq!(bundled_folder("numpy.libs/x.so"), Some("numpy.libs"));
        assert_eq!(bundled_folder("a/.dylibs/b.dylib"), Some("a/.dylibs"));
        assert_eq!(bundled_folder("a/b.libs/c"), None);
    }

    #[test]
    fn entry_points() {
        let text = b"[console_scripts]\nx = a.b:main\n# y = no\n[plugins]\na = b\nc = d\n";
        assert_eq!(
            read_entry_points(text),
            json!({"console_scripts": {"x": "a.b:main"}, "plugins": 2})
        );
        assert_eq!(read_entry_points(b"\xff\xfe garbage"), json!({}));
    }
}
