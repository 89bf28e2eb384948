//! Reading a trail's segments back at start. There is no repair step: what is whole counts, the torn rest of the last
//! segment is cut off.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_core::entry::Entry;
use sealtrail_core::name::TrailId;
use sealtrail_core::segment::{IndexPair, ItemKind, SegmentHeader, file_name};

use super::segment_reader::{read_header, read_index, used_bytes, valid_prefix};
use super::segment_writer::Active;
use super::{DiskFile, EntryIndex, Files, SegmentLimits, SegmentWriter, read_item};

/// Why a trail's segments cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    /// Disk trouble.
    #[error("cannot read `{path}`", path = .path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A segment that is not one, or not in its place.
    #[error("segment `{path}` is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A trail's segments as they were found.
pub(crate) struct Recovered {
    /// Goes on where they end.
    pub(crate) writer: SegmentWriter,
    /// Where each entry stands.
    pub(crate) index: EntryIndex,
    /// Bytes of unfinished writes that were cut off.
    pub(crate) cut_bytes: u64,
}

/// An entry met during recovery.
pub(crate) struct Met<'a> {
    /// Its leaf index.
    pub(crate) index: u64,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Its parts.
    pub(crate) entry: Entry<'a>,
    file: &'a dyn DiskFile,
    file_bytes: u64,
    pair: IndexPair,
}

impl Met<'_> {
    /// The stored body, empty where there is none.
    ///
    /// # Errors
    /// Disk trouble, or a body item that is not whole.
    pub(crate) fn body(&self) -> io::Result<Vec<u8>> {
        if self.pair.body == 0 {
            return Ok(Vec::new());
        }
        let item = read_item(self.file, self.pair.body, self.file_bytes, &[ItemKind::Body])?;
        item.map(|(_, payload)| payload).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Reads a trail's segments in order, the first `published` entries of which a checkpoint covers; `visit` hears of every entry and says what is wrong with it, if anything.
///
/// # Errors
/// [`RecoveryError`].
pub(crate) fn recover(
    files: &Files,
    trail: TrailId,
    limits: SegmentLimits,
    published: u64,
    visit: &mut dyn FnMut(&Met<'_>) -> Result<(), &'static str>,
) -> Result<Recovered, RecoveryError> {
    let count = count_segments(files, trail)?;
    let mut walk =
        Walk { files, trail, published, index: EntryIndex::default(), entries: 0, cut_bytes: 0, visit };
    let mut active = None;
    for number in 0..count {
        active = walk.segment(number, number + 1 == count)?;
    }
    let writer = SegmentWriter::new(files.clone(), trail, limits, count, walk.entries, active);
    Ok(Recovered { writer, index: walk.index, cut_bytes: walk.cut_bytes })
}

/// The number of segment files, which must be numbered from 0 without gaps.
fn count_segments(files: &Files, trail: TrailId) -> Result<u64, RecoveryError> {
    let directory = files.layout.segments(trail);
    let names =
        files.disk.list(&directory).map_err(|source| RecoveryError::Io { path: directory, source })?;
    let mut names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    let gap = (0..).zip(&names).find(|(number, name)| file_name(*number) != **name);
    match gap {
        None => Ok(names.len() as u64),
        Some((number, _)) => Err(RecoveryError::Damaged {
            path: files.layout.segment(trail, number),
            reason: "it is missing, and later ones are there",
        }),
    }
}

struct Walk<'a> {
    files: &'a Files,
    trail: TrailId,
    published: u64,
    index: EntryIndex,
    entries: u64,
    cut_bytes: u64,
    visit: &'a mut dyn FnMut(&Met<'_>) -> Result<(), &'static str>,
}

impl Walk<'_> {
    /// Reads one segment; returns it where it is still to be written to.
    fn segment(&mut self, number: u64, last: bool) -> Result<Option<Active>, RecoveryError> {
        let path = self.files.layout.segment(self.trail, number);
        let io = |source| RecoveryError::Io { path: path.clone(), source };
        let damaged = |reason| RecoveryError::Damaged { path: path.clone(), reason };
        let file = self.files.disk.open(&path).map_err(io)?;
        let file_bytes = file.size().map_err(io)?;
        let header = read_header(file.as_ref(), file_bytes).map_err(io)?;
        let (header, start) = header.ok_or_else(|| damaged("it does not begin as a segment"))?;
        self.check_header(&header, number).map_err(damaged)?;
        self.index.begin_segment(number);
        if let Some(pairs) = read_index(file.as_ref(), file_bytes).map_err(io)? {
            self.entries(file.as_ref(), file_bytes, &pairs, &path)?;
            return Ok(None);
        }
        if !last {
            return Err(damaged("it is unfinished, and later ones are there"));
        }
        let prefix =
            valid_prefix(file.as_ref(), start, file_bytes, self.published.saturating_sub(self.entries))
                .map_err(io)?;
        let started_ns = self.entries(file.as_ref(), file_bytes, &prefix.pairs, &path)?;
        let allocated = self.cut(&file, prefix.end, file_bytes).map_err(io)?;
        Ok(Some(Active {
            number,
            file,
            class: header.retention_class,
            started_ns,
            end: prefix.end,
            allocated,
            pairs: prefix.pairs,
        }))
    }

    fn check_header(&self, header: &SegmentHeader, number: u64) -> Result<(), &'static str> {
        if header.trail != self.trail {
            Err("it belongs to another trail")
        } else if header.number != number {
            Err("its header has another number")
        } else if header.first_index != self.entries {
            Err("entries before it are missing or too many")
        } else {
            Ok(())
        }
    }

    /// Visits the entries of one segment; returns when its first one was received.
    fn entries(
        &mut self,
        file: &dyn DiskFile,
        file_bytes: u64,
        pairs: &[IndexPair],
        path: &std::path::Path,
    ) -> Result<u64, RecoveryError> {
        let io = |source| RecoveryError::Io { path: path.to_owned(), source };
        let damaged = |reason| RecoveryError::Damaged { path: path.to_owned(), reason };
        let mut started_ns = None;
        for pair in pairs {
            let item = read_item(file, pair.entry, file_bytes, &[ItemKind::Entry]).map_err(io)?;
            let (_, bytes) = item.ok_or_else(|| damaged("an entry is not where the index says, or torn"))?;
            let entry = Entry::decode(&bytes).map_err(|_| damaged("an entry is malformed"))?;
            started_ns = started_ns.or(Some(entry.ledger_part.received_at_ns));
            let met = Met { index: self.entries, bytes: &bytes, entry, file, file_bytes, pair: *pair };
            (self.visit)(&met).map_err(damaged)?;
            self.index.push(pair.entry);
            self.entries += 1;
        }
        Ok(started_ns.unwrap_or(0))
    }

    /// Cuts off what follows the last whole entry, and makes sure of what stays: what an earlier process wrote may
    /// still be in memory only. Returns the bytes that can be written to without asking for space.
    fn cut(&mut self, file: &Arc<dyn DiskFile>, end: u64, file_bytes: u64) -> io::Result<u64> {
        let torn = used_bytes(file.as_ref(), end, file_bytes)?;
        self.cut_bytes += torn;
        if torn > 0 {
            // Dying here leaves the torn rest or a part of it, and the next start comes by again.
            file.set_size(end)?;
        }
        file.sync_data()?;
        Ok(if torn > 0 { end } else { file_bytes })
    }
}
