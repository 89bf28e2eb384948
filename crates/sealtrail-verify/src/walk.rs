//! Walking a trail's segments: one entry after the other, each with the body that stands before it.

use std::io::{self, BufReader, ErrorKind, Read};

use sealtrail_core::merkle::{Tree, leaf_hash};
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::segment::{ITEM_HEAD_BYTES, ItemHead, ItemKind, MAGIC, SegmentHeader, file_name};

use crate::Source;

/// Read-ahead: large enough that a disk reads straight through.
const BUFFER_BYTES: usize = 1 << 20;

/// Why a walk ended before the segments did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error("segment `{number}`: {what}")]
    Malformed { number: u64, what: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One entry item and the body item before it.
#[derive(Debug)]
pub(crate) struct WalkedEntry {
    pub(crate) entry: Vec<u8>,
    pub(crate) body: Option<Vec<u8>>,
}

/// Reads a trail's segment files from the first on.
pub(crate) struct SegmentWalk<'a> {
    source: &'a dyn Source,
    trail: TrailId,
    number: u64,
    entries: u64,
    /// Entries before this segment.
    first: u64,
    open: Option<BufReader<Box<dyn Read + Send>>>,
    body: Option<Vec<u8>>,
    ended: bool,
}

impl<'a> SegmentWalk<'a> {
    pub(crate) fn new(source: &'a dyn Source, trail: TrailId) -> Self {
        Self { source, trail, number: 0, entries: 0, first: 0, open: None, body: None, ended: false }
    }

    fn path(&self, number: u64) -> String {
        format!("trails/{}/segments/{}", self.trail, file_name(number))
    }

    fn malformed(&self, what: impl Into<String>) -> WalkError {
        WalkError::Malformed { number: self.number, what: what.into() }
    }

    /// The next entry; `None` where the segments end.
    pub(crate) fn next(&mut self) -> Result<Option<WalkedEntry>, WalkError> {
        while !self.ended {
            if self.open.is_none() && !self.open_segment()? {
                self.ended = true;
                break;
            }
            match self.next_item()? {
                Some((ItemKind::Body, payload)) if self.body.is_none() => self.body = Some(payload),
                Some((ItemKind::Entry, entry)) => {
                    self.entries += 1;
                    return Ok(Some(WalkedEntry { entry, body: self.body.take() }));
                }
                Some((ItemKind::Index, _)) if self.body.is_none() && self.entries > self.first => {
                    self.open = None;
                    self.number += 1;
                }
                Some((kind, _)) => return Err(self.malformed(format!("{kind:?} item out of order"))),
                None => {
                    // Unfinished: it must be the last one. A body without its entry is an unfinished write.
                    self.ended = true;
                    if self.source.open(&self.path(self.number + 1))?.is_some() {
                        return Err(self.malformed("is unfinished and not the last"));
                    }
                }
            }
        }
        Ok(None)
    }

    fn open_segment(&mut self) -> Result<bool, WalkError> {
        let Some(file) = self.source.open(&self.path(self.number))? else { return Ok(false) };
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut magic = [0; MAGIC.len()];
        if !fill(&mut file, &mut magic)? || magic != *MAGIC {
            return Err(self.malformed("does not begin with the segment magic"));
        }
        self.open = Some(file);
        self.first = self.entries;
        let header = match self.next_item()? {
            Some((ItemKind::Header, payload)) => {
                SegmentHeader::decode(&payload).map_err(|error| self.malformed(error.to_string()))?
            }
            _ => return Err(self.malformed("has no header")),
        };
        let expected = (self.trail, self.number, self.entries);
        if (header.trail, header.number, header.first_index) != expected {
            return Err(self.malformed("has the header of another place"));
        }
        Ok(true)
    }

    /// The next item; `None` at a length of zero or at the end of the file, also in the midst of an item.
    fn next_item(&mut self) -> Result<Option<(ItemKind, Vec<u8>)>, WalkError> {
        let Some(file) = self.open.as_mut() else { return Ok(None) };
        let mut head = [0; ITEM_HEAD_BYTES];
        if !fill(file, &mut head)? {
            return Ok(None);
        }
        let number = self.number;
        let head = ItemHead::decode(head)
            .map_err(|error| WalkError::Malformed { number, what: error.to_string() })?;
        let Some(head) = head else { return Ok(None) };
        let mut payload = vec![0; head.length as usize];
        Ok(if fill(file, &mut payload)? { Some((head.kind, payload)) } else { None })
    }
}

/// The tree over the first `size` entries of a trail, to make proofs from; smaller where the segments end before.
///
/// # Errors
/// The segments cannot be read, or are not framed as they must be.
pub fn trail_tree(source: &dyn Source, trail: TrailId, size: TreeSize) -> io::Result<Tree> {
    let mut walk = SegmentWalk::new(source, trail);
    let mut tree = Tree::default();
    while tree.size() < size {
        match walk.next() {
            Ok(Some(walked)) => tree.push(leaf_hash(&walked.entry)),
            Ok(None) => break,
            Err(WalkError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::new(ErrorKind::InvalidData, error.to_string())),
        }
    }
    Ok(tree)
}

/// Fills the buffer; `false` where the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
