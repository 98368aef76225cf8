//! What the later checks need of a wheel whose structure passed, read once by the structure check.

use chiron_storage::Digest;

/// A wheel from the inside.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The `.dist-info` folder's name.
    pub dist_info: String,
    /// The `.data` folder's name, if there is one.
    pub data: Option<String>,
    /// Every file, in the archive's order; folders are left out.
    pub entries: Vec<ContentEntry>,
    /// `METADATA`, byte for byte.
    pub metadata: Vec<u8>,
    /// `WHEEL`, byte for byte.
    pub wheel: Vec<u8>,
    /// Files of `.dist-info/sboms/` (PEP 770), byte for byte. One beyond [`super::ArchiveLimits::held_bytes`] is only
    /// among the entries.
    pub sboms: Vec<(String, Vec<u8>)>,
    /// `vendor.txt` files under a folder named `_vendor`: the convention of projects that vendor others.
    pub vendor_lists: Vec<(String, Vec<u8>)>,
    /// Oldest and newest DOS time of the entries, seconds since the epoch as if they were UTC: for `SOURCE_DATE_EPOCH`.
    pub dos_times: Option<(i64, i64)>,
    /// `Generator` of `WHEEL`, several joined by `; `.
    pub generator: Option<String>,
    /// Every tag of its name ends in `-any`: it claims to run everywhere, so nothing in it is compiled for one platform.
    /// Neither `Root-Is-Purelib` nor the files are asked: a wheel must not be able to say itself out of what is asked of
    /// pure ones.
    pub pure: bool,
    /// A file begins like a native program or library (ELF, PE, Mach-O), whatever the tags say.
    pub native: bool,
}

/// One file of a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentEntry {
    /// Path in the archive.
    pub name: String,
    /// Bytes, unpacked.
    pub size: u64,
    /// SHA-256 of the unpacked bytes.
    pub sha256: Digest,
    /// Unix permission bits; 0 when the archive states none.
    pub mode: u32,
}
