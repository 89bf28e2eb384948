//! The thread that appends to the outbox: many items, one write, one sync, then the word that they are safe.
//!
//! If the process dies before the sync, nobody was told that those records are safe. If it dies after, recovery finds
//! them. A sync that failed is never tried again: what the kernel dropped it will not say, so the agent stops.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use sealtrail_core::statement::Place;
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
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) state: PathBuf,
    pub(crate) place: Place,
    pub(crate) held: Held,
    pub(crate) file_bytes_max: u64,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    tail: Tail,
    open: Vec<u8>,
}

/// The file that is being written.
#[derive(Debug)]
struct Tail {
    number: u64,
    file: File,
    offset: u64,
    allocated: u64,
}

/// What a writer is made of.
#[derive(Debug)]
pub(crate) struct WriterParts {
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
        let WriterParts { state, place, held, number, file_bytes_max, progress, status } = parts;
        let open = Vec::new();
        let tail = begin(&state, number, &place, held, &open, file_bytes_max)?;
        let writer = Self { state, place, held, file_bytes_max, progress, status, tail, open };
        writer.report(0);
        Ok(writer)
    }

    /// Appends what it is given until it is told to stop or nobody can give it anything any more.
    pub(crate) fn run(mut self, incoming: &Receiver<Append>) {
        loop {
            match incoming.recv_timeout(IDLE) {
                Ok(first) => match self.group(first, incoming) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => return self.fail(&error),
                },
                Err(RecvTimeoutError::Timeout) if !self.progress.aborted() => {}
                Err(_) => break,
            }
        }
        if let Err(error) = self.tail.end() {
            self.fail(&error);
        }
    }

    /// Writes and syncs one group; `false` where it was the last.
    fn group(&mut self, first: Append, incoming: &Receiver<Append>) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let mut sealed = 0;
        let mut opened = Vec::new();
        let mut durable = false;
        let mut go_on = true;
        let mut next = Some(first);
        while let Some(append) = next.take() {
            match append {
                Append::Batch { framed, ordinal } => {
                    bytes.extend_from_slice(&framed);
                    sealed = ordinal + 1;
                    durable = true;
                }
                Append::Open { framed, done } => {
                    bytes.extend_from_slice(&framed);
                    self.open = framed;
                    opened.push(done);
                    durable = true;
                }
                Append::Mark { framed, held } => {
                    bytes.extend_from_slice(&framed);
                    self.held = held;
                }
                Append::Stop => go_on = false,
            }
            if go_on && bytes.len() < GROUP_BYTES_MAX {
                next = incoming.try_recv().ok();
            }
        }
        self.append(&bytes)?;
        if durable {
            self.tail.file.sync_data()?;
            self.report(sealed);
            for done in opened {
                // Whoever asked may be gone; the open is kept all the same.
                let _ = done.send(());
            }
        }
        Ok(go_on && !self.progress.aborted())
    }

    /// Appends bytes, in a new file where this one is full. Waits while the disk is full.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.try_append(bytes) {
                Err(error) if is_full(&error) && !self.progress.aborted() => {
                    self.progress.set_disk_full(true);
                    self.status.trouble("outbox", "disk is full".to_owned());
                    std::thread::sleep(DISK_FULL_RETRY);
                }
                other => {
                    if other.is_ok() && self.progress.disk_full() {
                        self.progress.set_disk_full(false);
                        self.status.clear("outbox");
                    }
                    return other;
                }
            }
        }
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.tail.offset >= self.file_bytes_max {
            self.roll()?;
        }
        self.tail.write(bytes, self.file_bytes_max)
    }

    /// Ends this file and begins the next, which takes its place only once its start is synced: where the disk is full on
    /// the way, the next try begins it again. If the process dies here, a file without a whole start stands at the end.
    fn roll(&mut self) -> io::Result<()> {
        self.tail.end()?;
        let number = self.tail.number + 1;
        self.tail = begin(&self.state, number, &self.place, self.held, &self.open, self.file_bytes_max)?;
        Ok(())
    }

    fn report(&self, sealed: u64) {
        self.progress.sealed(sealed, Position { file: self.tail.number, offset: self.tail.offset });
    }

    fn fail(&self, error: &io::Error) {
        self.status.notice(Level::Error, format!("outbox cannot be written, the agent stops: {error}"));
        self.status.trouble("outbox", error.to_string());
        self.progress.fail();
    }
}

impl Tail {
    /// Writes at the end. A write that failed halfway is written over by the next.
    fn write(&mut self, bytes: &[u8], file_bytes_max: u64) -> io::Result<()> {
        let end = self.offset + bytes.len() as u64;
        if end > self.allocated {
            let more = (end - self.allocated).max(PREALLOCATE_BYTES.min(file_bytes_max));
            match fallocate(&self.file, FallocateFlags::empty(), self.allocated, more) {
                Ok(()) => self.allocated += more,
                // Not every file system can; then the file simply grows.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.file.write_all_at(bytes, self.offset)?;
        self.offset = end;
        Ok(())
    }

    /// Gives back what was preallocated, synced.
    fn end(&mut self) -> io::Result<()> {
        self.file.set_len(self.offset)?;
        self.allocated = self.offset;
        self.file.sync_all()
    }
}

/// Begins a file with magic, header and the epoch's open, so that each file is understood on its own.
fn begin(
    state: &Path,
    number: u64,
    place: &Place,
    held: Held,
    open: &[u8],
    file_bytes_max: u64,
) -> io::Result<Tail> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    let mut tail = Tail { number, file: options.open(path(state, number))?, offset: 0, allocated: 0 };
    let mut start = MAGIC.to_vec();
    Item::Header { number, place: place.clone(), held }.push_to(&mut start);
    start.extend_from_slice(open);
    tail.write(&start, file_bytes_max)?;
    tail.file.sync_all()?;
    File::open(files_dir(state))?.sync_all()?;
    Ok(tail)
}

/// Whether the disk, or a quota on it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
