//! Comparing the checkpoints that the agent was shown with what the ledger publishes to everybody.
//!
//! Control checkpoints come without consistency proofs, and so does the checkpoint of an open's receipt. Each of them is
//! remembered, and compared with the published tiles (`docs/spec/04-log.md` 4.2) once these have grown beyond it: a ledger
//! that shows the agent another history than the one it publishes is found out by the agent itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealtrail_core::checkpoint::{CheckpointError, LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::hash::{EMPTY, Hash};
use sealtrail_core::merkle::{node_hash, root_in_place};
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::note::NOTE_BYTES_MAX;
use sealtrail_core::tile::{TILE_WIDTH, Tile};

use super::{CallError, Client};
use crate::status::{Level, Status};

/// Checkpoints remembered for each trail. Where more come than are published, the smallest are forgotten: the larger ones
/// say more.
const SIGHTINGS_MAX: usize = 64;

/// Bytes of a full tile of hashes.
const TILE_BYTES: usize = 256 * 32;

/// Why the comparison came to nothing, or to the worst.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineageError {
    /// The ledger did not answer, or does not publish the tile (partial ones may be missing): tried again later.
    #[error("published history cannot be read: {0}")]
    Unreadable(String),
    /// The published checkpoint is not the ledger's.
    #[error("published checkpoint is refused: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The published checkpoint is smaller than one published before.
    #[error("published checkpoint of trail `{trail}` went back from size `{before}` to `{now}`")]
    Smaller {
        /// The trail.
        trail: TrailId,
        /// Size before.
        before: TreeSize,
        /// Size now.
        now: TreeSize,
    },
    /// The tiles lead to another root than a signed checkpoint has.
    #[error(
        "two histories of trail `{trail}`: the published tiles do not lead to the signed checkpoint of size `{size}`"
    )]
    Fork {
        /// The trail.
        trail: TrailId,
        /// Size of the checkpoint.
        size: TreeSize,
    },
}

impl From<CallError> for LineageError {
    fn from(error: CallError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Signed checkpoints of some trails that wait to be compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings(Arc<Mutex<HashMap<TrailId, Trail>>>);

#[derive(Clone, Debug, Default)]
struct Trail {
    waiting: BTreeMap<TreeSize, Hash>,
    published: TreeSize,
}

impl Sightings {
    /// Remembers a signed checkpoint.
    pub(crate) fn add(&self, trail: TrailId, size: TreeSize, root: Hash) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = &mut all.entry(trail).or_default().waiting;
        waiting.insert(size, root);
        while waiting.len() > SIGHTINGS_MAX {
            waiting.pop_first();
        }
    }

    fn of(&self, trail: TrailId) -> Trail {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&trail).cloned().unwrap_or_default()
    }

    /// Those up to the published size agree with it.
    fn settle(&self, trail: TrailId, published: TreeSize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = all.entry(trail).or_default();
        of.waiting.retain(|size, _| *size > published);
        of.published = published;
    }
}

/// Compares, now and then, for ever. What is found once stays in the status: a fork does not heal.
pub(crate) async fn watch(
    client: Client,
    ledger: LedgerKey,
    trails: [TrailId; 2],
    sightings: Sightings,
    status: Status,
    every: Duration,
) {
    loop {
        tokio::time::sleep(every).await;
        for trail in trails {
            match compare(&client, &ledger, trail, &sightings).await {
                Ok(()) | Err(LineageError::Unreadable(_)) => {}
                Err(error) => {
                    status.trouble("history", error.to_string());
                    status.notice(
                        Level::Error,
                        "the ledger's receipts prove nothing until this is explained".to_owned(),
                    );
                }
            }
        }
    }
}

/// Compares what waits with what is published.
async fn compare(
    client: &Client,
    ledger: &LedgerKey,
    trail: TrailId,
    sightings: &Sightings,
) -> Result<(), LineageError> {
    let Trail { waiting, published: before } = sightings.of(trail);
    if waiting.is_empty() {
        return Ok(());
    }
    let note = client.get(&format!("/v1/trails/{trail}/checkpoint"), NOTE_BYTES_MAX).await?;
    let published = UnverifiedCheckpoint::decode(&note)?.verify(ledger, trail)?;
    let now = published.size();
    if now < before {
        return Err(LineageError::Smaller { trail, before, now });
    }
    let mut tiles = Tiles { client, trail, size: now, read: HashMap::new() };
    let at_published = [(now, published.root())];
    let covered = waiting.iter().map(|(size, root)| (*size, *root)).filter(|(size, _)| *size <= now);
    for (size, root) in covered.chain(at_published) {
        if tiles.root_at(size).await? != root {
            return Err(LineageError::Fork { trail, size });
        }
    }
    sightings.settle(trail, now);
    Ok(())
}

/// The published tiles of a trail of some size, read as needed.
struct Tiles<'a> {
    client: &'a Client,
    trail: TrailId,
    size: TreeSize,
    read: HashMap<(u8, u64), Vec<Hash>>,
}

impl Tiles<'_> {
    /// The root of the first `size` leaves: the complete subtrees of its binary digits, largest first, joined from the
    /// right.
    async fn root_at(&mut self, size: TreeSize) -> Result<Hash, LineageError> {
        let mut subtrees = Vec::new();
        let mut first_leaf = 0;
        for level in (0..u64::BITS).rev().filter(|level| size.0 >> level & 1 == 1) {
            subtrees.push(self.node(level, first_leaf >> level).await?);
            first_leaf += 1 << level;
        }
        let mut subtrees = subtrees.into_iter().rev();
        let Some(last) = subtrees.next() else { return Ok(EMPTY) };
        Ok(subtrees.fold(last, |right, left| node_hash(&left, &right)))
    }

    /// A node of the tree: its tile has 2^(level mod 8) hashes below it.
    async fn node(&mut self, level: u32, index: u64) -> Result<Hash, LineageError> {
        // At most 63, so the tile's level is at most 7.
        let (tile_level, within) = ((level / 8) as u8, level % 8);
        let first = index << within;
        let hashes = self.tile(tile_level, first / TILE_WIDTH).await?;
        // Both are below 256.
        let (start, count) = ((first % TILE_WIDTH) as usize, 1_usize << within);
        let missing = || LineageError::Unreadable("tile is too narrow".to_owned());
        let mut below = hashes.get(start..start + count).ok_or_else(missing)?.to_vec();
        Ok(root_in_place(&mut below))
    }

    async fn tile(&mut self, level: u8, number: u64) -> Result<&[Hash], LineageError> {
        if !self.read.contains_key(&(level, number)) {
            let hashes = self.fetch(level, number).await?;
            self.read.insert((level, number), hashes);
        }
        Ok(self.read.get(&(level, number)).map(Vec::as_slice).unwrap_or_default())
    }

    async fn fetch(&self, level: u8, number: u64) -> Result<Vec<Hash>, LineageError> {
        let hashes_at_level = self.size.0 >> (8 * u32::from(level));
        let width = (hashes_at_level - (number * TILE_WIDTH).min(hashes_at_level)).min(TILE_WIDTH);
        // At most 256.
        let tile = Tile { level: Some(level), number, width: width as u16 };
        let path = format!("/v1/trails/{}/{}", self.trail, tile.path());
        let bytes = self.client.get(&path, TILE_BYTES).await?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() as u64 != width || !rest.is_empty() {
            return Err(LineageError::Unreadable(format!("`{path}` has `{}` bytes", bytes.len())));
        }
        Ok(hashes.to_vec())
    }
}
