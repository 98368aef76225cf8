//! What a build wrote, held against a published wheel: any bytes have a level, and only equal ones are `bit`.
#![no_main]

use chiron::verify::reproducibility::{CompareLimits, Level, compare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    let limits = CompareLimits {
        unpacked: 1 << 24,
        diff_bytes: 4_096,
        ..CompareLimits::default()
    };
    let (published, rebuilt) = input;
    let compared = compare(published, rebuilt, &limits);
    assert_eq!(compared.level == Level::Bit, published == rebuilt);
    assert!(compared.diff.len() <= limits.diff_bytes + 16);
    assert!(!compared.diff.contains('\u{1b}'));
    // Which of the two is called published changes what is said, not how far they agree.
    assert_eq!(compare(rebuilt, published, &limits).level, compared.level);
});
