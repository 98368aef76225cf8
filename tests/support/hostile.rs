//! Archives that attack: one fixture per attack, made by writers that can lie anywhere.
//!
//! Shared by the inline tests of `verify::archive` and by the tests against the binary, so it uses nothing of Chiron.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "hostile/container_attacks.rs"]
mod container_attacks;
#[path = "hostile/name_attacks.rs"]
mod name_attacks;
#[path = "hostile/sdist_attacks.rs"]
mod sdist_attacks;
#[path = "hostile/tar_writer.rs"]
pub mod tar_writer;
#[path = "hostile/wheel_attacks.rs"]
mod wheel_attacks;
#[path = "hostile/wheel_writer.rs"]
pub mod wheel_writer;
#[path = "hostile/zip_writer.rs"]
pub mod zip_writer;

use tar_writer::{Tar, gzip};
use wheel_writer::Wheel;
use zip_writer::zip_files;

/// Name of the wheel that most fixtures attack.
pub const WHEEL: &str = "demo-1.0-py3-none-any.whl";
/// Name of the sdist that the others attack.
pub const SDIST: &str = "demo-1.0.tar.gz";

/// One attack.
pub struct Fixture {
    /// What is attacked, in words fit for a test's name.
    pub name: &'static str,
    /// The file name under which it comes.
    pub filename: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The finding that must be among those the gate reports.
    pub expect_code: &'static str,
}

/// A sound pure wheel with these files (path, content).
pub fn good_wheel(name: &str, version: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut wheel = Wheel::new(name, version);
    for (path, content) in files {
        wheel.file(path, content);
    }
    wheel.build(|_| {})
}

/// A sound `.tar.gz` sdist with these files (path below the top folder, content).
pub fn good_sdist(name: &str, version: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.folder(&format!("{name}-{version}/"));
    tar.file(&format!("{name}-{version}/PKG-INFO"), &metadata(name, version));
    for (path, content) in files {
        tar.file(&format!("{name}-{version}/{path}"), content);
    }
    gzip(&tar.finish())
}

/// Core metadata 2.1 of a release.
pub fn metadata(name: &str, version: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: for tests\n\n").into_bytes()
}

/// Takes an attack: its name, the finding it must give, the file.
pub type Put<'a> = dyn FnMut(&'static str, &'static str, Vec<u8>) + 'a;

/// Every attack on a wheel or sdist that the gate must refuse.
pub fn fixtures() -> Vec<Fixture> {
    let mut all = Vec::new();
    let mut wheel = |name, expect_code, bytes| {
        all.push(Fixture {
            name,
            filename: WHEEL.to_owned(),
            bytes,
            expect_code,
        });
    };
    container_attacks::container_attacks(&mut wheel);
    container_attacks::entry_attacks(&mut wheel);
    name_attacks::name_attacks(&mut wheel);
    name_attacks::mode_attacks(&mut wheel);
    container_attacks::bombs(&mut wheel);
    wheel_attacks::content_attacks(&mut wheel);
    let renamed = good_wheel("demo", "1.0", &[]);
    for (name, filename, expect_code) in [
        (
            "renamed-to-another-project",
            "other-1.0-py3-none-any.whl",
            "dist-info-name",
        ),
        (
            "renamed-to-another-version",
            "demo-1.1-py3-none-any.whl",
            "dist-info-name",
        ),
        (
            "renamed-to-other-tags",
            "demo-1.0-cp311-cp311-manylinux1_x86_64.whl",
            "wheel-tags",
        ),
    ] {
        all.push(Fixture {
            name,
            filename: filename.to_owned(),
            bytes: renamed.clone(),
            expect_code,
        });
    }
    let mut sdist = |name, expect_code, bytes| {
        all.push(Fixture {
            name,
            filename: SDIST.to_owned(),
            bytes,
            expect_code,
        });
    };
    sdist_attacks::sdist_attacks(&mut sdist);
    let mut zip_sdist = |name, expect_code, bytes| {
        all.push(Fixture {
            name,
            filename: "demo-1.0.zip".to_owned(),
            bytes,
            expect_code,
        });
    };
    zip_sdist(
        "zip-sdist-two-top-folders",
        "top-folder",
        zip_files(&[("demo-1.0/PKG-INFO", b""), ("evil/setup.py", b"")]),
    );
    zip_sdist(
        "zip-sdist-file-beside-top-folder",
        "top-folder",
        zip_files(&[("demo-1.0/PKG-INFO", b""), ("setup.py", b"")]),
    );
    zip_sdist(
        "zip-sdist-parent-path",
        "parent-path",
        zip_files(&[("demo-1.0/../setup.py", b"")]),
    );
    zip_sdist(
        "zip-sdist-without-pkg-info",
        "required-file-missing",
        zip_files(&[("demo-1.0/setup.py", b"")]),
    );
    all
}
