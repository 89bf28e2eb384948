//! The batches that are next to be sent, read from the outbox as needed.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_core::name::Identity;
use sealtrail_env::Disk;

use super::api::BATCHES_MAX;
use crate::outbox::{Item, Position, RawItem, Reader, StateDir, batch_name, files_dir, numbers};

/// Most bytes in one request, unless a single batch is longer: 30,000 records, well below the 32 MiB that the ledger takes,
/// because the agent holds the request twice while it is sent. With a ledger 100 ms away that is 300,000 records a second.
const REQUEST_BYTES_MAX: u64 = 1 << 20;

/// One batch from the outbox.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) epoch: Identity,
    pub(crate) sequence: u64,
    /// The file it stands in.
    pub(crate) file: u64,
    /// Whether it still waits for its receipt. One that is sent again because the ledger lost it does not.
    pub(crate) pending: bool,
    raw: RawItem,
}

impl Loaded {
    /// Statement and stored body.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        match self.raw.item() {
            Ok(Item::Batch { statement, body, .. }) => (statement, body),
            _ => (&[], &[]),
        }
    }

    /// Bytes in the outbox.
    pub(crate) fn bytes(&self) -> u64 {
        self.raw.bytes()
    }

    /// The item.
    pub(crate) fn item(&self) -> Option<Item<'_>> {
        self.raw.item().ok()
    }
}

/// What is next.
pub(crate) struct Queue {
    disk: Arc<dyn Disk>,
    state: PathBuf,
    reader: Reader,
    loaded: VecDeque<Loaded>,
    /// Newest settled sequence of each epoch.
    settled: HashMap<Identity, u64>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({:?})", self.reader)
    }
}

impl Queue {
    /// From the first batch without a receipt.
    pub(crate) fn new(state: &StateDir, start: Position, settled: HashMap<Identity, u64>) -> Self {
        let (disk, state) = (Arc::clone(state.disk()), state.path().to_owned());
        let reader = Reader::new(Arc::clone(&disk), state.clone(), start);
        Self { disk, state, reader, loaded: VecDeque::new(), settled }
    }

    /// Loads up to one request's worth. Reads from disk.
    pub(crate) fn fill(&mut self, end: Position) -> io::Result<()> {
        let mut bytes: u64 = self.loaded.iter().map(Loaded::bytes).sum();
        while self.loaded.len() < BATCHES_MAX && bytes < REQUEST_BYTES_MAX {
            let Some((file, raw)) = self.reader.next(end)? else { break };
            let name = match raw.item() {
                Ok(Item::Batch { statement, .. }) => batch_name(statement),
                _ => None,
            };
            let Some((epoch, sequence)) = name else { continue };
            let pending = self.settled.get(&epoch).is_none_or(|last| sequence > *last);
            bytes += raw.bytes();
            self.loaded.push_back(Loaded { epoch, sequence, file, pending, raw });
        }
        Ok(())
    }

    /// What is loaded, in order.
    pub(crate) fn loaded(&self) -> &VecDeque<Loaded> {
        &self.loaded
    }

    /// Whether there may be more before `end`.
    pub(crate) fn is_behind(&self, end: Position) -> bool {
        !self.loaded.is_empty() || self.reader.position() < end
    }

    /// Takes the first batch out: it has been settled.
    pub(crate) fn settle(&mut self) -> Option<Loaded> {
        let first = self.loaded.pop_front()?;
        let last = self.settled.entry(first.epoch).or_insert(first.sequence);
        *last = first.sequence.max(*last);
        Some(first)
    }

    /// The first file that is still needed.
    pub(crate) fn first_file(&self) -> u64 {
        self.loaded.front().map_or(self.reader.position().file, |first| first.file)
    }

    /// Goes back to a batch that the ledger asks for; `false` where it is no longer there. Reads from disk.
    pub(crate) fn rewind(&mut self, epoch: Identity, sequence: u64, end: Position) -> io::Result<bool> {
        let Some(first) = numbers(self.disk.as_ref(), &files_dir(&self.state), "out")?.first().copied()
        else {
            return Ok(false);
        };
        let mut search =
            Reader::new(Arc::clone(&self.disk), self.state.clone(), Position { file: first, offset: 0 });
        while let Some((file, raw)) = search.next(end)? {
            let Ok(Item::Batch { statement, .. }) = raw.item() else { continue };
            if batch_name(statement) == Some((epoch, sequence)) {
                self.loaded.clear();
                self.reader.seek(Position { file, offset: raw.offset });
                return Ok(true);
            }
        }
        Ok(false)
    }
}
