//! A tar volume on a medium: refused or read, and each item that is read is the one that its digest names.
#![no_main]

use std::io::Write as _;

use chiron::bundle::layout::BundleSource;
use chiron_storage::Digest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let Ok(source) = BundleSource::open(&[file.path().to_owned()]) else {
        return;
    };
    for volume in source.volumes() {
        let (_, listing) = volume.listing_unverified().expect("it was read before");
        for item in listing.items {
            let reader = volume.open(&item).expect("its header was read before");
            if let Ok(found) = reader.read_all(1 << 20) {
                assert_eq!(Digest::of(&found), item.digest);
            }
        }
    }
});
