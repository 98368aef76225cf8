//! Entries of the log as C2SP tlog-tiles bundles.

use chiron_storage::log::{TILE_WIDTH, TileKind, TilePath};

use crate::cli::client::Client;
use crate::cli::exit::Failure;

/// The entries `from..size` of a log with `size` entries.
pub async fn fetch(
    client: &Client,
    from: u64,
    size: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<(), Failure> {
    let width = u64::from(TILE_WIDTH);
    let mut index = from / width;
    while index * width < size {
        let first = index * width;
        let held = u16::try_from((size - first).min(width)).unwrap_or(TILE_WIDTH);
        let path = TilePath {
            kind: TileKind::Entries,
            index,
            width: held,
        };
        let bundle = client.get_bytes(&format!("/log/tile/{path}")).await?;
        let entries = split(&bundle)
            .filter(|entries| entries.len() == usize::from(held))
            .ok_or_else(|| {
                Failure::integrity(format_args!(
                    "the bundle of the log's entries from {first} on is damaged"
                ))
                .next("`chiron doctor` checks the data folder")
            })?;
        for (n, entry) in (first..).zip(entries) {
            if n >= from {
                each(n, entry);
            }
        }
        index += 1;
    }
    Ok(())
}

/// A bundle's entries: each is preceded by its length in two bytes (tlog-tiles, "Log entries").
fn split(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_bundle_is_no_bundle() {
        assert_eq!(split(&[0, 1, b'a', 0, 0]), Some(vec![&b"a"[..], &b""[..]]));
        assert_eq!(split(&[0, 2, b'a']), None);
        assert_eq!(split(&[0]), None);
    }
}
