#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn findings(text: &str) -> Vec<(String, String)> {
    let document = text.parse().expect("TOML");
    check(&document, &schema())
        .into_iter()
        .map(|finding| (finding.key, finding.what))
        .collect()
}

fn only(text: &str) -> String {
    let found = findings(text);
    assert_eq!(found.len(), 1, "{found:?}");
    format!("{}: {}", found[0].0, found[0].1)
}

#[test]
fn unknown_keys_name_the_nearest_at_every_level() {
    for (text, said) in [
        (
            "[sever]\n",
            "sever: unknown key; the nearest known one is `server`",
        ),
        (
            "listen = 'x'",
            "listen: unknown key; the nearest known one is `server.listen`",
        ),
        (
            "[server]\nlisten-addr = 1",
            "server.listen-addr: unknown key; the nearest known one is `server.listen`",
        ),
        (
            "[policy]\nlisten = 1",
            "policy.listen: unknown key; the nearest known one is `server.listen`",
        ),
        (
            "[storage]\nmin-free = '1GiB'",
            "storage.min-free: unknown key; the nearest known one is `storage.min_free`",
        ),
        (
            "[[upstream]]\nname = 'pip'\nmod = 'x'",
            "upstream[0].mod: unknown key; the nearest known one is `upstream.mode`",
        ),
        (
            "[[owned]]\npattern = 'a'\npatern = 'a'",
            "owned[0].patern: unknown key; the nearest known one is `owned.pattern`",
        ),
    ] {
        assert_eq!(only(text), said);
    }
}

#[test]
fn wrong_values_say_what_was_found_and_what_is_allowed() {
    for (text, said) in [
        (
            "[server]\nlisten = 'localhost:8080'",
            "server.listen: found \"localhost:8080\", allowed is an IP address and a port such as \
             \"127.0.0.1:8080\" or \"[::1]:8080\" (port 0 takes a free one)",
        ),
        (
            "[policy]\nprofile = 'lax'",
            "policy.profile: found \"lax\", allowed is one of \"strict\", \"standard\", \"audit\"",
        ),
        (
            "[gate]\nparallel = -1",
            "gate.parallel: found the number -1, allowed is a whole number from 0 to 1024",
        ),
        (
            "[gate]\nparallel = '2'",
            "gate.parallel: found \"2\", allowed is a whole number from 0 to 1024",
        ),
        (
            "[storage]\nmin_free = 5",
            "storage.min_free: found the number 5, allowed is a size such as \"512KiB\", \"256MiB\" or \"4GiB\"",
        ),
        (
            "[index]\nfresh = true",
            "index.fresh: found true, allowed is a time such as \"500ms\", \"12s\", \"10m\" or \"7d\"",
        ),
        (
            "[storage]\npath = ''",
            "storage.path: found \"\", allowed is a text that is not empty",
        ),
        ("server = 1", "server: found the number 1, but this is a table"),
        (
            "[upstream]\nname = 'pip'",
            "upstream: found a table, but this is a list of tables: write [[upstream]]",
        ),
        (
            "[[upstream]]",
            "upstream[0].name: missing, and there is no default",
        ),
        (
            "[[upstream]]\nname = 'Big Corp'",
            "upstream[0].name: found \"Big Corp\", allowed is a short name of lower-case letters, digits, \
             \".\", \"_\" and \"-\"",
        ),
        (
            "[log]\norigin = 'my log'",
            "log.origin: found \"my log\", allowed is up to 255 visible ASCII characters without spaces and \
             without \"+\"",
        ),
    ] {
        assert_eq!(only(text), said);
    }
}

#[test]
fn a_refused_address_is_not_repeated() {
    let said = only("[[upstream]]\nname = 'x'\nurl = 'ftp://u:hunter2@h/'");
    assert!(
        said.starts_with("upstream[0].url: found a text, allowed is an http or https address"),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let found = findings("[server]\nlisten = 1\n[policy]\nprofil = 'strict'\n[[owned]]\npattern = '/'");
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["owned[0].pattern", "policy.profil", "server.listen"]);
}

#[test]
fn every_text_key_has_a_rule_or_takes_any_text() {
    fn formats(schema: &Json, found: &mut Vec<String>) {
        if is_a(schema, "string") && choices(schema).is_empty() {
            found.push(schema["format"].as_str().unwrap_or("none").to_owned());
        }
        for inner in schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, inner)| inner)
        {
            formats(inner, found);
        }
        if schema["items"].is_object() {
            formats(&schema["items"], found);
        }
    }
    let mut found = Vec::new();
    formats(&schema(), &mut found);
    found.sort();
    found.dedup();
    let with_rules = [
        "byte-size",
        "log-filter",
        "log-origin",
        "none",
        "owned-pattern",
        "period",
        "socket-address",
        "upstream-name",
        "uri",
    ];
    assert_eq!(found, with_rules, "give a new format its rule in `text_rule`");
}
