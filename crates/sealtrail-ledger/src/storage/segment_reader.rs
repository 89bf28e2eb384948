//! Reading segments: one item at an offset, all entries of a finished file, the valid beginning of an unfinished one.

use std::io;

use sealtrail_core::body::STORED_BYTES_MAX;
use sealtrail_core::entry::{ENTRY_BYTES_MAX, Entry};
use sealtrail_core::segment::{
    FOOTER_BYTES, FOOTER_MAGIC, INDEX_PAIR_BYTES, ITEM_HEAD_BYTES, IndexPair, ItemHead, ItemKind, MAGIC,
    SegmentHeader, decode_index,
};

use super::DiskFile;

/// Bytes that every disk writes together or not at all.
const SECTOR_BYTES: usize = 512;

/// Bytes of a length, with which an item's head begins; no item's is zero.
const LENGTH_BYTES: usize = 4;

/// Where each entry of a trail stands: in memory for the last segment, for finished ones their own index knows.
#[derive(Debug, Default)]
pub(crate) struct EntryIndex {
    /// Leaf index of the first entry of each segment, by segment number.
    first: Vec<u64>,
    /// Of the entries in the last segment.
    offsets: Vec<u64>,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an offset of a segment.
    At(u64, u64),
    /// In a finished segment, so many entries after its first.
    Nth(u64, u64),
}

impl Place {
    /// The segment's number.
    pub(crate) fn segment(&self) -> u64 {
        match self {
            Self::At(segment, _) | Self::Nth(segment, _) => *segment,
        }
    }
}

impl EntryIndex {
    /// Notes that segment `number` begins with the next entry. A segment that replaces an empty one begins again.
    pub(crate) fn begin_segment(&mut self, number: u64) {
        let next = self.len();
        if self.first.len() as u64 <= number {
            self.first.push(next);
            self.offsets.clear();
        }
    }

    pub(crate) fn push(&mut self, offset: u64) {
        self.offsets.push(offset);
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.first.last().copied().unwrap_or(0) + self.offsets.len() as u64
    }

    /// The number of segments.
    pub(crate) fn segments(&self) -> u64 {
        self.first.len() as u64
    }

    /// Where an entry's item stands; `None` beyond the last.
    pub(crate) fn place(&self, index: u64) -> Option<Place> {
        let segment = self.first.partition_point(|first| *first <= index).checked_sub(1)?;
        let nth = index - self.first.get(segment)?;
        if segment + 1 < self.first.len() {
            return Some(Place::Nth(segment as u64, nth));
        }
        let offset = *self.offsets.get(usize::try_from(nth).ok()?)?;
        Some(Place::At(segment as u64, offset))
    }
}

/// Reads the item at `offset` of a file and checks its CRC. `None` where there is no item: the end of an unfinished
/// file, a torn write, or another kind than `kinds` allows.
///
/// # Errors
/// Disk trouble.
pub(crate) fn read_item(
    file: &dyn DiskFile,
    offset: u64,
    file_bytes: u64,
    kinds: &[ItemKind],
) -> io::Result<Option<(ItemKind, Vec<u8>)>> {
    let payload_at = offset.saturating_add(ITEM_HEAD_BYTES as u64);
    if payload_at > file_bytes {
        return Ok(None);
    }
    let mut head = [0; ITEM_HEAD_BYTES];
    file.read_exact_at(&mut head, offset)?;
    let Ok(Some(head)) = ItemHead::decode(head) else { return Ok(None) };
    if !kinds.contains(&head.kind) || payload_at + u64::from(head.length) > file_bytes {
        return Ok(None);
    }
    let mut payload = vec![0; head.length as usize];
    file.read_exact_at(&mut payload, payload_at)?;
    Ok(head.crc_matches(&payload).then_some((head.kind, payload)))
}

/// Bytes of an item with this payload.
pub(crate) fn item_bytes(payload: &[u8]) -> u64 {
    (ITEM_HEAD_BYTES + payload.len()) as u64
}

/// Reads magic and header item; returns the header and the offset of what follows.
///
/// # Errors
/// Disk trouble. `None` where the file does not begin as a segment.
pub(crate) fn read_header(file: &dyn DiskFile, file_bytes: u64) -> io::Result<Option<(SegmentHeader, u64)>> {
    let mut magic = [0; MAGIC.len()];
    if file_bytes < MAGIC.len() as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut magic, 0)?;
    let item = read_item(file, MAGIC.len() as u64, file_bytes, &[ItemKind::Header])?;
    let Some((_, payload)) = item.filter(|_| magic == *MAGIC) else { return Ok(None) };
    let end = MAGIC.len() as u64 + item_bytes(&payload);
    Ok(SegmentHeader::decode(&payload).ok().map(|header| (header, end)))
}

/// Offsets of the index item and of the footer after it; `None` where the file is not finished.
fn find_index(file: &dyn DiskFile, file_bytes: u64) -> io::Result<Option<(u64, u64)>> {
    let Some(footer_at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else { return Ok(None) };
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact_at(&mut footer, footer_at)?;
    let (magic, offset) = footer.split_at(FOOTER_MAGIC.len());
    let offset = offset.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    Ok((magic == FOOTER_MAGIC && offset < footer_at).then_some((offset, footer_at)))
}

/// Where the entry number `nth` of a finished file stands. The index as a whole was checked at the start or written by this
/// process; what stands at the offset has a CRC of its own.
///
/// # Errors
/// Disk trouble.
pub(crate) fn read_index_pair(
    file: &dyn DiskFile,
    file_bytes: u64,
    nth: u64,
) -> io::Result<Option<IndexPair>> {
    let Some((offset, footer_at)) = find_index(file, file_bytes)? else { return Ok(None) };
    let at = offset + ITEM_HEAD_BYTES as u64 + nth.saturating_mul(INDEX_PAIR_BYTES as u64);
    if at.saturating_add(INDEX_PAIR_BYTES as u64) > footer_at {
        return Ok(None);
    }
    let mut pair = [0; INDEX_PAIR_BYTES];
    file.read_exact_at(&mut pair, at)?;
    Ok(decode_index(&pair).and_then(|pairs| pairs.first().copied()))
}

/// The index of a finished file; `None` where the file is not finished.
///
/// # Errors
/// Disk trouble.
pub(crate) fn read_index(file: &dyn DiskFile, file_bytes: u64) -> io::Result<Option<Vec<IndexPair>>> {
    let Some((offset, footer_at)) = find_index(file, file_bytes)? else { return Ok(None) };
    let Some((_, payload)) = read_item(file, offset, footer_at, &[ItemKind::Index])? else { return Ok(None) };
    if offset + item_bytes(&payload) != footer_at {
        return Ok(None);
    }
    Ok(decode_index(&payload))
}

/// The complete body-and-entry pairs at the beginning of an unfinished file.
#[derive(Debug)]
pub(crate) struct ValidPrefix {
    /// Where they stand.
    pub(crate) pairs: Vec<IndexPair>,
    /// Offset after the last of them.
    pub(crate) end: u64,
    /// Offset of the first item that is not whole, or that does not belong where it stands.
    pub(crate) stopped: u64,
}

/// Bytes of the payload of the body item that stands here, if one does.
fn body_length(file: &dyn DiskFile, offset: u64, file_bytes: u64) -> io::Result<Option<u64>> {
    let payload_at = offset.saturating_add(ITEM_HEAD_BYTES as u64);
    if payload_at > file_bytes {
        return Ok(None);
    }
    let mut head = [0; ITEM_HEAD_BYTES];
    file.read_exact_at(&mut head, offset)?;
    let body = ItemHead::decode(head).ok().flatten().filter(|head| head.kind == ItemKind::Body);
    Ok(body.map(|head| u64::from(head.length)).filter(|length| payload_at + length <= file_bytes))
}

/// Walks an unfinished file from `start` (after the header) as far as every item is whole.
///
/// # Errors
/// Disk trouble.
///
/// The bodies of the first `published` entries are passed over: they were durable before a checkpoint covered them, so no
/// crash can have torn them. Whether they still are what was signed is for verifiers to see.
pub(crate) fn valid_prefix(
    file: &dyn DiskFile,
    start: u64,
    file_bytes: u64,
    published: u64,
) -> io::Result<ValidPrefix> {
    let mut prefix = ValidPrefix { pairs: Vec::new(), end: start, stopped: start };
    let mut body = None;
    let mut at = start;
    loop {
        prefix.stopped = at;
        if body.is_none()
            && (prefix.pairs.len() as u64) < published
            && let Some(length) = body_length(file, at, file_bytes)?
        {
            body = Some(at);
            at += ITEM_HEAD_BYTES as u64 + length;
            continue;
        }
        let kinds: &[ItemKind] =
            if body.is_some() { &[ItemKind::Entry] } else { &[ItemKind::Body, ItemKind::Entry] };
        let Some((kind, payload)) = read_item(file, at, file_bytes, kinds)? else { return Ok(prefix) };
        let next = at + item_bytes(&payload);
        if kind == ItemKind::Body {
            body = Some(at);
        } else {
            if Entry::decode(&payload).is_err() {
                return Ok(prefix);
            }
            prefix.pairs.push(IndexPair { body: body.take().unwrap_or(0), entry: at });
            prefix.end = next;
        }
        at = next;
    }
}

/// Whether what stands at `stopped` is no unfinished write but was damaged later. A write that the power failed under leaves out
/// whole sectors, and those were zeros; one that a process died under ends somewhere. So up to the first blank sector all was
/// written, and where it does not hold together there, or a whole item stands behind it, it was damaged.
///
/// What follows is found by the lengths in heads, which the ledger writes; what agents send it may look like anything.
///
/// # Errors
/// Disk trouble.
pub(crate) fn is_damaged(file: &dyn DiskFile, stopped: u64, end: u64) -> io::Result<bool> {
    if lacks_length(file, stopped)? {
        return Ok(false);
    }
    let end = first_blank_sector(file, stopped, end)?.unwrap_or(end);
    let mut at = stopped;
    while at.saturating_add(ITEM_HEAD_BYTES as u64) <= end {
        if at > stopped && read_item(file, at, end, &ITEMS)?.is_some() {
            return Ok(true);
        }
        match head_at(file, at)? {
            Some(head) => at += ITEM_HEAD_BYTES as u64 + u64::from(head.length),
            None if at > stopped => return Ok(true),
            None => return has_whole_entry(file, stopped, end),
        }
    }
    Ok(false)
}

/// What stands between others.
const ITEMS: [ItemKind; 2] = [ItemKind::Body, ItemKind::Entry];

/// The head of an item that stands between others.
fn head_at(file: &dyn DiskFile, at: u64) -> io::Result<Option<ItemHead>> {
    let mut head = [0; ITEM_HEAD_BYTES];
    file.read_exact_at(&mut head, at)?;
    Ok(ItemHead::decode(head).ok().flatten().filter(|head| ITEMS.contains(&head.kind)))
}

/// Whether a whole entry stands anywhere behind `stopped`, where the head itself does not hold and nobody knows what it said.
fn has_whole_entry(file: &dyn DiskFile, stopped: u64, end: u64) -> io::Result<bool> {
    let longest = (2 * ITEM_HEAD_BYTES + ENTRY_BYTES_MAX) as u64 + u64::from(STORED_BYTES_MAX);
    // Some 16 MiB at most.
    let mut bytes = vec![0; end.saturating_sub(stopped).min(longest) as usize];
    file.read_exact_at(&mut bytes, stopped)?;
    Ok(bytes.array_windows().enumerate().skip(1).any(|(skip, head)| {
        let Ok(Some(head)) = ItemHead::decode(*head) else { return false };
        let payload = bytes.get(skip + ITEM_HEAD_BYTES..).unwrap_or_default();
        let payload = payload.get(..head.length as usize);
        head.kind == ItemKind::Entry && payload.is_some_and(|payload| head.crc_matches(payload))
    }))
}

/// Whether an item begins so near the end of a sector that a length of two bytes or three may have been left out with it: what
/// is left leads anywhere. Of one byte no item needs the first.
fn lacks_length(file: &dyn DiskFile, at: u64) -> io::Result<bool> {
    let left = SECTOR_BYTES - (at % SECTOR_BYTES as u64) as usize;
    let mut beginning = [0; LENGTH_BYTES];
    let Some(beginning) = beginning.get_mut(..left).filter(|_| (2..LENGTH_BYTES).contains(&left)) else {
        return Ok(false);
    };
    file.read_exact_at(beginning, at)?;
    Ok(beginning.iter().all(|byte| *byte == 0))
}

/// The first sector that is blank, of those that these bytes of a file reach into, the first one as far as they are in it. An
/// item may begin with zeros, fewer than its length has bytes.
fn first_blank_sector(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Option<u64>> {
    let file_bytes = file.size()?;
    let mut bytes = [0; SECTOR_BYTES];
    let mut at = from;
    while at < to {
        let next = (at / SECTOR_BYTES as u64 + 1) * SECTOR_BYTES as u64;
        let Some(part) = bytes.get_mut(..(next - at) as usize).filter(|_| next <= file_bytes) else { break };
        file.read_exact_at(part, at)?;
        if part.len() >= LENGTH_BYTES && part.iter().all(|byte| *byte == 0) {
            return Ok(Some(at));
        }
        at = next;
    }
    Ok(None)
}

/// How many bytes from `start` on are not a preallocated area: up to the last one that is not zero.
///
/// # Errors
/// Disk trouble.
pub(crate) fn used_bytes(file: &dyn DiskFile, start: u64, file_bytes: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let (mut at, mut used) = (start, 0);
    while at < file_bytes {
        let count = usize::try_from(file_bytes - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(piece) = buffer.get_mut(..count) else { break };
        file.read_exact_at(piece, at)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            used = at - start + last as u64 + 1;
        }
        at += count as u64;
    }
    Ok(used)
}
