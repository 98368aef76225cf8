//! Promise: a wheel passes `reproducibility` only when every file of it is in its source, or when it was rebuilt; what
//! could not be compared is never a pass. On real archives, through the gate's own readers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use chiron::package::DistributionFilename;
use chiron::verify::reproducibility::{
    Axis, Level, Missing, RebuildState, ReproducibilityFacts, SourceCommit, reproducibility,
};
use chiron::verify::{
    ArchiveLimits, Outcome, Rebuilders, Report, SourceArchive, reproducibility as check, structure,
};
use chiron_storage::Digest;
use held::{can_rebuild, codes, facts, file, run, source};
use hostile::tar_writer::{Tar, gzip};
use hostile::wheel_writer::Wheel;
use hostile::zip_writer::zip_files;
use hostile::{SDIST, WHEEL, good_sdist, good_wheel, metadata};

#[path = "support/held.rs"]
mod held;
#[path = "support/hostile.rs"]
mod hostile;

const CODE: &[u8] = b"def run(): return 1\n";
const EVIL: &[u8] = b"import os; os.system('evil')\n";
const INIT: (&str, &[u8]) = ("src/demo/__init__.py", b"VALUE = 1\n");

fn against(wheel: &[u8], source: &SourceArchive) -> (Report, ReproducibilityFacts) {
    let report = run(WHEEL, wheel, source, &[], &can_rebuild());
    let facts = facts(&report);
    (report, facts)
}

#[test]
fn a_wheel_whose_files_are_all_in_the_sdist_is_traced() {
    let wheel = good_wheel("demo", "1.0", &[("demo/run.py", CODE), ("demo/py.typed", b"")]);
    let tar = good_sdist(
        "demo",
        "1.0",
        &[INIT, ("src/demo/run.py", CODE), ("setup.py", b"")],
    );
    let pkg_info = metadata("demo", "1.0");
    let zip = zip_files(&[
        ("demo-1.0/PKG-INFO", &pkg_info),
        ("demo-1.0/src/demo/__init__.py", INIT.1),
        ("demo-1.0/src/demo/run.py", CODE),
    ]);
    for (name, bytes) in [(SDIST, tar), ("demo-1.0.zip", zip)] {
        let (report, facts) = against(&wheel, &source(name, &bytes));
        assert_eq!(report.outcome, Outcome::Pass, "{}", report.summary);
        assert_eq!(
            (facts.level, facts.source.axis, facts.pure),
            (Level::Traced, Axis::S2, true)
        );
        assert_eq!(facts.source.sha256, Some(Digest::of(&bytes)));
        let trace = facts.trace.unwrap();
        assert_eq!((trace.files, trace.in_source, trace.root.as_str()), (3, 3, "src"));
        assert_eq!(
            facts.rebuild,
            RebuildState::Wanted,
            "a stricter policy may ask for more"
        );
        assert!(report.summary.contains("all 3 files"), "{}", report.summary);
    }
}

#[test]
fn a_pth_slipped_in_is_no_pass_and_is_named() {
    let tar = good_sdist("demo", "1.0", &[INIT, ("tests/data/demo.pth", EVIL)]);
    let wheel = good_wheel("demo", "1.0", &[("demo.pth", EVIL)]);
    for rebuilders in [can_rebuild(), Rebuilders::default()] {
        let report = run(WHEEL, &wheel, &source(SDIST, &tar), &[], &rebuilders);
        let facts = facts(&report);
        assert_eq!(
            (report.outcome, facts.level),
            (Outcome::Error, Level::NotAttempted)
        );
        assert_eq!(codes(&facts), ["start-up-not-in-source"]);
        assert!(report.summary.contains("demo.pth"), "{}", report.summary);
        let expected = if rebuilders.can_rebuild {
            RebuildState::Wanted
        } else {
            RebuildState::Unavailable
        };
        assert_eq!(facts.rebuild, expected);
        let trace = facts.trace.unwrap();
        assert_eq!(
            (trace.missing[0].path.as_str(), trace.missing[0].why),
            ("demo.pth", Missing::StartUp)
        );
    }
}

#[test]
fn an_example_that_became_a_module_is_no_pass() {
    let tar = good_sdist("demo", "1.0", &[INIT, ("examples/os.py", EVIL)]);
    let (report, facts) = against(
        &good_wheel("demo", "1.0", &[("os.py", EVIL)]),
        &source(SDIST, &tar),
    );
    assert_eq!(report.outcome, Outcome::Error);
    assert_eq!(facts.trace.unwrap().missing[0].why, Missing::Misplaced);
}

#[test]
fn links_in_the_sdist_are_the_files_they_lead_to() {
    let mut tar = Tar::default();
    tar.folder("demo-1.0/")
        .file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"))
        .file("demo-1.0/LICENSE", b"licence\n")
        .file("demo-1.0/src/demo/__init__.py", INIT.1)
        .link("demo-1.0/src/demo/LICENSE", b'2', "../../LICENSE")
        .link("demo-1.0/src/demo/copy.py", b'1', "demo-1.0/src/demo/__init__.py")
        .link("demo-1.0/src/demo/nowhere.py", b'2', "gone.py");
    let bytes = gzip(&tar.finish());
    let wheel = good_wheel(
        "demo",
        "1.0",
        &[("demo/LICENSE", b"licence\n"), ("demo/copy.py", INIT.1)],
    );
    let (report, _) = against(&wheel, &source(SDIST, &bytes));
    assert_eq!(report.outcome, Outcome::Pass, "{}", report.summary);
    let (report, facts) = against(
        &good_wheel("demo", "1.0", &[("demo/nowhere.py", EVIL)]),
        &source(SDIST, &bytes),
    );
    assert_eq!(report.outcome, Outcome::Error);
    assert_eq!(facts.trace.unwrap().missing[0].why, Missing::Absent);
}

#[test]
fn a_script_whose_interpreter_was_rewritten_is_in_the_source() {
    let tar = good_sdist(
        "demo",
        "1.0",
        &[INIT, ("bin/demo", b"#!/usr/bin/env python3\nimport demo\n")],
    );
    let script = |bytes: &[u8]| good_wheel("demo", "1.0", &[("demo-1.0.data/scripts/demo", bytes)]);
    let (report, _) = against(&script(b"#!python\nimport demo\n"), &source(SDIST, &tar));
    assert_eq!(report.outcome, Outcome::Pass, "{}", report.summary);
    let (report, _) = against(&script(b"#!python\nimport evil\n"), &source(SDIST, &tar));
    assert_eq!(report.outcome, Outcome::Error);
}

#[test]
fn what_cannot_be_compared_is_never_a_pass() {
    let wheel = good_wheel("demo", "1.0", &[]);
    let tar = good_sdist("demo", "1.0", &[INIT]);
    let bomb = {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/").file("demo-1.0/zeros", &vec![0; 40 << 20]);
        gzip(&tar.finish())
    };
    let other = good_sdist("demo", "2.0", &[INIT]);
    let cases: [(&str, SourceArchive, Outcome, &str); 6] = [
        (
            "nothing published",
            SourceArchive::NotPublished,
            Outcome::Absent,
            "no source was published",
        ),
        (
            "unavailable",
            SourceArchive::Unavailable("timed out".to_owned()),
            Outcome::Error,
            "timed out",
        ),
        (
            "refused",
            SourceArchive::Refused("a link leads out".to_owned()),
            Outcome::Error,
            "a link leads out",
        ),
        (
            "cut short",
            source(SDIST, &tar[..tar.len() / 2]),
            Outcome::Error,
            "not sound",
        ),
        ("a bomb", source(SDIST, &bomb), Outcome::Error, "not sound"),
        (
            "of another release",
            source("demo-2.0.tar.gz", &other),
            Outcome::Error,
            "another release",
        ),
    ];
    for (what, source, outcome, words) in cases {
        let (report, facts) = against(&wheel, &source);
        assert_eq!(report.outcome, outcome, "{what}: {}", report.summary);
        assert!(!facts.level.is_pass() && facts.trace.is_none(), "{what}");
        assert!(report.summary.contains(words), "{what}: {}", report.summary);
        assert_ne!(
            facts.rebuild,
            RebuildState::Wanted,
            "{what}: there is nothing to rebuild from"
        );
    }
}

#[test]
fn a_compiled_wheel_is_recorded_and_not_asked_to_be_rebuilt() {
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.about = String::from_utf8(wheel.about)
        .unwrap()
        .replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
        .replace("py3-none-any", "cp311-cp311-linux_x86_64")
        .into_bytes();
    wheel.file("demo/fast.so", b"\x7fELF....");
    let tar = good_sdist("demo", "1.0", &[INIT]);
    let name = "demo-1.0-cp311-cp311-linux_x86_64.whl";
    let report = run(
        name,
        &wheel.build(|_| {}),
        &source(SDIST, &tar),
        &[],
        &can_rebuild(),
    );
    let facts = facts(&report);
    assert_eq!((report.outcome, facts.pure), (Outcome::Error, false));
    assert_eq!(facts.rebuild, RebuildState::NotAsked);
    let trace = facts.trace.unwrap();
    assert_eq!(
        (trace.files, trace.in_source, trace.missing[0].why),
        (2, 1, Missing::Native)
    );
}

#[test]
fn a_commit_that_an_attestation_names_is_recorded() {
    let commit = |commit: &str| SourceCommit {
        repository: "https://git.example/demo".to_owned(),
        commit: commit.to_owned(),
    };
    let (wheel, tar) = (good_wheel("demo", "1.0", &[]), good_sdist("demo", "1.0", &[INIT]));
    let filename = DistributionFilename::parse(WHEEL).unwrap();
    let limits = ArchiveLimits::default();
    let found = structure(&file(&wheel), wheel.len() as u64, &filename, &limits);
    let held = |attested: Option<SourceCommit>| {
        let source = SourceArchive::Sdist {
            name: DistributionFilename::parse(SDIST).unwrap(),
            file: file(&tar),
            size: tar.len() as u64,
            sha256: Digest::of(&tar),
            commit: Some(commit("aaaa")),
        };
        let subject = check::Subject {
            name: &filename,
            sha256: Digest::of(&wheel),
            contents: found.contents.as_ref(),
            attested,
        };
        facts(&reproducibility(
            &subject,
            &source,
            &[],
            &Rebuilders::default(),
            &limits,
        ))
    };
    let same = held(Some(commit("aaaa")));
    assert_eq!(
        (same.source.axis, same.source.commit.clone()),
        (Axis::S0, Some(commit("aaaa")))
    );
    assert_eq!(codes(&same), Vec::<&str>::new());
    assert_eq!(codes(&held(Some(commit("bbbb")))), ["other-commit"]);

    let sdist = DistributionFilename::parse(SDIST).unwrap();
    let subject = check::Subject {
        name: &sdist,
        sha256: Digest::of(&tar),
        contents: None,
        attested: Some(commit("aaaa")),
    };
    let report = reproducibility(
        &subject,
        &SourceArchive::NotPublished,
        &[],
        &Rebuilders::default(),
        &limits,
    );
    assert_eq!(
        (report.outcome, facts(&report).level),
        (Outcome::Absent, Level::Inapplicable)
    );
    assert_eq!(facts(&report).source.axis, Axis::S0);
}

#[test]
fn the_commit_is_that_of_verified_attestations_which_agree() {
    let read = |list: serde_json::Value| {
        let facts = serde_json::json!({ "attestations": list });
        SourceCommit::from_signature_facts(facts.as_object().unwrap()).map(|commit| commit.commit)
    };
    let one = |verified: bool, commit: &str| serde_json::json!({ "verified": verified, "repository": "https://git.example/demo", "commit": commit });
    assert_eq!(
        read(serde_json::json!([one(true, "a"), one(true, "a")])).as_deref(),
        Some("a")
    );
    assert_eq!(
        read(serde_json::json!([one(false, "b"), one(true, "a")])).as_deref(),
        Some("a")
    );
    assert_eq!(
        read(serde_json::json!([
            one(true, "a"),
            one(true, "b"),
            one(true, "a")
        ])),
        None
    );
    assert_eq!(
        read(serde_json::json!([one(false, "a"), { "verified": true }])),
        None
    );
    assert_eq!(read(serde_json::json!([])), None);
}
