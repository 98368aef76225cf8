//! How large things may be. Each limit has a unit and a threat. None is wider than that of any existing client, so that what
//! is published under these limits is read by all of them.

use crate::metadata::Version;
use crate::role::Role;

/// The largest version: whole numbers above it are not exact in JavaScript, hence not in tuf-js.
///
/// Threat: a fast-forward attack with a version after which there is no other (section 1.5.2). A repository whose
/// version comes near it has been attacked; the recovery is a rotation of the role's keys.
pub const MAX_VERSION: Version = (1 << 53) - 1;

/// Bytes of a root. python-tuf, tuf-js and sigstore-tuf refuse more.
///
/// Threat: endless data. A root is fetched before anything vouches for its length.
pub const MAX_ROOT_BYTES: u64 = 512_000;

/// Bytes of a timestamp. python-tuf, tuf-js and sigstore-tuf refuse more. Threat: as for the root.
pub const MAX_TIMESTAMP_BYTES: u64 = 16_384;

/// Bytes of a snapshot: 16,384 bins, and all the bins that were before them, take 800 kB. tough refuses more; python-tuf,
/// tuf-js and sigstore-tuf refuse more than 2,000,000.
///
/// Threat: endless data signed by a stolen online key.
pub const MAX_SNAPSHOT_BYTES: u64 = 1 << 20;

/// Bytes of targets metadata: the top-level role, `trust`, `bins` or one bin. python-tuf, tuf-js and sigstore-tuf refuse
/// more. Threat: as for the snapshot.
pub const MAX_TARGETS_BYTES: u64 = 5_000_000;

/// Roots that are walked in one refresh. Threat: an indefinite chain of roots (section 5.3.3, `Z`).
///
/// python-tuf and tuf-js walk 256 in one refresh, tough 1,024, sigstore-tuf 32 unless told otherwise. A client that has been
/// away for longer needs a newer root by other means.
pub const MAX_ROOT_ROTATIONS: u32 = 256;

/// Targets roles that are visited in search of one target: `targets`, `trust`, `bins` and one bin are four.
///
/// Threat: a graph of delegations without end (section 5.6.7.1).
pub const MAX_DELEGATIONS: u32 = 32;

/// Signatures on one document. Threat: work without end; each costs up to 0.1 ms.
///
/// As many as [`crate::Threshold`] can ask for.
pub const MAX_SIGNATURES: usize = 255;

/// Bytes of a target's path. `files/`, a project name (128) and a file name (255) are 390.
///
/// Threat: names without end in metadata and on the disks of clients.
pub const MAX_PATH_BYTES: usize = 512;

/// Bytes of a signing request, which people carry on sticks.
///
/// Threat: endless data. A request holds the document, the one that it replaces and what changes in words, indented: from
/// 8,192 to 16,384 bins that is 11 MB.
pub const MAX_REQUEST_BYTES: u64 = 16_000_000;

/// Bytes that metadata of `role` has at most.
pub const fn metadata_bytes(role: Role) -> u64 {
    match role {
        Role::Root => MAX_ROOT_BYTES,
        Role::Timestamp => MAX_TIMESTAMP_BYTES,
        Role::Snapshot => MAX_SNAPSHOT_BYTES,
        Role::Targets | Role::Trust | Role::Bins | Role::Bin(_) => MAX_TARGETS_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the clients accept unless they are told otherwise: python-tuf 7.0 and tuf-js 5.0 (the same numbers),
    /// sigstore-tuf 0.15, tough 0.24. Root, timestamp, snapshot, targets; bytes.
    const CLIENTS: [(&str, [u64; 4]); 3] = [
        ("python-tuf, tuf-js", [512_000, 16_384, 2_000_000, 5_000_000]),
        ("sigstore-tuf", [512_000, 16_384, 2_000_000, 5_000_000]),
        ("tough", [1 << 20, 1 << 20, 1 << 20, 10 << 20]),
    ];

    #[test]
    fn what_is_published_is_read_by_every_client() {
        let ours = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets].map(metadata_bytes);
        for (client, theirs) in CLIENTS {
            assert!(
                ours.iter().zip(theirs).all(|(ours, theirs)| *ours <= theirs),
                "{client}"
            );
        }
        assert_eq!(metadata_bytes(Role::Bins), MAX_TARGETS_BYTES);
    }

    #[test]
    fn a_request_has_room_for_the_largest_document_that_people_sign() {
        // Two of them, before and after, would not fit; nobody signs delegations of that size by hand.
        const { assert!(MAX_REQUEST_BYTES > MAX_TARGETS_BYTES + MAX_ROOT_BYTES) }
    }
}
