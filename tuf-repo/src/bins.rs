//! Hash bins (section 4.5, `path_hash_prefixes`): which of a power of two of roles signs which target.

use std::collections::BTreeMap;

use crate::key_id::KeyId;
use crate::metadata::{DelegatedRole, Delegations};
use crate::public_key::PublicKey;
use crate::role::{Bin, Role};
use crate::threshold::RoleKeys;

/// The SHA-256 of a target's path ([`crate::TargetPath::hash`]): under this it is filed, in a store and in a bin.
pub type PathHash = [u8; 32];

/// How many bins there are: a power of two, from 16 to 16,384.
///
/// The bins cut the space of path hashes into ranges of equal length, in order. Another number of bins is thus another way of
/// cutting the same order: a rebin moves no target in a store that is sorted by path hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinCount {
    /// 4 to 14: as many leading bits of a path hash choose its bin.
    bits: u8,
}

/// Why a number is no number of bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bins are not possible; 16, 32, 64 and so on up to 16384 are")]
pub struct BinCountError(pub u16);

/// Why delegations are not those of hash bins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinsError {
    /// Their number.
    #[error("it delegates to {0} roles, and that many bins are not possible")]
    Count(usize),
    /// A bin is missing, out of order, there twice, or answers for other hashes.
    #[error("its delegation number {index} is not that of {expected}, one of {count} bins")]
    Other {
        /// Counted from 0.
        index: usize,
        /// The bin that should be there.
        expected: Bin,
        /// How many there are.
        count: u16,
    },
}

impl BinCount {
    /// Fewer would gain nothing.
    pub const LEAST: u16 = 16;
    /// More are of no use: here a client must already fetch 4 MB of delegations, and tuf-js takes two minutes over them.
    pub const MOST: u16 = 16_384;
    /// What a repository starts with.
    pub const DEFAULT: Self = Self { bits: 8 };

    /// This many.
    pub fn new(count: u16) -> Result<Self, BinCountError> {
        match (count, u8::try_from(count.trailing_zeros())) {
            (Self::LEAST..=Self::MOST, Ok(bits)) if count.is_power_of_two() => Ok(Self { bits }),
            _ => Err(BinCountError(count)),
        }
    }

    /// What suits this many targets.
    ///
    /// A client fetches a line of delegation and a line of snapshot for each bin, and one bin. More bins make the lines more and
    /// the bin shorter. With 256 bins up to 60,000 targets and 1,024 up to 1,500,000 a first refresh and one target stay below
    /// 300 kB (gzip).
    pub const fn for_targets(targets: u64) -> Self {
        let bits = match targets {
            0..=60_000 => 8,
            60_001..=1_500_000 => 10,
            1_500_001..=6_000_000 => 12,
            _ => 14,
        };
        Self { bits }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        1 << self.bits
    }

    /// The bins, in the order of the hashes.
    pub fn bins(self) -> impl Iterator<Item = Bin> {
        (0..self.get()).map(move |number| Bin::of_bits(number, self.bits))
    }

    /// The bin that signs the target whose path has this hash.
    pub fn of(self, hash: &PathHash) -> Bin {
        let leading = u16::from_be_bytes([hash[0], hash[1]]);
        Bin::of_bits(leading >> (16 - self.bits), self.bits)
    }

    /// The first and the last path hash that belong to `bin`; `None` if it is not one of these bins.
    pub fn range(self, bin: Bin) -> Option<(PathHash, PathHash)> {
        if Bin::of_bits(bin.number(), self.bits) != bin {
            return None;
        }
        let shift = 16 - self.bits;
        let first = bin.number() << shift;
        let last = first | ((1 << shift) - 1);
        let filled = |leading: u16, rest: u8| {
            let mut hash = [rest; 32];
            hash[..2].copy_from_slice(&leading.to_be_bytes());
            hash
        };
        Some((filled(first, 0x00), filled(last, 0xff)))
    }

    /// The beginnings, in hexadecimal, of the path hashes that belong to `bin`; none if it is not one of these bins.
    ///
    /// As few digits as the number of bins allows: 256 bins have one prefix of two digits each, 1,024 have four of three.
    pub fn prefixes(self, bin: Bin) -> Vec<String> {
        if Bin::of_bits(bin.number(), self.bits) != bin {
            return Vec::new();
        }
        let digits = usize::from(self.bits.div_ceil(4));
        let each = 1_u32 << (digits * 4 - usize::from(self.bits));
        let first = u32::from(bin.number()) * each;
        (first..first + each)
            .map(|prefix| format!("{prefix:0digits$x}"))
            .collect()
    }

    /// The delegations from `bins` to the bins, which all have the same keys. Terminating: nobody else is asked for a path
    /// that its bin does not list.
    ///
    /// Explicit prefixes, since two of the four clients do not read TAP 15's succinct form.
    pub fn delegations(self, keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> Delegations {
        let roles = self
            .bins()
            .map(|bin| delegation(Role::Bin(bin), role, None, Some(self.prefixes(bin))))
            .collect();
        Delegations {
            keys: of_role(keys, role),
            roles,
        }
    }

    /// How many bins `delegations` are to, if they are to bins and each answers for just its hashes.
    pub fn read(delegations: &Delegations) -> Result<Self, BinsError> {
        let roles = &delegations.roles;
        let count = u16::try_from(roles.len())
            .ok()
            .and_then(|count| Self::new(count).ok())
            .ok_or(BinsError::Count(roles.len()))?;
        for (index, (role, expected)) in roles.iter().zip(count.bins()).enumerate() {
            let same = role.name == Role::Bin(expected).name()
                && role.terminating
                && role.paths.is_none()
                && role.path_hash_prefixes.as_ref() == Some(&count.prefixes(expected));
            if !same {
                return Err(BinsError::Other {
                    index,
                    expected,
                    count: count.get(),
                });
            }
        }
        Ok(count)
    }
}

/// The delegations from `targets`: `trust/*` to `trust`, and everything else to `bins`.
///
/// Both terminate, and `trust` is asked first: the bins' keys are in daily use, and could otherwise sign a trusted root.
/// That `bins` answers for every path is said by all sixteen digits that a path hash can begin with. Patterns would not do:
/// the specification lets `*` match within one segment only, tough lets it cross them, and tuf-js lets it match no name that
/// begins with a dot.
pub fn top_delegations(keys: &BTreeMap<KeyId, PublicKey>, trust: &RoleKeys, bins: &RoleKeys) -> Delegations {
    let every = (0..16_u8).map(|digit| format!("{digit:x}")).collect();
    let mut all = of_role(keys, trust);
    all.append(&mut of_role(keys, bins));
    Delegations {
        keys: all,
        roles: vec![
            delegation(Role::Trust, trust, Some(vec!["trust/*".to_owned()]), None),
            delegation(Role::Bins, bins, None, Some(every)),
        ],
    }
}

fn delegation(
    role: Role,
    keys: &RoleKeys,
    paths: Option<Vec<String>>,
    path_hash_prefixes: Option<Vec<String>>,
) -> DelegatedRole {
    DelegatedRole {
        name: role.name(),
        keys: keys.clone(),
        terminating: true,
        paths,
        path_hash_prefixes,
    }
}

fn of_role(keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> BTreeMap<KeyId, PublicKey> {
    keys.iter()
        .filter(|(id, _)| role.keyids().contains(id))
        .map(|(id, key)| (*id, key.clone()))
        .collect()
}

#[cfg(test)]
mod tests;
