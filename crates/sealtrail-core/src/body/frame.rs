//! The stored frame: one zstd frame (RFC 8878), nothing around it (`docs/spec/02-body.md` 2.3).

use zstd::bulk;
use zstd::zstd_safe::{compress_bound, find_frame_compressed_size, get_frame_content_size};

use super::PLAIN_BYTES_MAX;

/// Level 1: the ledger keeps what the agent compressed, so speed in the agent decides; higher levels gain a tenth.
const LEVEL: i32 = 1;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A plain body above [`PLAIN_BYTES_MAX`], declared or given.
    #[error("body is longer than 8388608 bytes")]
    TooLong,
    /// Not exactly one zstd frame with its content size, without dictionary, its window within 8 MiB.
    #[error("not exactly one zstd frame with its content size")]
    NotOneFrame,
    /// The frame's content is damaged.
    #[error("zstd frame is corrupt")]
    Corrupt,
}

/// Compresses plain bodies; keeps its working memory and its output between them.
pub struct Compressor {
    inner: bulk::Compressor<'static>,
    /// As long as the frame could be, of which it touches what it takes.
    frame: Kept,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    /// A compressor of level 1.
    ///
    /// # Errors
    /// [`FrameError::Corrupt`] where zstd cannot allocate.
    pub fn new() -> Result<Self, FrameError> {
        let inner = bulk::Compressor::new(LEVEL).map_err(|_| FrameError::Corrupt)?;
        Ok(Self { inner, frame: Kept::default() })
    }

    /// Compresses one plain body into one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub fn compress(&mut self, plain: &[u8]) -> Result<Vec<u8>, FrameError> {
        if plain.len() > PLAIN_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        let frame = self.frame.for_bytes(compress_bound(plain.len()));
        self.inner.compress_to_buffer(plain, frame).map_err(|_| FrameError::Corrupt)?;
        Ok(frame.clone())
    }
}

/// Decompresses stored frames; keeps its working memory and its output between them.
pub struct Decompressor {
    inner: bulk::Decompressor<'static>,
    plain: Kept,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    /// A decompressor.
    ///
    /// # Errors
    /// [`FrameError::Corrupt`] where zstd cannot allocate.
    pub fn new() -> Result<Self, FrameError> {
        let inner = bulk::Decompressor::new().map_err(|_| FrameError::Corrupt)?;
        Ok(Self { inner, plain: Kept::default() })
    }

    /// Decompresses one frame. The content size is checked before anything is allocated.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decompress(&mut self, frame: &[u8]) -> Result<&[u8], FrameError> {
        let length = check_header(frame)?;
        let plain = self.plain.for_bytes(length);
        let written = self.inner.decompress_to_buffer(frame, plain).map_err(|_| FrameError::Corrupt)?;
        if written == length { Ok(plain) } else { Err(FrameError::Corrupt) }
    }
}

/// Memory that is kept from one use to the next, and given back some uses after one that took much more than the others.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// The most that was asked for, a 32nd less with each use that asks for less.
    usual: usize,
}

impl Kept {
    /// Empty, with room for so many bytes.
    fn for_bytes(&mut self, length: usize) -> &mut Vec<u8> {
        self.usual = length.max(self.usual - self.usual / 32);
        self.bytes.clear();
        if self.bytes.capacity() > 2 * self.usual {
            self.bytes = Vec::new();
        }
        self.bytes.reserve_exact(length);
        &mut self.bytes
    }
}

/// Checks everything that can be said before decompressing; returns the content size.
fn check_header(frame: &[u8]) -> Result<usize, FrameError> {
    let descriptor = match frame.strip_prefix(&MAGIC).and_then(<[u8]>::first) {
        Some(descriptor) => *descriptor,
        None => return Err(FrameError::NotOneFrame),
    };
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = descriptor & 0x03 != 0;
    // Window_Descriptor (RFC 8878 section 3.1.1.1.2): exponent in the upper five bits above 2^10; 13 gives 8 MiB.
    let window = frame.get(5).copied().unwrap_or(u8::MAX);
    if dictionary || (!single_segment && window > 13 << 3) {
        return Err(FrameError::NotOneFrame);
    }
    let length = match get_frame_content_size(frame) {
        Ok(Some(length)) => usize::try_from(length).map_err(|_| FrameError::TooLong)?,
        _ => return Err(FrameError::NotOneFrame),
    };
    if length > PLAIN_BYTES_MAX {
        return Err(FrameError::TooLong);
    }
    match find_frame_compressed_size(frame) {
        Ok(size) if size == frame.len() => Ok(length),
        _ => Err(FrameError::NotOneFrame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_took_is_given_back() {
        let mut kept = Kept::default();
        let mut room = |length| kept.for_bytes(length).capacity();
        assert_eq!(room(1 << 10), 1 << 10);
        assert_eq!(room(1 << 20), 1 << 20);
        // Longer and shorter ones in turns share the memory.
        for _ in 0..100 {
            assert_eq!(room(1 << 10), 1 << 20);
            assert_eq!(room(1 << 20), 1 << 20);
        }
        let uses = (0..1_000).take_while(|_| room(1 << 10) > 2 << 10).count();
        assert!((20..30).contains(&uses), "{uses}");
    }

    #[test]
    fn only_one_plain_frame_passes() {
        let mut compressor = Compressor::new().unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        let plain = b"a line\nanother line\n".repeat(1000);
        let frame = compressor.compress(&plain).unwrap();
        assert_eq!(decompressor.decompress(&frame).unwrap(), plain);

        let twice = [frame.clone(), frame.clone()].concat();
        assert_eq!(decompressor.decompress(&twice), Err(FrameError::NotOneFrame));
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0], frame.as_slice()].concat();
        assert_eq!(decompressor.decompress(&skippable), Err(FrameError::NotOneFrame));
        for end in 0..frame.len() {
            assert!(decompressor.decompress(&frame[..end]).is_err(), "cut at {end}");
        }
        let bomb = zstd::bulk::compress(&vec![0; PLAIN_BYTES_MAX + 1], 1).unwrap();
        assert!(bomb.len() < 2000);
        assert_eq!(decompressor.decompress(&bomb), Err(FrameError::TooLong));
        let unsized_frame = zstd::stream::encode_all(plain.as_slice(), 1).unwrap();
        assert_eq!(decompressor.decompress(&unsized_frame), Err(FrameError::NotOneFrame));
    }
}
