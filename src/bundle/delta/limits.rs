//! How much a delta may ask of the machine that makes or uses it.

/// Bounds. The first five are held against what a delta *says* before any of that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Bytes of the header, unpacked. Threat: memory, since it is parsed whole.
    pub header_bytes: u64,
    /// Bytes of the ZIP records between the entries, unpacked. Threat: memory, since they are held.
    pub structure_bytes: u64,
    /// Bytes that one block unpacks to. Threat: memory.
    pub block_bytes: u64,
    /// Bytes of the base, unpacked, that one block is held against. Threat: memory.
    pub prefix_bytes: u64,
    /// Bytes that all of it reads and unpacks, parts of the base included, and 64 KiB more for each stream. Threat: time,
    /// decompression bombs.
    pub work_bytes: u64,
    /// For the one who makes it: bytes that an entry unpacks to at most; larger ones travel as they are packed.
    pub entry_bytes: u64,
    /// For the one who makes it: a delta larger than so many hundredths of the wheel is not worth it.
    pub worth_percent: u64,
    /// For the one who makes it: zstd's level, 1 to 22.
    pub level: i32,
}

const MIB: u64 = 1 << 20;

impl Default for DeltaLimits {
    /// Memory: about 50 MB to use one (90 with a header and records as large as they may be), about 110 MB to make one. Level 12
    /// and these sizes were chosen over 16 upgrades of wheels: level 18 with a prefix of 24 MiB gives deltas smaller by a tenth
    /// and takes four times as long.
    fn default() -> Self {
        Self {
            header_bytes: 16 * MIB,
            structure_bytes: 16 * MIB,
            block_bytes: 8 * MIB,
            prefix_bytes: 16 * MIB,
            work_bytes: 32 << 30,
            entry_bytes: 256 * MIB,
            worth_percent: 90,
            level: 12,
        }
    }
}
