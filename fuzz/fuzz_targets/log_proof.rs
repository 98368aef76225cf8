//! Proofs of the log in files: read or refused, and what is read is written byte for byte the same.
#![no_main]

use chiron_storage::log::ProofFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = ProofFile::parse(bytes) {
        assert_eq!(proof.to_bytes(), bytes);
    }
});
