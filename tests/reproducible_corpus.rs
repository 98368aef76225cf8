//! Promise: popular pure wheels can be rebuilt from their source. A fixed list over all common backends; at least 90 % reach
//! `time` (the same file but for time stamps) and at least 95 % `traced` or better.
//!
//! Everything comes from the index that pip on this machine is configured with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;
use std::time::Instant;

use chiron::app::{App, OpenMode, rebuild_settings};
use chiron::config::{Config, Profile};
use chiron::package::DistributionFilename;
use chiron::rebuild::Rebuilder;
use chiron::verify::reproducibility::Level;
use futures_util::{StreamExt as _, stream};
use support::clients::registry_available;
use tokio_util::sync::CancellationToken;

/// Wheels and the SHA-256 of each, by backend: setuptools, hatchling, flit, poetry-core, pdm-backend.
#[rustfmt::skip] // a list that is read as a table
const WHEELS: &[(&str, &str)] = &[
    ("requests-2.32.3-py3-none-any.whl", "70761cfe03c773ceb22aa2f671b4757976145175cdfca038c02654d061d6dcc6"),
    ("click-8.1.7-py3-none-any.whl", "ae74fb96c20a0277a1d615f1e4d73c8414f5a98db8b799a7931d1582f3390c28"),
    ("six-1.16.0-py2.py3-none-any.whl", "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"),
    ("python_dateutil-2.9.0.post0-py2.py3-none-any.whl", "a8b2bc7bffae282281c8140a97d3aa9c14da0b136dfe83f850eea9a5f7470427"),
    ("pluggy-1.5.0-py3-none-any.whl", "44e1ad92c8ca002de6377e165f3e0f1be63266ab4d554740532335b9d75ea669"),
    ("pytest-8.2.2-py3-none-any.whl", "c434598117762e2bd304e526244f67bf66bbd7b5d6cf22138be51ff661980343"),
    ("certifi-2024.7.4-py3-none-any.whl", "c198e21b1289c2ab85ee4e67bb4b4ef3ead0892059901a8d5b622f24a1101e90"),
    ("anyio-4.4.0-py3-none-any.whl", "c1b2d8f46a8a812513012e1107cb0e68c17159a7a594208005a57dc776e1bdc7"),
    ("h11-0.14.0-py3-none-any.whl", "e3fe4ac4b851c468cc8363d500db52c2ead036020723024a109d37346efaa761"),
    ("tqdm-4.66.4-py3-none-any.whl", "b75ca56b413b030bc3f00af51fd2c1a1a5eac6a0c1cca83cbb37a5c52abce644"),
    ("zipp-3.19.2-py3-none-any.whl", "f091755f667055f2d02b32c53771a7a6c8b47e1fdbc4b72a8b9072b3eef8015c"),
    ("importlib_metadata-8.0.0-py3-none-any.whl", "15584cf2b1bf449d98ff8a6ff1abef57bf20f3ac6454f431736cd3e660921b2f"),
    ("cachetools-5.3.3-py3-none-any.whl", "0abad1021d3f8325b2fc1d2e9c8b9c9d57b04c3932657a72465447332c24d945"),
    ("tenacity-8.5.0-py3-none-any.whl", "b594c2a5945830c267ce6b79a166228323ed52718f30302c1359836112346687"),
    ("setuptools-75.1.0-py3-none-any.whl", "35ab7fd3bcd95e6b7fd704e4a1539513edad446c097797f2985e0e4b960772f2"),
    ("iniconfig-2.0.0-py3-none-any.whl", "b6a85871a79d2e3b22d2d1b94ac2824226a63c6b741c88f7ae975f18b6778374"),
    ("urllib3-2.2.2-py3-none-any.whl", "a448b2f64d686155468037e1ace9f2d2199776e17f0a46610480d311f73e3472"),
    ("attrs-23.2.0-py3-none-any.whl", "99b87a485a5820b23b879f04c2305b44b951b502fd64be915879d77a7e8fc6f1"),
    ("pygments-2.18.0-py3-none-any.whl", "b8e6aca0523f3ab76fee51799c488e38782ac06eafcf95e7ba832985c8e7b13a"),
    ("httpcore-1.0.5-py3-none-any.whl", "421f18bac248b25d310f3cacd198d55b8e6125c107797b609ff9b7a6ba7991b5"),
    ("httpx-0.27.0-py3-none-any.whl", "71d5465162c13681bff01ad59b2cc68dd838ea1f10e51574bac27103f00c91a5"),
    ("starlette-0.37.2-py3-none-any.whl", "6fe59f29268538e5d0d182f2791a479a0c64638e6935d1c6989e63fb2699c6ee"),
    ("platformdirs-4.2.2-py3-none-any.whl", "2d7a1657e36a80ea911db832a8a6ece5ee53d8de21edd5cc5879af6530b1bfee"),
    ("filelock-3.15.4-py3-none-any.whl", "6ca1fffae96225dab4c6eaf1c4f4f28cd2568d3ec2a44e15a08520504de468e7"),
    ("hatchling-1.25.0-py3-none-any.whl", "b47948e45d4d973034584dd4cb39c14b6a70227cf287ab7ec0ad7983408a882c"),
    ("jsonschema-4.22.0-py3-none-any.whl", "ff4cfd6b1367a40e7bc6411caec72effadd3db0bbe5017de188f2d6108335802"),
    ("jinja2-3.1.4-py3-none-any.whl", "bc5dd2abb727a5319567b7a813e6a2e7318c39f4f487cfe6c89c6f9c7d25197d"),
    ("itsdangerous-2.2.0-py3-none-any.whl", "c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef"),
    ("werkzeug-3.0.3-py3-none-any.whl", "fc9645dc43e03e4d630d23143a04a7f947a9a3b5727cd535fdfe155a17cc48c8"),
    ("flask-3.0.3-py3-none-any.whl", "34e815dfaa43340d1d15a5c3a02b8476004037eb4840b34910c6e21679d288f3"),
    ("packaging-24.1-py3-none-any.whl", "5b8f2217dbdbd2f7f384c41c628544e6d52f2d0f53c6d0c3ea61aa5d1d7ff124"),
    ("idna-3.7-py3-none-any.whl", "82fee1fc78add43492d3a1898bfa6d8a904cc97d8427f683ed8e798d07761aa0"),
    ("typing_extensions-4.12.2-py3-none-any.whl", "04e5ca0351e0f3f85c6853954072df659d0d13fac324d0072316b67d7794700d"),
    ("wheel-0.43.0-py3-none-any.whl", "55c570405f142630c6b9f72fe09d9b67cf1477fcf543ae5b8dcb1f5b7377da81"),
    ("tomli-2.0.1-py3-none-any.whl", "939de3e7a6161af0c887ef91b7d41a53e7c5a1ca976325f429cb46ea9bc30ecc"),
    ("rich-13.7.1-py3-none-any.whl", "4edbae314f59eb482f54e9e30bf00d33350aaa94f4bfcd4e9e3110e64d0d7222"),
    ("tomlkit-0.12.5-py3-none-any.whl", "af914f5a9c59ed9d0762c7b64d3b5d5df007448eb9cd2edc8a46b1eafead172f"),
    ("poetry_core-1.9.0-py3-none-any.whl", "4e0c9c6ad8cf89956f03b308736d84ea6ddb44089d16f2adc94050108ec1f5a1"),
    ("isort-5.13.2-py3-none-any.whl", "8ca5e72a8d85860d5a3fa69b8745237f2939afe12dbf656afbcb47fe72d947a6"),
    ("cleo-2.1.0-py3-none-any.whl", "4a31bd4dd45695a64ee3c4758f583f134267c2bc518d8ae9a29cf237d009b07e"),
    ("fastapi-0.111.0-py3-none-any.whl", "97ecbf994be0bcbdadedf88c3150252bed7b2087075ac99735403b1b76cc8fc0"),
    ("pdm_backend-2.3.3-py3-none-any.whl", "db6e86de8ca84e4264c35a620877b14aba8092ad7a34de395715553144668823"),
    ("unearth-0.16.1-py3-none-any.whl", "5a598ac1a3f185144fadc9de47f1043bff805c36118ffc40f81ef98ff22e8e37"),
];

/// Rebuilds at once, as `[reproducibility] parallel` has it.
const AT_ONCE: usize = 2;

struct Line {
    filename: &'static str,
    level: Level,
    /// By comparison alone, nothing executed.
    traced: bool,
    backend: String,
    seconds: f64,
    attempts: usize,
    reason: String,
}

async fn one(rebuilder: &Rebuilder, filename: &'static str, sha256: &str) -> Line {
    let began = Instant::now();
    let name = DistributionFilename::parse(filename).unwrap();
    let rebuilt = rebuilder
        .listed(&name, sha256.parse().unwrap(), &CancellationToken::new())
        .await;
    let seconds = began.elapsed().as_secs_f64();
    match rebuilt {
        Err(error) => Line {
            filename,
            level: Level::NotAttempted,
            traced: false,
            backend: String::new(),
            seconds,
            attempts: 0,
            reason: error.to_string(),
        },
        Ok((row, rebuilt)) => {
            let best = rebuilt.best_attempt().expect("an attempt was made");
            let diff = best
                .diff
                .lines()
                .take(if best.level < Level::Time { 12 } else { 0 });
            let reason = best
                .problem
                .clone()
                .unwrap_or_else(|| diff.collect::<Vec<_>>().join("\n        "));
            Line {
                filename,
                level: best.level,
                traced: row.judged.found.level.as_deref() == Some(Level::Traced.as_str()),
                backend: best.backend.clone(),
                seconds,
                attempts: rebuilt.attempts.len(),
                reason,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_registry_popular_wheels_can_be_rebuilt() {
    if !registry_available() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.storage.path = home.path().join("data");
    config.policy.profile = Profile::Audit;
    let settings = rebuild_settings(&config.reproducibility);
    let app = App::open(config, OpenMode::Verb).await.unwrap();
    let rebuilder = app.rebuilder(settings).await;
    let sandbox = rebuilder
        .sandbox()
        .unwrap_or_else(|error| panic!("{error}"))
        .about();
    let began = Instant::now();
    let lines: Vec<Line> = stream::iter(WHEELS)
        .map(|(filename, sha256)| one(&rebuilder, filename, sha256))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let took = began.elapsed().as_secs_f64();

    let mut table = format!("{} wheels, {took:.0} s, {sandbox}\n", lines.len());
    for line in &lines {
        writeln!(
            table,
            "{:<10} {:<7} {:<50} {:<24} {:>5.1} s, {} attempts{}{}",
            line.level,
            if line.traced { "traced" } else { "" },
            line.filename,
            line.backend,
            line.seconds,
            line.attempts,
            if line.reason.is_empty() { "" } else { "\n        " },
            line.reason
        )
        .unwrap();
    }
    let share = |least: Level| {
        let reached = |line: &&Line| line.level >= least || (line.traced && least <= Level::Traced);
        let reached = lines.iter().filter(reached).count();
        100.0 * f64::from(u32::try_from(reached).unwrap()) / f64::from(u32::try_from(lines.len()).unwrap())
    };
    writeln!(
        table,
        "bit {:.1} %, time or better {:.1} %, traced or better {:.1} %",
        share(Level::Bit),
        share(Level::Time),
        share(Level::Traced)
    )
    .unwrap();
    eprintln!("{table}");
    assert!(lines.len() >= 30);
    assert!(share(Level::Time) >= 90.0, "{table}");
    assert!(share(Level::Traced) >= 95.0, "{table}");
    app.shutdown().await;
}
