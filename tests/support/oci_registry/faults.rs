//! What a registry should not do.

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The connection ends before an answer; of an upload so many bytes are read first.
    Drop(usize),
    /// The head, so many bytes of the body, and then the connection ends.
    Cut(usize),
    /// One bit of the body is another.
    Flip,
    /// These bytes instead, with whatever digest header belongs to the right ones.
    Swap(Vec<u8>),
    /// `Docker-Content-Digest` of something else.
    WrongDigest,
    /// The body, and more of it without an end (up to 64 MiB).
    Endless,
    /// On to another address, with the same path.
    Redirect(String),
    /// Ranges are not understood: the whole, 200.
    NoRanges,
    /// Another part than the one asked for, under an honest `Content-Range`.
    WrongRange,
    /// It says that it has stored the upload, at once, and reads nothing.
    SaysStored,
    /// It says that the bytes have another digest.
    SaysOther,
    /// `Location` on plain nothing.
    NoLocation,
    /// A `Content-Length` of so many bytes, in answers to HEAD.
    SaysLength(u64),
}

/// A fault with where and how often.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Part of `METHOD PATH`.
    pub part: String,
    /// Left.
    pub times: u32,
    /// What happens.
    pub fault: Fault,
}
