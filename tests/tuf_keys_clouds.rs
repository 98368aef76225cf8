//! Promise: whoever runs in AWS or Azure uses the keys there with the identity that the machine, container or person has,
//! and is told what is missing. Against stand-ins (`tests/support/key_services/`): docs/keys-services.md says what that proves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/key_services/mod.rs"]
mod key_services;
mod support;

use key_services::machine::{Machine, pem};
use key_services::{Key, aws, azure};
use serde_json::json;

#[test]
fn keys_of_kms_are_pinned_and_each_request_is_signed() {
    let amazon = aws::Aws::start();
    let arn = amazon.add("1234abcd", Key::p256());
    amazon.add("5678ef", Key::ed25519());
    amazon.point("chiron", "1234abcd");
    let machine = Machine::with_aws();
    let place = machine.imported(&amazon.place("awskms", "alias/chiron"));
    assert_eq!(place, format!("awskms://{}/{arn}", amazon.server.addr));
    // The alias is pointed at another key: the ring's is the one that signs.
    amazon.point("chiron", "5678ef");
    machine.check().expect(0);
    amazon.disable("1234abcd");
    let output = machine.check().expect(1);
    assert!(output.stdout.contains("somebody has to enable it"), "{output}");

    let refused = |machine: &Machine, what: &str, words: &[&str]| {
        machine.refused(&amazon.place("awskms", what), words);
    };
    let mut machine = Machine::with_aws();
    refused(&machine, "alias/nobody", &["does not exist", aws::REGION]);
    machine.set(
        "AWS_SECRET_ACCESS_KEY",
        "another-secret-of-the-same-key-id-00000000",
    );
    refused(
        &machine,
        "5678ef",
        &["does not match", "is another one than the key id's"],
    );
    machine.set("AWS_ACCESS_KEY_ID", "AKIANOBODY");
    refused(&machine, "5678ef", &["are unknown there"]);
    machine.unset("AWS_SECRET_ACCESS_KEY");
    refused(&machine, "5678ef", &["only one is set"]);
    machine.unset("AWS_ACCESS_KEY_ID");
    refused(&machine, "5678ef", &["there are no AWS credentials"]);
    let machine = Machine::with_aws();
    machine.refused("awskms:///1234abcd", &["the region is not known"]);
    machine.refused("awskms:///1234abcd?region=EU", &["region"]);
}

#[test]
fn roles_of_machines_and_containers_and_profiles_give_credentials() {
    let amazon = aws::Aws::start();
    amazon.add("1234abcd", Key::ed25519());
    let place = amazon.place("awskms", "1234abcd");

    let mut machine = Machine::new();
    machine.set("AWS_EC2_METADATA_DISABLED", "false");
    machine.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &amazon.server.url());
    // What the role gave ends before its time: it is asked for once more.
    amazon.end_role();
    machine.imported(&place);
    machine.check().expect(0);

    let mut machine = Machine::new();
    let uri = format!("{}/v1/credentials", amazon.server.url());
    machine.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    machine.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong");
    machine.refused(&place, &["gives no credentials (status 401)"]);
    let file = machine.path().join("authorization");
    std::fs::write(&file, "container-authorization\n").unwrap();
    machine.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
    machine.imported(&place);
    machine.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/creds");
    let output = machine.check().expect(1);
    assert!(output.stdout.contains("plain http"), "{output}");

    let mut machine = Machine::new();
    let folder = machine.path().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    let keys = format!(
        "[default]\naws_access_key_id = AKIANOBODY\naws_secret_access_key = x\n[ci]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        aws::KEY_ID,
        aws::SECRET
    );
    std::fs::write(folder.join("credentials"), keys).unwrap();
    std::fs::write(
        folder.join("config"),
        "[profile ci]\nregion = eu-central-1\n[profile sso]\nsso_session = x\n",
    )
    .unwrap();
    machine.refused(&place, &["are unknown there"]);
    machine.set("AWS_PROFILE", "sso");
    machine.refused(&place, &["gets its credentials by sso_session"]);
    machine.set("AWS_PROFILE", "ci");
    // The region comes from the profile too, and is then remembered.
    let usual = format!("awskms://{}/1234abcd", amazon.server.addr);
    assert_eq!(machine.imported(&usual), place);
}

#[test]
fn keys_in_secret_stores_are_fetched_and_nothing_of_them_is_shown() {
    let amazon = aws::Aws::start();
    let key = pem("p256");
    amazon.put("prod/chiron/targets", json!({"SecretString": key}));
    amazon.put(
        "prod/json",
        json!({"SecretString": json!({"key": pem("ed25519")}).to_string()}),
    );
    amazon.put("prod/word", json!({"SecretString": "hunter2hunter2"}));
    let azure = azure::Azure::start();
    azure.put("root", &pem("ed25519"));
    azure.put("word", "hunter2hunter2");
    azure.put("off", "(disabled)");
    azure.put("closed", "(forbidden)");

    let machine = Machine::with_aws();
    let refused = |machine: &Machine, place: &str, words: &[&str]| {
        machine.refused(place, words);
        let output = machine.import(place);
        assert!(!format!("{output}").contains("hunter2"), "{output}");
    };
    refused(
        &machine,
        &amazon.place("awssecret", "prod/word"),
        &["no private key"],
    );
    refused(
        &machine,
        &amazon.place("awssecret", "prod/json"),
        &["?field=NAME"],
    );
    refused(
        &machine,
        &amazon.place("awssecret", "prod/none"),
        &["can't find the specified secret"],
    );
    machine.imported(&amazon.place("awssecret", "prod/chiron/targets"));
    machine.check().expect(0);
    // The secret is replaced: the ring's key is not there any more, and nothing signs with the other one.
    amazon.put("prod/chiron/targets", json!({"SecretString": pem("p256")}));
    let output = machine.check().expect(1);
    assert!(output.stdout.contains("holds the key"), "{output}");
    let machine = Machine::with_aws();
    machine.imported(&format!("{}&field=key", amazon.place("awssecret", "prod/json")));
    machine.check().expect(0);

    let machine = Machine::with_azure(&azure);
    refused(&machine, &azure.place("word"), &["no private key"]);
    refused(&machine, &azure.place("none"), &["SecretNotFound"]);
    refused(&machine, &azure.place("off"), &["has it disabled"]);
    refused(&machine, &azure.place("closed"), &["Key Vault Secrets User"]);
    machine.imported(&azure.place("root"));
    machine.check().expect(0);
}

#[test]
fn identities_of_azure_are_told_apart_and_tokens_stay_at_home() {
    let azure = azure::Azure::start();
    azure.put("root", &pem("ed25519"));
    let place = azure.place("root");

    let mut machine = Machine::with_azure(&azure);
    machine.set("AZURE_CLIENT_SECRET", "an-old-client-secret");
    machine.refused(&place, &["AADSTS7000215", "may have ended"]);
    machine.unset("AZURE_TENANT_ID");
    machine.refused(&place, &["AZURE_TENANT_ID is not"]);

    let mut machine = Machine::with_azure(&azure);
    machine.unset("AZURE_CLIENT_SECRET");
    let file = machine.path().join("federated");
    std::fs::write(&file, "a.federated.token\n").unwrap();
    machine.set("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    machine.imported(&place);

    let mut machine = Machine::new();
    machine.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &azure.server.url());
    machine.imported(&place);
    machine.check().expect(0);

    // A vault that asks for a token for another service gets none.
    azure.set_audience("https://management.example");
    azure.server.forget_requests();
    Machine::with_azure(&azure).refused(&place, &["for another service than itself"]);
    let asked = azure.server.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.path().starts_with("/secrets/")),
        "{asked:?}"
    );
}
