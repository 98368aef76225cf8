//! PEM around keys: what kind it is, told apart with words for what is not taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bytes of a private key's PEM at most; P-256 with all its options has about 500.
pub const MAX_BYTES: usize = 16 * 1024;

/// One block of PEM. The bytes are wiped when dropped.
pub enum Block {
    /// `PRIVATE KEY`: PKCS#8, not encrypted.
    Plain(Zeroizing<Vec<u8>>),
    /// `ENCRYPTED PRIVATE KEY`: PKCS#8, encrypted with a passphrase.
    Encrypted(Zeroizing<Vec<u8>>),
    /// `PUBLIC KEY`.
    Public,
}

/// Why there is no block, as a clause about the place ("holds …").
pub type Why = &'static str;

/// Reads the one key of a text. What stands around it (such as `openssl`'s remarks) is skipped.
pub fn read(text: &[u8]) -> Result<Block, Why> {
    const NONE: Why = "holds no private key in PEM (from \"-----BEGIN ENCRYPTED PRIVATE KEY-----\" or \"-----BEGIN PRIVATE KEY-----\" to its END line)";
    let text = std::str::from_utf8(text).map_err(|_| NONE)?;
    let (_, rest) = text.split_once("-----BEGIN ").ok_or(NONE)?;
    let (label, rest) = rest.split_once("-----").ok_or(NONE)?;
    let (body, after) = rest
        .split_once("-----END ")
        .ok_or("holds the beginning of a key and no end: it was cut off")?;
    if !after.trim_start().starts_with(label) || !after[label.len()..].starts_with("-----") {
        return Err("holds a block whose BEGIN and END lines do not agree");
    }
    if after.contains("-----BEGIN ") {
        return Err("holds several blocks; one key is taken");
    }
    match label {
        "PRIVATE KEY" => bytes(body).map(Block::Plain),
        "ENCRYPTED PRIVATE KEY" => bytes(body).map(Block::Encrypted),
        "PUBLIC KEY" => Ok(Block::Public),
        "EC PRIVATE KEY" => Err(
            "holds a key in the old form of elliptic curves; `openssl pkcs8 -topk8 -scrypt -in OLD -out NEW` makes PKCS#8 of it",
        ),
        "RSA PRIVATE KEY" | "DSA PRIVATE KEY" => {
            Err("holds a key of a kind that is not taken; Ed25519 and ECDSA on P-256 are")
        }
        "OPENSSH PRIVATE KEY" => Err(
            "holds a key of OpenSSH; keys in PKCS#8 are taken, such as `openssl genpkey -algorithm ed25519` makes",
        ),
        "CERTIFICATE" => Err("holds a certificate and no private key"),
        _ => Err(NONE),
    }
}

fn bytes(body: &str) -> Result<Zeroizing<Vec<u8>>, Why> {
    const DAMAGED: Why = "holds a key whose base64 is damaged";
    // All at once, as below.
    let mut text = Zeroizing::new(Vec::with_capacity(body.len()));
    text.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; text.len()]);
    let length = STANDARD
        .decode_slice(text.as_slice(), &mut bytes)
        .map_err(|_| DAMAGED)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The bytes as one block, with a line feed at the end.
pub fn write(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(bytes));
    // All at once: a buffer that grows leaves copies behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(
        encoded.len() * 66 / 64 + 2 * label.len() + 64,
    ));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_ends_and_remarks_do_not_matter() {
        let text = write("PRIVATE KEY", b"0123456789");
        for given in [
            text.to_string(),
            text.replace('\n', "\r\n"),
            format!(
                "Bag Attributes\n    friendlyName: root\n{}\ntrailing words\n",
                *text
            ),
        ] {
            let Ok(Block::Plain(bytes)) = read(given.as_bytes()) else {
                panic!("{given}");
            };
            assert_eq!(bytes.as_slice(), b"0123456789");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
            let text = write("ENCRYPTED PRIVATE KEY", &bytes);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            match read(text.as_bytes()) {
                Ok(Block::Encrypted(read)) => prop_assert_eq!(read.as_slice(), bytes.as_slice()),
                _ => prop_assert!(false, "{}", *text),
            }
        }

        #[test]
        fn any_text_is_an_answer(text in "(-----BEGIN |-----END |-----|PRIVATE KEY|\n|[a-z0-9+/=é]){0,20}") {
            let _ = read(text.as_bytes());
        }
    }
}
