//! A bundle's envelope: refused or read, and what is read has one spelling and makes sense.
#![no_main]

use chiron::bundle::SignedManifest;
use chiron::bundle::dsse::manifest_pae;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = SignedManifest::parse_unverified(bytes) else {
        return;
    };
    let manifest = read.claimed();
    assert!(!manifest.volumes.is_empty());
    let (payload, _) = manifest_pae(manifest).expect("what is read can be written");
    assert!(bytes.len() > payload.len());
});
