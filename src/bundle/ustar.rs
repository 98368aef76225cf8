//! The tar that bundles use: POSIX ustar (IEEE 1003.1, "pax", ustar interchange format) with every header field fixed but
//! name and size.
//!
//! For a name and a size there is one header, so a reader makes it and compares all 512 bytes. With that one comparison
//! go links, devices, sparse files, pax and GNU extensions, path tricks and flipped bits.

/// Bytes of a header, and what contents are padded to with zeros.
pub(crate) const BLOCK: u64 = 512;
/// The same, where memory is counted.
pub(crate) const BLOCK_LEN: usize = 512;
/// Bytes of zeros that end an archive: two blocks.
pub(crate) const TRAILER: u64 = 2 * BLOCK;
/// The same, where memory is counted.
pub(crate) const TRAILER_LEN: usize = 2 * BLOCK_LEN;
/// The largest size that eleven octal digits can say: 8 GiB less one byte.
pub(crate) const MAX_SIZE: u64 = 0o777_7777_7777;
/// Bytes of a name in the field `name`, and before it in `prefix`.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// A header's bytes.
pub(crate) type Header = [u8; BLOCK_LEN];

/// What a header cannot say, or what none of ours says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// Absolute, with `..`, with other characters, or too long.
    #[error("{0:?} is no name of a member")]
    Name(String),
    /// Over [`MAX_SIZE`].
    #[error("{0} bytes are more than a ustar header can say")]
    Size(u64),
    /// Another than the one header for its name and size.
    #[error("the tar header is not the one that the format gives it ({0})")]
    NotOurs(&'static str),
}

/// Bytes of zeros behind contents of `size` bytes.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

/// Bytes that a member of `size` bytes takes with header and padding.
pub(crate) fn member_bytes(size: u64) -> u64 {
    BLOCK.saturating_add(size).saturating_add(padding(size))
}

/// Whether this is a name that a member may have: relative, of plain parts, `[A-Za-z0-9._+!-]` and `/` between them.
pub(crate) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || b"._+!-".contains(&c))
    };
    name.split('/').all(part)
}

/// The header of a member.
///
/// Errors: [`HeaderError::Name`], [`HeaderError::Size`].
pub(crate) fn header(name: &str, size: u64) -> Result<Header, HeaderError> {
    let no_name = || HeaderError::Name(name.chars().take(80).collect());
    if size > MAX_SIZE {
        return Err(HeaderError::Size(size));
    }
    if !is_name(name) {
        return Err(no_name());
    }
    let (prefix, rest) = split(name).ok_or_else(no_name)?;
    let mut header = [0; BLOCK_LEN];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = header.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, rest.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    put(345, prefix.as_bytes());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// A name that is too long for its field is cut at the first slash that leaves little enough behind it.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME {
        return Some(("", name));
    }
    let cut = name
        .match_indices('/')
        .map(|(at, _)| at)
        .find(|at| name.len() - at - 1 <= NAME)?;
    (cut <= PREFIX).then(|| (&name[..cut], &name[cut + 1..]))
}

/// Name and size of a header, when it is the one that we give to them.
///
/// Errors: [`HeaderError::NotOurs`], which says what it is instead.
pub(crate) fn read(found: &Header) -> Result<(String, u64), HeaderError> {
    let text = |from: usize, to: usize| {
        let field = &found[from..to];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).ok()
    };
    let not_ours = || HeaderError::NotOurs(what_else(found));
    let (Some(rest), Some(prefix), Some(size)) = (text(0, 100), text(345, 500), text(124, 136)) else {
        return Err(not_ours());
    };
    let size = u64::from_str_radix(size, 8).map_err(|_| not_ours())?;
    let name = if prefix.is_empty() {
        rest.to_owned()
    } else {
        format!("{prefix}/{rest}")
    };
    match header(&name, size) {
        Ok(ours) if ours == *found => Ok((name, size)),
        Ok(_) | Err(_) => Err(not_ours()),
    }
}

/// For messages only.
fn what_else(found: &Header) -> &'static str {
    match found[156] {
        b'0' | 0 => "a name, a size, a mode, a time, an owner or the checksum is another",
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'5' => "a folder",
        b'6' => "a pipe",
        b'S' => "a sparse file",
        b'x' | b'g' => "a pax header",
        b'L' | b'K' => "a GNU long name",
        _ => "a member of an unknown kind",
    }
}

/// Whether two headers' worth of bytes are the end of an archive.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_programs_read_our_headers() {
        let name = format!("{}/{}", "p".repeat(90), "n".repeat(60));
        for (name, size) in [("oci-layout", 30), (name.as_str(), 7)] {
            let bytes = header(name, size).unwrap();
            let theirs = tar::Header::from_byte_slice(&bytes);
            assert_eq!(theirs.path_bytes().as_ref(), name.as_bytes());
            assert_eq!(theirs.size().unwrap(), size);
            assert_eq!(theirs.entry_type(), tar::EntryType::Regular);
            assert_eq!(theirs.mode().unwrap(), 0o644);
            assert_eq!(theirs.cksum().unwrap(), {
                let mut sum: u32 = bytes.iter().map(|b| u32::from(*b)).sum();
                sum -= bytes[148..156].iter().map(|b| u32::from(*b)).sum::<u32>();
                sum + 8 * 32
            });
        }
    }

    #[test]
    fn path_tricks_are_no_names() {
        for name in [
            "", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/./b", "a\\b", "a\0b", "a b", "ä", "C:a",
        ] {
            assert_eq!(
                header(name, 0),
                Err(HeaderError::Name(name.to_owned())),
                "{name:?}"
            );
        }
        assert!(header(&"a".repeat(101), 0).is_err());
        assert!(header(&format!("{}/{}", "a".repeat(156), "b".repeat(100)), 0).is_err());
        assert_eq!(header("a", MAX_SIZE + 1), Err(HeaderError::Size(MAX_SIZE + 1)));
    }

    #[test]
    fn other_kinds_of_members_are_named() {
        for (kind, what) in [
            (tar::EntryType::Symlink, "a symbolic link"),
            (tar::EntryType::Link, "a hard link"),
            (tar::EntryType::Char, "a device"),
            (tar::EntryType::GNUSparse, "a sparse file"),
            (tar::EntryType::XHeader, "a pax header"),
            (tar::EntryType::GNULongName, "a GNU long name"),
            (tar::EntryType::Directory, "a folder"),
        ] {
            let mut theirs = tar::Header::new_ustar();
            theirs.set_path("blobs/x").unwrap();
            theirs.set_size(0);
            theirs.set_mode(0o644);
            theirs.set_entry_type(kind);
            theirs.set_cksum();
            assert_eq!(read(theirs.as_bytes()), Err(HeaderError::NotOurs(what)));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z0-9]{1,60}(/[a-z0-9]{1,90}){0,2}", size in 0..=MAX_SIZE) {
            if let Ok(bytes) = header(&name, size) {
                prop_assert_eq!(read(&bytes), Ok((name, size)));
            }
        }

        #[test]
        fn one_flipped_bit_is_seen(size in 0..=MAX_SIZE, bit in 0..4096_usize) {
            let mut bytes = header("blobs/sha256/ab", size).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read(&bytes).is_err());
        }
    }
}
