//! How far an archive may go before it is refused.

/// Bounds on one archive. Each names the attack that it ends; all of them are compared with what the archive
/// *declares* before anything is unpacked, and what is unpacked can never exceed what was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Bytes of all entries unpacked. Ends bombs that spread over many entries.
    pub total_unpacked: u64,
    /// Bytes of one entry unpacked. Ends the single-entry bomb.
    pub entry_unpacked: u64,
    /// Unpacked bytes per packed byte, of an entry or of the whole archive, once it unpacks to more than
    /// [`Self::ratio_floor`]. Deflate itself ends at 1,032; real wheels reach 224 on a small page-aligned library
    /// (`libXau` in pillow, 2 MiB) and stay under 25 on anything large.
    pub ratio: u64,
    /// Bytes up to which no ratio is asked for: that much is harmless, however well it packs.
    pub ratio_floor: u64,
    /// Number of entries. Ends archives that cost the installer an inode each.
    pub entries: u64,
    /// Bytes of the archive's comment, and of each entry's. No Python build tool writes either.
    pub comment_bytes: usize,
    /// Bytes of an entry's name. Ends names that no file system takes.
    pub name_bytes: usize,
    /// Folders one inside the other in a name. Ends trees too deep to delete.
    pub name_depth: usize,
    /// Bytes of `METADATA`, `WHEEL` and `PKG-INFO` unpacked: they are held in memory and served.
    pub metadata_bytes: u64,
    /// Bytes of `RECORD` unpacked: it is held in memory.
    pub record_bytes: u64,
    /// Bytes of the central directory: it is held in memory.
    pub directory_bytes: u64,
    /// Bytes of one bill of materials or list of vendored projects: they are held in memory for later checks. A larger
    /// one is not held, and the check that misses it fails.
    pub held_bytes: u64,
    /// Bytes of all of those together. Ends a hundred thousand bills of materials in one wheel.
    pub held_total: u64,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

impl Default for ArchiveLimits {
    /// Room for the largest wheels of today (GPU libraries: 1 GB packed, 3 GB unpacked, one library of 2 GB).
    fn default() -> Self {
        Self {
            total_unpacked: 16 * GIB,
            entry_unpacked: 4 * GIB,
            ratio: 200,
            ratio_floor: 32 * MIB,
            entries: 200_000,
            comment_bytes: 1_024,
            name_bytes: 1_024,
            name_depth: 64,
            metadata_bytes: 16 * MIB,
            record_bytes: 64 * MIB,
            directory_bytes: 64 * MIB,
            held_bytes: 16 * MIB,
            held_total: 32 * MIB,
        }
    }
}

impl ArchiveLimits {
    /// Whether `unpacked` bytes out of `packed` are more than the ratio allows.
    pub(super) fn is_bomb(&self, packed: u64, unpacked: u64) -> bool {
        unpacked > self.ratio_floor && unpacked / self.ratio.max(1) >= packed.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_counts_only_above_the_floor() {
        let limits = ArchiveLimits {
            ratio: 100,
            ratio_floor: 1_000,
            ..ArchiveLimits::default()
        };
        assert!(!limits.is_bomb(1, 1_000));
        assert!(limits.is_bomb(10, 1_001));
        assert!(!limits.is_bomb(11, 1_001));
        assert!(limits.is_bomb(0, 2_000));
    }
}
