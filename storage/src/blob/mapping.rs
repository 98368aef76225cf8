//! The only unsafe line of this crate: a sealed file, mapped to be handed to a socket.

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps the whole of a sealed blob. The file must not be empty.
#[allow(unsafe_code)]
pub(super) fn map(file: &File) -> io::Result<Bytes> {
    // SAFETY: a mapping is unsound when the file changes under it. Sealed blobs are never written
    // again: they are created read-only (0444) under a private name, renamed to their content's name,
    // and later only unlinked or renamed, which leaves a mapping whole. Should the file be changed from
    // outside all the same, the bytes are still not dereferenced in user space: they only go from
    // here to a socket, where the kernel reads them and answers a missing page with EFAULT instead
    // of SIGBUS. Hashing and parsing read with `pread` (`OpenBlob::read`).
    let mapping = unsafe { Mmap::map(file) }?;
    Ok(Bytes::from_owner(mapping))
}
