//! The structure check: any bytes pass or fail; the first byte chooses wheel, `.tar.gz` or `.zip`.
#![no_main]

use std::io::Write as _;

use chiron::package::DistributionFilename;
use chiron::verify::{ArchiveLimits, Outcome, structure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    let name = ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "demo-1.0.zip"][usize::from(*kind) % 3];
    let name = DistributionFilename::parse(name).expect("a name");
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let limits = ArchiveLimits {
        total_unpacked: 1 << 26,
        ..ArchiveLimits::default()
    };
    let found = structure(&file, bytes.len() as u64, &name, &limits);
    assert!(
        matches!(found.outcome, Outcome::Pass | Outcome::Fail),
        "{}",
        found.summary
    );
});
