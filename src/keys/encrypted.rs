//! Private keys under a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2 (RFC 8018, RFC 7914), as
//! `openssl pkcs8 -topk8 -scrypt` writes it and `openssl pkcs8` reads it.

use pkcs8::EncryptedPrivateKeyInfoOwned;
use pkcs8::der::asn1::{AnyRef, OctetString, OctetStringRef};
use pkcs8::der::{Decode as _, Encode as _, Reader as _};
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::passphrase::Passphrase;
use super::pem;

/// `N` is 2 to this power: 16 MiB with `r` = 8, which is what `openssl` takes without being told (32 MiB at most).
const LOG_N: u8 = 14;

/// scrypt's block size.
const R: u32 = 8;

/// How much work a guess at the passphrase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// For what a person remembers: `p` = 5, which with this `N` is OWASP's recommendation.
    Person,
    /// For 256 random bits, which nobody guesses: stretching would only make every start slower.
    Random,
}

impl Stretch {
    fn params(self) -> Option<scrypt::Params> {
        match self {
            Self::Person => scrypt::Params::new(LOG_N, R, 5),
            Self::Random => scrypt::Params::new(10, R, 1),
        }
        .ok()
    }
}

/// Bytes of memory that a file may ask for (threat: a file that makes the daemon run out of memory).
const MAX_MEMORY: u64 = 256 * 1024 * 1024;

/// Work that a file may ask for, `N * r * p`: about half a minute (threat: a file that keeps a processor for days).
const MAX_SCRYPT_WORK: u64 = 1 << 25;

/// Rounds of PBKDF2 that a file may ask for: about ten seconds (the same threat).
const MAX_ROUNDS: u32 = 20_000_000;

/// Why a key was not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The passphrase is another one, or the bytes are damaged; nobody can tell.
    Wrong,
    /// What stands there is none, as a clause about the place.
    NotAKey(pem::Why),
}

/// Encrypts PKCS#8 in DER and gives the PEM for a file.
pub fn seal(key: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, KeyError> {
    let failed = |_| KeyError::Crypto("the key cannot be encrypted: the machine gives no randomness");
    let stretch = if passphrase.is_made() {
        Stretch::Random
    } else {
        Stretch::Person
    };
    let mut salt = [0_u8; 16];
    let mut iv = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(failed)?;
    aws_lc_rs::rand::fill(&mut iv).map_err(failed)?;
    let sealed = || {
        let parameters = Parameters::generate_scrypt_aes256cbc(stretch.params()?, &salt, iv).ok()?;
        let encrypted_data = parameters.encrypt(passphrase.expose(), key).ok()?;
        let info = EncryptedPrivateKeyInfoOwned {
            encryption_algorithm: parameters.into(),
            encrypted_data: OctetString::new(encrypted_data).ok()?,
        };
        info.to_der().ok()
    };
    let der = sealed().ok_or(KeyError::Crypto("the key cannot be encrypted"))?;
    Ok(pem::write("ENCRYPTED PRIVATE KEY", &der))
}

/// Decrypts `EncryptedPrivateKeyInfo` in DER and gives PKCS#8 in DER. As slow as the file asks for, within bounds.
pub fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Locked> {
    const DAMAGED: Locked = Locked::NotAKey("holds an encrypted key that is damaged");
    const UNKNOWN: Locked = Locked::NotAKey(
        "holds a key that is encrypted in an old way; `openssl pkcs8 -topk8 -scrypt -in OLD -out NEW` encrypts it anew",
    );
    let info = match EncryptedPrivateKeyInfoOwned::from_der(sealed) {
        Ok(info) => info,
        Err(_) if is_encrypted_somehow(sealed) => return Err(UNKNOWN),
        Err(_) => return Err(DAMAGED),
    };
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(UNKNOWN);
    };
    if asks_too_much(&parameters.kdf) {
        return Err(Locked::NotAKey(
            "holds a key whose passphrase is stretched beyond what is taken (256 MiB, 2^25 rounds of scrypt, 20,000,000 of PBKDF2)",
        ));
    }
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let length = match parameters.decrypt_in_place(passphrase.expose(), &mut buffer) {
        Ok(key) => key.len(),
        Err(pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }) => return Err(UNKNOWN),
        Err(_) => return Err(Locked::Wrong),
    };
    buffer.truncate(length);
    // One wrong passphrase in about 256 leaves good padding; what it leaves is no SEQUENCE of that length.
    if pkcs8::PrivateKeyInfoRef::from_der(&buffer).is_err() {
        return Err(Locked::Wrong);
    }
    Ok(buffer)
}

/// True for an `EncryptedPrivateKeyInfo` of any scheme: an algorithm, and bytes.
fn is_encrypted_somehow(sealed: &[u8]) -> bool {
    let parsed = AnyRef::from_der(sealed).and_then(|any| {
        any.sequence(|reader| {
            reader.decode::<AlgorithmIdentifierRef<'_>>()?;
            reader.decode::<&OctetStringRef>().map(|_| ())
        })
    });
    parsed.is_ok()
}

fn asks_too_much(kdf: &Kdf) -> bool {
    match kdf {
        Kdf::Scrypt(params) => {
            let (n, r, p) = (
                params.cost_parameter,
                u64::from(params.block_size),
                u64::from(params.parallelization),
            );
            let memory = n.saturating_mul(r).saturating_mul(128);
            memory > MAX_MEMORY || n.saturating_mul(r).saturating_mul(p) > MAX_SCRYPT_WORK
        }
        Kdf::Pbkdf2(params) => params.iteration_count > MAX_ROUNDS,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::{Duration, Instant};

    use chiron_tuf::{LocalKey, Scheme, Signer as _};
    use pkcs8::pkcs5::pbes2::Pbkdf2Params;
    use proptest::prelude::*;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into(), "test")
    }

    /// A file that asks for this much work.
    fn asking(kdf: Kdf) -> Vec<u8> {
        let mut parameters =
            Parameters::generate_scrypt_aes256cbc(scrypt::Params::new(4, 8, 1).unwrap(), &[7; 16], [8; 16])
                .unwrap();
        parameters.kdf = kdf;
        let info = EncryptedPrivateKeyInfoOwned {
            encryption_algorithm: parameters.into(),
            encrypted_data: OctetString::new(vec![0; 64]).unwrap(),
        };
        info.to_der().unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_only() {
        for scheme in [Scheme::Ed25519, Scheme::EcdsaP256] {
            let key = LocalKey::generate(scheme).unwrap();
            let pem = seal(&key.to_pkcs8().unwrap(), &passphrase("right")).unwrap();
            let Ok(pem::Block::Encrypted(sealed)) = pem::read(pem.as_bytes()) else {
                panic!("{}", *pem);
            };
            let opened = open(&sealed, &passphrase("right")).unwrap();
            assert_eq!(LocalKey::from_pkcs8(&opened).unwrap().public(), key.public());
            assert_eq!(open(&sealed, &passphrase("wrong")), Err(Locked::Wrong));
            // Every byte that is changed is noticed: by the padding, or by the key that comes out being none.
            let mut turned = sealed.to_vec();
            let last = turned.len() - 1;
            turned[last] ^= 1;
            assert_eq!(open(&turned, &passphrase("right")), Err(Locked::Wrong));
        }
    }

    #[test]
    fn a_file_cannot_ask_for_all_memory_or_for_days() {
        let scrypt = |log_n, r, p| {
            let params = scrypt::Params::new(log_n, r, p).unwrap();
            Kdf::from(pkcs8::pkcs5::pbes2::ScryptParams::from_params_and_salt(params, &[7; 16]).unwrap())
        };
        let started = Instant::now();
        for kdf in [
            scrypt(30, 8, 1),
            scrypt(14, 8, 4096),
            scrypt(20, 8, 1),
            Kdf::from(Pbkdf2Params::hmac_sha256(100_000_000, &[7; 16]).unwrap()),
        ] {
            let refused = open(&asking(kdf), &passphrase("any"));
            assert!(
                matches!(refused, Err(Locked::NotAKey(why)) if why.contains("beyond")),
                "{refused:?}"
            );
        }
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_passphrase_that_was_made_is_not_stretched_and_a_persons_is() {
        assert_eq!(Stretch::Person.params().unwrap().p(), 5);
        assert_eq!(Stretch::Person.params().unwrap().log_n(), 14);
        assert!(Stretch::Random.params().unwrap().log_n() < 14);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&bytes, &passphrase("any")).is_err());
        }
    }
}
