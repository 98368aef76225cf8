//! Requests and signatures that were altered on their way, or made up.

use super::*;

#[test]
fn signatures_that_do_not_count_are_not_taken() {
    let request = rotation();
    assert_eq!(
        sign_with(&request, &[9]),
        Err(RequestError::NotNeeded { key: id(9) })
    );
    assert_eq!(sign_with(&request, &[]), Err(RequestError::NoSignature));
    let good = sign_with(&request, &[1, 3]).unwrap();
    let altered = |edit: fn(&mut Value)| {
        let mut file: Value = serde_json::from_slice(&good.to_bytes().unwrap()).unwrap();
        edit(&mut file);
        DetachedSignature::parse(&serde_json::to_vec(&file).unwrap())
            .and_then(|read| request.merge(&[], &read))
    };
    assert_eq!(altered(|_| ()).unwrap().len(), 2);
    assert_eq!(
        altered(|file| file["signatures"][1]["sig"] = json!("00".repeat(64))),
        Err(RequestError::Invalid { key: id(3) }),
        "one bad signature, and nothing is taken"
    );
    assert_eq!(
        altered(|file| file["signatures"][0]["keyid"] = json!("9".repeat(64))),
        Err(RequestError::NotNeeded {
            key: KeyId::from_bytes([0x99; 32])
        })
    );
    assert_eq!(
        altered(|file| file["signatures"] = json!([])),
        Err(RequestError::NoSignature)
    );
    assert!(matches!(
        altered(|file| file["sha256"] = json!("0")),
        Err(RequestError::OtherDocument { .. })
    ));
    assert!(matches!(
        altered(|file| file["role"] = json!("bins")),
        Err(RequestError::OtherVersion { .. })
    ));
    for field in ["schema", "request", "version", "sha256", "signatures"] {
        let mut file: Value = serde_json::from_slice(&good.to_bytes().unwrap()).unwrap();
        file.as_object_mut().unwrap().remove(field);
        let read = DetachedSignature::parse(&serde_json::to_vec(&file).unwrap());
        assert!(matches!(read, Err(RequestError::Malformed { .. })), "{field}");
    }
}

/// Threats: words that do not fit the document, a document that says more than is shown, keys that have no say.
#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let request = rotation();
    assert_eq!(edited(&request, |_| ()), Ok(request.clone()));
    let refused = |edit: fn(&mut Value), what| assert_eq!(edited(&rotation(), edit), untrue(what), "{what}");
    refused(
        |file| file["changes"] = json!(["nothing of interest"]),
        "what changes",
    );
    refused(|file| file["labels"] = json!({}), "what changes");
    refused(|file| file["version"] = json!(3), "the version");
    refused(
        |file| file["replaces"]["version"] = json!(2),
        "which version is replaced",
    );
    refused(
        |file| drop(file.as_object_mut().unwrap().remove("replaces")),
        "which version is replaced",
    );
    refused(
        |file| drop(file.as_object_mut().unwrap().remove("before")),
        "which version is replaced",
    );
    refused(|file| file["needs"] = json!([]), "whose signatures are needed");
    refused(
        |file| file["needs"][0]["threshold"] = json!(1),
        "whose signatures are needed",
    );
    refused(|file| file["id"] = json!("0123456789abcdef"), "the request's id");
    refused(
        |file| file["signed"]["expires"] = json!("2031-01-01T00:00:00Z"),
        "what changes",
    );
    refused(
        |file| file["signed"]["roles"]["timestamp"]["threshold"] = json!(2),
        "what changes",
    );
    refused(
        |file| file["signed"]["extra"] = json!("signed, and shown to nobody"),
        "the document (it says something that would not be signed as it stands)",
    );
    refused(
        |file| drop(file["keys"].as_object_mut().unwrap().remove(&id(1).to_string())),
        "the keys whose signatures are needed",
    );
    let swapped = edited(&rotation(), |file| {
        let other = file["keys"][id(2).to_string()].clone();
        file["keys"][id(1).to_string()] = other;
    });
    assert_eq!(swapped, untrue("the keys whose signatures are needed"));
}

/// Threat: names that draw over the terminal of who reads them.
#[test]
fn names_are_plain() {
    for name in [
        "",
        "\u{1b}[2Kall is well",
        "a\rb",
        "a\nb",
        "\u{202e}toor",
        &"a".repeat(129),
    ] {
        let refused = || Err(RequestError::Name(name.chars().take(128).collect()));
        let whose = edited(&rebin(), |file| file["needs"][0]["whose"] = json!(name));
        assert_eq!(whose, refused());
        let label = edited(&rotation(), |file| {
            file["labels"][id(1).to_string()] = json!(name);
        });
        assert_eq!(label, refused());
    }
}

#[test]
fn who_must_sign_targets_is_part_of_the_id() {
    let fewer = edited(&rebin(), |file| {
        file["needs"][0]["keyids"] = json!([id(4).to_string()]);
        file["keys"].as_object_mut().unwrap().remove(&id(5).to_string());
    });
    assert_eq!(fewer, untrue("the request's id"));
    assert_eq!(
        edited(&rebin(), |file| file["role"] = json!("trust")).map(|_| ()),
        untrue("what changes").map(|_| ())
    );
}

#[test]
fn only_offline_roles_are_asked_for() {
    for role in ["timestamp", "snapshot", "bin-03", "mirror"] {
        let named = edited(&rebin(), |file| file["role"] = json!(role));
        assert_eq!(named, Err(RequestError::Role(role.parse().unwrap())));
    }
    assert!(matches!(
        edited(&rebin(), |file| file["role"] = json!("../root")),
        Err(RequestError::Malformed { .. })
    ));
    assert!(matches!(
        edited(&rebin(), |file| file["role"] = json!("root")),
        Err(RequestError::Malformed { .. })
    ));
}

#[test]
fn documents_that_no_client_would_read_are_not_asked_for() {
    let (before, mut after) = roots();
    after.consistent_snapshot = false;
    let request = SigningRequest::of_root(Some((&before, OLD)), &after, &labels(), made());
    assert!(matches!(request, Err(RequestError::Draft(_))), "{request:?}");
    let (before, mut after) = roots();
    after.version = 1;
    let request = SigningRequest::of_root(Some((&before, OLD)), &after, &labels(), made());
    assert_eq!(request, untrue("which version is replaced"));
}

#[test]
fn the_largest_rebin_can_be_asked_for() {
    let request = rebin_between(8192, 16_384);
    let file = request.to_bytes().unwrap();
    assert!(file.len() > 8_000_000, "{}", file.len());
    assert_eq!(SigningRequest::parse(&file), Ok(request));
}

#[test]
fn files_without_end_are_not_read() {
    let long = vec![b' '; 16_000_001];
    assert_eq!(
        SigningRequest::parse(&long),
        Err(RequestError::TooLong { bytes: long.len() })
    );
    assert_eq!(
        DetachedSignature::parse(&long),
        Err(RequestError::TooLong { bytes: long.len() })
    );
}

#[test]
fn an_id_has_one_spelling() {
    for text in [
        "",
        "0123456789abcde",
        "0123456789ABCDEF",
        "0123456789abcdef0",
        "0123456789abcdeg",
        "é123456789abcde",
    ] {
        assert_eq!(
            text.parse::<RequestId>(),
            Err(RequestError::Id(text.to_owned())),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn anything_may_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SigningRequest::parse(&bytes);
        let _ = DetachedSignature::parse(&bytes);
    }

    /// Flipping any byte of a request is noticed, or changes nothing that is shown or signed.
    #[test]
    fn a_flipped_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..7) {
        let request = rotation();
        let mut bytes = request.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = SigningRequest::parse(&bytes) {
            prop_assert_eq!(read.draft(), request.draft());
            prop_assert_eq!(read.changes().len(), request.changes().len());
            prop_assert_eq!(read.needs(), request.needs());
        }
    }
}
