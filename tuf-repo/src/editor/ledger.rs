//! What was published last of every role: versions only ever grow, and no name is ever dropped.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::limits::MAX_VERSION;
use crate::metadata::{MetaFile, Version};
use crate::role::{Bin, Role};

/// One role as it was published last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Counted from 1, and never backwards.
    pub version: Version,
    /// The file's length in bytes.
    pub length: u64,
    /// The file's SHA-256.
    pub sha256: [u8; 32],
}

impl LedgerRow {
    /// What is noted of a file with these bytes.
    pub fn of(version: Version, bytes: &[u8]) -> Self {
        Self {
            version,
            length: bytes.len() as u64,
            sha256: Sha256::digest(bytes).into(),
        }
    }

    /// As metadata that vouches for the file's bytes states it.
    pub(super) fn pinned(&self) -> MetaFile {
        MetaFile {
            version: self.version,
            length: Some(self.length),
            hashes: Some(BTreeMap::from([("sha256".to_owned(), hex::encode(self.sha256))])),
        }
    }
}

/// What was published last of every role that ever was. It comes from a store and not from the folder that is served:
/// who can write there could otherwise choose the next versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    rows: BTreeMap<Role, LedgerRow>,
    floor: Version,
}

/// There is no version after the last one.
///
/// An attacker with a role's keys may have published it, to keep clients from all that follows (fast-forward, section
/// 1.5.2); the recovery is a new root with other keys for the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{role} has no version left after {last}: clients read none above {MAX_VERSION}; rotate the role's keys, and \
     clients begin anew"
)]
pub struct VersionsExhausted {
    /// Whose.
    pub role: Role,
    /// The one that was published last, or asked for.
    pub last: Version,
}

impl FromIterator<(Role, LedgerRow)> for Ledger {
    fn from_iter<I: IntoIterator<Item = (Role, LedgerRow)>>(rows: I) -> Self {
        Self {
            rows: rows.into_iter().collect(),
            floor: 1,
        }
    }
}

impl Ledger {
    /// Versions of [`Bin`]s go up in these steps: as many as there can be bins of one count.
    pub const BIN_STEP: Version = crate::bins::BinCount::MOST as Version;

    /// The role as it was published last.
    pub fn last(&self, role: Role) -> Option<&LedgerRow> {
        self.rows.get(&role)
    }

    /// Every role that ever was, and what was published last of it.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &LedgerRow)> {
        self.rows.iter().map(|(role, row)| (*role, row))
    }

    /// From now on no role but the root gets a version below `floor`: after a backup was restored, clients may have seen
    /// versions that this ledger does not know of. Everything that is in use must then be signed again, in one edition.
    ///
    /// It does not help against names that clients have seen and this ledger has not, of bins that came after the backup:
    /// clients miss them in the snapshot until its keys are rotated.
    pub fn raise(&mut self, floor: Version) {
        self.floor = self.floor.max(floor);
    }

    /// The version that `role` gets next.
    ///
    /// Root has no gaps: clients walk from one to the next. A bin's version is a multiple of [`Self::BIN_STEP`] and the bin's
    /// number, higher than that of any bin that ever was: see [`Self::next_of_bin`].
    pub fn next(&self, role: Role) -> Result<Version, VersionsExhausted> {
        let last = self.rows.get(&role).map_or(0, |row| row.version);
        let next = match role {
            Role::Root => last.checked_add(1),
            Role::Bin(bin) => return self.next_of_bin(bin, self.highest_bin()),
            _ => last.checked_add(1).map(|next| next.max(self.floor)),
        };
        next.filter(|next| *next <= MAX_VERSION)
            .ok_or(VersionsExhausted { role, last })
    }

    /// The highest version that any bin of any count ever had.
    pub(super) fn highest_bin(&self) -> Version {
        let of_bins = |(role, row): (&Role, &LedgerRow)| matches!(role, Role::Bin(_)).then_some(row.version);
        self.rows.iter().filter_map(of_bins).max().unwrap_or(0)
    }

    /// The version that `bin` gets next, when `highest` is that of [`Self::highest_bin`].
    ///
    /// Threat: metadata of a bin does not say which bin it is, all bins have the same keys, and the snapshot names them by
    /// version. Were two bins at one version, a mirror without any key could serve the one as the other, and what the other
    /// lists would be gone without a sign of it. So no two bins ever have the same version.
    pub(super) fn next_of_bin(&self, bin: Bin, highest: Version) -> Result<Version, VersionsExhausted> {
        let number = Version::from(bin.number());
        let last = highest.max(self.floor.saturating_sub(1));
        (last / Self::BIN_STEP)
            .checked_add(1)
            .and_then(|steps| steps.checked_mul(Self::BIN_STEP)?.checked_add(number))
            .filter(|next| *next <= MAX_VERSION)
            .ok_or(VersionsExhausted {
                role: Role::Bin(bin),
                last,
            })
    }

    /// Lists bins that were not signed again after [`Self::raise`], and so are not in use, with the floor: nobody fetches
    /// them, but a client that saw a later version of one would refuse the snapshot.
    pub(super) fn lift_unused_bins(&mut self) {
        for (role, row) in &mut self.rows {
            if matches!(role, Role::Bin(_)) {
                row.version = row.version.max(self.floor);
            }
        }
    }

    /// Notes what is being published. `false`, and nothing is noted, if the version is not above the last.
    pub(super) fn note(&mut self, role: Role, row: LedgerRow) -> bool {
        let rises = self.last(role).is_none_or(|last| row.version > last.version);
        if rises {
            self.rows.insert(role, row);
        }
        rises
    }
}
