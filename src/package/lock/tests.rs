#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

#[test]
fn pylock_is_read() {
    let text = format!(
        r#"lock-version = "1.0"
created-by = "a tool"

[[packages]]
name = "Attrs"
version = "25.1.0"
marker = "python_version > '3.8'"
wheels = [
  {{name = "attrs-25.1.0-py3-none-any.whl", url = "https://f.example/x", hashes = {{sha256 = "{A}"}}}},
]
[packages.sdist]
url = "https://f.example/attrs-25.1.0.tar.gz#x"
hashes = {{sha256 = "{B}"}}

[[packages]]
name = "mine"
directory = {{path = "."}}

[[packages]]
name = "dynamic"
sdist = {{path = "dist/dynamic-2.0.zip"}}
"#
    );
    let read = parse_pylock(&text).unwrap();
    let [attrs, dynamic] = read.pins.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!((attrs.project.as_str(), attrs.line), ("attrs", 4));
    assert_eq!(attrs.specifier.to_string(), "==25.1.0");
    assert_eq!(attrs.marker.as_deref(), Some("python_version > '3.8'"));
    assert_eq!(
        attrs.files,
        ["attrs-25.1.0.tar.gz", "attrs-25.1.0-py3-none-any.whl"]
    );
    assert_eq!(
        attrs
            .hashes
            .iter()
            .map(|hash| hash.value_hex.as_str())
            .collect::<Vec<_>>(),
        [B, A]
    );
    assert_eq!(dynamic.specifier.to_string(), "==2.0");
    let notes: Vec<&str> = read.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        notes,
        [
            "mine comes from a folder, not from an index: left out",
            "dynamic has no hash: any file of 2.0 will do"
        ]
    );
}

#[test]
fn uv_lock_is_read() {
    let text = format!(
        r#"version = 1
revision = 3
requires-python = ">=3.9"

[[package]]
name = "attrs"
version = "25.1.0"
source = {{ registry = "https://index.example/simple" }}
sdist = {{ url = "https://f.example/attrs-25.1.0.tar.gz", hash = "sha256:{B}", size = 1, upload-time = "2025-01-25T11:30:12Z" }}
wheels = [
{{ url = "https://f.example/attrs-25.1.0%2Bl-py3-none-any.whl", hash = "sha256:{A}", size = 2 }},
]

[[package]]
name = "mine"
version = "0.1.0"
source = {{ editable = "." }}
dependencies = [{{ name = "attrs" }}]
"#
    );
    let read = parse_uv_lock(&text).unwrap();
    let [attrs] = read.pins.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(
        (attrs.project.as_str(), attrs.line, attrs.hashes.len()),
        ("attrs", 5, 2)
    );
    assert_eq!(
        attrs.files,
        ["attrs-25.1.0.tar.gz", "attrs-25.1.0+l-py3-none-any.whl"]
    );
    assert_eq!(read.notes.len(), 1);
    assert_eq!(
        read.notes[0].text,
        "mine comes from editable, not from an index: left out"
    );
    assert_eq!(read.notes[0].line, 14);
}

#[test]
fn refusals_say_why() {
    let pylock = |body: &str| parse_pylock(&format!("lock-version = '1.0'\n[[packages]]\n{body}"));
    assert!(matches!(
        parse_pylock("lock-version = '2.0'"),
        Err(LockError::Format { .. })
    ));
    assert!(matches!(
        parse_uv_lock("version = 2"),
        Err(LockError::Format { .. })
    ));
    assert!(matches!(parse_uv_lock("version ="), Err(LockError::Toml(_))));
    assert!(matches!(
        pylock("name = '../x'"),
        Err(LockError::Name { line: 2, .. })
    ));
    assert!(matches!(
        pylock("name = 'x'"),
        Err(LockError::Version { line: 2, .. })
    ));
    assert!(matches!(
        pylock("name = 'x'\nversion = 'one'"),
        Err(LockError::Version { line: 2, .. })
    ));
    let hash = "name = 'x'\nversion = '1'\nwheels = [{hashes = {sha256 = 'zz'}}]";
    assert!(matches!(pylock(hash), Err(LockError::Hash { line: 2, .. })));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "(\\PC|\n){0,100}") {
        prop_assert!(parse_uv_lock(&text).is_err());
        prop_assert!(parse_pylock(&text).is_err());
    }

    #[test]
    fn written_packages_are_read_back(
        packages in proptest::collection::vec(("[a-z]{1,8}", 0u16..999, "[0-9a-f]{64}"), 0..6),
    ) {
        let mut text = "version = 1\n".to_owned();
        for (name, version, hash) in &packages {
            text.extend([
                "[[package]]\nname = '", name, "'\nversion = '", &version.to_string(),
                "'\nsource = { registry = 'r' }\nsdist = { hash = 'sha256:", hash, "' }\n",
            ]);
        }
        let read = parse_uv_lock(&text).unwrap();
        prop_assert_eq!(read.pins.len(), packages.len());
        for (pin, (name, version, hash)) in read.pins.iter().zip(&packages) {
            prop_assert_eq!(pin.project.as_str(), name);
            prop_assert_eq!(pin.specifier.to_string(), format!("=={version}"));
            prop_assert_eq!(&pin.hashes[0].value_hex, hash);
        }
    }
}
