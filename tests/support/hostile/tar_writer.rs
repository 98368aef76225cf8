//! A tar writer that can lie anywhere.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A tar archive about to be written.
#[derive(Default)]
pub struct Tar {
    pub bytes: Vec<u8>,
}

impl Tar {
    pub fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.entry(name, b'0', content, "", 0o644)
    }

    pub fn folder(&mut self, name: &str) -> &mut Self {
        self.entry(name, b'5', b"", "", 0o755)
    }

    pub fn link(&mut self, name: &str, kind: u8, target: &str) -> &mut Self {
        self.entry(name, kind, b"", target, 0o777)
    }

    /// One entry of any type (POSIX ustar header).
    pub fn entry(&mut self, name: &str, kind: u8, content: &[u8], link: &str, mode: u32) -> &mut Self {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].fill(b' ');
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(header);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// A PAX header with one record for the entry that follows.
    pub fn pax(&mut self, key: &str, value: &str) -> &mut Self {
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 1;
        while length.to_string().len() + body.len() != length {
            length += 1;
        }
        self.entry("pax", b'x', format!("{length}{body}").as_bytes(), "", 0o644)
    }

    pub fn finish(&self) -> Vec<u8> {
        [self.bytes.as_slice(), &[0; 1024]].concat()
    }
}

/// One gzip member.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
