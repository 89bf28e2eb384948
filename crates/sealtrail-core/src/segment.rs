//! Segment files: a trail's entries and bodies in order (`docs/spec/04-log.md` 4.7).

use crate::body::STORED_BYTES_MAX;
use crate::cbor::{CborError, Decoder, Encoder};
use crate::entry::{ENTRY_BYTES_MAX, version};
use crate::name::{NAME_BYTES_MAX, Name, TrailId};
use crate::statement::INTEGER_MAX;

/// What a segment file begins with.
pub const MAGIC: &[u8; 21] = b"sealtrail/segment/v1\n";

/// What the footer after the index begins with.
pub const FOOTER_MAGIC: &[u8; 8] = b"SEALSEG1";

/// Bytes of an item's head: length, kind, CRC.
pub const ITEM_HEAD_BYTES: usize = 9;

/// Bytes of the footer: magic and offset of the index item.
pub const FOOTER_BYTES: usize = 16;

/// Longest header payload; the largest that occurs is under 200 bytes.
const HEADER_BYTES_MAX: u32 = 1 << 10;

/// Bytes of each entry's pair in an index.
pub const INDEX_PAIR_BYTES: usize = 16;

/// Longest index payload: 16 bytes for each of 2^20 entries, more than a segment of the default size can hold.
const INDEX_BYTES_MAX: u32 = 16 << 20;

/// The kinds of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// First item of a file.
    Header,
    /// The stored body of the entry that follows.
    Body,
    /// An entry.
    Entry,
    /// Last item of a finished file.
    Index,
}

impl ItemKind {
    fn number(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Body => 2,
            Self::Entry => 3,
            Self::Index => 4,
        }
    }

    fn bytes_max(self) -> u32 {
        match self {
            Self::Header => HEADER_BYTES_MAX,
            Self::Body => STORED_BYTES_MAX,
            Self::Entry => ENTRY_BYTES_MAX as u32,
            Self::Index => INDEX_BYTES_MAX,
        }
    }
}

/// Why a segment was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The file does not begin as a segment.
    #[error("file does not begin with the segment magic")]
    Magic,
    /// An item's kind or length is impossible.
    #[error("item has kind `{kind}` and length `{length}`, which cannot be")]
    Item {
        /// Kind byte.
        kind: u8,
        /// Length field.
        length: u32,
    },
    /// The header item is not one.
    #[error("segment header is malformed: {0}")]
    Header(#[from] CborError),
}

/// An item's head as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemHead {
    /// The kind.
    pub kind: ItemKind,
    /// Bytes of payload, at least 1.
    pub length: u32,
    /// CRC-32 over kind and payload. It serves recovery; it proves nothing.
    pub crc: u32,
}

impl ItemHead {
    /// Decodes a head; `None` where the length is zero: the end of an unfinished file.
    ///
    /// # Errors
    /// [`SegmentError::Item`].
    pub fn decode(head: [u8; ITEM_HEAD_BYTES]) -> Result<Option<Self>, SegmentError> {
        let [a, b, c, d, kind, e, f, g, h] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length == 0 {
            return Ok(None);
        }
        let all = [ItemKind::Header, ItemKind::Body, ItemKind::Entry, ItemKind::Index];
        match all.into_iter().find(|k| k.number() == kind && length <= k.bytes_max()) {
            Some(kind) => Ok(Some(Self { kind, length, crc: u32::from_be_bytes([e, f, g, h]) })),
            None => Err(SegmentError::Item { kind, length }),
        }
    }

    /// Whether the CRC is that of this payload.
    #[must_use]
    pub fn crc_matches(&self, payload: &[u8]) -> bool {
        crc(self.kind, payload) == self.crc
    }
}

/// Appends an item: head and payload.
pub fn push_item(out: &mut Vec<u8>, kind: ItemKind, payload: &[u8]) {
    out.extend_from_slice(&item_head(kind, payload));
    out.extend_from_slice(payload);
}

/// The head of an item with this payload, for writers that do not copy the payload.
#[must_use]
pub fn item_head(kind: ItemKind, payload: &[u8]) -> [u8; ITEM_HEAD_BYTES] {
    let [a, b, c, d] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let [e, f, g, h] = crc(kind, payload).to_be_bytes();
    [a, b, c, d, kind.number(), e, f, g, h]
}

fn crc(kind: ItemKind, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind.number()]);
    hasher.update(payload);
    hasher.finalize()
}

/// The payload of a header item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The trail.
    pub trail: TrailId,
    /// The segment's number, from 0.
    pub number: u64,
    /// Leaf index of its first entry.
    pub first_index: u64,
    /// Retention class of all its entries.
    pub retention_class: Name,
}

impl SegmentHeader {
    /// The payload's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.array(5).uint(1).bytes(&self.trail.0).uint(self.number).uint(self.first_index);
        encoder.text(self.retention_class.as_str());
        encoder.into_bytes()
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// [`SegmentError::Header`].
    pub fn decode(payload: &[u8]) -> Result<Self, SegmentError> {
        let mut decoder = Decoder::new(payload);
        decoder.array_of(5)?;
        version(&mut decoder)?;
        let trail = TrailId(decoder.array_of_bytes()?);
        let number = decoder.uint(INTEGER_MAX)?;
        let first_index = decoder.uint(INTEGER_MAX)?;
        let at = decoder.position();
        let class = decoder.text(NAME_BYTES_MAX)?;
        decoder.finish()?;
        let retention_class = Name::new(class).map_err(|_| CborError::OutOfBounds(at))?;
        Ok(Self { trail, number, first_index, retention_class })
    }

    /// The first bytes of the file: magic and header item.
    #[must_use]
    pub fn file_start(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        push_item(&mut bytes, ItemKind::Header, &self.encode());
        bytes
    }
}

/// The file name of a segment: `0000000000.seg`.
#[must_use]
pub fn file_name(number: u64) -> String {
    format!("{number:010}.seg")
}

/// The offsets of one entry of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPair {
    /// Of its body item, 0 where it has none.
    pub body: u64,
    /// Of its entry item.
    pub entry: u64,
}

/// The last bytes of a finished file whose index item begins at `offset`: index item and footer.
#[must_use]
pub fn file_end(pairs: &[IndexPair], offset: u64) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|p| [p.body.to_be_bytes(), p.entry.to_be_bytes()]).flatten().collect();
    let mut bytes = Vec::new();
    push_item(&mut bytes, ItemKind::Index, &payload);
    bytes.extend_from_slice(FOOTER_MAGIC);
    bytes.extend_from_slice(&offset.to_be_bytes());
    bytes
}

/// Decodes an index payload; `None` where it does not come out even.
#[must_use]
pub fn decode_index(payload: &[u8]) -> Option<Vec<IndexPair>> {
    let (pairs, rest) = payload.as_chunks::<INDEX_PAIR_BYTES>();
    rest.is_empty().then(|| pairs.iter().map(|pair| decode_pair(*pair)).collect())
}

fn decode_pair(pair: [u8; INDEX_PAIR_BYTES]) -> IndexPair {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let (body, entry) = pair.split_at(8);
    IndexPair { body: number(body), entry: number(entry) }
}
