//! Lists and VEX documents as they are kept: under zlib, since a list of scores is megabytes of digits.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Unpacked bytes of one part at most: what a load takes in. Threat: a damaged row that unpacks without end.
const MAX_BYTES: u64 = 1 << 30;

pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    ZlibDecoder::new(bytes)
        .take(MAX_BYTES)
        .read_to_end(&mut out)
        .ok()?;
    Some(out)
}
