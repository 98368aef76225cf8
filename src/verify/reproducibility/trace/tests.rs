#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;

use super::*;

const CODE: &[u8] = b"VALUE = 1\n";
const MORE: &[u8] = b"VALUE = 2\n";
const EVIL: &[u8] = b"import os; os.system('evil')\n";

fn wheel(files: &[(&str, &[u8])]) -> Contents {
    let own: [(&str, &[u8]); 2] = [
        ("demo-1.dist-info/METADATA", b"x"),
        ("demo-1.dist-info/RECORD", b"y"),
    ];
    Contents {
        dist_info: "demo-1.dist-info".to_owned(),
        data: Some("demo-1.data".to_owned()),
        entries: files
            .iter()
            .chain(&own)
            .map(|(name, bytes)| ContentEntry {
                name: (*name).to_owned(),
                size: bytes.len() as u64,
                sha256: Digest::of(bytes),
                mode: 0o644,
            })
            .collect(),
        pure: true,
        ..Contents::default()
    }
}

fn sdist(files: &[(&str, &[u8])]) -> Vec<SourceFile> {
    files
        .iter()
        .map(|(path, bytes)| SourceFile {
            path: (*path).to_owned(),
            sha256: Some(Digest::of(bytes)),
            as_script: None,
        })
        .collect()
}

/// The files of the wheel that are not in the source, and why.
fn missing(wheel_files: &[(&str, &[u8])], source: &[(&str, &[u8])]) -> Vec<(String, Missing)> {
    let facts = trace(&wheel(wheel_files), &sdist(source));
    assert_eq!(facts.files, wheel_files.len() as u64);
    assert_eq!(facts.files - facts.in_source, facts.missing.len() as u64);
    assert_eq!(facts.is_complete(), facts.missing.is_empty());
    facts
        .missing
        .into_iter()
        .map(|missing| (missing.path, missing.why))
        .collect()
}

fn only(path: &str, why: Missing) -> Vec<(String, Missing)> {
    vec![(path.to_owned(), why)]
}

#[test]
fn the_usual_layouts_are_traced() {
    for root in ["", "src/", "lib/", "python/", "src/python/"] {
        let (code, more) = (format!("{root}demo/__init__.py"), format!("{root}demo/sub/x.py"));
        let source: [(&str, &[u8]); 3] = [(&code, CODE), (&more, MORE), ("setup.py", b"")];
        let facts = trace(
            &wheel(&[
                ("demo/__init__.py", CODE),
                ("demo/sub/x.py", MORE),
                ("demo/py.typed", b""),
            ]),
            &sdist(&source),
        );
        assert!(facts.is_complete(), "{root:?}: {facts:?}");
        assert_eq!(facts.root, root.trim_end_matches('/'));
        assert_eq!((facts.files, facts.left_out), (3, 0));
    }
    assert_eq!(missing(&[("demo.py", CODE)], &[("src/demo.py", CODE)]), []);
    assert_eq!(
        missing(&[], &[("src/demo.py", CODE)]),
        [],
        "a wheel of metadata only brings nothing"
    );
}

#[test]
fn a_folder_of_tests_beside_the_package_lies_at_the_top() {
    let wheel: [(&str, &[u8]); 3] = [
        ("demo/a.py", CODE),
        ("demo/b.py", CODE),
        ("tests/test_a.py", MORE),
    ];
    let source: [(&str, &[u8]); 3] = [
        ("src/demo/a.py", CODE),
        ("src/demo/b.py", CODE),
        ("tests/test_a.py", MORE),
    ];
    assert_eq!(missing(&wheel, &source), []);
}

#[test]
fn a_pth_slipped_in_is_not_in_the_source() {
    let source: [(&str, &[u8]); 2] = [("demo/a.py", CODE), ("tests/data/site.pth", EVIL)];
    for name in [
        "demo.pth",
        "site.pth",
        "demo-1.data/purelib/site.pth",
        "sitecustomize.py",
    ] {
        assert_eq!(
            missing(&[("demo/a.py", CODE), (name, EVIL)], &source),
            only(name, Missing::StartUp),
            "{name}"
        );
    }
    let hidden = "demo-1.data/data/lib/python3.11/site-packages/site.pth";
    assert_eq!(
        missing(&[("demo/a.py", CODE), (hidden, EVIL)], &source),
        only(hidden, Missing::StartUp)
    );
}

#[test]
fn an_empty_pth_is_not_in_the_source_by_nature() {
    let source: [(&str, &[u8]); 1] = [("demo/a.py", CODE)];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("x.pth", b"")], &source),
        only("x.pth", Missing::StartUp)
    );
}

#[test]
fn a_pth_that_the_source_installs_is_in_the_source() {
    let source: [(&str, &[u8]); 2] = [("src/demo/a.py", CODE), ("src/demo.pth", b"import demo.a\n")];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("demo.pth", b"import demo.a\n")], &source),
        []
    );
}

#[test]
fn an_example_cannot_become_a_top_level_module() {
    let source: [(&str, &[u8]); 4] = [
        ("src/demo/a.py", CODE),
        ("examples/os.py", EVIL),
        ("tests/data/json.py", EVIL),
        ("src/demo/types.py", EVIL),
    ];
    for name in ["os.py", "json.py", "types.py"] {
        assert_eq!(
            missing(&[("demo/a.py", CODE), (name, EVIL)], &source),
            only(name, Missing::Misplaced),
            "{name}"
        );
        // Nor when nothing else is in the wheel that could say where packages lie.
        assert_eq!(
            missing(&[(name, EVIL)], &source),
            only(name, Missing::Misplaced),
            "{name} alone"
        );
    }
}

#[test]
fn a_package_cannot_be_replaced_by_one_that_is_only_test_data() {
    let source: [(&str, &[u8]); 3] = [
        ("src/demo/a.py", CODE),
        ("tests/data/demo/a.py", EVIL),
        ("tests/data/demo/b.py", EVIL),
    ];
    assert_eq!(
        missing(&[("demo/a.py", EVIL)], &source),
        only("demo/a.py", Missing::Misplaced)
    );
    assert_eq!(
        missing(&[("demo/b.py", EVIL)], &source),
        only("demo/b.py", Missing::Misplaced)
    );
}

#[test]
fn a_module_of_a_package_cannot_move_up() {
    // The folder `lib` is a package here: what is in it is not at its top.
    let source: [(&str, &[u8]); 3] = [
        ("lib/__init__.py", CODE),
        ("lib/os.py", EVIL),
        ("demo/a.py", CODE),
    ];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("os.py", EVIL)], &source),
        only("os.py", Missing::Misplaced)
    );
}

#[test]
fn one_package_comes_from_one_root() {
    // Two copies of a package in the source: a wheel takes one of them whole.
    let source: [(&str, &[u8]); 4] = [
        ("src/demo/a.py", CODE),
        ("src/demo/b.py", CODE),
        ("lib/demo/a.py", EVIL),
        ("lib/demo/b.py", EVIL),
    ];
    assert_eq!(missing(&[("demo/a.py", CODE), ("demo/b.py", CODE)], &source), []);
    let mixed = missing(&[("demo/a.py", CODE), ("demo/b.py", EVIL)], &source);
    assert_eq!(mixed.len(), 1);
}

#[test]
fn a_changed_file_is_told_from_one_that_is_not_there() {
    let source: [(&str, &[u8]); 2] = [("demo/a.py", CODE), ("demo/b.py", CODE)];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("demo/b.py", EVIL)], &source),
        only("demo/b.py", Missing::Changed)
    );
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("demo/c.py", EVIL)], &source),
        only("demo/c.py", Missing::Absent)
    );
    assert_eq!(
        missing(
            &[
                ("demo/a.py", CODE),
                ("demo/x.cpython-311-x86_64-linux-gnu.so", b"\x7fELF")
            ],
            &source
        ),
        only("demo/x.cpython-311-x86_64-linux-gnu.so", Missing::Native)
    );
}

#[test]
fn a_module_that_was_emptied_is_changed() {
    let source: [(&str, &[u8]); 2] = [("demo/a.py", CODE), ("demo/check.py", CODE)];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("demo/check.py", b"")], &source),
        only("demo/check.py", Missing::Changed)
    );
}

#[test]
fn an_empty_module_over_another_project_is_not_in_the_source() {
    let source: [(&str, &[u8]); 1] = [("src/demo/a.py", CODE)];
    assert_eq!(
        missing(&[("demo/a.py", CODE), ("requests/__init__.py", b"")], &source),
        only("requests/__init__.py", Missing::Empty)
    );
}

#[test]
fn another_spelling_of_a_path_is_another_path() {
    let source: [(&str, &[u8]); 1] = [("src/demo/a.py", CODE)];
    assert_eq!(
        missing(&[("Demo/a.py", CODE)], &source),
        only("Demo/a.py", Missing::Misplaced)
    );
    assert_eq!(
        missing(&[("notdemo/a.py", CODE)], &source),
        only("notdemo/a.py", Missing::Misplaced)
    );
}

#[test]
fn data_folders_are_mapped_to_where_they_are_installed() {
    let source: [(&str, &[u8]); 5] = [
        ("src/demo/a.py", CODE),
        ("docs/demo.1", b"manual"),
        ("include/demo/x.h", b"#define X"),
        ("tests/evil.h", EVIL),
        ("share/demo/list.txt", b"list"),
    ];
    let data: [(&str, &[u8]); 5] = [
        ("demo-1.data/purelib/demo/a.py", CODE),
        ("demo-1.data/platlib/demo/a.py", CODE),
        ("demo-1.data/data/share/man/man1/demo.1", b"manual"),
        ("demo-1.data/headers/demo/x.h", b"#define X"),
        ("demo-1.data/data/share/demo/list.txt", b"list"),
    ];
    assert_eq!(missing(&data, &source), []);
    for (name, why) in [
        ("demo-1.data/headers/evil.h", Missing::Misplaced),
        (
            "demo-1.data/data/lib/python3.11/site-packages/a.py",
            Missing::Absent,
        ),
        ("demo-1.data/data/bin/evil.h", Missing::Misplaced),
        ("demo-1.data/data/share/evil.py", Missing::Absent),
    ] {
        assert_eq!(missing(&[(name, EVIL)], &source), only(name, why), "{name}");
    }
}

#[test]
fn code_is_not_data_whatever_folder_it_is_called() {
    let source: [(&str, &[u8]); 1] = [("tests/data/evil.py", EVIL)];
    let name = "demo-1.data/data/share/evil.py";
    assert_eq!(missing(&[(name, EVIL)], &source), only(name, Missing::Misplaced));
}

#[test]
fn scripts_come_from_where_programs_are() {
    let mut source = sdist(&[
        ("bin/demo", b"#!/usr/bin/env python3\nx\n"),
        ("tests/bin/python", EVIL),
    ]);
    source[0].as_script = Some(Digest::of(b"#!python\nx\n"));
    let traced = |name: &str, bytes: &[u8]| trace(&wheel(&[(name, bytes)]), &source).is_complete();
    assert!(traced("demo-1.data/scripts/demo", b"#!python\nx\n"));
    assert!(traced("demo-1.data/scripts/demo", b"#!/usr/bin/env python3\nx\n"));
    assert!(!traced("demo-1.data/scripts/demo", b"#!python\ny\n"));
    assert!(!traced("demo-1.data/scripts/other", b"#!python\nx\n"));
    assert!(
        !traced("demo-1.data/scripts/python", EVIL),
        "a test's stand-in for the interpreter"
    );
    assert!(!traced("demo-1.data/scripts/empty", b""));
    assert!(
        !traced("demo/demo", b"#!python\nx\n"),
        "rewritten lines are for scripts only"
    );
}

#[test]
fn what_the_wheel_leaves_out_is_counted() {
    let source: [(&str, &[u8]); 4] = [
        ("src/demo/a.py", CODE),
        ("src/demo/check.py", CODE),
        ("src/demo/data.txt", CODE),
        ("tests/test_a.py", CODE),
    ];
    let facts = trace(&wheel(&[("demo/a.py", CODE)]), &sdist(&source));
    assert!(facts.is_complete());
    assert_eq!(facts.left_out, 1);
}

#[test]
fn a_list_of_missing_files_has_an_end() {
    let names: Vec<String> = (0..200).map(|n| format!("demo/m{n:03}.py")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), EVIL)).collect();
    let facts = trace(&wheel(&files), &sdist(&[("demo/a.py", CODE)]));
    assert_eq!(
        (facts.files, facts.in_source, facts.missing.len()),
        (200, 0, LISTED_MISSING)
    );
}

#[test]
fn only_sizes_and_scripts_of_the_wheel_are_asked_for() {
    let asked = wanted(&wheel(&[("demo/a.py", CODE), ("demo-1.data/scripts/run", EVIL)]));
    assert_eq!(asked.scripts, HashSet::from(["run".to_owned()]));
    assert_eq!(asked.sizes, HashSet::from([CODE.len() as u64, EVIL.len() as u64]));
}

proptest! {
    /// A wheel whose files all lie under one root of the source traces; one foreign byte anywhere, and it does not.
    #[test]
    fn a_faithful_wheel_traces_and_a_changed_one_does_not(
        paths in proptest::collection::btree_set("[ab]{1,3}(/[cd]{1,3}){1,3}\\.py", 1..8),
        root in prop_oneof![Just(""), Just("src/"), Just("lib/")],
        victim: proptest::sample::Index,
    ) {
        let paths: Vec<String> = paths.into_iter().collect();
        let content = |path: &str| format!("# {path}\n").into_bytes();
        let source: Vec<SourceFile> = paths
            .iter()
            .map(|path| SourceFile {
                path: format!("{root}{path}"),
                sha256: Some(Digest::of(&content(path))),
                as_script: None,
            })
            .collect();
        let bytes: Vec<Vec<u8>> = paths.iter().map(|path| content(path)).collect();
        let mut files: Vec<(&str, &[u8])> =
            paths.iter().zip(&bytes).map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        prop_assert!(trace(&wheel(&files), &source).is_complete());
        let at = victim.index(files.len());
        files[at].1 = EVIL;
        let facts = trace(&wheel(&files), &source);
        prop_assert_eq!(facts.files - facts.in_source, 1);
        prop_assert_eq!(&facts.missing[0].path, &paths[at]);
    }

    /// Whatever the two trees are, a file that counts as in the source has a twin in it, or is empty.
    #[test]
    fn nothing_counts_that_has_no_twin(
        wheel_files in proptest::collection::btree_map("[ab](/[ab]){0,2}(\\.py|\\.pth)", 0..4_u8, 0..8),
        source in proptest::collection::btree_map("((src|lib|tests)/)?[ab](/[ab]){0,2}(\\.py|\\.pth)", 0..4_u8, 0..8),
    ) {
        let bytes = |n: u8| vec![b'x'; usize::from(n)];
        let files: Vec<SourceFile> = source
            .iter()
            .map(|(path, n)| SourceFile {
                path: path.clone(),
                sha256: Some(Digest::of(&bytes(*n))),
                as_script: None,
            })
            .collect();
        let contents: Vec<Vec<u8>> = wheel_files.values().map(|n| bytes(*n)).collect();
        let listed: Vec<(&str, &[u8])> =
            wheel_files.keys().zip(&contents).map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let facts = trace(&wheel(&listed), &files);
        for (path, n) in &wheel_files {
            let counts = facts.missing.iter().all(|missing| missing.path != *path);
            let twin = source.iter().any(|(other, m)| n == m && is_tail(other, path) && !other.starts_with("tests/"));
            let start_up = ending(path) == "pth" && !path.contains('/');
            prop_assert!(!counts || twin || (*n == 0 && !start_up), "{}", path);
        }
    }
}
