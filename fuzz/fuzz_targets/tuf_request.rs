//! Signing requests and detached signatures, which come on other people's sticks: read or refused, and what is read is written
//! the same.
#![no_main]

use chiron_tuf::{DetachedSignature, LocalKey, SigningRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = SigningRequest::parse(bytes) {
        assert!(!request.needs().is_empty());
        assert!(!request.progress(&[]).is_complete(), "nobody has signed");
        let written = request.to_bytes().expect("written");
        assert_eq!(SigningRequest::parse(&written), Ok(request));
    }
    let _ = DetachedSignature::parse(bytes);
    let _ = LocalKey::from_pkcs8(bytes);
});
