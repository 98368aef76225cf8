//! What tokens write otherwise than metadata does: ECDSA signatures and public points.

use chiron_tuf::{PublicKey, Scheme};

/// The curve P-256 as `CKA_EC_PARAMS` says it: its object identifier (RFC 5480).
pub const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// Ed25519 by object identifier (RFC 8410).
pub const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// Ed25519 by name: a `PrintableString`, as the first edition of PKCS #11 3.0 has it.
pub const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

/// The scheme of keys on this curve.
pub fn scheme(parameters: &[u8]) -> Option<Scheme> {
    match parameters {
        P256 => Some(Scheme::EcdsaP256),
        ED25519 | ED25519_NAME => Some(Scheme::Ed25519),
        _ => None,
    }
}

/// The public key of a `CKA_EC_POINT`. The standard wants the point in an OCTET STRING; some tokens give it bare, or
/// (Ed25519) in a BIT STRING.
pub fn public_key(scheme: Scheme, point: &[u8]) -> Option<PublicKey> {
    let bare = match scheme {
        Scheme::EcdsaP256 if point.len() == 67 => point.strip_prefix(b"\x04\x41")?,
        Scheme::Ed25519 if point.len() == 34 => point.strip_prefix(b"\x04\x20")?,
        Scheme::Ed25519 if point.len() == 35 => point.strip_prefix(b"\x03\x21\x00")?,
        _ => point,
    };
    PublicKey::new(scheme, bare).ok()
}

/// An ECDSA signature on P-256 as a token gives it (r and s, 32 bytes each) in DER (RFC 3279, section 2.2.3).
pub fn der(raw: &[u8]) -> Option<Vec<u8>> {
    let raw: &[u8; 64] = raw.try_into().ok()?;
    let (r, s) = raw.split_at(32);
    let body = [integer(r), integer(s)].concat();
    // At most 2 * 35 bytes: the short form of the length.
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(der)
}

/// A non-negative INTEGER in as few bytes as can be.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros.min(number.len() - 1)..];
    // The highest bit is the sign.
    let sign = if digits[0] & 0x80 == 0 { &[][..] } else { &[0][..] };
    let length = u8::try_from(sign.len() + digits.len()).unwrap_or(u8::MAX);
    [&[0x02, length], sign, digits].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use chiron_tuf::{LocalKey, Signer as _};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_raw_signature_verifies_in_der() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let public = PublicKey::new(Scheme::EcdsaP256, pair.public_key().as_ref()).unwrap();
        // Enough that r or s begins with a zero byte in some.
        for n in 0..600_u32 {
            let message = n.to_be_bytes();
            let raw = pair.sign(&SystemRandom::new(), &message).unwrap();
            assert!(public.verifies(&message, &der(raw.as_ref()).unwrap()), "{n}");
        }
    }

    #[test]
    fn small_numbers_have_no_zeros_in_front_and_large_ones_a_sign() {
        let mut raw = [0; 64];
        raw[31] = 0x7f;
        raw[63] = 0x80;
        assert_eq!(der(&raw).unwrap(), b"\x30\x07\x02\x01\x7f\x02\x02\x00\x80");
        assert_eq!(der(&[0; 64]).unwrap(), b"\x30\x06\x02\x01\x00\x02\x01\x00");
        assert_eq!(der(&[0xff; 64]).unwrap().len(), 72);
        assert_eq!(der(&[0; 63]), None);
    }

    #[test]
    fn points_are_read_in_every_dress() {
        for (scheme, prefixes) in [
            (Scheme::EcdsaP256, &[&b""[..], b"\x04\x41"][..]),
            (Scheme::Ed25519, &[&b""[..], b"\x04\x20", b"\x03\x21\x00"][..]),
        ] {
            let wanted = LocalKey::generate(scheme).unwrap().public().clone();
            let spki = wanted.to_spki();
            let bare = match scheme {
                Scheme::EcdsaP256 => &spki[spki.len() - 65..],
                Scheme::Ed25519 => &spki[spki.len() - 32..],
            };
            for prefix in prefixes {
                let given = [prefix, bare].concat();
                assert_eq!(public_key(scheme, &given), Some(wanted.clone()));
            }
        }
        assert_eq!(public_key(Scheme::EcdsaP256, &[2; 33]), None, "compressed");
    }

    proptest! {
        #[test]
        fn any_point_is_an_answer(point in any::<Vec<u8>>()) {
            let _ = public_key(Scheme::Ed25519, &point);
            let _ = public_key(Scheme::EcdsaP256, &point);
        }
    }
}
