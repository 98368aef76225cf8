//! Advisory records and VEX documents: any JSON is read, set aside or passed over.
#![no_main]

use chiron::verify::advisories::{Parsed, Signals, parse, parse_vex};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut signals = Signals::default();
    let _ = signals.read_epss(body);
    let Ok(document) = serde_json::from_slice(body) else {
        return;
    };
    let _ = signals.read_kev(&document);
    let _ = parse_vex(&document);
    if let Parsed::Record(record) = parse(&document) {
        let version = "1.0".parse().expect("a version");
        for affected in record.affected.values() {
            // Either it says which versions it reaches, or it says that it does not.
            assert!(!affected.reaches.is_empty());
            let entry = chiron::verify::advisories::Entry {
                summary: record.summary.clone(),
                modified: record.modified,
                reaches: affected.reaches.clone(),
                undecided: affected.undecided.clone(),
            };
            let _ = entry.reaches(&version);
        }
    }
});
