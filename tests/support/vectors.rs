//! Real attestations of others, brought when a test runs: never part of this repository.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chiron::package::{ProjectName, simple};
use chiron::upstream::pip_default::Lookup;
use chiron::verify::Report;
use chiron_storage::Digest;

use super::clients::{clients_dir, registry_available};

const PROJECT: &str = "pypi-attestations";
const SDIST: &str = "pypi_attestations-0.0.30.tar.gz";
const SHA256: &str = "14ff13c76bbef02a483c2b77532da02bfd746b5141b881f355e06b9807434423";

/// The codes of what a check found wrong.
pub fn codes(report: &Report) -> Vec<String> {
    let findings = report.facts["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|it| it["code"].as_str().unwrap().to_owned())
        .collect()
}

/// The files of `test/assets/` in the source distribution of pypi-attestations 0.0.30, by name; kept beside the
/// clients once they were fetched. Its licence is Apache-2.0.
pub async fn pypi_assets() -> Option<BTreeMap<String, Vec<u8>>> {
    let kept = clients_dir().join("vectors").join(SDIST);
    let sdist = match std::fs::read(&kept) {
        Ok(bytes) if Digest::of(&bytes).to_string() == SHA256 => bytes,
        _ => {
            if !registry_available() {
                return None;
            }
            let bytes = fetch().await;
            assert_eq!(
                Digest::of(&bytes).to_string(),
                SHA256,
                "{SDIST} is not what was pinned"
            );
            std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
            std::fs::write(&kept, &bytes).unwrap();
            bytes
        }
    };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&sdist[..]));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if path
            .parent()
            .is_some_and(|folder| folder.ends_with("test/assets"))
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
    Some(files)
}

/// From the index that pip uses on this machine, by name and version.
async fn fetch() -> Vec<u8> {
    let index = Lookup::of_this_machine(Duration::from_secs(30))
        .find()
        .await
        .unwrap();
    let mut client = reqwest::Client::builder();
    if let Some(file) = &index.cert {
        for certificate in reqwest::Certificate::from_pem_bundle(&std::fs::read(file).unwrap()).unwrap() {
            client = client.add_root_certificate(certificate);
        }
    }
    let client = client.build().unwrap();
    let base = format!("{}/{PROJECT}/", index.url.expose().as_str().trim_end_matches('/'));
    let base = url::Url::parse(&base).unwrap();
    let page = client
        .get(base.clone())
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    let page = page.error_for_status().unwrap().bytes().await.unwrap();
    let name = ProjectName::parse(PROJECT).unwrap();
    let page = simple::parse_html(&page, &base, &name).unwrap();
    let file = page
        .files
        .iter()
        .find(|file| file.filename == SDIST)
        .expect("the pinned version");
    let answer = client
        .get(file.url.clone())
        .send()
        .await
        .unwrap()
        .error_for_status()
        .unwrap();
    answer.bytes().await.unwrap().to_vec()
}

/// The folder `test_data` of the crate sigstore-verify, where cargo has unpacked it.
pub fn crate_vectors() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Of this machine's packages only: those of others are not unpacked here.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--filter-platform",
            host,
            "--format-version",
            "1",
            "--offline",
            "--manifest-path",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "sigstore-verify" && package["version"] == "0.15.1")
        .expect("the pinned crate");
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("test_data")
}
