//! Attacks on source distributions.

use super::tar_writer::{Tar, gzip};
use super::{Put, good_sdist, metadata};

/// The plain sdist with something added to it.
fn sdist_with(change: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.folder("demo-1.0/")
        .file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"))
        .file("demo-1.0/setup.py", b"x");
    change(&mut tar);
    gzip(&tar.finish())
}

fn add(change: impl FnOnce(&mut Tar) -> &mut Tar) -> Vec<u8> {
    sdist_with(|tar| {
        change(tar);
    })
}

pub fn sdist_attacks(put: &mut Put<'_>) {
    let good = good_sdist("demo", "1.0", &[]);
    put("sdist-not-gzip", "corrupt-data", b"<html>404</html>".to_vec());
    put("sdist-truncated", "corrupt-data", good[..good.len() / 2].to_vec());
    put(
        "sdist-trailing-bytes",
        "trailing-bytes",
        [good.as_slice(), b"payload"].concat(),
    );
    put(
        "sdist-second-gzip-member",
        "gzip-members",
        [good.clone(), good_sdist("demo", "1.0", &[("x", b"y")])].concat(),
    );
    put("sdist-bytes-behind-end", "hidden-bytes", {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/")
            .file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"));
        let mut bytes = tar.finish();
        bytes.extend(Tar::default().file("demo-1.0/evil.py", b"x").finish());
        gzip(&bytes)
    });
    put(
        "sdist-two-top-folders",
        "top-folder",
        add(|tar| tar.file("evil/setup.py", b"x")),
    );
    put(
        "sdist-file-beside-top-folder",
        "top-folder",
        add(|tar| tar.file("setup.py", b"x")),
    );
    put(
        "sdist-of-another-release",
        "top-folder",
        good_sdist("demo", "2.0", &[]),
    );
    put(
        "sdist-absolute-path",
        "absolute-path",
        add(|tar| tar.file("/etc/passwd", b"x")),
    );
    put(
        "sdist-parent-path",
        "parent-path",
        add(|tar| tar.file("demo-1.0/../../evil", b"x")),
    );
    put(
        "sdist-pax-parent-path",
        "parent-path",
        add(|tar| tar.pax("path", "demo-1.0/../../evil").file("demo-1.0/a", b"x")),
    );
    put(
        "sdist-duplicate-name",
        "duplicate-name",
        add(|tar| tar.file("demo-1.0/setup.py", b"y")),
    );
    put(
        "sdist-names-differ-by-case",
        "case-collision",
        add(|tar| tar.file("demo-1.0/Setup.py", b"y")),
    );
    put(
        "sdist-symlink-out",
        "link-escape",
        add(|tar| tar.link("demo-1.0/a", b'2', "../../../etc")),
    );
    put(
        "sdist-symlink-absolute",
        "link-escape",
        add(|tar| tar.link("demo-1.0/a", b'2', "/etc/passwd")),
    );
    put(
        "sdist-symlink-to-above",
        "link-escape",
        add(|tar| tar.link("demo-1.0/a", b'2', "..")),
    );
    put(
        "sdist-file-through-symlink",
        "path-conflict",
        add(|tar| {
            tar.folder("demo-1.0/d/")
                .link("demo-1.0/a", b'2', "d")
                .file("demo-1.0/a/x", b"y")
        }),
    );
    put(
        "sdist-symlinks-that-add-up",
        "link-escape",
        add(|tar| {
            // Each link looks harmless; the second goes up from where the first leads to.
            tar.file("demo-1.0/d/e/x", b"y")
                .link("demo-1.0/d/e/up", b'2', "../..")
                .link("demo-1.0/a", b'2', "d/e/up/..")
        }),
    );
    put(
        "sdist-hard-link-out",
        "link-escape",
        add(|tar| tar.link("demo-1.0/a", b'1', "../../../etc/passwd")),
    );
    put(
        "sdist-name-length",
        "name-length",
        add(|tar| {
            tar.pax("path", &format!("demo-1.0/{}", "a".repeat(2_000)))
                .file("demo-1.0/a", b"x")
        }),
    );
    put(
        "sdist-path-depth",
        "path-depth",
        add(|tar| {
            tar.pax("path", &format!("demo-1.0/{}x", "d/".repeat(100)))
                .file("demo-1.0/a", b"x")
        }),
    );
    put(
        "sdist-device",
        "special-file",
        add(|tar| tar.entry("demo-1.0/a", b'3', b"", "", 0o644)),
    );
    put(
        "sdist-block-device",
        "special-file",
        add(|tar| tar.entry("demo-1.0/a", b'4', b"", "", 0o644)),
    );
    put(
        "sdist-fifo",
        "special-file",
        add(|tar| tar.entry("demo-1.0/a", b'6', b"", "", 0o644)),
    );
    put(
        "sdist-sparse",
        "special-file",
        add(|tar| tar.entry("demo-1.0/a", b'S', b"", "", 0o644)),
    );
    put(
        "sdist-set-uid",
        "special-mode",
        add(|tar| tar.entry("demo-1.0/a", b'0', b"x", "", 0o4_755)),
    );
    put(
        "sdist-pax-size",
        "tar-size",
        add(|tar| tar.pax("size", "1024").file("demo-1.0/a", b"x")),
    );
    put(
        "sdist-pax-sparse",
        "tar-header",
        add(|tar| tar.pax("GNU.sparse.major", "1").file("demo-1.0/a", b"x")),
    );
    put(
        "sdist-two-extended-headers",
        "tar-header",
        add(|tar| {
            tar.pax("path", "demo-1.0/a")
                .pax("path", "demo-1.0/b")
                .file("demo-1.0/c", b"x")
        }),
    );
    put(
        "sdist-extended-header-alone",
        "tar-header",
        add(|tar| tar.pax("path", "demo-1.0/a")),
    );
    put(
        "sdist-wrong-checksum",
        "tar-header",
        sdist_with(|tar| tar.bytes[0] ^= 1),
    );
    put("sdist-without-end", "corrupt-data", {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/")
            .file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"));
        gzip(&tar.bytes)
    });
    put("sdist-without-pkg-info", "required-file-missing", {
        let mut tar = Tar::default();
        gzip(&tar.folder("demo-1.0/").file("demo-1.0/setup.py", b"x").finish())
    });
    put("sdist-pkg-info-of-another-project", "metadata-name", {
        let mut tar = Tar::default();
        gzip(&tar.file("demo-1.0/PKG-INFO", &metadata("other", "1.0")).finish())
    });
    put("sdist-pkg-info-of-another-version", "metadata-version", {
        let mut tar = Tar::default();
        gzip(&tar.file("demo-1.0/PKG-INFO", &metadata("demo", "2.0")).finish())
    });
    put(
        "sdist-bomb",
        "archive-too-large",
        add(|tar| tar.file("demo-1.0/zeros", &vec![0; 48 << 20])),
    );
    put(
        "sdist-endless-zeros",
        "archive-too-large",
        gzip(&[Tar::default().folder("demo-1.0/").finish(), vec![0; 48 << 20]].concat()),
    );
}
