#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::config::{Mode, Profile};

fn with_env(env: &[(&str, &str)]) -> Load {
    Load::new(None, env.iter().map(|(name, text)| (name.into(), text.into())))
}

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
    let source = if text.is_empty() {
        Source::BuiltIn
    } else {
        Source::File("chiron.toml".into())
    };
    with_env(env)
        .parse(text, source)
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string())
}

#[test]
fn nothing_said_is_the_default() {
    let config = parse("", &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.upstream.len(), 1);
    assert_eq!(
        (config.upstream[0].name.as_str(), config.upstream[0].mode),
        ("pip", Mode::OnDemand)
    );
    assert_eq!(config.policy.profile, Profile::Standard);
}

#[test]
fn the_default_is_written_and_read_back() {
    let text = Config::default().to_toml_commented();
    assert_eq!(parse(&text, &[]).unwrap(), Config::default(), "{text}");
}

#[test]
fn the_example_of_the_contract_is_read() {
    let config = parse(
        "[server]\nlisten = '0.0.0.0:0'\n[storage]\npath = '/srv/chiron'\n[[upstream]]\nname = 'pip'\n\
         mode = 'curated'\n[[owned]]\npattern = 'Acme_*'\n[policy]\nprofile = 'audit'\n[telemetry]\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.upstream[0].mode, Mode::Curated);
    assert_eq!(config.policy.profile, Profile::Audit);
    assert!(config.owned_patterns().matches("acme.tools"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'\n[[upstream]]\nname = 'a'\nurl = 'https://a.example/'\n";
    let config = parse(
        text,
        &[
            ("CHIRON_SERVER__LISTEN", "127.0.0.1:2"),
            ("CHIRON_UPSTREAM__0__MODE", "curated"),
            ("CHIRON_UPSTREAM__1__NAME", "pip"),
            ("CHIRON_GATE__PARALLEL", "3"),
            ("CHIRON_OWNED__0__PATTERN", "acme-*"),
            ("CHIRON_STORAGE__PATH", "/long"),
            ("CHIRON_DATA_DIR", "/short"),
            ("CHIRON_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.upstream[0].mode, Mode::Curated);
    assert_eq!(config.upstream[1].name, "pip");
    assert_eq!(config.gate.parallel, 3);
    assert!(config.owned_patterns().matches("acme-x"));
    assert_eq!(config.storage.path, PathBuf::from("/short"));
    assert_eq!(config.telemetry.log_filter, "debug");
}

#[test]
fn an_override_of_the_first_upstream_changes_the_default_one() {
    let config = parse("", &[("CHIRON_UPSTREAM__0__MODE", "curated")]).unwrap();
    assert_eq!(
        (config.upstream[0].name.as_str(), config.upstream[0].mode),
        ("pip", Mode::Curated)
    );
}

#[test]
fn eleven_upstreams_keep_their_order() {
    let vars: Vec<(String, String)> = (0..11)
        .flat_map(|n| {
            [
                (format!("CHIRON_UPSTREAM__{n}__NAME"), format!("u{n}")),
                (
                    format!("CHIRON_UPSTREAM__{n}__URL"),
                    format!("https://u{n}.example/simple/"),
                ),
            ]
        })
        .collect();
    let vars: Vec<(&str, &str)> = vars
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let config = parse("", &vars).unwrap();
    let names: Vec<&str> = config
        .upstream
        .iter()
        .map(|upstream| upstream.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10"]
    );
}

#[test]
fn other_variables_are_left_alone() {
    let others = [
        ("CHIRON_CONFIG", ""),
        ("CHIRON_SERVER", "http://127.0.0.1:1"),
        ("CHIRON_TOKEN", "secret"),
        ("CHIRON_PORT", "tcp://10.0.0.1:80"), // from Kubernetes
        ("CHIRON_SERVICE_HOST", "10.0.0.1"),
        ("CHIRONX__Y", "1"),
        ("PATH", "/bin"),
    ];
    assert_eq!(parse("", &others).unwrap(), Config::default());
}

#[test]
fn an_empty_variable_unsets_what_may_be_unset() {
    let text = "[[upstream]]\nname = 'pip'\nurl = 'https://a.example/'\n";
    assert_eq!(
        parse(text, &[("CHIRON_UPSTREAM__0__URL", "")]).unwrap().upstream[0].url,
        None
    );
}

#[test]
fn refusals_name_the_variable_or_the_line() {
    for (text, env, said) in [
        (
            "",
            ("CHIRON_SERVER__LISTN", "x"),
            "environment CHIRON_SERVER__LISTN: server.listn: unknown key; the nearest known one is \
             `server.listen` (CHIRON_SERVER__LISTEN)",
        ),
        (
            "",
            ("CHIRON_POLICY_PROFILE", "strict"),
            "environment CHIRON_POLICY_PROFILE: policy.profile: unknown variable; for `policy.profile` write \
             CHIRON_POLICY__PROFILE",
        ),
        (
            "",
            ("CHIRON_UPSTREAM__2__NAME", "x"),
            "environment CHIRON_UPSTREAM__2__NAME: upstream[2].name: the entries of `upstream` are numbered \
             without gaps from 0; the next free one is CHIRON_UPSTREAM__1",
        ),
        (
            "",
            ("CHIRON_GATE__PARALLEL", "two"),
            "environment CHIRON_GATE__PARALLEL: gate.parallel: found \"two\", allowed is a whole number from 0 \
             to 1024",
        ),
        (
            "# first\n[server]\n\nlisten = 'nowhere'\n",
            ("PATH", ""),
            "chiron.toml:4: server.listen: found \"nowhere\", allowed is an IP address and a port such as \
             \"127.0.0.1:8080\" or \"[::1]:8080\" (port 0 takes a free one)",
        ),
        (
            "[server]\n[[upstream]]\nname = 'pip'\n[[upstream]]\nmode = 'curated'\n",
            ("PATH", ""),
            "chiron.toml:4: upstream[1].name: missing, and there is no default",
        ),
        (
            "[[upstream]]\nname = 'pip'\n[[upstream]]\nname = 'corp'\n",
            ("PATH", ""),
            "chiron.toml:3: upstream[1].url: missing: only the upstream named \"pip\" has an address of its \
             own; \"corp\" needs one",
        ),
        (
            "[[upstream]]\nname = 'pip'\n[[upstream]]\nname = 'pip'\n",
            ("PATH", ""),
            "chiron.toml:4: upstream[1].name: \"pip\" is the name of an earlier upstream; each needs its own",
        ),
        (
            "[telemetry]\notlp_endpoint = 'http://127.0.0.1:4317'\n",
            ("PATH", ""),
            "chiron.toml:2: telemetry.otlp_endpoint: OTLP export is not built yet, and sending nothing where \
             something was asked for would be a lie; remove the key and collect GET /metrics instead",
        ),
    ] {
        assert_eq!(parse(text, &[env]).unwrap_err(), said);
    }
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let error = parse("[server]\nlisten = \n", &[]).unwrap_err();
    assert!(error.starts_with("chiron.toml:2: not TOML: "), "{error}");
}

#[test]
fn no_time_is_zero_that_would_stop_everything() {
    for text in [
        "[server]\nrequest_timeout = '0s'",
        "[[upstream]]\nname = 'pip'\nconnect_timeout = '0s'",
        "[[upstream]]\nname = 'pip'\nread_timeout = '0ms'",
        "[[upstream]]\nname = 'pip'\ntotal_timeout = '0d'",
    ] {
        let error = parse(text, &[]).unwrap_err();
        assert!(error.ends_with(NEVER), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn an_override_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let bad = OsString::from_vec(b"/srv/\xff".to_vec());
    let load = Load::new(None, [("CHIRON_STORAGE__PATH".into(), bad)]);
    let error = load.parse("", Source::BuiltIn).unwrap_err().to_string();
    assert_eq!(
        error,
        "environment CHIRON_STORAGE__PATH: storage.path: found text that is not UTF-8"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(\\[\\[?[a-z]{1,9}\\]?\\]\n|[a-z_]{1,9} = ('[ -&(-~]{0,9}'|[0-9]{1,4}|\\[\\]|\\{\\})\n){0,6}") {
        // The assertion is that a configuration that was accepted can be written and read again.
        if let Ok(config) = parse(&text, &[]) {
            prop_assert_eq!(parse(&config.to_toml_commented(), &[]).unwrap(), config);
        }
    }

    #[test]
    fn any_variable_is_read_or_refused_by_name(name in "CHIRON_[A-Z_0-9]{0,20}", text in "[ -~]{0,12}") {
        if let Err(error) = parse("", &[(&name, &text)]) {
            prop_assert!(error.contains(&name), "{}", error);
        }
    }
}
