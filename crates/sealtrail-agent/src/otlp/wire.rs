//! The protobuf wire format, read in place.
//!
//! A message is a run of fields: a varint key, `number << 3 | wire type`, then the value. Nothing is built: a reader
//! hands out slices of the bytes it was given.

use super::Reason;

/// Unknown groups nest no deeper than this; protobuf readers stop at 100.
const GROUP_DEPTH_MAX: u32 = 100;

/// Wire types, the low three bits of a key.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// The key of a varint field.
pub(super) const fn varint(number: u32) -> u32 {
    number << 3 | VARINT
}

/// The key of an eight-byte field.
pub(super) const fn fixed64(number: u32) -> u32 {
    number << 3 | FIXED64
}

/// The key of a four-byte field.
pub(super) const fn fixed32(number: u32) -> u32 {
    number << 3 | FIXED32
}

/// The key of a field of bytes, text or a message.
pub(super) const fn length(number: u32) -> u32 {
    number << 3 | LENGTH
}

/// What is left of a message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's key, or `None` at the message's end.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Option<u32>, Reason> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| Reason::Malformed)?;
        if key < 1 << 3 { Err(Reason::Malformed) } else { Ok(Some(key)) }
    }

    /// An integer of up to 64 bits, seven a byte.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Reason> {
        match self.rest {
            [byte @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Reason> {
        let mut value = 0;
        // Ten bytes hold 70 bits; of the tenth only the lowest may be set.
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                let overflows = index == 9 && *byte > 1;
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return if overflows { Err(Reason::Malformed) } else { Ok(value) };
            }
        }
        Err(Reason::Malformed)
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Reason> {
        let length = usize::try_from(self.varint()?).map_err(|_| Reason::Malformed)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Reason::Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Reason> {
        self.chunk().map(u64::from_le_bytes)
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Reason> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Reason::Malformed)?;
        self.rest = rest;
        Ok(*chunk)
    }

    /// Moves past a field that the message does not have. `known` holds a bit for each number that it has: those with
    /// another wire type are malformed.
    pub(super) fn unknown(&mut self, key: u32, known: u32) -> Result<(), Reason> {
        match 1u32.checked_shl(key >> 3) {
            Some(bit) if known & bit != 0 => Err(Reason::Malformed),
            _ => self.skip(key, 0),
        }
    }

    fn skip(&mut self, key: u32, depth: u32) -> Result<(), Reason> {
        match key & 7 {
            VARINT => self.varint().map(|_| ()),
            FIXED64 => self.fixed64().map(|_| ()),
            LENGTH => self.bytes().map(|_| ()),
            FIXED32 => self.fixed32().map(|_| ()),
            GROUP if depth < GROUP_DEPTH_MAX => loop {
                match self.key()?.ok_or(Reason::Malformed)? {
                    inner if inner & 7 == GROUP_END => {
                        return if inner >> 3 == key >> 3 { Ok(()) } else { Err(Reason::Malformed) };
                    }
                    inner => self.skip(inner, depth + 1)?,
                }
            },
            _ => Err(Reason::Malformed),
        }
    }
}
