//! The deterministic CBOR of the format: RFC 8949 section 4.2.1, narrowed to the types that occur.
//!
//! Unsigned and negative integers, byte strings, text, arrays, maps, `false`, `true`, `null` and tag 18. The decoder
//! refuses everything else, and every second way to write the same thing; it never repairs.

/// Deepest nesting, counting the outermost item as 1. The format's deepest structure, a control receipt, has 5; 8
/// leaves room for uncritical claims and is far from any stack limit.
pub const DEPTH_MAX: u32 = 8;

/// What was wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The item needs more bytes than there are.
    #[error("truncated at byte `{0}`")]
    Truncated(usize),
    /// A head that is not the shortest, an indefinite length, a float, an unknown simple value or tag.
    #[error("not deterministic CBOR of the permitted types at byte `{0}`")]
    NotDeterministic(usize),
    /// Another type than the structure asks for.
    #[error("expected {expected} at byte `{at}`")]
    Unexpected {
        /// Offset of the item.
        at: usize,
        /// What the structure asks for.
        expected: &'static str,
    },
    /// A length or number outside its bound.
    #[error("out of bounds at byte `{0}`")]
    OutOfBounds(usize),
    /// Map keys out of order or repeated.
    #[error("map keys out of order or repeated at byte `{0}`")]
    KeyOrder(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested too deep at byte `{0}`")]
    TooDeep(usize),
    /// Bytes after the item.
    #[error("trailing bytes from byte `{0}`")]
    Trailing(usize),
}

const UINT: u8 = 0;
const NINT: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// Reads one item after the other from a byte slice.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The bytes from `start` to the current position.
    #[must_use]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Ends decoding.
    ///
    /// # Errors
    /// [`CborError::Trailing`] when bytes are left.
    pub fn finish(self) -> Result<(), CborError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(CborError::Trailing(self.at)) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let end = self.at.checked_add(count).ok_or(CborError::Truncated(self.at))?;
        let taken = self.bytes.get(self.at..end).ok_or(CborError::Truncated(self.at))?;
        self.at = end;
        Ok(taken)
    }

    /// Major type and argument, the shortest form only.
    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let start = self.at;
        let first = self.take(1)?.first().copied().unwrap_or_default();
        let (major, info) = (first >> 5, first & 0x1f);
        if major == SIMPLE {
            // false, true, null: the only simple values.
            return if (20..=22).contains(&info) {
                Ok((major, u64::from(info)))
            } else {
                Err(CborError::NotDeterministic(start))
            };
        }
        let (width, least) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CborError::NotDeterministic(start)),
        };
        let argument = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if argument < least { Err(CborError::NotDeterministic(start)) } else { Ok((major, argument)) }
    }

    fn typed(&mut self, major: u8, expected: &'static str) -> Result<u64, CborError> {
        let at = self.at;
        match self.head()? {
            (found, argument) if found == major => Ok(argument),
            _ => Err(CborError::Unexpected { at, expected }),
        }
    }

    /// An unsigned integer of at most `max`.
    ///
    /// # Errors
    /// Another type, or above `max`.
    pub fn uint(&mut self, max: u64) -> Result<u64, CborError> {
        let at = self.at;
        let value = self.typed(UINT, "an unsigned integer")?;
        if value <= max { Ok(value) } else { Err(CborError::OutOfBounds(at)) }
    }

    /// An integer of either sign that fits `i64`.
    ///
    /// # Errors
    /// Another type, or beyond `i64`.
    pub fn int(&mut self) -> Result<i64, CborError> {
        let at = self.at;
        let (major, argument) = self.head()?;
        let value = i64::try_from(argument).map_err(|_| CborError::OutOfBounds(at))?;
        match major {
            UINT => Ok(value),
            NINT => Ok(-1 - value),
            _ => Err(CborError::Unexpected { at, expected: "an integer" }),
        }
    }

    /// A byte string of at most `max` bytes.
    ///
    /// # Errors
    /// Another type, or longer than `max`.
    pub fn bytes(&mut self, max: usize) -> Result<&'a [u8], CborError> {
        let at = self.at;
        let length = self.typed(BYTES, "a byte string")?;
        self.string(at, length, max)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// Another type or length.
    pub fn array_of_bytes<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let at = self.at;
        self.bytes(N)?.try_into().map_err(|_| CborError::OutOfBounds(at))
    }

    /// A text string of at most `max` bytes.
    ///
    /// # Errors
    /// Another type, longer than `max`, or not UTF-8.
    pub fn text(&mut self, max: usize) -> Result<&'a str, CborError> {
        let at = self.at;
        let length = self.typed(TEXT, "a text string")?;
        let bytes = self.string(at, length, max)?;
        std::str::from_utf8(bytes).map_err(|_| CborError::NotDeterministic(at))
    }

    fn string(&mut self, at: usize, length: u64, max: usize) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::OutOfBounds(at))?;
        if length > max && self.bytes.len() - self.at >= length {
            return Err(CborError::OutOfBounds(at));
        }
        self.take(length)
    }

    /// The head of an array of at most `max` items; returns their number.
    ///
    /// # Errors
    /// Another type, or more items.
    pub fn array(&mut self, max: usize) -> Result<usize, CborError> {
        let at = self.at;
        let length = self.typed(ARRAY, "an array")?;
        usize::try_from(length).ok().filter(|n| *n <= max).ok_or(CborError::OutOfBounds(at))
    }

    /// The head of an array of exactly `count` items.
    ///
    /// # Errors
    /// Another type or number of items.
    pub fn array_of(&mut self, count: usize) -> Result<(), CborError> {
        let at = self.at;
        if self.array(count)? == count { Ok(()) } else { Err(CborError::OutOfBounds(at)) }
    }

    /// The head of a map of at most `max` pairs; returns their number. Key order is for the caller to check, with
    /// [`MapKeys`] where keys are unsigned integers.
    ///
    /// # Errors
    /// Another type, or more pairs.
    pub fn map(&mut self, max: usize) -> Result<usize, CborError> {
        let at = self.at;
        let length = self.typed(MAP, "a map")?;
        usize::try_from(length).ok().filter(|n| *n <= max).ok_or(CborError::OutOfBounds(at))
    }

    /// Tag number `tag`.
    ///
    /// # Errors
    /// Anything else.
    pub fn tag(&mut self, tag: u64) -> Result<(), CborError> {
        let at = self.at;
        if self.typed(TAG, "a tag")? == tag {
            Ok(())
        } else {
            Err(CborError::Unexpected { at, expected: "another tag" })
        }
    }

    /// Consumes a `null` if that is what comes next.
    pub fn null(&mut self) -> bool {
        let is_null = self.bytes.get(self.at) == Some(&0xf6);
        self.at += usize::from(is_null);
        is_null
    }

    /// Skips one item of any permitted type, checking all of it.
    ///
    /// # Errors
    /// Any breach of the encoding inside it.
    pub fn skip(&mut self) -> Result<(), CborError> {
        self.skip_nested(1)
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), CborError> {
        let at = self.at;
        if depth > DEPTH_MAX {
            return Err(CborError::TooDeep(at));
        }
        let (major, argument) = self.head()?;
        match major {
            BYTES => self.string(at, argument, usize::MAX).map(drop),
            TEXT => {
                let bytes = self.string(at, argument, usize::MAX)?;
                std::str::from_utf8(bytes).map(drop).map_err(|_| CborError::NotDeterministic(at))
            }
            ARRAY => (0..argument).try_for_each(|_| self.skip_nested(depth + 1)),
            MAP => self.skip_pairs(argument, depth),
            TAG if argument == 18 => self.skip_nested(depth + 1),
            TAG => Err(CborError::NotDeterministic(at)),
            _ => Ok(()),
        }
    }

    fn skip_pairs(&mut self, count: u64, depth: u32) -> Result<(), CborError> {
        let mut last: Option<&[u8]> = None;
        for _ in 0..count {
            let start = self.at;
            self.skip_nested(depth + 1)?;
            let key = self.since(start);
            if last.is_some_and(|last| last >= key) {
                return Err(CborError::KeyOrder(start));
            }
            last = Some(key);
            self.skip_nested(depth + 1)?;
        }
        Ok(())
    }
}

/// Reads the unsigned integer keys of a map and sees to their order.
#[derive(Debug)]
pub struct MapKeys {
    left: usize,
    last: Option<u64>,
}

impl MapKeys {
    /// Starts on a map of at most `max` pairs.
    ///
    /// # Errors
    /// As [`Decoder::map`].
    pub fn begin(decoder: &mut Decoder<'_>, max: usize) -> Result<Self, CborError> {
        Ok(Self { left: decoder.map(max)?, last: None })
    }

    /// The next key, `None` after the last pair. The caller reads the value before asking again.
    ///
    /// # Errors
    /// A key of another type, out of order or repeated.
    pub fn next(&mut self, decoder: &mut Decoder<'_>) -> Result<Option<u64>, CborError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let at = decoder.position();
        let key = decoder.uint(u64::MAX)?;
        if self.last.is_some_and(|last| last >= key) {
            return Err(CborError::KeyOrder(at));
        }
        self.last = Some(key);
        Ok(Some(key))
    }
}

/// Appends items to a byte vector, always in the shortest form. Map keys come in order from the caller.
#[derive(Debug, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty encoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoder with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let major = major << 5;
        let be = argument.to_be_bytes();
        let (info, width) = match argument {
            0..=23 => (argument.to_le_bytes()[0], 0),
            24..=0xff => (24, 1),
            0x100..=0xffff => (25, 2),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 8),
        };
        self.bytes.push(major | info);
        self.bytes.extend_from_slice(be.get(8 - width..).unwrap_or_default());
        self
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// An integer of either sign.
    pub fn int(&mut self, value: i64) -> &mut Self {
        match u64::try_from(value) {
            Ok(value) => self.head(UINT, value),
            Err(_) => self.head(NINT, !value as u64),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(BYTES, value.len() as u64).raw(value)
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(TEXT, value.len() as u64).raw(value.as_bytes())
    }

    /// The head of an array.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.head(ARRAY, count as u64)
    }

    /// The head of a map.
    pub fn map(&mut self, count: usize) -> &mut Self {
        self.head(MAP, count as u64)
    }

    /// A tag.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(TAG, tag)
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.raw(&[0xf6])
    }

    /// Bytes that are already encoded items.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(encoded);
        self
    }

    /// A byte string, or `null` where there is none.
    pub fn bytes_or_null(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            Some(value) => self.bytes(value),
            None => self.null(),
        }
    }
}
