//! TUF metadata: what is read is written the same, covers the same bytes, and is well formed.
#![no_main]

use chiron_tuf::{Document, Envelope, Root, Snapshot, Targets, TimestampMetadata};
use libfuzzer_sys::fuzz_target;

fn read<T: Document + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(envelope) = Envelope::<T>::parse(bytes) else {
        return;
    };
    assert_eq!(envelope.signed.check(), Ok(()));
    // Texts that are not ASCII are read, and have no canonical form.
    let (Ok(written), Ok(payload)) = (envelope.to_bytes(), envelope.payload()) else {
        return;
    };
    // A file of nearly the largest size may be longer once its texts are spelled in the one way.
    if written.len() as u64 <= T::MAX_BYTES {
        let again = Envelope::<T>::parse(&written).expect("what is written is read");
        assert_eq!(again, envelope);
        assert_eq!(again.payload().expect("a payload"), payload);
    }
}

fuzz_target!(|bytes: &[u8]| {
    read::<Root>(bytes);
    read::<Targets>(bytes);
    read::<Snapshot>(bytes);
    read::<TimestampMetadata>(bytes);
});
