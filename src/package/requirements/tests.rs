#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn digits(digit: char) -> String {
    digit.to_string().repeat(64)
}

#[test]
fn a_hash_pinned_file_is_read() {
    let (a, b) = (digits('a'), digits('b').to_uppercase());
    let text = format!(
        "\u{feff}# made by a resolver\r\n--index-url https://user:secret@index.example/simple\r\n\r\n\
         Requests[Security,socks] >=2.8, ==2.31.0 ; python_version > \"3.8\" \\\r\n    --hash=sha256:{a} \\\r\n    \
         --hash sha256:{b}\r\n    # via -r in\r\nflask==3.0.3  # a comment\n"
    );
    let pins = parse_requirements(&text).unwrap();
    let [first, second] = pins.pins.as_slice() else {
        panic!("{pins:?}")
    };
    assert_eq!((first.project.as_str(), first.line), ("requests", 4));
    assert_eq!(first.specifier.to_string(), ">=2.8, ==2.31.0");
    assert_eq!(first.extras, ["security", "socks"]);
    assert_eq!(first.marker.as_deref(), Some("python_version > \"3.8\""));
    let hashes: Vec<String> = first.hashes.iter().map(ToString::to_string).collect();
    assert_eq!(
        hashes,
        [format!("sha256:{a}"), format!("sha256:{}", b.to_lowercase())]
    );
    assert_eq!((second.project.as_str(), second.line), ("flask", 8));
    assert_eq!(pins.notes.len(), 1);
    assert_eq!(pins.notes[0].line, 2);
    assert!(!pins.notes[0].text.contains("secret"));
}

#[test]
fn refusals_name_the_line() {
    for (text, expected) in [
        ("a==1\n-r other.txt", "line 2: -r is not followed"),
        ("-cother.txt", "line 1: -c is not followed"),
        ("--constraint=x", "line 1: --constraint is not followed"),
        ("-e .", "line 1: an editable project"),
        (
            "\n\n--frobnicate=1",
            "line 3: the option --frobnicate is not supported",
        ),
        (
            "a==1 --frobnicate",
            "line 1: the option --frobnicate is not supported",
        ),
        ("a @ https://x.example/a.whl", "line 1: a URL"),
        ("https://x.example/a.whl", "line 1: a URL"),
        ("./a.whl", "line 1: a path"),
        ("${HOME}", "line 1: \"${HOME}\" is not a requirement"),
        ("a==1 --hash=sha256:abc", "line 1: \"sha256:abc\" is not a hash"),
        ("a==1 --hash", "line 1: \"\" is not a hash"),
        ("a==", "line 1: \"a==\" is not a requirement"),
        ("a==1;", "line 1: \"a==1;\" is not a requirement"),
        ("--require-hashes\na==1", "line 2: a has no --hash"),
    ] {
        let error = parse_requirements(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn options_about_the_source_are_notes() {
    let text = "-i https://a.example --extra-index-url=https://b.example\n--no-binary :all:\n--pre\n\
        a==1 --config-settings x=y --global-option=z\n";
    let pins = parse_requirements(text).unwrap();
    let lines: Vec<usize> = pins.notes.iter().map(|note| note.line).collect();
    assert_eq!((lines, pins.pins.len()), (vec![1, 1, 2, 3, 4, 4], 1));
}

#[test]
fn a_deeply_nested_marker_is_kept_and_not_run() {
    let marker = format!("{}python_version > '3'{}", "(".repeat(3000), ")".repeat(3000));
    let pins = parse_requirements(&format!("a==1 ; {marker}")).unwrap();
    assert_eq!(pins.pins[0].marker.as_deref(), Some(marker.as_str()));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "(\\PC|[\n\\\\#;=-]){0,120}") {
        if let Ok(pins) = parse_requirements(&text) {
            let last = text.lines().count();
            prop_assert!(pins.pins.iter().all(|pin| (1..=last).contains(&pin.line)));
        }
    }

    #[test]
    fn written_pins_are_read_back(
        pins in proptest::collection::vec(("[a-z][a-z0-9-]{0,6}[a-z0-9]", 0u16..999, "[0-9a-f]{64}", any::<bool>()), 0..6),
    ) {
        let mut text = String::new();
        for (name, version, hash, folded) in &pins {
            let gap = if *folded { " \\\n    " } else { " " };
            text.extend([name, "==", &version.to_string(), gap, "--hash=sha256:", hash, "\n"]);
        }
        let read = parse_requirements(&text).unwrap();
        prop_assert_eq!(read.pins.len(), pins.len());
        for (pin, (name, version, hash, _)) in read.pins.iter().zip(&pins) {
            prop_assert_eq!(&pin.project, &ProjectName::parse(name).unwrap());
            prop_assert_eq!(pin.specifier.to_string(), format!("=={version}"));
            prop_assert_eq!(&pin.hashes[0].value_hex, hash);
        }
    }
}
