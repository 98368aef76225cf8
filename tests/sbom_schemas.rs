//! Promise: the schemas of others under `schemas/vendor` are the ones that its README names, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chiron_storage::Digest;

#[test]
fn every_vendored_schema_has_the_digest_that_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/vendor");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let written: BTreeMap<String, String> = readme
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (file, digest) = (cells.next()?, cells.next()?);
            (digest.len() == 64).then(|| (file.to_owned(), digest.to_owned()))
        })
        .collect();
    let mut there = BTreeMap::new();
    for part in ["cyclonedx", "spdx"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{part}/{}", path.file_name().unwrap().to_str().unwrap());
            there.insert(name, Digest::of(&fs::read(path).unwrap()).to_string());
        }
    }
    assert_eq!(there.len(), 10);
    assert_eq!(written, there);
}
