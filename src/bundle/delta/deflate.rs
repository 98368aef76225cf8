//! zlib's compressor, the one that most wheels were packed with: the same settings give the same bytes, in every version
//! since 2012 that was tried, and independently of how the input is cut. Nothing but deflating is done with it.

use super::DeltaError;
use super::format::Recipe;

/// Bytes handed out at a time.
const CHUNK: usize = 64 << 10;

/// One raw deflate stream under way.
pub(super) struct Deflater {
    stream: ffi::Stream,
    out: Box<[u8]>,
}

impl Deflater {
    pub(super) fn new(recipe: Recipe) -> Result<Self, DeltaError> {
        Ok(Self {
            stream: ffi::Stream::new(recipe).ok_or(DeltaError::Memory("zlib"))?,
            out: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    /// Takes `input` in, all of it, and hands out what is ready; `last`: to the end of the stream.
    pub(super) fn push<E>(
        &mut self,
        mut input: &[u8],
        last: bool,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let step = self.stream.deflate(input, last, &mut self.out);
            input = &input[step.consumed..];
            each(&self.out[..step.produced])?;
            // With room left in the output, zlib has taken everything and has nothing more to say.
            if step.ended || (step.produced < self.out.len() && input.is_empty()) {
                return Ok(());
            }
        }
    }
}

#[expect(
    unsafe_code,
    reason = "the exact bytes of stock zlib are needed, with memLevel and strategy, which no safe crate here offers"
)]
mod ffi {
    use std::mem::MaybeUninit;
    use std::ptr::NonNull;

    use libz_sys::{
        Z_DEFLATED, Z_FINISH, Z_NO_FLUSH, Z_OK, Z_STREAM_END, deflate, deflateEnd, deflateInit2_, uInt,
        z_stream, zlibVersion,
    };

    use super::Recipe;

    /// Bytes of the structure, as zlib's headers know it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "about a hundred bytes"
    )]
    const SIZE: i32 = size_of::<z_stream>() as i32;

    /// What one call did.
    pub(super) struct Step {
        pub consumed: usize,
        pub produced: usize,
        pub ended: bool,
    }

    /// Owns one zlib stream, from `Box::into_raw`: zlib keeps a pointer back to it.
    pub(super) struct Stream(NonNull<z_stream>);

    impl Stream {
        /// `None` when there is no memory, or zlib does not take the settings.
        pub(super) fn new(recipe: Recipe) -> Option<Self> {
            let stream: Box<MaybeUninit<z_stream>> = Box::new(MaybeUninit::zeroed());
            let stream: *mut z_stream = Box::into_raw(stream).cast();
            // SAFETY: the pointer is valid and stays so; zlib takes a stream of zeros (no allocators: its own; no input, no
            // output) through the pointer, and puts its own allocators in. The version and size are those of the library and
            // of the structure it was compiled with. On failure zlib has freed what it took.
            let code = unsafe {
                deflateInit2_(
                    stream,
                    recipe.level.into(),
                    Z_DEFLATED,
                    -i32::from(recipe.window),
                    recipe.memory.into(),
                    recipe.strategy.into(),
                    zlibVersion(),
                    SIZE,
                )
            };
            if code == Z_OK {
                return NonNull::new(stream).map(Self);
            }
            // SAFETY: from `Box::into_raw` above, as a value that may be anything; zlib keeps no pointer to it.
            drop(unsafe { Box::from_raw(stream.cast::<MaybeUninit<z_stream>>()) });
            None
        }

        /// Compresses from the front of `input` into the front of `out`.
        pub(super) fn deflate(&mut self, input: &[u8], last: bool, out: &mut [u8]) -> Step {
            let given = uInt::try_from(input.len()).unwrap_or(uInt::MAX);
            let room = uInt::try_from(out.len()).unwrap_or(uInt::MAX);
            // The last bytes of an input of more than 4 GiB come in a later call.
            let flush = if last && given as usize == input.len() {
                Z_FINISH
            } else {
                Z_NO_FLUSH
            };
            let stream = self.0.as_ptr();
            // SAFETY: initialised by `new` and not shared (`&mut self`); both pointers are valid for the lengths beside
            // them during the call, do not overlap, and zlib only reads through `next_in`. No pointer to either is kept.
            unsafe {
                (*stream).next_in = input.as_ptr().cast_mut();
                (*stream).avail_in = given;
                (*stream).next_out = out.as_mut_ptr();
                (*stream).avail_out = room;
                let code = deflate(stream, flush);
                (*stream).next_in = std::ptr::null_mut();
                (*stream).next_out = std::ptr::null_mut();
                Step {
                    consumed: (given - (*stream).avail_in) as usize,
                    produced: (room - (*stream).avail_out) as usize,
                    ended: code == Z_STREAM_END,
                }
            }
        }
    }

    impl Drop for Stream {
        fn drop(&mut self) {
            let stream = self.0.as_ptr();
            // SAFETY: initialised by `new`, ended once; then zlib keeps no pointer to it, and the box is ours alone.
            unsafe {
                deflateEnd(stream);
                drop(Box::from_raw(stream));
            }
        }
    }
}
