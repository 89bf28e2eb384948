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
use super::{DiskFile, EntryIndex, Files, SegmentLimits, SegmentWriter, read_item, write_at};

/// Bytes written again at a time.
const REWRITE_BYTES: u64 = 1 << 20;

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

/// Reads a trail's segments in order; `visit` hears of every entry and says what is wrong with it, if anything. The first
/// `published` entries are known to be durable; what follows is made so.
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
        Walk { files, trail, index: EntryIndex::default(), entries: 0, cut_bytes: 0, published, visit };
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
    let io = |source| RecoveryError::Io { path: directory.clone(), source };
    let names = files.disk.list(&directory).map_err(io)?;
    // An earlier process may have died before a new segment's name was durable.
    files.disk.sync_dir(&directory).map_err(io)?;
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
    index: EntryIndex,
    entries: u64,
    cut_bytes: u64,
    /// Entries known to be durable.
    published: u64,
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
            let first = self.entries;
            self.entries(file.as_ref(), file_bytes, &pairs, &path)?;
            if last {
                let from =
                    self.first_unpublished(first, &pairs).or_else(|| pairs.last().map(|pair| pair.entry));
                make_durable(file.as_ref(), from.unwrap_or(start), file_bytes).map_err(io)?;
            }
            return Ok(None);
        }
        if !last {
            return Err(damaged("it is unfinished, and later ones are there"));
        }
        let first = self.entries;
        let prefix = valid_prefix(file.as_ref(), start, file_bytes, self.published.saturating_sub(first))
            .map_err(io)?;
        let started_ns = self.entries(file.as_ref(), file_bytes, &prefix.pairs, &path)?;
        let from = self.first_unpublished(first, &prefix.pairs).unwrap_or(prefix.end);
        make_durable(file.as_ref(), from, prefix.end).map_err(io)?;
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

    /// Where the first entry that was not published begins in a segment whose first entry has the index `first`.
    fn first_unpublished(&self, first: u64, pairs: &[IndexPair]) -> Option<u64> {
        let skip = usize::try_from(self.published.saturating_sub(first)).unwrap_or(usize::MAX);
        pairs.get(skip).map(|pair| if pair.body == 0 { pair.entry } else { pair.body })
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

/// Writes what stands between two offsets once more and syncs it. A process whose sync failed leaves bytes that are read
/// back from memory and are not on the disk, and that a further sync no longer writes; so reading is no proof. The same
/// bytes are written in their place: whatever happens meanwhile, what was durable stays.
fn make_durable(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let count = (to - at).min(REWRITE_BYTES);
        // At most `REWRITE_BYTES`.
        let mut bytes = vec![0; count as usize];
        file.read_exact_at(&mut bytes, at)?;
        write_at(file, &bytes, at)?;
        at += count;
    }
    if from < to { file.sync_data() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use sealtrail_core::entry::LedgerPart;
    use sealtrail_core::name::Name;
    use sealtrail_env::create_dirs_durably;
    use sealtrail_testkit::disk::{Op, SimDisk};

    use super::super::{Item, Layout, Need, ReserveError};
    use super::*;

    const TRAIL: TrailId = TrailId([1; 16]);
    const LIMITS: SegmentLimits = SegmentLimits { bytes: 16 << 10, window_ns: 1_000 };

    fn files(disk: &SimDisk) -> Files {
        Files::new(Arc::new(disk.clone()), Layout::new(Path::new("/ledger")))
    }

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        for directory in [files(&disk).layout.segments(TRAIL), files(&disk).layout.scratch()] {
            create_dirs_durably(&disk, &directory).unwrap();
        }
        disk
    }

    fn found(disk: &SimDisk) -> Recovered {
        recover(&files(disk), TRAIL, LIMITS, 0, &mut |_| Ok(())).unwrap()
    }

    fn count(recovered: &Recovered) -> u64 {
        (0..).take_while(|leaf| recovered.index.place(*leaf).is_some()).count() as u64
    }

    fn reserve(writer: &mut SegmentWriter, now_ns: u64) -> Result<(), ReserveError> {
        let class = Name::new("c").unwrap();
        writer.reserve(&Need { entries: 1, bytes: 3_000, class: &class, now_ns })
    }

    fn append(writer: &mut SegmentWriter, fill: u8) -> bool {
        let ledger_part = LedgerPart { received_at_ns: 1, control_size: 1, collateral: None };
        let entry = Entry { statement: &[fill; 2_000], ledger_part }.encode();
        writer.append(&[&Item { body: Default::default(), entry }]).is_ok()
    }

    /// T29: what a failed sync left in memory is read back by the next process, and durable from then on.
    #[test]
    fn what_a_failed_sync_left_behind_is_written_again() {
        for seed in 0..20 {
            let disk = disk();
            let mut writer = found(&disk).writer;
            reserve(&mut writer, 0).unwrap();
            assert!(append(&mut writer, 1));
            disk.set_fault(|op, _, _| (op == Op::Sync).then_some(ErrorKind::Other));
            assert!(!append(&mut writer, 2));
            let disk = disk.killed();
            let recovered = found(&disk);
            assert_eq!(count(&recovered), 2);
            assert_eq!(count(&found(&disk.crashed(seed))), 2, "seed {seed}");
        }
    }

    /// T28: a segment that was begun when the process died keeps its name.
    #[test]
    fn a_segment_found_at_the_start_keeps_its_name() {
        for seed in 0..20 {
            let disk = disk();
            let mut writer = found(&disk).writer;
            reserve(&mut writer, 0).unwrap();
            assert!(append(&mut writer, 1));
            disk.set_fault(|op, _, _| (op == Op::SyncDir).then_some(ErrorKind::Other));
            assert!(matches!(reserve(&mut writer, 5_000), Err(ReserveError::Failed(_))));
            let disk = disk.killed();
            let mut recovered = found(&disk);
            reserve(&mut recovered.writer, 5_000).unwrap();
            assert!(append(&mut recovered.writer, 2));
            assert_eq!(count(&found(&disk.crashed(seed))), 2, "seed {seed}");
        }
    }
}
