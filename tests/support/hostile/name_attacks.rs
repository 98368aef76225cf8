//! Attacks by the names and modes of entries.

use super::Put;
use super::wheel_writer::{INFO, entry_lie, wheel_lie, with_file, with_files, with_mode};

pub fn name_attacks(put: &mut Put<'_>) {
    put(
        "duplicate-name",
        "duplicate-name",
        with_files(&["demo/a.py", "demo/a.py"]),
    );
    put(
        "duplicate-metadata",
        "duplicate-name",
        with_file(&format!("{INFO}/METADATA")),
    );
    put(
        "names-differ-by-case",
        "case-collision",
        with_files(&["demo/a.py", "demo/A.py"]),
    );
    put(
        "names-differ-by-unicode-form",
        "unicode-collision",
        with_files(&["demo/\u{e9}.py", "demo/e\u{301}.py"]),
    );
    put(
        "names-differ-by-ligature",
        "unicode-collision",
        with_files(&["demo/\u{fb01}le.py", "demo/file.py"]),
    );
    put(
        "file-is-also-a-folder",
        "path-conflict",
        with_files(&["demo/a", "demo/a/b.py"]),
    );
    put(
        "installed-twice",
        "install-collision",
        with_file("demo-1.0.data/purelib/demo/__init__.py"),
    );
    put(
        "trailing-dot",
        "install-collision",
        with_file("demo/__init__.py."),
    );
    put("absolute-path", "absolute-path", with_file("/etc/cron.d/evil"));
    put("parent-path", "parent-path", with_file("demo/../../evil.py"));
    put("parent-path-in-front", "parent-path", with_file("../evil.py"));
    put("backslash", "backslash", with_file("demo\\..\\evil.py"));
    put("drive-letter", "drive-letter", with_file("C:/Windows/evil.dll"));
    put("alternate-stream", "colon", with_file("demo/a.py:evil"));
    put("empty-component", "unclean-path", with_file("demo//evil.py"));
    put("dot-component", "unclean-path", with_file("./evil.py"));
    put("empty-name", "empty-name", with_file(""));
    put("implied-folders", "entry-count", {
        // 4,000 names of 60 folders each: a few hundred kB that cost an installer 240,000 folders.
        let deep = "d/".repeat(58);
        let paths: Vec<String> = (0..4_000).map(|n| format!("{n}/{deep}x")).collect();
        with_files(&paths.iter().map(String::as_str).collect::<Vec<_>>())
    });
    put("nul-in-name", "control-character", with_file("demo/a.py\0.txt"));
    put("newline-in-name", "control-character", with_file("demo/a\nb.py"));
    put(
        "bidi-override-in-name",
        "control-character",
        with_file("demo/\u{202e}yp.exe"),
    );
    put("name-length", "name-length", with_file(&"a".repeat(5_000)));
    put(
        "path-depth",
        "path-depth",
        with_file(&format!("{}x", "d/".repeat(200))),
    );
    put(
        "name-not-utf8",
        "name-encoding",
        entry_lie(|entry| {
            entry.both(|header| {
                header.name = b"demo/\xff.py".to_vec();
                header.flags |= 1 << 11;
            });
        }),
    );
    put(
        "name-in-cp437",
        "name-encoding",
        entry_lie(|entry| {
            entry.both(|header| header.name = "demo/\u{e9}.py".as_bytes().to_vec());
        }),
    );
}

pub fn mode_attacks(put: &mut Put<'_>) {
    put("symlink", "symlink", with_mode("demo/link", 0o120_777));
    put("fifo", "special-file", with_mode("demo/fifo", 0o010_644));
    put("device", "special-file", with_mode("demo/device", 0o060_644));
    put("set-uid", "special-mode", with_mode("demo/tool", 0o104_755));
    put("set-gid", "special-mode", with_mode("demo/tool", 0o102_755));
    put("sticky", "special-mode", with_mode("demo/tool", 0o101_644));
    put(
        "folder-by-mode-only",
        "folder-mismatch",
        with_mode("demo/x", 0o040_755),
    );
    put(
        "folder-by-name-only",
        "folder-mismatch",
        with_mode("demo/x/", 0o100_644),
    );
    put(
        "folder-with-content",
        "folder-data",
        with_mode("demo/x/", 0o040_755),
    );
    put("folder-by-attribute-only", "folder-mismatch", {
        let mut bytes = entry_lie(|_| {});
        let at = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        bytes[at + 38] = 0x10;
        bytes
    });
    put(
        "executable-metadata",
        "unexpected-executable",
        wheel_lie(|wheel| wheel.info_mode = 0o100_755),
    );
    put(
        "executable-pth",
        "unexpected-executable",
        with_mode("evil.pth", 0o100_755),
    );
    put(
        "executable-header",
        "unexpected-executable",
        with_mode("demo-1.0.data/headers/demo.h", 0o100_755),
    );
}
