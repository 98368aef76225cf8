//! Extended tar headers: PAX records (POSIX.1-2001) and what of them may change an entry.

/// What extended headers say of the entry that follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

impl Extended {
    /// Takes the records that change an entry; refuses those that change how it is read.
    pub(super) fn from_pax(records: &[(&str, &[u8])]) -> Result<Self, String> {
        let mut extended = Self::default();
        for (key, value) in records {
            let twice = match *key {
                "path" => extended.path.replace(value.to_vec()).is_some(),
                "linkpath" => extended.link.replace(value.to_vec()).is_some(),
                "size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    extended
                        .size
                        .replace(size.ok_or("an extended size that is no number")?)
                        .is_some()
                }
                "hdrcharset" => return Err("an extended header in another character set".to_owned()),
                key if key.starts_with("GNU.sparse") => return Err("a sparse file".to_owned()),
                _ => false, // times, owners, vendor keys: change no name and no content
            };
            if twice {
                return Err(format!("an extended header has {key} twice"));
            }
        }
        Ok(extended)
    }
}

/// Whether global records (`git archive` writes a `comment`) leave every entry's name and content alone.
pub(super) fn is_harmless_global(records: &[(&str, &[u8])]) -> bool {
    records.iter().all(|(key, _)| {
        !matches!(*key, "path" | "linkpath" | "size" | "hdrcharset") && !key.starts_with("GNU.")
    })
}

/// Splits `length key=value\n` records; the length counts itself.
pub(super) fn parse_pax(mut bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, &'static str> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let torn = "an extended header is torn";
        let space = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(torn)?;
        let digits = std::str::from_utf8(&bytes[..space]).map_err(|_| torn)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(torn);
        }
        let length: usize = digits.parse().map_err(|_| torn)?;
        let (record, rest) = bytes.split_at_checked(length).ok_or(torn)?;
        let body = record
            .get(space + 1..)
            .and_then(|body| body.strip_suffix(b"\n"))
            .ok_or(torn)?;
        let equals = body.iter().position(|byte| *byte == b'=').ok_or(torn)?;
        let key = std::str::from_utf8(&body[..equals]).map_err(|_| torn)?;
        records.push((key, &body[equals + 1..]));
        bytes = rest;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records() {
        assert_eq!(
            parse_pax(b"11 path=abc\n").unwrap_err(),
            "an extended header is torn"
        );
        assert_eq!(
            parse_pax(b"12 path=abc\n11 mtime=\n").unwrap_err(),
            "an extended header is torn"
        );
        assert_eq!(parse_pax(b"12 path=abc\n").unwrap(), [("path", &b"abc"[..])]);
        for torn in [
            &b"12"[..],
            b"999999999999999999999 a=b\n",
            b"5 a=b",
            b"-6 a=b\n",
            b"6 ab\n\n",
            b"0 a=b\n",
        ] {
            assert!(parse_pax(torn).is_err(), "{torn:?}");
        }
    }

    #[test]
    fn what_changes_how_an_entry_is_read_is_refused() {
        assert!(Extended::from_pax(&[("path", b"a"), ("path", b"b")]).is_err());
        assert!(Extended::from_pax(&[("size", b"x")]).is_err());
        assert!(Extended::from_pax(&[("GNU.sparse.major", b"1")]).is_err());
        assert!(Extended::from_pax(&[("hdrcharset", b"BINARY")]).is_err());
        assert_eq!(
            Extended::from_pax(&[("mtime", b"1.5")]).unwrap(),
            Extended::default()
        );
        assert!(is_harmless_global(&[("comment", b"0123")]));
        assert!(!is_harmless_global(&[("path", b"x")]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_records_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(records) = parse_pax(&bytes) {
                let total: usize = records.iter().map(|(key, value)| key.len() + value.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
