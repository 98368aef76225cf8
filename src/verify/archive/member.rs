//! The bytes of one ZIP entry: its local header, its data, and that nothing else lies before the next entry.

use libdeflater::Crc;

use super::inflate::{InflateError, Inflater};
use super::window::Window;
use super::zip::Member;
use crate::package::zip_records::{
    FLAG_DESCRIPTOR, LOCAL_BYTES, LocalHeader, RecordError, STORED, local_length, parse_descriptor,
};

/// What is wrong with an entry's bytes.
pub(super) enum MemberError {
    /// The archive is bad.
    Bad(&'static str, String),
    /// The file could not be read.
    Io(std::io::Error),
}

impl From<std::io::Error> for MemberError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads members: local header, data, and whatever follows up to the next member.
pub(super) struct Reader<'f> {
    pub(super) window: Window<'f>,
    inflater: Inflater,
}

impl<'f> Reader<'f> {
    pub(super) fn new(window: Window<'f>) -> Self {
        Self {
            window,
            inflater: Inflater::default(),
        }
    }

    /// Hands the member's unpacked bytes to `sink`, in one piece or several, then says whether all of it was right:
    /// local header, size, checksum, descriptor, and no byte left over.
    pub(super) fn member(
        &mut self,
        member: &Member<'_>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), MemberError> {
        let (data_at, wide) = self.local_header(member)?;
        let gap_at = data_at
            .checked_add(member.compressed)
            .filter(|end| *end <= member.end)
            .ok_or_else(|| bad("overlapping-entries", "its data reaches into the next entry"))?;
        let mut crc = Crc::new();
        let mut both = |bytes: &[u8]| {
            crc.update(bytes);
            sink(bytes);
        };
        if member.method == STORED {
            let mut at = data_at;
            while at < gap_at {
                let bytes = self.window.some(at, gap_at - at)?;
                both(bytes);
                at += bytes.len() as u64;
            }
        } else {
            self.inflater
                .inflate(
                    &mut self.window,
                    data_at,
                    member.compressed,
                    member.size,
                    &mut both,
                )
                .map_err(|error| inflate_error(error, member))?;
        }
        if crc.sum() != member.crc {
            return Err(bad(
                "crc-mismatch",
                "the content does not have the checksum that the archive gives for it",
            ));
        }
        self.gap(member, gap_at, wide)
    }

    /// Compares the local header with the central one; returns where the data begins and whether sizes are wide.
    fn local_header(&mut self, member: &Member<'_>) -> Result<(u64, bool), MemberError> {
        let length = local_length(self.window.bytes(member.offset, LOCAL_BYTES)?).map_err(record_error)?;
        if length as u64 > member.end - member.offset {
            return Err(bad(
                "local-header-mismatch",
                "its local header reaches into the next entry",
            ));
        }
        let bytes = self.window.bytes(member.offset, length)?;
        let local = LocalHeader::parse(bytes).map_err(record_error)?;
        let differs = |what: &str| {
            Err(bad(
                "local-header-mismatch",
                &format!("local and central {what} differ"),
            ))
        };
        if local.name != member.name.as_bytes() {
            let name = String::from_utf8_lossy(local.name).into_owned();
            return Err(bad(
                "local-header-mismatch",
                &format!("its local header calls it {name:?}"),
            ));
        }
        if local.flags != member.flags {
            return differs("flags");
        }
        if local.method != member.method {
            return differs("method");
        }
        if local.needed != member.needed {
            return differs("version");
        }
        // With a descriptor the header may leave them at zero, all three; then the descriptor is compared.
        let deferred =
            member.flags & FLAG_DESCRIPTOR != 0 && (local.crc, local.compressed, local.size) == (0, 0, 0);
        if !deferred
            && (local.crc, local.compressed, local.size) != (member.crc, member.compressed, member.size)
        {
            return differs("sizes or checksums");
        }
        if member.flags & FLAG_DESCRIPTOR != 0 && member.method == STORED && member.size != 0 {
            // A reader that goes from front to back looks for the descriptor in the data itself, where another may stand.
            return Err(bad("stored-descriptor", "stored, with its size behind the data"));
        }
        Ok((member.offset + local.length as u64, local.zip64))
    }

    /// Between the data and the next member there is a descriptor, if one was announced, and nothing else.
    fn gap(&mut self, member: &Member<'_>, at: u64, wide: bool) -> Result<(), MemberError> {
        let length = member.end - at;
        let announced = member.flags & FLAG_DESCRIPTOR != 0;
        if length == 0 && !announced {
            return Ok(());
        }
        let bytes = self.window.some(at, length.min(64))?;
        if announced && length <= 24 {
            return match parse_descriptor(bytes, wide) {
                Some(found) if found == (member.crc, member.compressed, member.size) => Ok(()),
                Some(_) => Err(bad(
                    "descriptor-mismatch",
                    "its data descriptor contradicts the directory",
                )),
                None => Err(bad(
                    "descriptor-mismatch",
                    "what follows its data is not its data descriptor",
                )),
            };
        }
        if local_length(bytes).is_ok() {
            return Err(bad(
                "hidden-entry",
                "an entry that the directory does not know follows it",
            ));
        }
        Err(bad(
            "hidden-bytes",
            &format!("{length} bytes that belong to no entry follow it"),
        ))
    }
}

fn bad(code: &'static str, detail: &str) -> MemberError {
    MemberError::Bad(code, detail.to_owned())
}

fn record_error(error: RecordError) -> MemberError {
    MemberError::Bad(error.code, error.detail)
}

fn inflate_error(error: InflateError, member: &Member<'_>) -> MemberError {
    match error {
        InflateError::Io(error) => MemberError::Io(error),
        InflateError::Corrupt => bad("corrupt-data", "not a whole deflate stream"),
        InflateError::TooLong => bad(
            "size-mismatch",
            &format!("unpacks to more than the {} bytes it claims", member.size),
        ),
        InflateError::TooShort { got } => bad(
            "size-mismatch",
            &format!("unpacks to {got} bytes, and claims {}", member.size),
        ),
        InflateError::Unused { bytes } => bad(
            "hidden-bytes",
            &format!("{bytes} bytes stand behind its packed data"),
        ),
    }
}
