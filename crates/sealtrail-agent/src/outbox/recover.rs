//! What an earlier process left behind: read once at the start, torn ends cut off.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use sealtrail_core::name::Identity;
use sealtrail_core::statement::{Claims, UnverifiedStatement};
use sealtrail_env::Disk;

use super::file::{FileReader, Next, Position, RawItem, files_dir, numbers, path};
use super::item::{Held, Item};
use super::known::{Candidates, Epochs, Origin};
use super::recent;
use crate::status::{Level, Status};

/// What was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Number of the next file to write.
    pub(crate) next_number: u64,
    /// The newest checkpoints an earlier process verified.
    pub(crate) held: Held,
    /// Where the first batch without a receipt stands, or the end.
    pub(crate) start: Position,
    /// Bytes of batches without a receipt.
    pub(crate) pending_bytes: u64,
    /// Batches without a receipt.
    pub(crate) pending_batches: u64,
    /// Whether some of them are for another trail or ledger.
    pub(crate) foreign: bool,
    /// Last committed sequence of each epoch with a mark.
    pub(crate) committed: HashMap<Identity, u64>,
    /// Epochs that are believed.
    pub(crate) epochs: Epochs,
    /// Batches that may hold digests of requests sent again.
    pub(crate) candidates: Candidates,
    /// Batches that the ledger refused, by what was kept of them.
    pub(crate) refused: Vec<(Identity, u64)>,
}

struct Scan<'a> {
    origin: &'a Origin,
    pending: VecDeque<Pending>,
    found: Recovered,
    foreign: bool,
}

/// A batch without a mark so far.
#[derive(Clone, Copy, Debug)]
struct Pending {
    epoch: Identity,
    sequence: u64,
    position: Position,
    bytes: u64,
    foreign: bool,
}

/// Reads all files. The last one may end anywhere: what does not hold there and had not been synced was never vouched for.
/// What had been synced and does not hold was damaged; what stands behind it is read all the same.
pub(crate) fn recover(
    disk: &dyn Disk,
    state: &Path,
    origin: &Origin,
    status: &Status,
) -> io::Result<Recovered> {
    let all = numbers(disk, &files_dir(state), "out")?;
    let next_number = all.last().map_or(0, |last| last + 1);
    let mut scan = Scan {
        origin,
        pending: VecDeque::new(),
        found: Recovered {
            next_number,
            held: Held::default(),
            start: Position { file: next_number, offset: 0 },
            pending_bytes: 0,
            pending_batches: 0,
            foreign: false,
            committed: HashMap::new(),
            epochs: Epochs::default(),
            candidates: Candidates::new(origin.place.clone()),
            refused: Vec::new(),
        },
        foreign: false,
    };
    recent::read(disk, state, |item| scan.believe_later(item))?;
    for number in &all {
        read_file(disk, &path(state, *number), *number, Some(number) == all.last(), status, &mut scan)?;
    }
    Ok(scan.finish())
}

fn read_file(
    disk: &dyn Disk,
    path: &Path,
    number: u64,
    last: bool,
    status: &Status,
    scan: &mut Scan<'_>,
) -> io::Result<()> {
    let mut file = FileReader::open(disk, path)?;
    let length = file.size()?;
    loop {
        let next = file.next()?;
        if let Next::Item(raw) = next {
            scan.take(number, &raw);
            continue;
        }
        let from = file.offset();
        // All of a file that was followed by another one had been synced.
        let goes_on = file.skip_damage(!last)?;
        let to = if goes_on { file.offset() } else { length };
        if goes_on || !last && to > from {
            let text = format!(
                "outbox file `{}`: bytes `{from}` to `{to}` are DAMAGED; a batch that stood there and that the ledger does \
                 not have is a gap in its epoch",
                path.display()
            );
            status.notice(Level::Error, text);
        } else if matches!(next, Next::Torn) {
            let cut = to - from;
            let text =
                format!("outbox file `{}`: left out `{cut}` bytes of an unfinished write", path.display());
            status.notice(Level::Info, text);
        }
        if !goes_on {
            break;
        }
    }
    // A new file is begun in any case, so the torn end must not be taken for more of this one.
    if last && length > file.offset() { cut(disk, path, file.offset()) } else { Ok(()) }
}

fn cut(disk: &dyn Disk, path: &Path, length: u64) -> io::Result<()> {
    let file = disk.open(path)?;
    file.set_size(length)?;
    file.sync_data()
}

impl Scan<'_> {
    fn take(&mut self, number: u64, raw: &RawItem) {
        // An item of a later version or of another hand is left alone.
        let Ok(item) = raw.item() else { return };
        match &item {
            Item::Header { place, held, .. } => {
                let own = &self.origin.place;
                self.foreign = place.ledger != own.ledger || place.trail != own.trail;
                if !self.foreign {
                    self.hold(*held);
                }
            }
            Item::Committed { epoch, sequence, held } => {
                if !self.foreign {
                    self.hold(*held);
                }
                self.found.committed.insert(*epoch, *sequence);
                self.pending.retain(|p| p.epoch != *epoch || p.sequence > *sequence);
            }
            Item::Batch { statement, .. } => {
                if let Some((epoch, sequence)) = batch_name(statement) {
                    let position = Position { file: number, offset: raw.offset };
                    let (bytes, foreign) = (raw.bytes(), self.foreign);
                    self.pending.push_back(Pending { epoch, sequence, position, bytes, foreign });
                }
            }
            _ => {}
        }
        if !self.foreign {
            self.believe_later(&item);
        }
    }

    fn believe_later(&mut self, item: &Item<'_>) {
        match item {
            Item::Open { statement, receipt, .. } => {
                self.found.epochs.learn(self.origin, statement, receipt);
            }
            Item::Batch { statement, digests: Some(digests), .. } | Item::Digests { statement, digests } => {
                self.found.candidates.push(statement, digests);
            }
            _ => {}
        }
    }

    fn hold(&mut self, held: Held) {
        if held.trail_size >= self.found.held.trail_size {
            (self.found.held.trail_size, self.found.held.trail_root) = (held.trail_size, held.trail_root);
        }
        if held.control_size >= self.found.held.control_size {
            (self.found.held.control_size, self.found.held.control_root) =
                (held.control_size, held.control_root);
        }
    }

    fn finish(mut self) -> Recovered {
        let committed = &self.found.committed;
        self.pending.retain(|p| committed.get(&p.epoch).is_none_or(|last| p.sequence > *last));
        if let Some(first) = self.pending.front() {
            self.found.start = first.position;
        }
        self.found.foreign = self.pending.iter().any(|p| p.foreign);
        self.found.pending_bytes = self.pending.iter().map(|p| p.bytes).sum();
        self.found.pending_batches = self.pending.len() as u64;
        self.found
    }
}

/// Epoch and sequence of a batch, nothing about it being checked.
pub(crate) fn batch_name(statement: &[u8]) -> Option<(Identity, u64)> {
    match UnverifiedStatement::decode(statement).ok()?.claims() {
        Claims::Batch(claims) => Some((claims.epoch, claims.sequence)),
        Claims::Open(_) => None,
    }
}
