//! An item's bytes on their way out, hashed as they pass.

use std::io::{self, Read, Write};

use aws_lc_rs::digest::{Context, SHA256};

use crate::bundle::{BundleError, Item};

/// Bytes in flight.
const BUFFER_BYTES: usize = 1 << 20;

/// Why an item was not written.
pub(super) enum CopyError {
    /// What it is written to failed.
    Write(io::Error),
    /// What it is read from failed, or did not have the right bytes.
    Source(BundleError),
}

/// Writes an item, and says so if it was not the right bytes. `buffer` is reused from item to item.
pub(super) fn copy(
    item: &Item,
    mut from: impl Read,
    to: &mut impl Write,
    buffer: &mut Vec<u8>,
) -> Result<(), CopyError> {
    buffer.resize(BUFFER_BYTES, 0);
    let damaged = |why: String| {
        CopyError::Source(BundleError::Damaged {
            what: item.content.filename().map_or_else(
                || format!("the item {}", item.digest),
                |filename| format!("{filename} ({})", item.digest),
            ),
            why,
        })
    };
    let mut context = Context::new(&SHA256);
    let mut written = 0_u64;
    loop {
        let read = match from.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(damaged(format!("it cannot be read: {error}"))),
        };
        written += read as u64;
        if written > item.size {
            return Err(damaged(format!("it has more than its {} bytes", item.size)));
        }
        let bytes = &buffer[..read];
        context.update(bytes);
        to.write_all(bytes).map_err(CopyError::Write)?;
    }
    let found = context.finish();
    if written != item.size || found.as_ref() != item.digest.as_bytes() {
        return Err(damaged(format!(
            "its {written} bytes give {} where {} bytes were promised",
            hex::encode(found.as_ref()),
            item.size
        )));
    }
    Ok(())
}
