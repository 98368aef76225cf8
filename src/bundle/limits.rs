//! How much of a bundle is believed before it is verified. Each names its threat.

/// Bytes of a DSSE envelope with the manifest. Threat: memory.
pub const MAX_ENVELOPE_BYTES: u64 = 4 << 20;
/// Bytes of a listing. Threat: memory.
pub const MAX_LISTING_BYTES: u64 = 4 << 20;
/// Bytes of an OCI index or image manifest: what registries accept. Threat: memory.
pub const MAX_OCI_DOCUMENT_BYTES: u64 = 4 << 20;
/// Items in one volume: its image manifest and its listing stay below what registries accept.
pub const MAX_ITEMS: usize = 4_096;
/// Volumes of one bundle. Threat: memory.
pub const MAX_VOLUMES: usize = 4_096;
/// Bytes of a pack (entries, documents) before compression: it is held in memory. Threat: memory, decompression bombs.
pub const MAX_PACK_BYTES: u64 = 8 << 20;
/// Bytes of the pack with TUF metadata, unpacked. Threat: decompression bombs.
pub const MAX_TUF_BYTES: u64 = 64 << 20;
/// Files in the pack with TUF metadata. Threat: inodes, since a client reads them from a folder.
pub const MAX_TUF_FILES: usize = 4_096;
/// A volume's bytes unless `--volume-size` says otherwise: below 4 GiB, which FAT32 can hold.
pub const DEFAULT_VOLUME_BYTES: u64 = (4 << 30) - (64 << 20);
/// The smallest volume size that is accepted, bytes.
pub const MIN_VOLUME_BYTES: u64 = 16 << 20;
/// Bytes of one document in a pack. One that is larger than [`MAX_PACK_BYTES`] is alone in its pack. Threat: memory.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// Bytes of the advisory database, unpacked. Threat: decompression bombs, the disk.
pub const MAX_ADVISORIES_BYTES: u64 = 4 << 30;
/// Bytes of one item as it travels: what a ustar header can say. Threat: the disk.
pub const MAX_ITEM_BYTES: u64 = (8 << 30) - 1;
/// Log entries in one pack. Threat: memory, by entries of no bytes.
pub const MAX_PACK_ENTRIES: u64 = 1 << 20;
