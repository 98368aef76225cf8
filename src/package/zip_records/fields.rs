//! Numbers out of a record, within its bounds.

use super::RecordError;

/// Little-endian fields, read in order and within bounds; running out is an error with the given code.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    code: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], code: &'static str) -> Self {
        Self { bytes, code }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(RecordError::new(self.code, "a record is cut short"));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(RecordError::new(self.code, "a record is cut short"));
        };
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        self.take(count).map(drop)
    }

    pub(super) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}
