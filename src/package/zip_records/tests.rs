#![allow(clippy::unwrap_used, clippy::expect_used)]
use proptest::prelude::*;

use super::*;

fn end(entries: u16, size: u32, offset: u32, comment: &[u8]) -> Vec<u8> {
    let mut out = b"PK\x05\x06\0\0\0\0".to_vec();
    out.extend([entries.to_le_bytes(), entries.to_le_bytes()].concat());
    out.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
    out.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    out.extend(comment);
    out
}

fn code(tail: &[u8], total: usize) -> &'static str {
    find_directory(tail, total as u64).unwrap_err().code
}

#[test]
fn the_end_record_is_found_from_any_sufficient_tail() {
    let file = [vec![0; 500], end(3, 400, 100, b"hello")].concat();
    let found = Directory {
        offset: 100,
        size: 400,
        entries: 3,
        comment_bytes: 5,
        zip64: false,
    };
    assert_eq!(
        find_directory(&file, 527).unwrap(),
        EndSearch::Found(found.clone())
    );
    assert_eq!(
        find_directory(&file[400..], 527).unwrap(),
        EndSearch::Found(found)
    );
    // Room for a ZIP64 record must be in sight, and a tail without any record asks for the longest one.
    assert_eq!(
        find_directory(&file[490..], 527).unwrap(),
        EndSearch::NeedMore { from: 424 }
    );
    assert_eq!(
        find_directory(&file[520..], 527).unwrap(),
        EndSearch::NeedMore { from: 0 }
    );
}

#[test]
fn only_an_end_record_that_reaches_the_end_counts() {
    let file = [vec![0; 500], end(3, 400, 100, b"")].concat();
    assert_eq!(code(&[file.clone(), vec![0]].concat(), 523), "trailing-bytes");
    assert_eq!(code(&file[..521], 521), "no-end-record");
    assert_eq!(
        code(&[vec![0; 500], end(3, 399, 100, b"")].concat(), 522),
        "directory-misplaced"
    );
    assert_eq!(
        code(&[vec![0; 500], end(3, u32::MAX, u32::MAX, b"")].concat(), 522),
        "zip64"
    );
    let two = [vec![0; 500], end(3, 400, 100, &end(0, 0, 0, b""))].concat();
    assert_eq!(code(&two, two.len()), "directory-misplaced");
    assert_eq!(code(b"", 0), "no-end-record");
    assert_eq!(code(b"more than there is", 3), "no-end-record");
}

#[test]
fn descriptors_have_one_width() {
    let plain = [7_u32, 8, 9].map(u32::to_le_bytes).concat();
    assert_eq!(parse_descriptor(&plain, false), Some((7, 8, 9)));
    assert_eq!(
        parse_descriptor(&[&b"PK\x07\x08"[..], &plain].concat(), false),
        Some((7, 8, 9))
    );
    assert_eq!(
        parse_descriptor(&[&b"XX\x07\x08"[..], &plain].concat(), false),
        None
    );
    assert_eq!(parse_descriptor(&plain, true), None);
    let wide = [
        &7_u32.to_le_bytes()[..],
        &8_u64.to_le_bytes(),
        &9_u64.to_le_bytes(),
    ]
    .concat();
    assert_eq!(parse_descriptor(&wide, true), Some((7, 8, 9)));
    assert_eq!(parse_descriptor(&wide, false), None);
    assert_eq!(parse_descriptor(b"", false), None);
}

#[test]
fn extra_fields_may_not_rename_or_relink() {
    let field = |id: u16, body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap();
        [&id.to_le_bytes()[..], &length.to_le_bytes(), body].concat()
    };
    let path = |name: &[u8]| field(EXTRA_UNICODE_PATH, &[b"\x01crc4", name].concat());
    assert_eq!(read_extra(&path(b"a.py"), b"a.py"), Ok(None));
    assert_eq!(
        read_extra(&path(b"b.py"), b"a.py").unwrap_err().code,
        "unicode-path"
    );
    assert_eq!(
        read_extra(&field(0x756e, b""), b"a.py").unwrap_err().code,
        "extra-field"
    );
    assert_eq!(read_extra(&field(0x5455, b"times"), b"a.py"), Ok(None));
    let zip64 = field(EXTRA_ZIP64, &[0; 8]);
    assert_eq!(read_extra(&zip64, b"a"), Ok(Some(&[0; 8][..])));
    assert_eq!(
        read_extra(&[zip64.clone(), zip64].concat(), b"a")
            .unwrap_err()
            .code,
        "zip64"
    );
    assert_eq!(read_extra(&[1, 0, 9, 0], b"a").unwrap_err().code, "extra-field");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), signature in 0..4_usize) {
        let marks: [&[u8]; 4] = [b"", CENTRAL_SIGNATURE, LOCAL_SIGNATURE, END_SIGNATURE];
        let bytes = [marks[signature], &bytes].concat();
        if let Ok((header, length)) = CentralHeader::parse(&bytes) {
            prop_assert!(length <= bytes.len());
            prop_assert_eq!(length, CENTRAL_BYTES + header.name.len() + header.extra.len() + header.comment.len());
        }
        if let Ok(header) = LocalHeader::parse(&bytes) {
            prop_assert!(header.length <= bytes.len());
        }
        if let Ok(EndSearch::Found(directory)) = find_directory(&bytes, bytes.len() as u64) {
            prop_assert!(directory.offset + directory.size <= bytes.len() as u64);
        }
    }
}
