//! Files: the directory of `docs/spec/04-log.md` 4.8, segments, artefacts, tiles, quarantine, the writer's lock.

mod artefacts;
mod layout;
mod lock;
mod quarantine;
mod recovery;
mod segment_reader;
mod segment_writer;
mod tiles;
mod tree;

pub use lock::{Lock, LockError};
pub use sealtrail_env::{Disk, DiskFile, RealDisk};

pub(crate) use artefacts::Artefacts;
pub(crate) use layout::{Durability, Files, Layout};
pub(crate) use quarantine::{Quarantine, Quarantined};
pub(crate) use recovery::{Met, RecoveryError, recover};
pub(crate) use sealtrail_env::{is_full, write_at};
pub(crate) use segment_reader::{EntryIndex, Place, read_index_pair, read_item};
pub(crate) use segment_writer::{Item, Need, ReserveError, SegmentLimits, SegmentWriter};
pub(crate) use tiles::{Entries, TileError, TileWriter, read_tile};
pub(crate) use tree::{Recalled, TileNodes, TrailTree, tiles_of_proof};
