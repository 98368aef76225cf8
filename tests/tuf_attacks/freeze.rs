//! Freeze, and slow retrieval: a client does not stay on what is old, nor wait for ever.

use std::time::{Duration, Instant};

use crate::tuf_clients::{CLIENTS, Client, Holder, Kind};
use crate::tuf_repo::{Author, ago, bin_of, in_};
use crate::tuf_server::{Reply, TufServer};
use crate::{Known, TRUST, WHEEL, WHEEL_BYTES, by_a_mirror, by_a_thief, refused};

/// Every role's newest version is no longer valid, whoever asks.
#[test]
fn an_expired_version_of_each_role() {
    for (role, target) in [
        ("root".to_owned(), WHEEL),
        ("timestamp".to_owned(), WHEEL),
        ("snapshot".to_owned(), WHEEL),
        ("targets".to_owned(), WHEEL),
        ("bins".to_owned(), WHEEL),
        (bin_of(WHEEL), WHEEL),
        ("trust".to_owned(), TRUST),
    ] {
        by_a_thief(target, &refused(&[Kind::Expired]), |scene| {
            let next = scene.author.version(&role) + 1;
            let document = scene.author.edit(&role);
            document["version"] = next.into();
            document["expires"] = ago(Duration::from_mins(1)).into();
            scene.author.issue(&role);
            match role.as_str() {
                "root" | "timestamp" => {}
                "snapshot" => scene.author.publish(&["timestamp"]),
                _ => scene.author.publish(&["snapshot", "timestamp"]),
            }
        });
    }
}

/// The line is cut and what the client has is played back to it: first it is still valid, then it is not.
#[test]
fn the_same_timestamp_until_it_expires() {
    // Longer than every client needs for two runs on a busy machine.
    let holds = Duration::from_secs(15);
    let mut author = Author::new();
    let root = author.file("root").to_vec();
    author.add_target(WHEEL, WHEEL_BYTES);
    author.release();
    let holders: Vec<Holder> = CLIENTS
        .iter()
        .filter_map(|client| Holder::new(*client, &root))
        .collect();
    let signed = Instant::now();
    author.edit("timestamp")["expires"] = in_(holds).into();
    author.issue("timestamp");
    let server = TufServer::start(author.site.clone());
    for _ in 0..2 {
        for holder in &holders {
            holder
                .fetch(&server.base(), &[WHEEL])
                .brings(&holder.client, &[WHEEL_BYTES]);
        }
    }
    std::thread::sleep((holds + Duration::from_secs(1)).saturating_sub(signed.elapsed()));
    for holder in &holders {
        let run = holder.fetch(&server.base(), &[WHEEL]);
        refused(&[Kind::Expired])
            .judge(holder.client, &run)
            .unwrap_or_else(|wrong| panic!("{:?}: {wrong}", holder.client));
    }
}

/// An expired root on the way to one that holds is no obstacle (section 5.3.10: only the last one counts).
#[test]
fn an_expired_root_on_the_way_is_passed() {
    crate::each_client(|scene| {
        scene.author.edit("root")["version"] = 2.into();
        scene.author.edit("root")["expires"] = ago(Duration::from_mins(1)).into();
        scene.author.issue("root");
        scene.author.publish(&["root"]);
        scene.all_is_well();
        Ok(())
    });
}

/// Half an answer, and then silence.
#[test]
fn an_answer_that_stops() {
    let silence = |path: &'static str| {
        move |scene: &mut crate::Scene| {
            scene.holder.be_patient_for(Duration::from_secs(2));
            let bytes = scene.author.site.bytes(path);
            scene.author.site.put(path, Reply::Hang(bytes));
        }
    };
    by_a_mirror(
        WHEEL,
        &refused(&[Kind::TooSlow]),
        silence("/tuf/metadata/timestamp.json"),
    );
    by_a_mirror(WHEEL, &refused(&[Kind::TooSlow]), |scene| {
        scene.holder.be_patient_for(Duration::from_secs(2));
        let digest = crate::tuf_repo::sha256(WHEEL_BYTES);
        scene
            .author
            .put_target(WHEEL, &digest, &Reply::Hang(WHEEL_BYTES.into()));
    });
}

/// One byte at a time, each within every patience between bytes. Chiron's client and tuf-js bound the whole answer;
/// the two others only the silence, and take it in the end.
#[test]
fn an_answer_that_dawdles() {
    let why = "its timeout is for the silence between bytes, not for the answer (its caller's to bound)";
    let expect = refused(&[Kind::TooSlow])
        .but(Client::PythonTuf, Known::Takes, why)
        .but(Client::Tough, Known::Takes, why);
    by_a_mirror(WHEEL, &expect, |scene| {
        // About 500 bytes, so 10 s. Chiron's client gives a metadata file three times what it bears of silence.
        scene.holder.be_patient_for(Duration::from_secs(2));
        let bytes = scene.author.site.bytes("/tuf/metadata/timestamp.json");
        scene.author.site.put(
            "/tuf/metadata/timestamp.json",
            Reply::Dawdle(bytes, Duration::from_millis(20)),
        );
    });
}
