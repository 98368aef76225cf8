#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> ProjectName {
    ProjectName::parse(text).unwrap()
}

#[test]
fn wheels_and_sdists_are_read() {
    let wheel = DistributionFilename::parse("Foo_Bar-1.0.0-1-cp311-cp311-manylinux_2_17_x86_64.whl").unwrap();
    assert_eq!(wheel.kind(), DistKind::Wheel);
    assert_eq!(wheel.project(), &name("foo-bar"));
    assert_eq!(wheel.version().to_string(), "1.0.0");
    assert_eq!(
        wheel.raw(),
        "Foo_Bar-1.0.0-1-cp311-cp311-manylinux_2_17_x86_64.whl"
    );
    assert!(wheel.wheel().unwrap().build_tag().is_some());
    let sdist = DistributionFilename::parse("Foo.Bar-1.0.tar.gz").unwrap();
    assert_eq!(
        (sdist.kind(), sdist.sdist_format()),
        (DistKind::Sdist, Some(SdistFormat::TarGz))
    );
    assert_eq!(
        (sdist.project(), sdist.version().to_string()),
        (&name("foo-bar"), "1.0".to_owned())
    );
    assert_eq!(serde_json::to_string(&sdist).unwrap(), "\"Foo.Bar-1.0.tar.gz\"");
}

#[test]
fn old_spellings_parse_where_pip_parses_them() {
    for (text, project, version) in [
        ("zope.interface-4.1.3.tar.gz", "zope-interface", "4.1.3"),
        ("python-dateutil-1.5.tar.gz", "python-dateutil", "1.5"),
        ("foo-1.0-beta1.zip", "foo", "1.0b1"),
        ("foo__bar-1.0.tar.gz", "foo-bar", "1.0"),
        ("pytz-2013b.zip", "pytz", "2013b0"),
        (
            "foo-1.0+local.7-cp27-cp27mu-linux_x86_64.whl",
            "foo",
            "1.0+local.7",
        ),
        ("foo-1!2.0-py2.py3-none-any.whl", "foo", "1!2.0"),
    ] {
        let parsed = DistributionFilename::parse_for(text, &name(project)).unwrap();
        assert_eq!(parsed.version().to_string(), version, "{text}");
        assert_eq!(
            DistributionFilename::parse(text).unwrap().project(),
            &name(project),
            "{text}"
        );
    }
}

#[test]
fn the_project_settles_an_ambiguous_name() {
    let hinted = DistributionFilename::parse_for("a-1-1.tar.gz", &name("a")).unwrap();
    assert_eq!(hinted.version().to_string(), "1.post1");
    let other = DistributionFilename::parse_for("a-1-1.tar.gz", &name("a-1")).unwrap();
    assert_eq!(other.version().to_string(), "1");
    assert_eq!(
        DistributionFilename::parse("a-1-1.tar.gz").unwrap().project(),
        &name("a-1")
    );
}

#[test]
fn files_of_another_project_are_told_apart() {
    for text in ["bar-1.0.tar.gz", "bar-1.0-py3-none-any.whl", "foobar-1.0.tar.gz"] {
        let error = DistributionFilename::parse_for(text, &name("foo")).unwrap_err();
        assert!(matches!(error, FilenameError::OtherProject { .. }), "{error}");
    }
    let error = DistributionFilename::parse_for("foo-latest.tar.gz", &name("foo")).unwrap_err();
    assert!(matches!(error, FilenameError::Sdist { .. }), "{error}");
}

#[test]
fn other_kinds_of_file_are_refused_as_such() {
    for text in [
        "foo-1.0-py2.7.egg",
        "foo-1.0.win32.exe",
        "foo-1.0-1.noarch.rpm",
        "foo-1.0.tar.bz2",
        "foo-1.0-py3-none-any.whl.asc",
        "foo-1.0.tgz",
        "foo",
    ] {
        assert_eq!(
            DistributionFilename::parse(text),
            Err(FilenameError::Kind(text.to_owned()))
        );
    }
}

#[test]
fn dangerous_names_are_refused() {
    for text in [
        "a/foo-1.0.tar.gz",
        "a\\foo-1.0.zip",
        "foo-1.0\0.tar.gz",
        "foo-1.0\n.tar.gz",
        "fоо-1.0.tar.gz",
    ] {
        let error = DistributionFilename::parse(text).unwrap_err();
        assert!(matches!(error, FilenameError::Character { .. }), "{error}");
    }
    for text in ["..", ".foo-1.0.tar.gz", "foo-1.0..tar.gz"] {
        assert_eq!(
            DistributionFilename::parse(text),
            Err(FilenameError::Dots(text.to_owned()))
        );
    }
    assert_eq!(DistributionFilename::parse(""), Err(FilenameError::Empty));
    let long = format!("foo-1.{}.tar.gz", "0".repeat(300));
    assert_eq!(
        DistributionFilename::parse(&long),
        Err(FilenameError::TooLong(long.len()))
    );
}

#[test]
fn malformed_wheels_say_so() {
    for text in [
        "foo.whl",
        "foo-1.0.whl",
        "foo-1.0-py3-none.whl",
        "foo-x-py3-none-any.whl",
    ] {
        let error = DistributionFilename::parse(text).unwrap_err();
        assert!(matches!(error, FilenameError::Wheel { .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in any::<String>()) {
        let project = name("foo");
        prop_assert!(DistributionFilename::parse(&text).is_ok_and(|f| f.raw() == text) || DistributionFilename::parse(&text).is_err());
        let _ = DistributionFilename::parse_for(&text, &project);
    }

    #[test]
    fn what_parses_is_a_safe_path_component(
        text in "[fF]oo[-_.]{0,2}[a-z0-9._+!/-]{0,12}-(py3-none-any\\.whl|1\\.tar\\.gz|2\\.0\\.zip)",
    ) {
        if let Ok(parsed) = DistributionFilename::parse(&text) {
            prop_assert_eq!(parsed.raw(), &text);
            prop_assert!(!text.contains('/') && !text.contains("..") && !text.starts_with('.'));
            let again = DistributionFilename::parse_for(&text, parsed.project()).unwrap();
            prop_assert_eq!(again.project(), parsed.project());
        }
    }
}
