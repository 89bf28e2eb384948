//! Reading and writing the CBOR of `docs/spec/README.md`, *Notation*: a pull reader that copies nothing.
//!
//! The caller asks for the item it expects, so shape, depth and key order are fixed by the caller's code and input
//! cannot make the reader recurse or allocate. Heads must be shortest; strings must have a definite length; arrays and
//! maps of indefinite length exist only for readers that ask for them ([`Reader::map_of_any_length`]).

use ciborium_ll::{Decoder, Encoder, Header};

/// What is wrong with CBOR, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte `{at}`: {fault}")]
pub struct CborError {
    /// Offset of the item in the bytes that were read.
    pub at: usize,
    /// What is wrong with it.
    pub fault: CborFault,
}

/// The ways in which an item is not the one expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborFault {
    /// The bytes end inside the item.
    #[error("input ends inside an item")]
    Truncated,
    /// Not a CBOR head.
    #[error("not well-formed")]
    NotWellFormed,
    /// The head could be shorter.
    #[error("not the shortest form")]
    NotShortest,
    /// A text string that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// Bytes follow the last item.
    #[error("`{0}` bytes follow the item")]
    Trailing(usize),
    /// Another item than this place may hold.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What this place may hold.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
    },
}

/// Reads one item after the other from a byte string.
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// An unsigned integer.
    pub(crate) fn uint(&mut self) -> Result<u64, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Positive(value) => Ok(value),
            other => Err(unexpected(at, "an unsigned integer", other)),
        }
    }

    /// The unsigned integer `key`, where a map's next key can be no other.
    pub(crate) fn key(&mut self, key: u64) -> Result<(), CborError> {
        let at = self.at;
        match self.uint()? {
            found if found == key => Ok(()),
            _ => {
                let fault = CborFault::Unexpected { expected: "the map's next key", found: "another key" };
                Err(CborError { at, fault })
            }
        }
    }

    /// A byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let at = self.at;
        match self.head()? {
            Header::Bytes(Some(length)) => self.take(length),
            other => Err(unexpected(at, "a byte string", other)),
        }
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn byte_array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let at = self.at;
        self.bytes()?.try_into().map_err(|_| CborError {
            at,
            fault: CborFault::Unexpected {
                expected: "a byte string of fixed length",
                found: "another length",
            },
        })
    }

    /// A byte string, or `null`.
    pub(crate) fn bytes_or_null(&mut self) -> Result<Option<&'a [u8]>, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Simple(SIMPLE_NULL) => Ok(None),
            Header::Bytes(Some(length)) => self.take(length).map(Some),
            other => Err(unexpected(at, "a byte string or null", other)),
        }
    }

    /// A text string.
    pub(crate) fn text(&mut self) -> Result<&'a str, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Text(Some(length)) => core::str::from_utf8(self.take(length)?)
                .map_err(|_| CborError { at, fault: CborFault::NotUtf8 }),
            other => Err(unexpected(at, "a text string", other)),
        }
    }

    /// The head of an array of definite length; the items follow.
    pub(crate) fn array(&mut self) -> Result<usize, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Array(Some(length)) => Ok(length),
            other => Err(unexpected(at, "an array", other)),
        }
    }

    /// The head of an array with exactly `length` items.
    pub(crate) fn array_of(&mut self, length: usize, expected: &'static str) -> Result<(), CborError> {
        let at = self.at;
        match self.head()? {
            Header::Array(Some(found)) if found == length => Ok(()),
            other => Err(unexpected(at, expected, other)),
        }
    }

    /// The head of a map with exactly `pairs` pairs.
    pub(crate) fn map_of(&mut self, pairs: usize, expected: &'static str) -> Result<(), CborError> {
        let at = self.at;
        match self.head()? {
            Header::Map(Some(found)) if found == pairs => Ok(()),
            other => Err(unexpected(at, expected, other)),
        }
    }

    /// The head of a map of definite (`Some`) or indefinite (`None`) length.
    pub(crate) fn map_of_any_length(&mut self) -> Result<Option<usize>, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Map(length) => Ok(length),
            other => Err(unexpected(at, "a map", other)),
        }
    }

    /// The head of an array of definite (`Some`) or indefinite (`None`) length.
    pub(crate) fn array_of_any_length(&mut self) -> Result<Option<usize>, CborError> {
        let at = self.at;
        match self.head()? {
            Header::Array(length) => Ok(length),
            other => Err(unexpected(at, "an array", other)),
        }
    }

    /// Whether another item follows in a container that [`Self::map_of_any_length`] or
    /// [`Self::array_of_any_length`] opened; counts down `left`, or takes the break that ends it.
    pub(crate) fn another(&mut self, left: &mut Option<usize>) -> bool {
        match left {
            Some(0) => false,
            Some(count) => {
                *count -= 1;
                true
            }
            None if self.input.get(self.at) == Some(&BREAK) => {
                self.at += 1;
                false
            }
            None => true,
        }
    }

    /// Takes tag `tag` where it stands before the next item.
    pub(crate) fn tagged(&mut self, tag: u64) -> bool {
        let before = self.at;
        if matches!(self.head(), Ok(Header::Tag(found)) if found == tag) {
            return true;
        }
        self.at = before;
        false
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<(), CborError> {
        match self.input.len() - self.at {
            0 => Ok(()),
            left => Err(CborError { at: self.at, fault: CborFault::Trailing(left) }),
        }
    }

    fn head(&mut self) -> Result<Header, CborError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let mut decoder = Decoder::from(rest);
        let header = decoder.pull().map_err(|error| CborError {
            at: self.at,
            fault: match error {
                ciborium_ll::Error::Io(_) => CborFault::Truncated,
                ciborium_ll::Error::Syntax(_) => CborFault::NotWellFormed,
            },
        })?;
        let length = decoder.offset();
        if rest.get(..length) != Some(encoded(header).as_slice()) {
            return Err(CborError { at: self.at, fault: CborFault::NotShortest });
        }
        self.at += length;
        Ok(header)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CborError> {
        let taken = self.at.checked_add(length).and_then(|end| self.input.get(self.at..end));
        let taken = taken.ok_or(CborError { at: self.at, fault: CborFault::Truncated })?;
        self.at += length;
        Ok(taken)
    }
}

/// Writes deterministic CBOR; the caller gives map keys in order.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn uint(&mut self, value: u64) {
        self.head(Header::Positive(value));
    }

    /// The negative integer −1 − `value`.
    pub(crate) fn nint(&mut self, value: u64) {
        self.head(Header::Negative(value));
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.head(Header::Bytes(Some(value.len())));
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.head(Header::Text(Some(value.len())));
        self.0.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn array(&mut self, items: usize) {
        self.head(Header::Array(Some(items)));
    }

    pub(crate) fn map(&mut self, pairs: usize) {
        self.head(Header::Map(Some(pairs)));
    }

    pub(crate) fn tag(&mut self, tag: u64) {
        self.head(Header::Tag(tag));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, header: Header) {
        self.0.extend_from_slice(&encoded(header));
    }
}

/// Simple value 22 (RFC 8949 section 3.3).
const SIMPLE_NULL: u8 = 22;

/// The byte that ends an item of indefinite length (RFC 8949 section 3.2.1).
const BREAK: u8 = 0xff;

/// The shortest form of a head: at most one byte and a 64-bit argument.
fn encoded(header: Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9);
    // Writing to memory has no way to fail; were there one, the comparison in `head` would refuse the item.
    let _ = Encoder::from(&mut bytes).push(header);
    bytes
}

fn unexpected(at: usize, expected: &'static str, found: Header) -> CborError {
    let found = match found {
        Header::Positive(_) => "an unsigned integer",
        Header::Negative(_) => "a negative integer",
        Header::Float(_) => "a float",
        Header::Simple(SIMPLE_NULL) => "null",
        Header::Simple(_) => "a simple value",
        Header::Tag(_) => "a tag",
        Header::Break => "a break",
        Header::Bytes(Some(_)) => "a byte string",
        Header::Text(Some(_)) => "a text string",
        Header::Bytes(None) | Header::Text(None) => "a string of indefinite length",
        Header::Array(Some(_)) => "an array of another length",
        Header::Map(Some(_)) => "a map of another length",
        Header::Array(None) => "an array of indefinite length",
        Header::Map(None) => "a map of indefinite length",
    };
    CborError { at, fault: CborFault::Unexpected { expected, found } }
}
