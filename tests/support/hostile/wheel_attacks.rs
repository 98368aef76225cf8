//! Attacks by what a wheel says of itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::wheel_writer::{INIT, record_lie, wheel_lie, with_file, zip_lie};
use super::zip_writer::{ZipEntry, zip_files};
use super::{Put, metadata};

pub fn content_attacks(put: &mut Put<'_>) {
    put(
        "no-dist-info",
        "dist-info-missing",
        zip_files(&[("demo/__init__.py", b"x = 1\n")]),
    );
    put(
        "two-dist-infos",
        "dist-info-count",
        with_file("other-1.0.dist-info/METADATA"),
    );
    put(
        "dist-info-through-purelib",
        "dist-info-count",
        with_file("demo-1.0.data/purelib/other-1.0.dist-info/METADATA"),
    );
    put(
        "dist-info-in-capitals",
        "dist-info-name",
        wheel_lie(|wheel| "demo-1.0.DIST-INFO".clone_into(&mut wheel.info)),
    );
    put(
        "dist-info-of-another-project",
        "dist-info-name",
        wheel_lie(|wheel| "other-1.0.dist-info".clone_into(&mut wheel.info)),
    );
    put(
        "metadata-of-another-project",
        "metadata-name",
        wheel_lie(|wheel| wheel.metadata = metadata("other", "1.0")),
    );
    put(
        "metadata-of-another-version",
        "metadata-version",
        wheel_lie(|wheel| wheel.metadata = metadata("demo", "2.0")),
    );
    put(
        "metadata-unreadable",
        "metadata",
        wheel_lie(|wheel| wheel.metadata = b"\xff\xfe nothing".to_vec()),
    );
    put(
        "no-metadata",
        "required-file-missing",
        wheel_lie(|wheel| wheel.without = vec!["METADATA"]),
    );
    put(
        "no-wheel-file",
        "required-file-missing",
        wheel_lie(|wheel| wheel.without = vec!["WHEEL"]),
    );
    put(
        "no-record",
        "required-file-missing",
        wheel_lie(|wheel| wheel.without = vec!["RECORD"]),
    );
    put(
        "wheel-version-2",
        "wheel-file",
        wheel_lie(|wheel| {
            wheel.about = b"Wheel-Version: 2.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec();
        }),
    );
    put(
        "tags-of-another-platform",
        "wheel-tags",
        wheel_lie(|wheel| {
            wheel.about =
                b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp311-cp311-linux_x86_64\n".to_vec();
        }),
    );
    put(
        "build-of-another-wheel",
        "wheel-build",
        wheel_lie(|wheel| {
            wheel.about =
                b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\nBuild: 7\n".to_vec();
        }),
    );
    put(
        "data-folder-of-another-name",
        "data-folder",
        with_file("other-1.0.data/scripts/x"),
    );
    put(
        "unknown-data-scheme",
        "data-scheme",
        with_file("demo-1.0.data/etc/x"),
    );
    put(
        "file-not-in-record",
        "record-missing-entry",
        record_lie(|record| {
            record
                .lines()
                .filter(|line| !line.starts_with(INIT))
                .fold(String::new(), |all, line| all + line + "\n")
        }),
    );
    put(
        "record-names-a-missing-file",
        "record-unknown-entry",
        record_lie(|record| record + "demo/gone.py,sha256=x,1\n"),
    );
    put(
        "record-leads-out",
        "record-unknown-entry",
        record_lie(|record| record + "../../bin/python,sha256=x,1\n"),
    );
    put(
        "record-names-a-file-twice",
        "record-duplicate",
        record_lie(|record| {
            let first = record.lines().next().unwrap().to_owned();
            record + &first + "\n"
        }),
    );
    put(
        "record-without-hash",
        "record-no-hash",
        record_lie(|record| record.replacen(record.lines().next().unwrap(), &format!("{INIT},,"), 1)),
    );
    put(
        "record-with-md5",
        "record-weak-hash",
        record_lie(|record| record.replacen("sha256=", "md5=", 1)),
    );
    put(
        "record-with-another-size",
        "record-size",
        record_lie(|record| record.replacen(",10\n", ",11\n", 1)),
    );
    put(
        "record-with-another-hash",
        "record-hash",
        record_lie(|record| {
            let other = URL_SAFE_NO_PAD.encode(Sha256::digest(b"something else"));
            record.replacen(
                record.lines().next().unwrap(),
                &format!("{INIT},sha256={other},10"),
                1,
            )
        }),
    );
    put(
        "record-torn",
        "record-syntax",
        record_lie(|record| record + "\"demo/a.py,sha256=x\n"),
    );
    put(
        "content-exchanged",
        "record-hash",
        zip_lie(|zip| {
            *zip.entry(INIT) = ZipEntry::new(INIT, b"EVIL = 1!\n", 0o100_644);
        }),
    );
}
