//! Core metadata: any bytes are metadata or an error.
#![no_main]

use chiron::package::metadata::CoreMetadata;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let _ = CoreMetadata::parse(document);
});
