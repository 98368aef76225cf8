//! Which index pip uses, asked of programs that stand in for pip.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use chiron::upstream::pip_default::{Lookup, PipError};

/// A program that answers `config list`, `-c …` and `install --help` with what is given.
fn program(folder: &Path, name: &str, script: &str) -> OsString {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.into()
}

fn lookup(pips: Vec<Vec<OsString>>, env: fn(&str) -> Option<String>) -> Lookup {
    Lookup {
        pips,
        env,
        timeout: Duration::from_secs(10),
    }
}

/// How pip is called through Python.
fn through_python(python: OsString) -> Vec<OsString> {
    vec![python, "-m".into(), "pip".into()]
}

#[tokio::test]
async fn the_environment_comes_first() {
    let both: fn(&str) -> Option<String> = |name| match name {
        "PIP_INDEX_URL" => Some("https://u:hunter2@pip.test/simple".to_owned()),
        "UV_DEFAULT_INDEX" => Some("https://uv.test/simple".to_owned()),
        "PIP_CERT" => Some("/etc/corp.pem".to_owned()),
        _ => None,
    };
    let found = lookup(Vec::new(), both).find().await.unwrap();
    assert_eq!(found.url.expose().as_str(), "https://u:hunter2@pip.test/simple");
    assert_eq!(found.cert.as_deref(), Some(Path::new("/etc/corp.pem")));
    assert!(found.found_in.contains("PIP_INDEX_URL"));
    assert!(!format!("{found:?}").contains("hunter2"));
    let uv: fn(&str) -> Option<String> =
        |name| (name == "UV_DEFAULT_INDEX").then(|| "corp=https://uv.test/simple".to_owned());
    let found = lookup(Vec::new(), uv).find().await.unwrap();
    assert_eq!(
        (found.url.expose().as_str(), found.cert),
        ("https://uv.test/simple", None)
    );
}

#[tokio::test]
async fn then_the_configuration_of_the_first_pip_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let broken = program(folder.path(), "broken", "exit 3");
    let good = program(
        folder.path(),
        "good",
        r#"[ "$1 $2 $3 $4" = "-m pip config list" ] || exit 9
echo "global.cert='/etc/pip.pem'"
echo "global.index-url='https://conf.test/simple'""#,
    );
    let missing = folder.path().join("missing").into_os_string();
    let pips = [missing, broken, good].map(through_python).to_vec();
    let found = lookup(pips, |_| None).find().await.unwrap();
    assert_eq!(found.url.expose().as_str(), "https://conf.test/simple");
    assert_eq!(found.cert.as_deref(), Some(Path::new("/etc/pip.pem")));
    assert!(found.found_in.contains("global.index-url"));
}

#[tokio::test]
async fn then_what_pip_has_built_in() {
    let folder = tempfile::tempdir().unwrap();
    let python = program(
        folder.path(),
        "python",
        r#"case "$1" in -m) echo "global.cert='/etc/pip.pem'";; -c) echo "https://builtin.test/simple";; esac"#,
    );
    let found = lookup(vec![through_python(python)], |_| None)
        .find()
        .await
        .unwrap();
    assert_eq!(found.url.expose().as_str(), "https://builtin.test/simple");
    assert!(found.cert.is_some());
    let pip = program(
        folder.path(),
        "pip",
        r#"case "$1" in config) ;; install) echo "  -i, --index-url <url>  Base URL (default
    https://help.test/simple). This"; esac"#,
    );
    let found = lookup(vec![vec![pip]], |_| None).find().await.unwrap();
    assert_eq!(found.url.expose().as_str(), "https://help.test/simple");
}

#[tokio::test]
async fn without_any_pip_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let slow = program(folder.path(), "slow", "exec sleep 60");
    let missing = folder.path().join("missing").into_os_string();
    let asking = Lookup {
        timeout: Duration::from_millis(200),
        ..lookup(vec![vec![missing], vec![slow]], |_| None)
    };
    let error = asking.find().await.unwrap_err();
    assert!(matches!(error, PipError::NoPip { .. }));
    let text = error.to_string();
    assert!(
        text.contains("not found")
            && text.contains("no answer in 200ms")
            && text.contains("[[upstream]] url"),
        "{text}"
    );
}

#[tokio::test]
async fn a_setting_that_is_no_address_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pip = program(
        folder.path(),
        "pip",
        "echo \"global.index-url='/srv/hunter2/simple'\"",
    );
    let error = lookup(vec![vec![pip]], |_| None).find().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("global.index-url") && !text.contains("hunter2"),
        "{text}"
    );
}

#[tokio::test]
async fn the_pip_of_this_machine_answers() {
    let found = Lookup::of_this_machine(Duration::from_mins(1))
        .find()
        .await
        .unwrap();
    assert!(
        matches!(found.url.expose().scheme(), "http" | "https"),
        "{found:?}"
    );
}
