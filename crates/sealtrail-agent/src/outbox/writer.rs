//! The thread that appends to the outbox: many items, one write, one sync, then the word that they are safe.
//!
//! If the process dies before the sync, nobody was told that those records are safe. If it dies after, recovery finds
//! them. A sync that failed is never tried again: what the kernel dropped it will not say, so the agent stops.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use sealtrail_core::statement::Place;
use sealtrail_env::{Disk, DiskFile, is_full, write_at};
use tokio::sync::oneshot;

use super::file::{Position, files_dir, path};
use super::item::{Held, Item, MAGIC};
use crate::progress::Progress;
use crate::status::{Level, Status};

/// Area preallocated ahead of the end: syncs in it need no new metadata. Four of the largest usual groups.
const PREALLOCATE_BYTES: u64 = 4 << 20;

/// Most bytes written between two syncs; more would hold up the answers of what came first.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// How long to wait before trying again on a full disk.
const DISK_FULL_RETRY: Duration = Duration::from_millis(250);

/// How often an idle writer looks whether it should stop.
const IDLE: Duration = Duration::from_secs(1);

/// What the writer is asked to append.
#[derive(Debug)]
pub(crate) enum Append {
    /// A sealed batch; the writer reports its ordinal as sealed once it is synced.
    Batch { framed: Vec<u8>, ordinal: u64 },
    /// A committed open; it is repeated at the start of each file while its epoch lasts.
    Open { framed: Vec<u8>, done: oneshot::Sender<()> },
    /// A committed mark. It may get lost: the ledger then sees the batch twice and says so.
    Mark { framed: Vec<u8>, held: Held },
    /// Sync what there is and end.
    Stop,
}

/// The outbox's writer.
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: PathBuf,
    pub(crate) place: Place,
    pub(crate) held: Held,
    pub(crate) file_bytes_max: u64,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    number: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    allocated: u64,
    /// The file is synced below this offset.
    synced: u64,
    open: Vec<u8>,
    /// What waits for room on the disk.
    waiting: Option<Group>,
}

/// What is written and synced together.
#[derive(Default)]
struct Group {
    items: Vec<Framed>,
    bytes: usize,
    /// Ordinal after that of the newest batch in it.
    sealed: u64,
    opened: Vec<oneshot::Sender<()>>,
    /// Newest committed mark in it.
    held: Option<Held>,
    open: Option<Vec<u8>>,
    durable: bool,
    last: bool,
}

/// A framed item.
struct Framed {
    bytes: Vec<u8>,
    /// Whether it must be found behind damage: a synced item goes before it.
    marked: bool,
}

/// How a writer's turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// All that was there is written.
    Done,
    /// The disk is full: what was taken waits for another turn.
    Full,
    /// Nothing more will be written.
    Ended,
}

/// What a writer is made of.
pub(crate) struct WriterParts {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state: PathBuf,
    pub(crate) place: Place,
    pub(crate) held: Held,
    /// Number of the first file it writes; it must not exist.
    pub(crate) number: u64,
    /// Size from which a new file is begun.
    pub(crate) file_bytes_max: u64,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
}

impl Writer {
    /// Begins a new file.
    pub(crate) fn new(parts: WriterParts) -> io::Result<Self> {
        let WriterParts { disk, state, place, held, number, file_bytes_max, progress, status } = parts;
        let start = start(number, &place, held);
        let Begun { file, offset, allocated } = begin(disk.as_ref(), &state, number, &start, file_bytes_max)?;
        let writer = Self {
            disk,
            state,
            place,
            held,
            file_bytes_max,
            progress,
            status,
            number,
            file,
            offset,
            allocated,
            synced: offset,
            open: Vec::new(),
            waiting: None,
        };
        writer.report(0);
        Ok(writer)
    }

    /// Appends what it is given until it is told to stop or nobody can give it anything any more.
    pub(crate) fn run(mut self, incoming: &Receiver<Append>) {
        let mut turn = Turn::Done;
        while turn != Turn::Ended {
            let first = match turn {
                Turn::Full => {
                    std::thread::sleep(DISK_FULL_RETRY);
                    None
                }
                _ => match incoming.recv_timeout(IDLE) {
                    Ok(first) => Some(first),
                    Err(RecvTimeoutError::Timeout) if !self.progress.aborted() => continue,
                    Err(_) => Some(Append::Stop),
                },
            };
            turn = self.turn(first, incoming);
        }
    }

    /// Writes and syncs one group: what waits for room, or `first` with what has come after it.
    pub(crate) fn turn(&mut self, first: Option<Append>, incoming: &Receiver<Append>) -> Turn {
        let group = match self.waiting.take() {
            Some(waiting) => waiting,
            None => Group::gather(first, incoming),
        };
        match self.commit(&group) {
            Err(error) if is_full(&error) && !self.progress.aborted() => {
                self.progress.set_disk_full(true);
                self.status.trouble("outbox", "disk is full".to_owned());
                self.waiting = Some(group);
                Turn::Full
            }
            Err(error) => {
                self.fail(&error);
                Turn::Ended
            }
            Ok(()) => {
                for done in group.opened {
                    // Whoever asked may be gone; the open is kept all the same.
                    let _ = done.send(());
                }
                if group.last || self.progress.aborted() {
                    self.end();
                    return Turn::Ended;
                }
                Turn::Done
            }
        }
    }

    /// Whether something waits for room on the disk.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Appends a group, in a new file where this one is full, and syncs it where that was promised.
    fn commit(&mut self, group: &Group) -> io::Result<()> {
        if self.offset >= self.file_bytes_max {
            self.roll()?;
        }
        self.write(&group.framed(self.synced))?;
        if self.progress.disk_full() {
            self.progress.set_disk_full(false);
            self.status.clear("outbox");
        }
        if let Some(held) = group.held {
            self.held = held;
        }
        if let Some(open) = &group.open {
            self.open.clone_from(open);
        }
        if group.durable {
            sync(self.file.as_ref())?;
            self.synced = self.offset;
            self.report(group.sealed);
            self.mark()?;
        }
        Ok(())
    }

    /// Says behind what is synced that it is. Nobody waits for this: where the power fails before the next sync it is
    /// lost, and a group that was damaged meanwhile passes for one that was not finished.
    fn mark(&mut self) -> io::Result<()> {
        let mut mark = Vec::new();
        Item::Synced { below: self.synced }.push_to(&mut mark);
        self.write(&mark).or_else(|error| if is_full(&error) { Ok(()) } else { Err(error) })
    }

    /// Gives back what was preallocated, and makes sure of the last word.
    fn end(&mut self) {
        let ended = self.file.set_size(self.offset).and_then(|()| sync(self.file.as_ref()));
        if let Err(error) = ended {
            self.fail(&error);
        }
    }

    /// Writes at the end. A write that failed halfway is written over by the next.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.offset + bytes.len() as u64;
        if end > self.allocated {
            let more = (end - self.allocated).max(PREALLOCATE_BYTES.min(self.file_bytes_max));
            self.file.preallocate(self.allocated + more)?;
            self.allocated += more;
        }
        write_at(self.file.as_ref(), bytes, self.offset)?;
        self.offset = end;
        Ok(())
    }

    /// Ends this file and begins the next. Where that cannot be begun this one stays the last, and the next try begins
    /// it anew.
    fn roll(&mut self) -> io::Result<()> {
        self.file.set_size(self.offset)?;
        sync(self.file.as_ref())?;
        self.allocated = self.offset;
        let number = self.number + 1;
        let mut start = start(number, &self.place, self.held);
        start.extend_from_slice(&self.open);
        let begun = begin(self.disk.as_ref(), &self.state, number, &start, self.file_bytes_max)?;
        (self.number, self.file) = (number, begun.file);
        (self.offset, self.allocated, self.synced) = (begun.offset, begun.allocated, begun.offset);
        Ok(())
    }

    fn report(&self, sealed: u64) {
        self.progress.sealed(sealed, Position { file: self.number, offset: self.offset });
    }

    fn fail(&self, error: &io::Error) {
        self.status.notice(Level::Error, format!("outbox cannot be written, the agent stops: {error}"));
        self.status.trouble("outbox", error.to_string());
        self.progress.fail();
    }
}

/// A file that was just begun.
struct Begun {
    file: Arc<dyn DiskFile>,
    offset: u64,
    allocated: u64,
}

/// Magic and header; the epoch's open follows, so that each file is understood on its own.
fn start(number: u64, place: &Place, held: Held) -> Vec<u8> {
    let mut start = MAGIC.to_vec();
    Item::Header { number, place: place.clone(), held }.push_to(&mut start);
    start
}

/// Makes a file that begins so, durable together with its name. Dying within leaves a file without items.
fn begin(disk: &dyn Disk, state: &Path, number: u64, start: &[u8], bytes_max: u64) -> io::Result<Begun> {
    let file = disk.create_private(&path(state, number))?;
    let offset = start.len() as u64;
    let allocated = offset.max(PREALLOCATE_BYTES.min(bytes_max));
    file.preallocate(allocated)?;
    write_at(file.as_ref(), start, 0)?;
    sync(file.as_ref())?;
    disk.sync_dir(&files_dir(state)).map_err(unsynced)?;
    Ok(Begun { file, offset, allocated })
}

/// Makes a file durable. Whatever the error says, it is none of a full disk: one waits for room and writes again, and what a
/// failed sync left behind nobody knows.
fn sync(file: &dyn DiskFile) -> io::Result<()> {
    file.sync_data().map_err(unsynced)
}

fn unsynced(error: io::Error) -> io::Error {
    io::Error::other(format!("sync failed: {error}"))
}

impl Group {
    /// What has come, up to the most that is written at once.
    fn gather(first: Option<Append>, incoming: &Receiver<Append>) -> Self {
        let mut group = Self::default();
        let mut next = first;
        while let Some(append) = next.take() {
            group.add(append);
            if !group.last && group.bytes < GROUP_BYTES_MAX {
                next = incoming.try_recv().ok();
            }
        }
        group
    }

    fn add(&mut self, append: Append) {
        match append {
            Append::Batch { framed, ordinal } => {
                self.push(framed, true);
                self.sealed = ordinal + 1;
            }
            Append::Open { framed, done } => {
                self.open = Some(framed.clone());
                self.push(framed, true);
                self.opened.push(done);
            }
            Append::Mark { framed, held } => {
                self.push(framed, false);
                self.held = Some(held);
            }
            Append::Stop => self.last = true,
        }
    }

    fn push(&mut self, bytes: Vec<u8>, durable: bool) {
        self.bytes += bytes.len();
        self.durable |= durable;
        self.items.push(Framed { bytes, marked: durable });
    }

    /// What is written, into a file that is synced below the offset.
    fn framed(&self, synced: u64) -> Vec<u8> {
        let mut mark = Vec::new();
        Item::Synced { below: synced }.push_to(&mut mark);
        let mut framed = Vec::with_capacity(self.bytes + self.items.len() * mark.len());
        for item in &self.items {
            if item.marked {
                framed.extend_from_slice(&mark);
            }
            framed.extend_from_slice(&item.bytes);
        }
        framed
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::mpsc::sync_channel;

    use sealtrail_core::name::{LedgerName, Name, TrailId};
    use sealtrail_env::create_dirs_durably;
    use sealtrail_testkit::disk::{Op, SimDisk};

    use super::*;
    use crate::outbox::Reader;

    fn place() -> Place {
        let name = |text| Name::new(text).unwrap();
        Place {
            ledger: LedgerName::new("localhost/test").unwrap(),
            trail: TrailId([1; 16]),
            stream: name("s"),
            instance: name("i"),
        }
    }

    fn batch(ordinal: u64, fill: u8) -> Append {
        let mut framed = Vec::new();
        Item::Batch { statement: &[fill; 700], digests: None, body: &[fill; 700] }.push_to(&mut framed);
        Append::Batch { framed, ordinal }
    }

    fn writer(disk: &SimDisk, file_bytes_max: u64) -> (Writer, Progress) {
        let state = PathBuf::from("/state");
        create_dirs_durably(disk, &files_dir(&state)).unwrap();
        let progress = Progress::new(0, 0, u64::MAX);
        let parts = WriterParts {
            disk: Arc::new(disk.clone()),
            state,
            place: place(),
            held: Held::default(),
            number: 0,
            file_bytes_max,
            progress: progress.clone(),
            status: Status::default(),
        };
        (Writer::new(parts).unwrap(), progress)
    }

    /// T29: whatever a failed sync calls itself, it is not tried again, and what it was for is not acknowledged.
    #[test]
    fn a_sync_that_failed_for_want_of_room_ends_the_writer() {
        let (_sender, incoming) = sync_channel(1);
        for (file_bytes_max, op) in [(1 << 20, Op::Sync), (1_000, Op::Sync), (1_000, Op::SyncDir)] {
            for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::Other] {
                let disk = SimDisk::new();
                let (mut writer, progress) = writer(&disk, file_bytes_max);
                assert_eq!(writer.turn(Some(batch(0, 1)), &incoming), Turn::Done);
                disk.set_fault(move |found, _, _| (found == op).then_some(kind));
                assert_eq!(writer.turn(Some(batch(1, 2)), &incoming), Turn::Ended, "{op:?}: {kind}");
                assert_eq!(progress.watch().borrow().sealed, 1);
                assert!(progress.has_failed());
            }
        }
    }

    /// T29: the disk fills up at the moment in which one file ends and the next is to begin.
    #[test]
    fn a_disk_that_fills_up_between_two_files_loses_nothing() {
        let disk = SimDisk::new();
        let (mut writer, progress) = writer(&disk, 2_000);
        let (_sender, incoming) = sync_channel(1);
        for ordinal in 0..2 {
            assert_eq!(writer.turn(Some(batch(ordinal, 1 + ordinal as u8)), &incoming), Turn::Done);
        }
        disk.set_capacity(Some(disk.used()));
        assert_eq!(writer.turn(Some(batch(2, 3)), &incoming), Turn::Full);
        assert_eq!(writer.turn(None, &incoming), Turn::Full);
        disk.set_capacity(None);
        assert_eq!(writer.turn(None, &incoming), Turn::Done);
        assert_eq!(progress.watch().borrow().sealed, 3);
        let disk = Arc::new(disk.crashed(7));
        let mut reader = Reader::new(disk, PathBuf::from("/state"), Position::default());
        let mut found = 0;
        while let Some((_, raw)) = reader.next(progress.watch().borrow().end).unwrap() {
            found += u32::from(matches!(raw.item(), Ok(Item::Batch { .. })));
        }
        assert_eq!(found, 3);
    }
}
