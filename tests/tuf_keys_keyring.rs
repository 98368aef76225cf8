//! Promise: keys in the desktop's keyring (Secret Service) and in the kernel's sign like others, and what is missing or
//! locked there is said. With the real gnome-keyring in a D-Bus session of the test's own, and the real kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/tuf_ring.rs"]
mod tuf_ring;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use support::clients::{program, there};
use support::daemon::{CHIRON, Output, run};
use tuf_ring::{Ring, genpkey};

/// Runs a shell script inside a D-Bus session whose keyring is unlocked; `None` where there is none to be had.
fn in_session(ring: &Ring, script: &str) -> Option<Output> {
    let daemon = program("gnome-keyring-daemon").filter(|_| program("dbus-run-session").is_some());
    there("gnome-keyring with dbus", "keyring", daemon)?;
    let home = ring.path("desktop");
    for folder in ["run", "data", "cache"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    // The keyring's own daemon ends with the session.
    let script =
        format!("printf login | gnome-keyring-daemon --unlock --components=secrets >/dev/null\n{script}");
    let mut command = Command::new("dbus-run-session");
    command
        .args(["--", "sh", "-eu", "-c", &script])
        .current_dir(ring.path(""))
        .env("HOME", &home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("CHIRON", CHIRON)
        .env("RING", ring.path("ring"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null());
    Some(run(&mut command))
}

#[test]
fn a_key_in_the_desktops_keyring_signs() {
    let ring = Ring::new();
    let script = r#"
        "$CHIRON" tuf keys generate desk --in keyring:secret-service --keys-dir "$RING"
        "$CHIRON" tuf keys generate desk --in keyring:secret-service --keys-dir "$RING" --scheme p256
        "$CHIRON" tuf keys list --check --keys-dir "$RING"
    "#;
    let Some(done) = in_session(&ring, script) else {
        return;
    };
    let done = done.expect(0);
    assert_eq!(done.stdout.matches("  signs").count(), 2, "{done}");
    assert!(
        done.stdout.contains("keyring:secret-service/chiron/desk-"),
        "{done}"
    );
    assert!(!done.to_string().contains("PRIVATE KEY"), "{done}");
    assert!(
        !fs::read_to_string(ring.path("ring/ring.json"))
            .unwrap()
            .contains("PRIVATE KEY")
    );
    // Without the session nothing can be reached, and that is said.
    let alone = run(ring
        .bare(&["list", "--check"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere"))
    .expect(1);
    assert!(
        alone.stdout.contains("cannot be reached: the keyring failed"),
        "{alone}"
    );
}

#[test]
fn a_key_that_a_person_put_there_is_taken_in_by_its_name() {
    let ring = Ring::new();
    genpkey(&["-algorithm", "ed25519"], &ring.path("key.pem"));
    let script = r#"
        secret-tool store --label 'root of alice' service mirror username 'root/alice' target default < key.pem
        "$CHIRON" tuf keys import keyring:secret-service/mirror/root%2Falice --label root --keys-dir "$RING"
        "$CHIRON" tuf keys list --check --keys-dir "$RING"
        "$CHIRON" tuf keys import keyring:secret-service/mirror/bob --keys-dir "$RING" || echo "exit $?"
    "#;
    if there("secret-tool (libsecret-tools)", "keyring", program("secret-tool")).is_none() {
        return;
    }
    let Some(done) = in_session(&ring, script) else {
        return;
    };
    let done = done.expect(0);
    assert!(
        done.stdout.contains("  signs") && done.stdout.contains("exit 1"),
        "{done}"
    );
    assert!(done.stderr.contains("the keyring has no such entry"), "{done}");
}

#[test]
fn a_key_in_the_kernels_keyring_signs_until_it_is_purged() {
    let ring = Ring::new();
    // The kernel gives a process without a session keyring of its own no possession of what it stores.
    let keyctl = program("keyctl").filter(|keyctl| {
        let probe = Command::new(keyctl).args(["session", "-", "true"]).output();
        probe.is_ok_and(|output| output.status.success())
    });
    if there("keyctl, and a kernel that allows it", "keyring", keyctl).is_none() {
        return;
    }
    let script = r#"
        "$CHIRON" tuf keys generate kern --in keyring:keyutils --keys-dir "$RING"
        "$CHIRON" tuf keys list --check --keys-dir "$RING"
        name=$("$CHIRON" tuf keys list --keys-dir "$RING" | sed 's,.*keyring:keyutils/,,')
        keyctl purge user "$name" >&2
        "$CHIRON" tuf keys list --check --keys-dir "$RING" || echo "exit $?"
    "#;
    let mut command = Command::new("keyctl");
    command
        .args(["session", "-", "sh", "-eu", "-c", script])
        .current_dir(ring.path(""))
        .env("CHIRON", CHIRON)
        .env("RING", ring.path("ring"))
        .stdin(Stdio::null());
    let done = run(&mut command).expect(0);
    assert!(done.stdout.contains("  signs"), "{done}");
    assert!(
        done.stdout.contains("has no such entry") && done.stdout.contains("exit 1"),
        "{done}"
    );
    assert!(!done.to_string().contains("PRIVATE KEY"), "{done}");
}
