//! Files: the directory of `docs/spec/04-log.md` 4.8, segments, artefacts, tiles, quarantine, the writer's lock.

mod artefacts;
mod disk;
mod layout;
mod lock;
mod quarantine;
mod recovery;
mod segment_reader;
mod segment_writer;
mod tiles;

pub use disk::{Disk, DiskFile, RealDisk};
pub use lock::{Lock, LockError};

pub(crate) use artefacts::Artefacts;
pub(crate) use disk::{is_full, write_at};
pub(crate) use layout::{Durability, Files, Layout};
pub(crate) use quarantine::{Quarantine, Quarantined};
pub(crate) use recovery::{Met, RecoveryError, recover};
pub(crate) use segment_reader::{EntryIndex, read_item};
pub(crate) use segment_writer::{Item, Need, ReserveError, SegmentLimits, SegmentWriter};
pub(crate) use tiles::{Entries, TileError, TileWriter};
