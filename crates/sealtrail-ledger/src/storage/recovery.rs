//! Reading a trail's segments back at start. There is no repair step: what is whole counts, the torn rest of the last
//! segment is cut off. First everything is read; nothing is written before it is known to be what was published.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_core::entry::Entry;
use sealtrail_core::name::TrailId;
use sealtrail_core::segment::{IndexPair, ItemKind, SegmentHeader, file_name};

use super::segment_reader::{is_damaged, read_header, read_index, used_bytes, valid_prefix};
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

/// A trail's segments as they were found. Nothing was written.
pub(crate) struct Recovered {
    /// Where each entry stands.
    pub(crate) index: EntryIndex,
    segments: Segments,
}

/// What is needed to go on where the segments end.
pub(crate) struct Segments {
    files: Files,
    trail: TrailId,
    limits: SegmentLimits,
    count: u64,
    entries: u64,
    last: Option<Last>,
}

/// The last segment.
struct Last {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// What may be in memory only, of what stays.
    unsure: Range<u64>,
    /// Where it is still to be written to.
    unfinished: Option<Unfinished>,
}

struct Unfinished {
    /// Goes on behind the last whole entry, once that is the end.
    active: Active,
    /// Bytes of an unfinished write behind it.
    torn: u64,
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
    let mut walk = Walk { files, trail, index: EntryIndex::default(), entries: 0, published, visit };
    let mut last = None;
    for number in 0..count {
        last = walk.segment(number, number + 1 == count)?;
    }
    let segments = Segments { files: files.clone(), trail, limits, count, entries: walk.entries, last };
    Ok(Recovered { index: walk.index, segments })
}

impl Recovered {
    /// The parts: what is read from now on, and what has yet to be settled.
    pub(crate) fn into_parts(self) -> (EntryIndex, Segments) {
        (self.index, self.segments)
    }
}

impl Segments {
    /// The segment that is to be written to: number, file, bytes of whole entries.
    pub(crate) fn active(&self) -> Option<(u64, Arc<dyn DiskFile>, u64)> {
        let active = &self.last.as_ref()?.unfinished.as_ref()?.active;
        Some((active.number, active.file.clone(), active.end))
    }

    /// Makes what stays durable, cuts off an unfinished write, and goes on behind; with the bytes that were cut off. Only for
    /// what is known to hold all that was published: the rest is gone.
    ///
    /// # Errors
    /// [`RecoveryError::Io`].
    pub(crate) fn settle(self) -> Result<(SegmentWriter, u64), RecoveryError> {
        let (mut active, mut cut_bytes) = (None, 0);
        if let Some(last) = self.last {
            let io = |source| RecoveryError::Io { path: last.path.clone(), source };
            make_durable(last.file.as_ref(), last.unsure).map_err(io)?;
            if let Some(mut unfinished) = last.unfinished {
                cut(&mut unfinished).map_err(io)?;
                cut_bytes = unfinished.torn;
                active = Some(unfinished.active);
            }
        }
        let writer =
            SegmentWriter::new(self.files, self.trail, self.limits, self.count, self.entries, active);
        Ok((writer, cut_bytes))
    }
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
    /// Entries known to be durable.
    published: u64,
    visit: &'a mut dyn FnMut(&Met<'_>) -> Result<(), &'static str>,
}

impl Walk<'_> {
    /// Reads one segment; returns the last.
    fn segment(&mut self, number: u64, is_last: bool) -> Result<Option<Last>, RecoveryError> {
        let path = self.files.layout.segment(self.trail, number);
        let io = |source| RecoveryError::Io { path: path.clone(), source };
        let damaged = |reason| RecoveryError::Damaged { path: path.clone(), reason };
        let file = self.files.disk.open(&path).map_err(io)?;
        let file_bytes = file.size().map_err(io)?;
        let header = read_header(file.as_ref(), file_bytes).map_err(io)?;
        let (header, start) = header.ok_or_else(|| damaged("it does not begin as a segment"))?;
        self.check_header(&header, number).map_err(damaged)?;
        self.index.begin_segment(number);
        let first = self.entries;
        if let Some(pairs) = read_index(file.as_ref(), file_bytes).map_err(io)? {
            self.entries(file.as_ref(), file_bytes, &pairs, &path)?;
            let from = self.first_unpublished(first, &pairs).or_else(|| pairs.last().map(|pair| pair.entry));
            let unsure = from.unwrap_or(start)..file_bytes;
            return Ok(is_last.then_some(Last { path, file, unsure, unfinished: None }));
        }
        if !is_last {
            return Err(damaged("it is unfinished, and later ones are there"));
        }
        let prefix = valid_prefix(file.as_ref(), start, file_bytes, self.published.saturating_sub(first))
            .map_err(io)?;
        let started_ns = self.entries(file.as_ref(), file_bytes, &prefix.pairs, &path)?;
        let torn = used_bytes(file.as_ref(), prefix.end, file_bytes).map_err(io)?;
        if is_damaged(file.as_ref(), prefix.stopped, prefix.end + torn).map_err(io)? {
            return Err(damaged("an item is damaged, and what was written after it is whole"));
        }
        let unsure = self.first_unpublished(first, &prefix.pairs).unwrap_or(prefix.end)..prefix.end;
        let active = Active {
            number,
            file: file.clone(),
            class: header.retention_class,
            started_ns,
            end: prefix.end,
            allocated: file_bytes,
            pairs: prefix.pairs,
        };
        Ok(Some(Last { path, file, unsure, unfinished: Some(Unfinished { active, torn }) }))
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
}

/// Cuts off what follows the last whole entry, and makes sure of what stays: what an earlier process wrote may still be in
/// memory only.
fn cut(unfinished: &mut Unfinished) -> io::Result<()> {
    let active = &mut unfinished.active;
    if unfinished.torn > 0 {
        // Dying here leaves the torn rest or a part of it, and the next start comes by again.
        active.file.set_size(active.end)?;
        active.allocated = active.end;
    }
    active.file.sync_data()
}

/// Writes what stands between two offsets once more and syncs it. A process whose sync failed leaves bytes that are read
/// back from memory and are not on the disk, and that a further sync no longer writes; so reading is no proof. The same
/// bytes are written in their place: whatever happens meanwhile, what was durable stays.
fn make_durable(file: &dyn DiskFile, unsure: Range<u64>) -> io::Result<()> {
    let mut at = unsure.start;
    while at < unsure.end {
        let count = (unsure.end - at).min(REWRITE_BYTES);
        // At most `REWRITE_BYTES`.
        let mut bytes = vec![0; count as usize];
        file.read_exact_at(&mut bytes, at)?;
        write_at(file, &bytes, at)?;
        at += count;
    }
    if unsure.is_empty() { Ok(()) } else { file.sync_data() }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use sealtrail_core::entry::LedgerPart;
    use sealtrail_core::name::Name;
    use sealtrail_core::segment::{ITEM_HEAD_BYTES, push_item};
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

    /// Goes on where the segments end.
    fn writer(disk: &SimDisk) -> SegmentWriter {
        found(disk).segments.settle().unwrap().0
    }

    fn count(recovered: &Recovered) -> u64 {
        (0..).take_while(|leaf| recovered.index.place(*leaf).is_some()).count() as u64
    }

    fn reserve(writer: &mut SegmentWriter, now_ns: u64) -> Result<(), ReserveError> {
        let class = Name::new("c").unwrap();
        writer.reserve(&Need { entries: 1, bytes: 3_000, class: &class, now_ns })
    }

    const PART: LedgerPart = LedgerPart { received_at_ns: 1, control_size: 1, collateral: None };

    fn entry(fill: u8) -> Vec<u8> {
        Entry { statement: &[fill; 2_000], ledger_part: PART }.encode()
    }

    fn append(writer: &mut SegmentWriter, fill: u8) -> bool {
        writer.append(&[&Item { body: Default::default(), entry: entry(fill) }]).is_ok()
    }

    /// T29: what a failed sync left in memory is read back by the next process, and durable from then on.
    #[test]
    fn what_a_failed_sync_left_behind_is_written_again() {
        for seed in 0..20 {
            let disk = disk();
            let mut writer = writer(&disk);
            reserve(&mut writer, 0).unwrap();
            assert!(append(&mut writer, 1));
            disk.set_fault(|op, _, _| (op == Op::Sync).then_some(ErrorKind::Other));
            assert!(!append(&mut writer, 2));
            let disk = disk.killed();
            let recovered = found(&disk);
            assert_eq!(count(&recovered), 2);
            recovered.segments.settle().unwrap();
            assert_eq!(count(&found(&disk.crashed(seed))), 2, "seed {seed}");
        }
    }

    /// T28: a segment that was begun when the process died keeps its name.
    #[test]
    fn a_segment_found_at_the_start_keeps_its_name() {
        for seed in 0..20 {
            let disk = disk();
            let mut writer = writer(&disk);
            reserve(&mut writer, 0).unwrap();
            assert!(append(&mut writer, 1));
            disk.set_fault(|op, _, _| (op == Op::SyncDir).then_some(ErrorKind::Other));
            assert!(matches!(reserve(&mut writer, 5_000), Err(ReserveError::Failed(_))));
            let disk = disk.killed();
            let mut writer = self::writer(&disk);
            reserve(&mut writer, 5_000).unwrap();
            assert!(append(&mut writer, 2));
            assert_eq!(count(&found(&disk.crashed(seed))), 2, "seed {seed}");
        }
    }

    /// Three entries, of which the second has a body full of what looks like items; and where the second and the third begin.
    fn three(before: usize) -> (SimDisk, Vec<u8>, usize, usize) {
        let mut items = Vec::new();
        while items.len() < 20_000 {
            push_item(&mut items, ItemKind::Entry, &entry(7));
            push_item(&mut items, ItemKind::Entry, &[0]);
        }
        let disk = disk();
        let mut writer = writer(&disk);
        reserve(&mut writer, 0).unwrap();
        let first = Entry { statement: &vec![1; 1_000 + before], ledger_part: PART }.encode();
        assert!(writer.append(&[&Item { body: Default::default(), entry: first }]).is_ok());
        let start = used(&disk).len();
        let third = start + 2 * ITEM_HEAD_BYTES + items.len() + entry(2).len();
        let second = Item { body: items.into(), entry: entry(2) };
        assert!(writer.append(&[&second, &Item { body: Default::default(), entry: entry(3) }]).is_ok());
        let mut whole = used(&disk);
        whole.resize(whole.len().next_multiple_of(512), 0);
        (disk, whole, start, third)
    }

    fn segment(disk: &SimDisk) -> Arc<dyn DiskFile> {
        files(disk).disk.open(&files(disk).layout.segment(TRAIL, 0)).unwrap()
    }

    fn used(disk: &SimDisk) -> Vec<u8> {
        let file = segment(disk);
        let mut bytes = vec![0; used_bytes(file.as_ref(), 0, file.size().unwrap()).unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// T28, found in a review: a body may hold what looks like an item. A power cut that left out a sector of it was then taken
    /// for damage, and no trail of the ledger started again.
    #[test]
    #[expect(clippy::print_stdout, reason = "tells how many it counted")]
    fn what_a_body_holds_does_not_make_an_unfinished_write_damage() {
        let (mut cases, mut random) = (0, 1_u64);
        // Every place that an item can have in a sector.
        for before in 0..512 {
            let (disk, whole, start, third) = three(before);
            // The sector that the second begins in holds the end of the first, so it was written before, without the second.
            let sectors = start / 512..whole.len() / 512;
            let mut lost: Vec<Vec<usize>> =
                sectors.clone().step_by(1 + before % 7).chain([start / 512]).map(|one| vec![one]).collect();
            for several in 2..10 {
                let some = (0..several).map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    sectors.start + (random >> 33) as usize % sectors.len()
                });
                lost.push(some.collect());
            }
            // The last page and the first, between which all is there.
            lost.push(
                sectors
                    .clone()
                    .filter(|sector| sector / 8 == start / 4096 || sector + 9 > sectors.end)
                    .collect(),
            );
            for lost in lost {
                let mut torn = whole.clone();
                for sector in &lost {
                    torn[(sector * 512).max(start)..(sector + 1) * 512].fill(0);
                }
                write_at(segment(&disk).as_ref(), &torn, 0).unwrap();
                let first = torn.iter().zip(&whole).position(|(torn, whole)| torn != whole);
                let expected = first.map_or(3, |at| 1 + u64::from(at >= third));
                assert_eq!(count(&found(&disk)), expected, "sectors {lost:?}, {start} to {third}");
                cases += 1;
            }
        }
        println!("unfinished writes told from damage: {cases} of {cases}");
    }

    /// T27, found in a review: a flipped bit of a length led to where nothing stood, and the whole entries behind were cut off.
    #[test]
    #[expect(clippy::print_stdout, reason = "tells how many it counted")]
    fn a_flipped_bit_before_whole_entries_is_no_unfinished_write() {
        let (mut refused, mut beyond) = (0, 0);
        for before in (0..512).step_by(37) {
            let (disk, whole, start, third) = three(before);
            let entry_at = third - ITEM_HEAD_BYTES - entry(2).len();
            let heads = (start..start + ITEM_HEAD_BYTES).chain(entry_at..entry_at + ITEM_HEAD_BYTES);
            for at in heads.chain((start..third).step_by(997)) {
                for bit in 0..8 {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1 << bit;
                    write_at(segment(&disk).as_ref(), &damaged, 0).unwrap();
                    let result = recover(&files(&disk), TRAIL, LIMITS, 0, &mut |_| Ok(()));
                    match result.map(|found| count(&found)) {
                        Err(RecoveryError::Damaged { .. }) => refused += 1,
                        // A length that leads beyond the end is what an unfinished write has.
                        Ok(1) if at - start < 4 || at - entry_at < 4 => beyond += 1,
                        other => panic!("byte {at}, bit {bit}, {start} to {third}: {other:?}"),
                    }
                }
            }
        }
        println!(
            "flipped bits refused: {refused}; lengths that lead beyond the end, taken for unfinished: {beyond}"
        );
        assert!(refused > 10 * beyond, "{refused} {beyond}");
    }
}
