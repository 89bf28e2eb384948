//! Writing segments (`docs/spec/04-log.md` 4.7): append, make durable, finish, begin the next.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use sealtrail_core::name::{Name, TrailId};
use sealtrail_core::segment::{
    FOOTER_BYTES, ITEM_HEAD_BYTES, IndexPair, ItemKind, SegmentHeader, file_end, item_head,
};

use super::{DiskFile, Files, is_full, write_at};

/// Most entries in a segment: what an index item may hold.
const ENTRIES_MAX: usize = 1 << 20;

/// Room for a segment's magic and header item: the largest header is under 200 bytes.
const HEADER_ROOM_BYTES: u64 = 512;

/// When a segment is finished and the next one begun. A change of retention class does it too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentLimits {
    /// Bytes preallocated; a segment grows beyond only for a group of statements that fits no other way.
    pub(crate) bytes: u64,
    /// Time from its first entry, in ns.
    pub(crate) window_ns: u64,
}

/// A statement on its way into a segment.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The stored body, empty where there is none.
    pub(crate) body: Bytes,
    /// The entry.
    pub(crate) entry: Vec<u8>,
}

impl Item {
    /// Bytes it takes up in a segment.
    pub(crate) fn segment_bytes(&self) -> u64 {
        let body = if self.body.is_empty() { 0 } else { ITEM_HEAD_BYTES + self.body.len() };
        (body + ITEM_HEAD_BYTES + self.entry.len()) as u64
    }
}

/// Why there is no room. Nothing was written where the trail's entries stand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReserveError {
    /// The disk is full: refuse, and try again when asked again.
    #[error("the disk is full")]
    Full(#[source] io::Error),
    /// Anything else: fail-stop.
    #[error("cannot begin or finish a segment")]
    Failed(#[source] io::Error),
}

/// A write or sync that failed: fail-stop.
#[derive(Debug, thiserror::Error)]
#[error("cannot write entries to a segment")]
pub(crate) struct AppendError(#[source] pub(crate) io::Error);

/// Appends to the last segment of a trail.
pub(crate) struct SegmentWriter {
    files: Files,
    trail: TrailId,
    limits: SegmentLimits,
    next_number: u64,
    next_index: u64,
    active: Option<Active>,
}

/// The segment being written.
pub(crate) struct Active {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) class: Name,
    pub(crate) started_ns: u64,
    /// Offset after the last durable item.
    pub(crate) end: u64,
    /// Bytes that can be written to without asking for space.
    pub(crate) allocated: u64,
    pub(crate) pairs: Vec<IndexPair>,
}

/// What a group of statements needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need<'a> {
    /// Number of entries.
    pub(crate) entries: usize,
    /// Bytes of all items.
    pub(crate) bytes: u64,
    /// Retention class.
    pub(crate) class: &'a Name,
    /// The ledger's clock.
    pub(crate) now_ns: u64,
}

impl SegmentWriter {
    /// Continues after `next_index` entries in `next_number` segments, the last of which may be `active`.
    pub(crate) fn new(
        files: Files,
        trail: TrailId,
        limits: SegmentLimits,
        next_number: u64,
        next_index: u64,
        active: Option<Active>,
    ) -> Self {
        Self { files, trail, limits, next_number, next_index, active }
    }

    /// The segment being written and its committed bytes.
    pub(crate) fn active(&self) -> Option<(u64, u64)> {
        self.active.as_ref().map(|active| (active.number, active.end))
    }

    /// The file of the segment being written.
    pub(crate) fn active_file(&self) -> Option<(u64, Arc<dyn DiskFile>)> {
        self.active.as_ref().map(|active| (active.number, active.file.clone()))
    }

    /// The retention class of the segment being written.
    pub(crate) fn class(&self) -> Option<&Name> {
        self.active.as_ref().map(|active| &active.class)
    }

    /// Makes sure that a group fits: afterwards appending it cannot fail for want of space.
    ///
    /// # Errors
    /// [`ReserveError`].
    pub(crate) fn reserve(&mut self, need: &Need<'_>) -> Result<(), ReserveError> {
        let Some(active) = &mut self.active else { return self.begin(need) };
        if active.pairs.is_empty() {
            active.started_ns = need.now_ns;
        }
        let entries = active.pairs.len() + need.entries;
        let end = active.end + need.bytes + index_bytes(entries);
        let stays = active.class == *need.class
            && need.now_ns.saturating_sub(active.started_ns) < self.limits.window_ns
            && entries <= ENTRIES_MAX;
        if stays && end <= active.allocated {
            return Ok(());
        }
        if stays && end <= self.limits.bytes {
            // A segment from before a restart, cut off at its last entry. Dying here leaves zeros after it.
            active.file.preallocate(self.limits.bytes).map_err(classify)?;
            active.allocated = self.limits.bytes;
            return Ok(());
        }
        self.begin(need)
    }

    /// Writes a group and makes it durable; returns the offsets of its entry items.
    ///
    /// # Errors
    /// [`AppendError`]: what is on the disk is unknown, and nothing may be written any more.
    pub(crate) fn append(&mut self, items: &[&Item]) -> Result<Vec<u64>, AppendError> {
        let Some(active) = &mut self.active else {
            return Err(AppendError(io::Error::other("no segment was reserved")));
        };
        let heads: Vec<[[u8; ITEM_HEAD_BYTES]; 2]> = items
            .iter()
            .map(|item| [item_head(ItemKind::Body, &item.body), item_head(ItemKind::Entry, &item.entry)])
            .collect();
        let mut slices = Vec::with_capacity(items.len() * 4);
        let mut pairs = Vec::with_capacity(items.len());
        let mut at = active.end;
        for (item, [body_head, entry_head]) in items.iter().zip(&heads) {
            let mut pair = IndexPair { body: 0, entry: at };
            if !item.body.is_empty() {
                slices.extend([IoSlice::new(body_head), IoSlice::new(&item.body)]);
                pair = IndexPair { body: at, entry: at + (ITEM_HEAD_BYTES + item.body.len()) as u64 };
            }
            slices.extend([IoSlice::new(entry_head), IoSlice::new(&item.entry)]);
            at += item.segment_bytes();
            pairs.push(pair);
        }
        // Dying before the sync returns leaves any part of the group, in any order of pages: recovery takes the whole
        // pairs at its beginning, which nobody was told of, and cuts off the rest.
        active.file.write_all_at(&mut slices, active.end).map_err(AppendError)?;
        active.file.sync_data().map_err(AppendError)?;
        // Dying from here on, the group is in the trail.
        active.end = at;
        self.next_index += items.len() as u64;
        active.pairs.extend_from_slice(&pairs);
        Ok(pairs.iter().map(|pair| pair.entry).collect())
    }

    /// Gives back what was preallocated, on a clean stop.
    ///
    /// # Errors
    /// Disk trouble; nothing is lost by it.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        match self.active.take() {
            Some(active) => active.file.set_size(active.end).and_then(|()| active.file.sync_data()),
            None => Ok(()),
        }
    }

    /// Finishes the segment being written and begins another that has room for `need`.
    fn begin(&mut self, need: &Need<'_>) -> Result<(), ReserveError> {
        // An empty segment cannot be finished (its index would be empty): the new one takes its place and number.
        let replaces = self.active.as_ref().filter(|active| active.pairs.is_empty());
        let number = replaces.map_or(self.next_number, |active| active.number);
        let header = SegmentHeader {
            trail: self.trail,
            number,
            first_index: self.next_index,
            retention_class: need.class.clone(),
        };
        let start = header.file_start();
        let room = HEADER_ROOM_BYTES + need.bytes + index_bytes(need.entries);
        let allocated = self.limits.bytes.max(room);
        let scratch = self.files.scratch_path();
        let file = self.files.disk.create(&scratch).map_err(classify)?;
        // Dying up to the rename leaves a scratch file, which the next start removes.
        let prepared = file
            .preallocate(allocated)
            .and_then(|()| write_at(file.as_ref(), &start, 0))
            .and_then(|()| file.sync_data());
        if let Err(error) = prepared {
            // What cannot be removed now is removed at the next start.
            let _ = self.files.disk.remove_file(&scratch);
            return Err(classify(error));
        }
        self.finish().map_err(ReserveError::Failed)?;
        // Dying here leaves only finished segments; the next append begins this one again.
        let path = self.files.layout.segment(self.trail, number);
        self.files.disk.rename(&scratch, &path).map_err(ReserveError::Failed)?;
        let directory = self.files.layout.segments(self.trail);
        self.files.disk.sync_dir(&directory).map_err(ReserveError::Failed)?;
        self.next_number = number + 1;
        self.active = Some(Active {
            number,
            file,
            class: need.class.clone(),
            started_ns: need.now_ns,
            end: start.len() as u64,
            allocated,
            pairs: Vec::new(),
        });
        Ok(())
    }

    /// Writes index and footer and cuts the file off after them.
    fn finish(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_ref().filter(|active| !active.pairs.is_empty()) else {
            return Ok(());
        };
        let end = file_end(&active.pairs, active.end);
        // The file gets its final length first, so that nothing ever follows a footer. Dying before the sync leaves a
        // torn index, which recovery cuts off; the segment then goes on being written.
        active.file.set_size(active.end + end.len() as u64)?;
        write_at(active.file.as_ref(), &end, active.end)?;
        active.file.sync_data()?;
        self.active = None;
        Ok(())
    }
}

/// Bytes of index item and footer for so many entries.
fn index_bytes(entries: usize) -> u64 {
    (ITEM_HEAD_BYTES + 16 * entries + FOOTER_BYTES) as u64
}

fn classify(error: io::Error) -> ReserveError {
    if is_full(&error) { ReserveError::Full(error) } else { ReserveError::Failed(error) }
}
