//! A registry with bad days, and a bundle that is to go through it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;

use chiron::bundle::volume::Shape;
use chiron_storage::Digest;

use super::made::{Made, noise, tree, wheel};
use super::support::daemon::{Output, cli};
use super::support::oci_registry::OciRegistry;

/// A registry, and a bundle with one large wheel on a disk.
pub struct Scene {
    pub registry: OciRegistry,
    pub disk: tempfile::TempDir,
    pub bundle: PathBuf,
    pub large: Digest,
    pub place: String,
}

/// Bytes of the large wheel.
pub const LARGE: usize = 6 << 20;

impl Scene {
    pub fn new() -> Self {
        let registry = OciRegistry::start();
        let disk = tempfile::tempdir().unwrap();
        let bundle = disk.path().join("bundle");
        let large = wheel(0, noise(99, LARGE));
        let digest = large.0.digest;
        let small = (1..4).map(|number| wheel(number, noise(number as u64, 2_000)));
        Made::of(Shape::Folder, [large].into_iter().chain(small).collect()).write(&bundle);
        let place = format!("{}/b:x", registry.addr());
        Self {
            registry,
            disk,
            bundle,
            large: digest,
            place,
        }
    }

    /// With the bundle in the registry, and no memory of how it got there.
    pub fn pushed() -> Self {
        let scene = Self::new();
        scene.push().expect(0);
        scene.registry.forget();
        scene
    }

    pub fn push(&self) -> Output {
        let bundle = self.bundle.to_str().unwrap();
        cli(
            self.disk.path(),
            &["oci", "push", &self.place, bundle, "--plain-http", "--jobs", "1"],
        )
    }

    pub fn pull(&self) -> Output {
        let args = ["oci", "pull", &self.place, "back", "--plain-http", "--jobs", "2"];
        cli(self.disk.path(), &args)
    }

    pub fn back(&self) -> PathBuf {
        self.disk.path().join("back")
    }

    /// `GET` of the large wheel.
    pub fn get_large(&self) -> String {
        format!("GET /v2/b/blobs/sha256:{}", self.large)
    }

    #[track_caller]
    pub fn came_back(&self) {
        assert_eq!(tree(&self.back()), tree(&self.bundle));
        assert!(!self.disk.path().join("back.partial").exists());
    }

    /// Nothing has the name, and nothing that is there has a name that it does not deserve.
    #[track_caller]
    pub fn nothing_wrong_is_kept(&self) {
        assert!(!self.back().exists());
        let blobs = self.disk.path().join("back.partial/blobs/sha256");
        for entry in fs::read_dir(blobs).into_iter().flatten() {
            let path = entry.unwrap().path();
            let digest = Digest::of(&fs::read(&path).unwrap()).to_string();
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), digest);
        }
    }
}
