//! Reading outbox files item by item. Where something was not written to its end, reading stops; where something was damaged
//! after it had been synced, reading goes on behind it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;
use sealtrail_env::{Disk, DiskFile};

use super::item::{HEAD_BYTES, Head, Item, ItemError, MAGIC, SYNCED};

/// How much is looked through at once for the place at which reading can go on.
const WINDOW_BYTES: usize = 256 << 10;

/// How far behind damage an item is looked for at every byte: above the longest synced item (38 bytes) and the magic.
const NEAR_BYTES: usize = 64;

/// A place in the outbox: file number and offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) file: u64,
    pub(crate) offset: u64,
}

/// The directory of outbox files below the state directory.
pub(crate) fn files_dir(state: &Path) -> PathBuf {
    state.join("outbox")
}

/// The path of one outbox file.
pub(crate) fn path(state: &Path, number: u64) -> PathBuf {
    files_dir(state).join(format!("{number:010}.out"))
}

/// The numbers of the files in a directory with the given extension, ascending. Other names are left alone.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path, extension: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for (name, _) in disk.list(dir)? {
        let stem = name.strip_suffix(extension).and_then(|n| n.strip_suffix('.'));
        if let Some(number) = stem.filter(|s| s.len() == 10).and_then(|s| s.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// An item's bytes whose CRC holds, with its place.
#[derive(Clone, Debug)]
pub(crate) struct RawItem {
    /// Offset of its head.
    pub(crate) offset: u64,
    /// Offset after it.
    pub(crate) end: u64,
    kind: u8,
    payload: Vec<u8>,
}

impl RawItem {
    /// The item.
    pub(crate) fn item(&self) -> Result<Item<'_>, ItemError> {
        Item::decode(self.kind, &self.payload)
    }

    /// Bytes it takes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.end - self.offset
    }
}

/// What stands next in a file.
#[derive(Debug)]
pub(crate) enum Next {
    /// A whole item.
    Item(RawItem),
    /// Nothing: the file ends, or zeros follow.
    End,
    /// Something that is not a whole item: it was being written when the machine stopped, or was damaged since.
    Torn,
}

/// Reads one file from a given offset.
pub(crate) struct FileReader {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileReader({})", self.offset)
    }
}

impl FileReader {
    /// Opens a file at its first item. One that has not even its magic is torn there.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open_read(path)?;
        let mut magic = [0; MAGIC.len()];
        let begun = read_or_end(file.as_ref(), &mut magic, 0)? && magic == *MAGIC;
        Ok(Self { file, offset: if begun { MAGIC.len() as u64 } else { 0 } })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    /// Goes to an offset that was an item's start or end.
    pub(crate) fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Offset of what [`Self::next`] will read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next item.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let mut head = [0; HEAD_BYTES];
        if !read_or_end(self.file.as_ref(), &mut head, self.offset)? || head.iter().all(|b| *b == 0) {
            return Ok(if self.rest_is_blank()? { Next::End } else { Next::Torn });
        }
        let head = Head::decode(head).filter(|_| self.offset >= MAGIC.len() as u64);
        let Some(head) = head else { return Ok(Next::Torn) };
        let mut payload = vec![0; head.length];
        if !read_or_end(self.file.as_ref(), &mut payload, self.offset + HEAD_BYTES as u64)?
            || !head.matches(&payload)
        {
            return Ok(Next::Torn);
        }
        let offset = self.offset;
        self.offset += (HEAD_BYTES + head.length) as u64;
        Ok(Next::Item(RawItem { offset, end: self.offset, kind: head.kind, payload }))
    }

    /// The next whole item, whatever damage stands before it. For files all of which was synced.
    pub(crate) fn next_whole(&mut self) -> io::Result<Option<RawItem>> {
        loop {
            if let Next::Item(item) = self.next()? {
                return Ok(Some(item));
            }
            if !self.skip_damage(true)? {
                return Ok(None);
            }
        }
    }

    /// Where no whole item is next: goes to the next place that holds one for certain. `false`, and stays, where there is
    /// none, or where nothing says that what stands here had been synced (`synced`: the caller knows that it had).
    pub(crate) fn skip_damage(&mut self, synced: bool) -> io::Result<bool> {
        let damaged = self.offset;
        let (mut first, mut at, mut synced) = (None, damaged, synced);
        while let Some((offset, below)) = self.next_mark(at)? {
            first.get_or_insert(offset);
            synced |= below > damaged;
            if synced {
                self.offset = self.near()?.or(first).unwrap_or(offset);
                return Ok(true);
            }
            at = offset + 1;
        }
        self.offset = if synced { self.near()?.unwrap_or(damaged) } else { damaged };
        Ok(self.offset > damaged)
    }

    /// Where the next whole item begins, looking just behind this offset: what follows a synced item that is damaged itself.
    fn near(&self) -> io::Result<Option<u64>> {
        for offset in (self.offset + 1..self.file.size()?).take(NEAR_BYTES) {
            let mut there = Self { file: Arc::clone(&self.file), offset };
            if let Next::Item(_) = there.next()? {
                return Ok(Some(offset));
            }
        }
        Ok(None)
    }

    /// The next synced item from an offset on: its own offset, and the one below which the file was synced.
    fn next_mark(&self, from: u64) -> io::Result<Option<(u64, u64)>> {
        let size = self.file.size()?;
        let mut window = vec![0; size.saturating_sub(from).min(WINDOW_BYTES as u64) as usize];
        let mut at = from;
        while at < size {
            // At most a window.
            let length = (size - at).min(WINDOW_BYTES as u64) as usize;
            let Some(bytes) = window.get_mut(..length) else { break };
            self.file.read_exact_at(bytes, at)?;
            for found in memmem::find_iter(bytes, SYNCED) {
                let Some(offset) = (at + found as u64).checked_sub(HEAD_BYTES as u64) else { continue };
                let mut there = Self { file: Arc::clone(&self.file), offset };
                let Next::Item(raw) = there.next()? else { continue };
                match raw.item() {
                    Ok(Item::Synced { below }) if offset >= from && below <= offset => {
                        return Ok(Some((offset, below)));
                    }
                    _ => {}
                }
            }
            // What a window's end cuts off stands whole in the next one.
            at += length.saturating_sub(SYNCED.len()).max(1) as u64;
        }
        Ok(None)
    }

    /// Whether only zeros (a preallocated area) stand in the next head's place and after it, looking at 64 KiB.
    fn rest_is_blank(&self) -> io::Result<bool> {
        let left = self.file.size()?.saturating_sub(self.offset);
        // At most 64 KiB.
        let mut rest = vec![0; left.min(64 << 10) as usize];
        self.file.read_exact_at(&mut rest, self.offset)?;
        Ok(rest.iter().all(|b| *b == 0))
    }
}

/// Fills the buffer; `false` where the file ends before.
fn read_or_end(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
