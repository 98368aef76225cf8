//! How much of what came from outside is looked at. Threat: a document that costs time or memory out of proportion.

use super::finding::{Code, Flaw};

/// Bytes of one document. A real provenance object has 5 to 40 kB.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Documents of one file.
pub const MAX_DOCUMENTS: usize = 32;

/// Attestations of one file, in all its documents together; each costs about a millisecond.
pub const MAX_ATTESTATIONS: usize = 64;

/// Log entries of one attestation, and timestamps of one; each costs one or two signature verifications.
pub const MAX_PROOFS: usize = 4;

/// Brackets inside brackets. Threat: a parser's stack.
pub const MAX_DEPTH: usize = 48;

/// Bytes of a file that is read into memory whole, for signature schemes that allow nothing else (Ed25519).
pub const MAX_MESSAGE_BYTES: u64 = 512 * 1024 * 1024;

/// The text of a JSON document whose size and depth are within bounds.
pub fn json_text(bytes: &[u8]) -> Result<&str, Flaw> {
    size(bytes)?;
    depth(bytes)?;
    std::str::from_utf8(bytes).map_err(|error| {
        Flaw::new(
            Code::Malformed,
            format!("not UTF-8 at byte {}", error.valid_up_to()),
        )
    })
}

/// Refuses what is longer than a document may be.
pub fn size(bytes: &[u8]) -> Result<(), Flaw> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        let detail = format!(
            "{} bytes; a signature document has at most {MAX_DOCUMENT_BYTES}",
            bytes.len()
        );
        return Err(Flaw::new(Code::TooLarge, detail));
    }
    Ok(())
}

/// Counts brackets outside of texts, without recursion; says nothing about whether the JSON is sound.
fn depth(bytes: &[u8]) -> Result<(), Flaw> {
    let (mut deep, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                deep += 1;
                if deep > MAX_DEPTH {
                    let detail = format!("nested more than {MAX_DEPTH} deep");
                    return Err(Flaw::new(Code::Malformed, detail));
                }
            }
            b']' | b'}' if !in_text => deep = deep.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn depth_is_counted_outside_of_texts() {
        assert_eq!(json_text(br#"{"a":"[[[[\"[[["}"#).unwrap().len(), 17);
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(json_text(nested(MAX_DEPTH).as_bytes()).is_ok());
        let refused = json_text(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(refused.code, Code::Malformed);
        assert!(json_text(&b"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_document_has_a_largest_size() {
        assert!(json_text(&vec![b' '; MAX_DOCUMENT_BYTES]).is_ok());
        let refused = json_text(&vec![b' '; MAX_DOCUMENT_BYTES + 1]).unwrap_err();
        assert_eq!(refused.code, Code::TooLarge);
        assert_eq!(json_text(&[0xff]).unwrap_err().code, Code::Malformed);
    }
}
