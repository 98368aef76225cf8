//! Mix-and-match: parts that are each signed, and were never published together.

use serde_json::json;

use crate::tuf_clients::Kind;
use crate::tuf_repo::{address, bin_of, sha256};
use crate::tuf_server::Reply;
use crate::{PAGE, Scene, WHEEL, by_a_mirror, by_a_thief, refused};

/// Two repositories went on from one backup: both signed a snapshot with this version. The timestamp pins its bytes.
#[test]
fn another_snapshot_with_the_same_version() {
    by_a_mirror(WHEEL, &refused(&[Kind::Integrity, Kind::TooLong]), |scene| {
        scene.author.edit("trust");
        scene.release();
        let version = scene.author.version("snapshot");
        let mut twin = scene.author.doc("snapshot").clone();
        twin["meta"]["trust.json"]["version"] = json!(1);
        let twin = crate::tuf_repo::envelope(&twin, &scene.author.signers["snapshot"]);
        let bytes = serde_json::to_vec(&twin).unwrap();
        scene
            .author
            .site
            .put(&address("snapshot", version), Reply::bytes(bytes));
    });
}

/// A bin of yesterday with everything else of today.
#[test]
fn a_bin_of_another_time() {
    by_a_mirror(WHEEL, &refused(&[Kind::Version]), |scene| {
        let bin = bin_of(WHEEL);
        let old = scene.author.file(&bin).to_vec();
        scene.author.edit(&bin);
        scene.release();
        let at = address(&bin, scene.author.version(&bin));
        scene.author.site.put(&at, Reply::bytes(old));
    });
}

/// A snapshot that pins a role's bytes is held to them.
#[test]
fn a_role_with_other_bytes_than_the_snapshot_pins() {
    let bin = bin_of(WHEEL);
    by_a_mirror(WHEEL, &refused(&[Kind::Integrity, Kind::TooLong]), |scene| {
        scene.author.publish(&[&bin]);
        let one = scene.author.file(&bin).to_vec();
        // The same version with other content, signed by the same key.
        scene.author.edit(&bin)["targets"] = json!({});
        scene.author.issue(&bin);
        let other = scene.author.file(&bin).to_vec();
        scene.author.publish(&["snapshot"]);
        let pin = &mut scene.author.edit("snapshot")["meta"][format!("{bin}.json")];
        pin["length"] = one.len().into();
        pin["hashes"] = json!({ "sha256": sha256(&one) });
        scene.author.issue("snapshot");
        scene.author.publish(&["timestamp"]);
        let at = address(&bin, scene.author.version(&bin));
        scene.author.site.put(&at, Reply::bytes(one));
        scene.honest = scene.author.site.record();
        scene.author.site.put(&at, Reply::bytes(other));
    });
}

/// The weakness that Chiron's numbering of bins is there for: bins are signed by one key and do not say which bin they
/// are, so where two have the same version, one can be served as the other. Nothing forged comes through, but what is
/// in the hidden bin seems not to exist, to clients that keep what they verified even after the attack.
/// `tuf_clients` shows that no two bins of Chiron's share a version.
#[test]
fn a_bin_under_the_name_of_another_of_the_same_version() {
    by_a_thief(WHEEL, &refused(&[Kind::Unlisted]), |scene| swap_bins(scene, true));
}

/// With versions of their own the swap is refused for what it is.
#[test]
fn a_bin_under_the_name_of_another() {
    by_a_mirror(WHEEL, &refused(&[Kind::Version]), |scene| swap_bins(scene, false));
}

/// New versions of the wheel's bin and the page's, and the page's under the name of the wheel's.
fn swap_bins(scene: &mut Scene, same_version: bool) {
    let (wheel, page) = (bin_of(WHEEL), bin_of(PAGE));
    assert_ne!(wheel, page);
    if !same_version {
        scene.author.edit(&wheel);
        scene.release();
    }
    scene.author.edit(&wheel);
    scene.author.edit(&page);
    scene.release();
    assert_eq!(
        same_version,
        scene.author.version(&wheel) == scene.author.version(&page)
    );
    let other = scene.author.file(&page).to_vec();
    let at = address(&wheel, scene.author.version(&wheel));
    scene.author.site.put(&at, Reply::bytes(other));
}
