#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn try_read(text: &str) -> Result<RemotePlace, PlaceError> {
    text.parse()
}

fn read(text: &str) -> RemotePlace {
    try_read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn each_form_is_read_and_written_back() {
    for text in [
        "hashivault://transit/chiron-timestamp",
        "hashivault://team/a/transit/key.1?namespace=eu%2Fprod&version=3",
        "hashivault://transit/k?address=https%3A%2F%2Fvault.example%3A8200%2F",
        "awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-central-1",
        "awskms:///arn:aws:kms:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "awskms://127.0.0.1:4566/alias/chiron-root",
        "awssecret:///prod/chiron/targets?region=eu-west-1&version=EXAMPLE1-90ab&field=key",
        "azuresecret://team.vault.example/chiron-root",
        "azuresecret://127.0.0.1:8443/chiron-root/0123456789abcdef0123456789abcdef",
    ] {
        let place = read(text);
        assert_eq!(place.to_string(), text);
    }
}

#[test]
fn the_parts_are_what_they_say() {
    let RemotePlace::Vault(vault) =
        read("hashivault://a/b/key?version=7&namespace=/eu/&address=http://127.0.0.1:8200")
    else {
        panic!("a Vault key")
    };
    assert_eq!((vault.mount.as_str(), vault.key.as_str()), ("a/b", "key"));
    assert_eq!(vault.version, Some(7));
    assert_eq!(vault.namespace.as_deref(), Some("eu"));
    assert_eq!(vault.address.unwrap().as_str(), "http://127.0.0.1:8200/");
    assert_eq!(
        arn_region("arn:aws:kms:us-east-2:111122223333:key/1234"),
        Some("us-east-2")
    );
    assert_eq!(arn_region("alias/arn"), None);
}

#[test]
fn what_would_address_something_else_is_refused() {
    for (text, why) in [
        ("hashivault://transit", "of letters, digits"),
        ("hashivault://transit/..", "of letters, digits"),
        ("hashivault://transit/a%2Fb", "of letters, digits"),
        ("hashivault://transit/a?version=0", "version"),
        ("hashivault://transit/a?version=1&version=2", "twice"),
        ("hashivault://transit/a?adress=https://h", "another setting"),
        (
            "hashivault://transit/a?address=http://vault.example:8200",
            "loopback",
        ),
        (
            "hashivault://transit/a?address=https://u:p@vault.example",
            "user name",
        ),
        ("hashivault://vault.example:8200/transit/a", "?address="),
        ("hashivault://transit/a?namespace=../root", "namespace"),
        ("awskms://", "awskms:///KEY"),
        ("awskms:///", "awskms:///KEY"),
        ("awskms:///a b", "awskms:///KEY"),
        (
            "awskms:///arn:aws:kms:us-east-2:1:key/x?region=eu-west-1",
            "another than",
        ),
        ("awskms:///x?region=EU", "no region"),
        ("azuresecret:///name", "VAULT-HOST"),
        ("azuresecret://v.example/a/b/c", "letters, digits"),
        ("ftp://v.example/a", "begins with none"),
        ("azuresecret://v.example/a?version=1", "follows the name"),
    ] {
        let error = try_read(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_secret_in_the_address_is_refused_and_not_repeated() {
    for text in [
        "hashivault://user:hunter2@transit/key",
        "awskms://hunter2@kms.example/alias/x",
        "hashivault://transit/a?address=https://root:hunter2@vault.example",
        "hashivault://transit/a?token=hunter2",
    ] {
        let error = try_read(text).expect_err(text);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(hashivault|awskms|awssecret|azuresecret)://[ -~é]{0,80}") {
        if let Ok(place) = try_read(&text) {
            prop_assert_eq!(try_read(&place.to_string()), Ok(place));
        }
    }
}
