//! Attacks on the archive and on the headers of its entries.

use super::wheel_writer::{INIT, Wheel, entry_lie, size_lie, zip_lie};
use super::zip_writer::{Zip, ZipEntry, extra, zip_files};
use super::{Put, good_wheel};

pub fn container_attacks(put: &mut Put<'_>) {
    let good = good_wheel("demo", "1.0", &[]);
    put("empty-file", "no-end-record", Vec::new());
    put("not-a-zip", "no-end-record", b"<html>404</html>".repeat(10));
    put(
        "truncated-wheel",
        "no-end-record",
        good[..good.len() * 2 / 3].to_vec(),
    );
    put("end-record-cut", "no-end-record", good[..good.len() - 3].to_vec());
    put(
        "trailing-bytes",
        "trailing-bytes",
        [good.as_slice(), b"#!/bin/sh\n"].concat(),
    );
    put("no-entries", "empty-archive", Zip::default().finish());
    put(
        "prefix-bytes",
        "prefix-bytes",
        zip_lie(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()),
    );
    put(
        "prefix-without-offsets",
        "directory-misplaced",
        zip_lie(|zip| {
            zip.prefix = b"#!/bin/sh\n".to_vec();
            zip.offsets_ignore_prefix = true;
        }),
    );
    put(
        "bytes-between-entries",
        "hidden-bytes",
        entry_lie(|entry| entry.after = b"payload".to_vec()),
    );
    put(
        "bytes-before-directory",
        "hidden-bytes",
        zip_lie(|zip| zip.before_directory = b"payload".to_vec()),
    );
    put(
        "bytes-behind-directory",
        "directory-misplaced",
        zip_lie(|zip| zip.after_directory = b"payload".to_vec()),
    );
    put(
        "entry-not-in-directory",
        "hidden-entry",
        zip_lie(|zip| {
            let mut hidden = ZipEntry::new("evil.py", b"import os\n", 0o100_644);
            hidden.hidden = true;
            zip.entries.insert(1, hidden);
        }),
    );
    put(
        "entry-only-in-directory",
        "overlapping-entries",
        zip_lie(|zip| {
            let mut phantom = zip.entry(INIT).clone();
            phantom.phantom = true;
            phantom.central.name = b"demo/evil.py".to_vec();
            phantom.offset = Some(0);
            zip.entries.push(phantom);
        }),
    );
    put("two-archives-in-one", "prefix-bytes", {
        let mut second = Wheel::new("demo", "1.0");
        second.file("evil.py", b"import os\n");
        [
            good.clone(),
            second.build(|zip| zip.prefix = vec![0; good.len()])[good.len()..].to_vec(),
        ]
        .concat()
    });
    put(
        "end-record-in-comment",
        "directory-misplaced",
        zip_lie(|zip| {
            zip.comment = [&b"PK\x05\x06"[..], &[0; 18]].concat();
        }),
    );
    put(
        "comment-size",
        "comment-size",
        zip_lie(|zip| zip.comment = vec![b'x'; 60_000]),
    );
    put(
        "entry-comment-size",
        "comment-size",
        entry_lie(|entry| entry.comment = vec![b'x'; 60_000]),
    );
    put("several-disks", "multi-disk", zip_lie(|zip| zip.disk = 1));
    put(
        "fewer-entries-than-said",
        "entry-count-mismatch",
        zip_lie(|zip| zip.count = Some(9)),
    );
    put(
        "more-entries-than-said",
        "entry-count-mismatch",
        zip_lie(|zip| zip.count = Some(2)),
    );
    put(
        "zip64-locator-elsewhere",
        "zip64",
        zip_lie(|zip| zip.zip64 = Some(|records| records[64] ^= 1)),
    );
    put(
        "zip64-record-contradicts",
        "zip64",
        zip_lie(|zip| zip.zip64 = Some(|records| records[32] ^= 1)),
    );
    put(
        "zip64-directory-elsewhere",
        "directory-misplaced",
        zip_lie(|zip| zip.zip64 = Some(|records| records[48] ^= 1)),
    );
    put(
        "zip64-record-missing",
        "zip64",
        zip_lie(|zip| zip.zip64 = Some(Vec::clear)),
    );
    put("entry-count", "entry-count", {
        // Only the count is absurd; a reader that believes it reserves memory for 2^40 entries.
        let mut bytes = zip_lie(|zip| {
            zip.count = Some(u16::MAX);
            zip.zip64 = Some(|records| {
                records[24..32].copy_from_slice(&(1_u64 << 40).to_le_bytes());
                records[32..40].copy_from_slice(&(1_u64 << 40).to_le_bytes());
            });
        });
        bytes.shrink_to_fit();
        bytes
    });
}

pub fn entry_attacks(put: &mut Put<'_>) {
    put(
        "local-name-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.name = b"demo/__evil__.py".to_vec()),
    );
    put(
        "local-method-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.method = 0),
    );
    put(
        "local-flags-differ",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.flags = 1 << 11),
    );
    put(
        "local-size-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.size += 1),
    );
    put(
        "local-packed-size-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.compressed -= 1),
    );
    put(
        "local-checksum-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.crc ^= 1),
    );
    put(
        "local-version-differs",
        "local-header-mismatch",
        entry_lie(|entry| entry.local.needed = 45),
    );
    put(
        "local-zip64-differs",
        "zip64",
        entry_lie(|entry| entry.local.extra = extra(1, &[7; 16])),
    );
    put(
        "central-zip64-unasked",
        "zip64",
        entry_lie(|entry| entry.central.extra = extra(1, &[7; 8])),
    );
    put(
        "central-zip64-missing",
        "zip64",
        entry_lie(|entry| entry.central.size = u32::MAX),
    );
    put(
        "extra-field-torn",
        "extra-field",
        entry_lie(|entry| entry.central.extra = vec![1, 2, 3]),
    );
    put(
        "unicode-path-differs",
        "unicode-path",
        entry_lie(|entry| {
            let body = [
                &[1][..],
                &libdeflater::crc32(INIT.as_bytes()).to_le_bytes(),
                b"demo/__evil__.py",
            ]
            .concat();
            entry.both(|header| header.extra = extra(0x7075, &body));
        }),
    );
    put(
        "link-in-extra-field",
        "extra-field",
        entry_lie(|entry| {
            entry.central.extra = extra(0x756e, b"crc4\xff\xa1\0\0\0\0\0\0\0\0/etc/passwd");
        }),
    );
    put(
        "encrypted",
        "encrypted",
        entry_lie(|entry| entry.both(|header| header.flags |= 1)),
    );
    put(
        "strong-encryption",
        "encrypted",
        entry_lie(|entry| entry.both(|header| header.flags |= 1 << 6)),
    );
    put(
        "masked-headers",
        "encrypted",
        entry_lie(|entry| entry.both(|header| header.flags |= 1 << 13)),
    );
    put(
        "patched-data",
        "unknown-flags",
        entry_lie(|entry| entry.both(|header| header.flags |= 1 << 5)),
    );
    for (name, method) in [
        ("method-bzip2", 12),
        ("method-lzma", 14),
        ("method-zstd", 93),
        ("method-deflate64", 9),
    ] {
        put(
            name,
            "unknown-method",
            entry_lie(|entry| entry.both(|header| header.method = method)),
        );
    }
    put(
        "future-version",
        "unknown-version",
        entry_lie(|entry| entry.both(|header| header.needed = 90)),
    );
    put(
        "claims-less-than-it-holds",
        "size-mismatch",
        size_lie(|record| record.replacen(",10\n", ",9\n", 1), 9),
    );
    put(
        "claims-more-than-it-holds",
        "size-mismatch",
        size_lie(|record| record.replacen(",10\n", ",11\n", 1), 11),
    );
    put(
        "stored-with-two-sizes",
        "size-mismatch",
        entry_lie(|entry| entry.both(|header| header.method = 0)),
    );
    put(
        "wrong-checksum",
        "crc-mismatch",
        entry_lie(|entry| entry.both(|header| header.crc ^= 1)),
    );
    put(
        "not-a-deflate-stream",
        "corrupt-data",
        entry_lie(|entry| entry.data.fill(0xff)),
    );
    put(
        "bytes-behind-deflate-stream",
        "hidden-bytes",
        entry_lie(|entry| {
            entry.data.extend(b"payload");
            entry.both(|header| header.compressed += 7);
        }),
    );
    put(
        "descriptor-lies",
        "descriptor-mismatch",
        entry_lie(|entry| {
            entry.both(|header| header.flags |= 1 << 3);
            entry.after = [&b"PK\x07\x08"[..], &[7; 12]].concat();
        }),
    );
    put(
        "descriptor-missing",
        "descriptor-mismatch",
        entry_lie(|entry| entry.both(|header| header.flags |= 1 << 3)),
    );
    put(
        "stored-with-a-descriptor",
        "stored-descriptor",
        entry_lie(|entry| {
            entry.data = b"VALUE = 1\n".to_vec();
            entry.both(|header| {
                header.flags |= 1 << 3;
                header.method = 0;
                header.compressed = header.size;
            });
            entry.after = [entry.local.crc, entry.local.compressed, entry.local.size]
                .map(u32::to_le_bytes)
                .concat();
        }),
    );
    put(
        "stored-without-a-size",
        "stored-descriptor",
        entry_lie(|entry| {
            entry.data = b"VALUE = 1\n".to_vec();
            entry.both(|header| {
                header.flags |= 1 << 3;
                header.method = 0;
                header.compressed = header.size;
            });
            let sizes = [entry.local.crc, entry.local.compressed, entry.local.size]
                .map(u32::to_le_bytes)
                .concat();
            (entry.local.crc, entry.local.compressed, entry.local.size) = (0, 0, 0);
            entry.after = sizes;
        }),
    );
    put(
        "overlapping-entries",
        "overlapping-entries",
        zip_lie(|zip| {
            let mut second = zip.entry(INIT).clone();
            second.both(|header| header.name = b"demo/__copy__.py".to_vec());
            second.offset = Some(0);
            zip.entries.insert(1, second);
        }),
    );
    put(
        "offset-past-the-end",
        "overlapping-entries",
        zip_lie(|zip| {
            zip.entries.last_mut().unwrap().offset = Some(u32::MAX - 1);
        }),
    );
    put(
        "local-header-past-the-end",
        "local-header-mismatch",
        zip_lie(|zip| {
            zip.entries.last_mut().unwrap().local.name_length = Some(60_000);
        }),
    );
}

pub fn bombs(put: &mut Put<'_>) {
    put(
        "overlapping-bomb",
        "overlapping-entries",
        zip_lie(|zip| {
            // 250 names for one kernel of 20 MB: a few kB that claim 5 GB.
            let kernel = ZipEntry::new("demo/kernel", &vec![0; 20_000_000], 0o100_644);
            let offset = zip
                .entries
                .iter()
                .map(|e| u32::try_from(30 + e.local.name.len() + e.data.len()).unwrap())
                .sum();
            zip.entries.push(kernel.clone());
            for n in 0..250 {
                let mut copy = kernel.clone();
                copy.central.name = format!("demo/{n}").into_bytes();
                copy.phantom = true;
                copy.offset = Some(offset);
                zip.entries.push(copy);
            }
        }),
    );
    put("high-ratio-entry", "ratio", {
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/zeros", &vec![0; 48 << 20]);
        wheel.build(|_| {})
    });
    put("nested-bomb", "ratio", {
        // A wheel of archives of zeros: harmless to us, who open none of them, and refused for what it packs.
        let inner = zip_files(&[("zeros", &vec![0; 1 << 20])]);
        let many: Vec<u8> = inner.iter().copied().cycle().take(48 << 20).collect();
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/nested.zip", &many);
        wheel.build(|_| {})
    });
    put("high-ratio-archive", "ratio", {
        let mut wheel = Wheel::new("demo", "1.0");
        for n in 0..12 {
            wheel.file(&format!("demo/zeros{n}"), &vec![0; 4 << 20]);
        }
        wheel.build(|_| {})
    });
    put(
        "entry-claims-too-much",
        "entry-too-large",
        entry_lie(|entry| {
            entry.both(|header| header.size = u32::MAX);
            let size = 5_u64 << 30;
            entry.central.extra = extra(1, &size.to_le_bytes());
        }),
    );
    put(
        "archive-claims-too-much",
        "archive-too-large",
        zip_lie(|zip| {
            for n in 0..5 {
                let mut entry = ZipEntry::new(&format!("demo/{n}"), b"x", 0o100_644);
                entry.both(|header| header.size = u32::MAX - 1);
                zip.entries.push(entry);
            }
        }),
    );
    put("claims-little-holds-much", "size-mismatch", {
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/zeros", &vec![0; 48 << 20]);
        wheel.record = |record| record.replace(",50331648\n", ",10\n");
        wheel.build(|zip| zip.entry("demo/zeros").both(|header| header.size = 10))
    });
}
