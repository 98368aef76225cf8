//! Promise: a bundle goes through a registry unchanged, what the registry has is not sent again, and volumes may be
//! pushed one by one (`docs/oci.md`). The registry is Debian's `docker-registry`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;
mod support;

use std::path::Path;

use chiron::bundle::volume::Shape;
use chiron_storage::Digest;
use serde_json::Value;

use made::{Made, SMALL, tree};
use support::clients::program;
use support::daemon::{Output, cli, run};
use support::docker_registry::{DockerRegistry, PASSWORD};

/// Runs `chiron oci …` with plain HTTP, in a folder of its own.
fn oci(folder: &Path, args: &[&str]) -> Output {
    let mut line = vec!["oci"];
    line.extend(args);
    line.extend(["--plain-http", "--format", "json"]);
    cli(folder, &line)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_folder_comes_back_as_it_was() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    let made = Made::new(Shape::Folder, 12, 300_000);
    made.write(&bundle);
    let place = format!("{}/team/bundles", registry.addr());

    let pushed = oci(disk.path(), &["push", &place, text(&bundle)])
        .expect(0)
        .json();
    let id = made.manifest.id.to_string();
    assert_eq!(
        pushed["reference"],
        format!("{place}:{id}"),
        "tagged with its snapshot"
    );
    assert_eq!(pushed["volumes"], 1);
    assert_eq!(pushed["there"]["blobs"], 0);
    assert_eq!(registry.tags("team/bundles"), [id.as_str()]);

    // The folder's index is the registry's, byte for byte.
    let served = registry.get(&format!("/v2/team/bundles/manifests/{id}"));
    assert_eq!(pushed["digest"], Digest::of(&served.body).to_string());

    let reference = format!("{place}:{id}");
    let pulled = oci(disk.path(), &["pull", &reference, "back"]).expect(0).json();
    assert_eq!(pulled["digest"], pushed["digest"]);
    assert_eq!(pulled["already"], false);
    assert_eq!(tree(&disk.path().join("back")), tree(&bundle));
    assert!(!disk.path().join("back.partial").exists());
    assert_eq!(made.check(&[disk.path().join("back")]).unwrap(), [1]);

    // By digest, into the folder that is named after it, in the other order of words.
    let by_digest = format!("{place}@sha256:{}", pushed["digest"].as_str().unwrap());
    oci(disk.path(), &["pull", &by_digest]).expect(0);
    assert_eq!(tree(&disk.path().join(&id)), tree(&bundle));
}

#[test]
fn what_the_registry_has_is_not_sent_again() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    Made::new(Shape::Folder, 5, 100_000).write(&bundle);
    let place = format!("{}/b:one", registry.addr());
    oci(disk.path(), &["push", text(&bundle), &place]).expect(0);

    let again = oci(disk.path(), &["push", text(&bundle), &place])
        .expect(0)
        .json();
    assert_eq!(again["sent"]["blobs"], 0, "{again}");
    assert_eq!(again["sent"]["bytes"], 0);
    assert_eq!(again["volumes_there"], 1);

    // Another bundle with the same wheels: they stay, the manifest and what is new go.
    let other = disk.path().join("other");
    Made::new(Shape::Folder, 6, 100_000).write(&other);
    let place = format!("{}/b:two", registry.addr());
    let more = oci(disk.path(), &["push", text(&other), &place]).expect(0).json();
    let sent = more["sent"]["bytes"].as_u64().unwrap();
    assert!((100_000..150_000).contains(&sent), "{more}");
    assert_eq!(registry.tags("b"), ["one", "two"]);

    let back = oci(disk.path(), &["pull", &place, "back"]).expect(0).json();
    let already = oci(disk.path(), &["pull", &place, "back"]).expect(0).json();
    assert_eq!(
        (&back["already"], &already["already"]),
        (&false.into(), &true.into())
    );
    assert_eq!(already["received"]["bytes"], 0);
}

#[test]
fn volumes_are_pushed_one_by_one_and_tagged_when_all_are_there() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(SMALL, 9, 4_000_000);
    let tars = made.write(&disk.path().join("bundle.tar"));
    assert_eq!(tars.len(), 3);
    let place = format!("{}/volumes:all", registry.addr());

    let output = oci(disk.path(), &["push", &place, text(&tars[1])]).expect(1);
    assert!(
        output.stderr.contains("volumes 1, 3 of 3 are missing"),
        "{output}"
    );
    assert!(registry.tags("volumes").is_empty(), "nothing is tagged");
    oci(disk.path(), &["push", &place, text(&tars[2])]).expect(1);
    let done = oci(disk.path(), &["push", &place, text(&tars[0])])
        .expect(0)
        .json();
    assert_eq!(done["volumes_there"], 2);
    assert_eq!(registry.tags("volumes"), ["all"]);

    oci(disk.path(), &["pull", &place, "back"]).expect(0);
    let back = disk.path().join("back");
    assert_eq!(made.check(std::slice::from_ref(&back)).unwrap(), [1, 2, 3]);

    // The folder that came of the tars is the same bundle.
    let again = oci(disk.path(), &["push", &place, text(&back)]).expect(0).json();
    assert_eq!(again["digest"], done["digest"]);
    assert_eq!(again["sent"]["blobs"], 0);
}

#[test]
fn a_dry_run_counts_and_leaves_nothing() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    Made::new(Shape::Folder, 3, 50_000).write(&bundle);
    let place = format!("{}/dry:run", registry.addr());
    let said = oci(disk.path(), &["push", &place, text(&bundle), "--dry-run"])
        .expect(0)
        .json();
    assert!(said["sent"]["bytes"].as_u64().unwrap() > 150_000, "{said}");
    assert!(registry.tags("dry").is_empty());
    assert_eq!(
        registry.get("/v2/_catalog").json()["repositories"],
        Value::Array(Vec::new())
    );

    oci(disk.path(), &["push", &place, text(&bundle)]).expect(0);
    let said = oci(disk.path(), &["pull", &place, "back", "--dry-run"])
        .expect(0)
        .json();
    assert_eq!(said["dry_run"], true);
    assert!(!disk.path().join("back").exists() && !disk.path().join("back.partial").exists());
}

#[test]
fn another_program_reads_what_was_pushed() {
    let (Some(registry), Some(skopeo)) = (DockerRegistry::start(), program("skopeo")) else {
        eprintln!("LEFT OUT: skopeo or docker-registry is not installed");
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    Made::new(Shape::Folder, 3, 50_000).write(&bundle);
    let place = format!("{}/oracle:x", registry.addr());
    let pushed = oci(disk.path(), &["push", &place, text(&bundle)])
        .expect(0)
        .json();
    let output = run(std::process::Command::new(skopeo)
        .args(["inspect", "--raw", "--tls-verify=false"])
        .arg(format!("docker://{place}"))
        .env("HOME", disk.path()));
    assert_eq!(output.status, 0, "{output}");
    assert_eq!(Digest::of(output.stdout.as_bytes()).to_string(), pushed["digest"]);
    let index = output.json();
    assert_eq!(index["artifactType"], "application/vnd.chiron.bundle.v1");
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
}

#[test]
fn a_password_comes_from_dockers_configuration() {
    let Some(registry) = DockerRegistry::with_password() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    Made::new(Shape::Folder, 1, 10_000).write(&bundle);
    let place = format!("{}/closed:x", registry.addr());
    let push = |config: Option<&str>| {
        let folder = disk.path().join("docker");
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(config) = config {
            std::fs::write(folder.join("config.json"), config).unwrap();
        }
        let args = ["oci", "push", &place, text(&bundle), "--plain-http"];
        run(support::daemon::command(args)
            .env("DOCKER_CONFIG", &folder)
            .current_dir(disk.path()))
    };
    let output = push(None).expect(5);
    assert!(output.stderr.contains("docker's configuration"), "{output}");
    // "carrier:wrong"
    let wrong = format!(
        r#"{{"auths":{{"{}":{{"auth":"Y2Fycmllcjp3cm9uZw=="}}}}}}"#,
        registry.addr()
    );
    push(Some(&wrong)).expect(5);
    assert!(registry.get("/v2/closed/tags/list").status == 401);
    // "carrier:quiet-word"
    let right = format!(
        r#"{{"auths":{{"{}":{{"auth":"Y2FycmllcjpxdWlldC13b3Jk"}}}}}}"#,
        registry.addr()
    );
    let output = push(Some(&right)).expect(0);
    assert!(!format!("{output}").contains(PASSWORD));
}

#[test]
fn tls_is_the_rule_and_strangers_are_not_trusted() {
    let Some((registry, certificate)) = DockerRegistry::with_tls() else {
        return;
    };
    let disk = tempfile::tempdir().unwrap();
    let bundle = disk.path().join("bundle");
    Made::new(Shape::Folder, 2, 10_000).write(&bundle);
    let place = format!("{}/tls:x", registry.addr());
    let push = ["oci", "push", &place, text(&bundle)];
    cli(disk.path(), &push).expect(3);
    let plain = [&push[..], &["--plain-http"]].concat();
    assert_ne!(
        cli(disk.path(), &plain).status,
        0,
        "plain HTTP to a registry with TLS"
    );
    let trusted = [&push[..], &["--ca-file", text(&certificate)]].concat();
    cli(disk.path(), &trusted).expect(0);
    cli(
        disk.path(),
        &["oci", "pull", &place, "back", "--ca-file", text(&certificate)],
    )
    .expect(0);
    assert_eq!(tree(&disk.path().join("back")), tree(&bundle));
}
