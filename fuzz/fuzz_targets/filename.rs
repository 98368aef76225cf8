//! Distribution file names: what parses is safe as a path component and reads back as itself.
#![no_main]

use chiron::package::DistributionFilename;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = DistributionFilename::parse(text) {
        assert_eq!(name.raw(), text);
        assert!(!text.contains(['/', '\\', '\0']) && !text.contains(".."));
    }
});
