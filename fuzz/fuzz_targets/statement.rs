//! DSSE envelopes and public keys: any bytes are one or an error, and nothing opens without a key.
#![no_main]

use chiron::statement::{Envelope, PublicKey, Statement, open};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    if let Ok(envelope) = Envelope::parse(document) {
        assert!(open(&envelope, &[]).is_err());
        let again = Envelope::parse(&envelope.to_bytes()).expect("what was written is read");
        assert_eq!(again, envelope);
    }
    let _ = Statement::parse(chiron::statement::PAYLOAD_TYPE, document);
    if let Ok(key) = std::str::from_utf8(document).map(PublicKey::from_pem).unwrap_or(PublicKey::from_spki(document)) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key));
    }
});
