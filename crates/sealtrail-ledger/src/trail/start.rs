//! Starting a trail: read its segments, rebuild tree and epochs, hold them against what was published.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sealtrail_core::checkpoint::{Checkpoint, LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::hash::Hash;
use sealtrail_core::key::{KeyError, Signer};
use sealtrail_core::merkle::{Frontier, Nodes as _, leaf_hash};
use sealtrail_core::name::{Identity, TrailId, TreeSize};
use sealtrail_core::note::NOTE_BYTES_MAX;
use sealtrail_core::statement::{Claims, UnverifiedStatement};

use crate::health::Health;
use crate::metrics::Metrics;
use crate::storage::{Files, Met, RecoveryError, SegmentLimits, TileError, TileWriter, TrailTree, recover};

use super::heard::Heard;
use super::shared::{EpochKey, Log};
use super::{EpochTable, TrailInfo, TrailShared, TrailWriter};

/// Why a trail cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its segments cannot be read back.
    #[error("trail `{trail}` cannot be read back")]
    Segments {
        /// The trail.
        trail: TrailId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its published checkpoint is missing, or is not one of this ledger.
    #[error("trail `{trail}` has no checkpoint of this ledger in `{path}`: {reason}", path = .path.display())]
    Checkpoint {
        /// The trail.
        trail: TrailId,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are fewer entries than were published: an older copy was put back, or the newest files are gone.
    #[error(
        "trail `{trail}` has `{found}` entries, and `{published}` were published: rolled back or damaged"
    )]
    RolledBack {
        /// The trail.
        trail: TrailId,
        /// Entries in the segments.
        found: TreeSize,
        /// Size of the published checkpoint.
        published: TreeSize,
    },
    /// The entries are others than were published.
    #[error("the first `{published}` entries of trail `{trail}` are not those that were published: damaged")]
    Differs {
        /// The trail.
        trail: TrailId,
        /// Size of the published checkpoint.
        published: TreeSize,
    },
    /// Entries that were read a moment before cannot be read again.
    #[error("the entries of trail `{trail}` cannot be read again")]
    Unreadable {
        /// The trail.
        trail: TrailId,
    },
    /// The checkpoint key cannot sign.
    #[error("the checkpoint key cannot sign")]
    Key(#[from] KeyError),
    /// Missing tiles cannot be made again.
    #[error("tiles of trail `{trail}` cannot be rebuilt")]
    Tiles {
        /// The trail.
        trail: TrailId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A trail that is ready to be written to.
pub(crate) struct Started {
    pub(crate) writer: TrailWriter,
    pub(crate) epochs: EpochTable,
    pub(crate) tiles: TileWriter,
    /// Bytes of unfinished writes that were cut off.
    pub(crate) cut_bytes: u64,
}

/// What starting a trail needs.
pub(crate) struct StartContext<'a> {
    pub(crate) files: &'a Files,
    pub(crate) ledger: &'a LedgerKey,
    pub(crate) signer: &'a Arc<dyn Signer>,
    pub(crate) limits: SegmentLimits,
    pub(crate) health: &'a Health,
    pub(crate) metrics: &'a Arc<Metrics>,
}

/// Starts a trail; `visit` hears of every entry with its statement, in order. The trail holds what its own checkpoint
/// covers, and what the control trail `said` of it, size and root, or nothing of it is changed.
///
/// # Errors
/// [`StartError`].
pub(crate) fn start_trail(
    context: &StartContext<'_>,
    info: TrailInfo,
    said: Option<(TreeSize, Hash)>,
    visit: &mut dyn FnMut(&Met<'_>, &UnverifiedStatement) -> Result<(), &'static str>,
) -> Result<Started, StartError> {
    let trail = info.id;
    let published = read_checkpoint(context.files, context.ledger, trail)?;
    let mut state = State { published: published.size(), ..State::default() };
    let recovered = recover(context.files, trail, context.limits, published.size().0, &mut |met| {
        let statement =
            UnverifiedStatement::decode(met.entry.statement).map_err(|_| "a statement is malformed")?;
        visit(met, &statement)?;
        state.take(met, &statement);
        Ok(())
    })
    .map_err(segments(trail))?;
    let (index, unsettled) = recovered.into_parts();
    let log = Log { tree: state.tree, index, active: unsettled.active() };
    let mut shared = TrailShared::new(info, context.files.clone(), context.signer.clone(), log, state.keys)?;
    shared.heard = state.heard;
    for (size, root) in [(published.size(), published.root())].into_iter().chain(said) {
        check_published(&shared, size, root)?;
    }
    let (segments, cut_bytes) = unsettled.settle().map_err(segments(trail))?;
    let mut tiles = TileWriter::new(context.files.clone(), trail, published.size());
    tiles.rebuild(&shared).map_err(|source: TileError| StartError::Tiles { trail, source: source.into() })?;
    let writer = TrailWriter::new(
        Arc::new(shared),
        segments,
        state.frontier,
        context.health.clone(),
        context.metrics.clone(),
    );
    Ok(Started { writer, epochs: state.epochs, tiles, cut_bytes })
}

fn segments(trail: TrailId) -> impl Fn(RecoveryError) -> StartError {
    move |source| StartError::Segments { trail, source: source.into() }
}

/// What is rebuilt from entries.
#[derive(Default)]
struct State {
    tree: TrailTree,
    /// Of what was published there are tiles.
    published: TreeSize,
    frontier: Frontier,
    epochs: EpochTable,
    heard: Heard,
    keys: HashMap<Identity, Arc<EpochKey>>,
}

impl State {
    fn take(&mut self, met: &Met<'_>, statement: &UnverifiedStatement) {
        let leaf = leaf_hash(met.bytes);
        self.tree.push(leaf);
        self.tree.forget(self.published.min(self.tree.size()));
        self.frontier.push(leaf, |_, _, _| {});
        let (identity, received_ns) = (statement.identity(), met.entry.ledger_part.received_at_ns);
        match statement.claims() {
            Claims::Open(claims) => {
                let before = self.epochs.insert_open(identity, claims, met.index);
                self.heard.open(identity, claims, before, received_ns);
                self.keys.entry(identity).or_insert_with(|| Arc::new(EpochKey::new(claims, met.index)));
            }
            Claims::Batch(claims) => {
                self.epochs.insert_batch(identity, claims, met.index);
                self.heard.batch(claims, received_ns);
            }
        }
    }
}

/// Holds a trail against a size and root that were published.
///
/// # Errors
/// [`StartError::RolledBack`] and [`StartError::Differs`].
fn check_published(shared: &TrailShared, published: TreeSize, root: Hash) -> Result<(), StartError> {
    let (trail, found) = (shared.info.id, shared.head().size);
    if found < published {
        return Err(StartError::RolledBack { trail, found, published });
    }
    match shared.root_at(published) {
        None => Err(StartError::Unreadable { trail }),
        Some(found) if found != root => Err(StartError::Differs { trail, published }),
        Some(_) => Ok(()),
    }
}

fn read_checkpoint(files: &Files, ledger: &LedgerKey, trail: TrailId) -> Result<Checkpoint, StartError> {
    let path = files.layout.checkpoint(trail);
    let wrong = |reason: String| StartError::Checkpoint { trail, path: path.clone(), reason };
    let note = files.disk.read(&path, NOTE_BYTES_MAX).map_err(|error: io::Error| wrong(error.to_string()))?;
    let unverified = UnverifiedCheckpoint::decode(&note).map_err(|error| wrong(error.to_string()))?;
    unverified.verify(ledger, trail).map_err(|error| wrong(error.to_string()))
}
