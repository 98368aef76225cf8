//! Deltas: any bytes make the announced wheel or an error, and never more bytes than announced. The first two bytes say how
//! much of the input is the base; with a sound archive on both sides, a delta made of them gives the very target.
#![no_main]

use std::fs::File;
use std::io::Write as _;

use chiron::bundle::delta::{DeltaLimits, apply, make};
use chiron_storage::Digest;
use libfuzzer_sys::fuzz_target;

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file
}

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    let (base, other) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let limits = DeltaLimits {
        header_bytes: 1 << 16,
        structure_bytes: 1 << 16,
        block_bytes: 1 << 16,
        prefix_bytes: 1 << 17,
        work_bytes: 1 << 24,
        level: 1,
        worth_percent: 100,
        ..DeltaLimits::default()
    };
    // As a delta against the base.
    let (mut handed_out, size) = (0, 1 << 20);
    let out = |bytes: &[u8]| {
        handed_out += bytes.len();
        Ok(())
    };
    let made = apply(
        &file(base),
        other,
        out,
        &Digest::of(b"never"),
        size as u64,
        &limits,
    );
    assert!(made.is_err());
    assert!(handed_out <= size);
    // As a wheel that a delta is made for.
    let mut delta = Vec::new();
    let made = make(&file(base), &file(other), &mut delta, &limits).expect("only the disk can fail");
    if made.is_some() {
        let mut wheel = Vec::new();
        let out = |bytes: &[u8]| {
            wheel.extend_from_slice(bytes);
            Ok(())
        };
        let (target, size) = (Digest::of(other), other.len() as u64);
        apply(&file(base), &delta[..], out, &target, size, &limits).expect("it was tried");
        assert_eq!(wheel, other);
    }
});
