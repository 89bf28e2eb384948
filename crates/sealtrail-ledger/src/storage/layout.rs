//! Where everything stands below the ledger's directory, and how a whole file gets there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sealtrail_core::artefact;
use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;
use sealtrail_core::segment::file_name;
use sealtrail_core::tile::Tile;

use super::{Disk, write_at};

/// The paths of a ledger's directory (`docs/spec/04-log.md` 4.8).
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn ledger_json(&self) -> PathBuf {
        self.root.join("ledger.json")
    }

    pub(crate) fn trails(&self) -> PathBuf {
        self.root.join("trails")
    }

    pub(crate) fn trail(&self, trail: TrailId) -> PathBuf {
        self.trails().join(trail.to_string())
    }

    pub(crate) fn checkpoint(&self, trail: TrailId) -> PathBuf {
        self.trail(trail).join("checkpoint")
    }

    pub(crate) fn segments(&self, trail: TrailId) -> PathBuf {
        self.trail(trail).join("segments")
    }

    pub(crate) fn segment(&self, trail: TrailId, number: u64) -> PathBuf {
        self.segments(trail).join(file_name(number))
    }

    pub(crate) fn tile(&self, trail: TrailId, tile: &Tile) -> PathBuf {
        self.trail(trail).join(tile.path())
    }

    pub(crate) fn artefacts(&self) -> PathBuf {
        self.root.join("artefacts")
    }

    pub(crate) fn artefact(&self, hash: &Hash) -> PathBuf {
        self.root.join(artefact::path(hash))
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.root.join("private")
    }

    pub(crate) fn checkpoint_key(&self) -> PathBuf {
        self.private().join("checkpoint.key")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.private().join("lock")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.private().join("quarantine")
    }

    /// Files on their way to their place: same file system, never seen by readers.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.private().join("scratch")
    }
}

/// Whether a file must outlive a power failure from the moment it is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Content and name are durable on return.
    Full,
    /// The content is durable on return, the name may be lost: a file that is rebuilt where it is missing.
    Content,
    /// Neither: a file that is rewritten at every start.
    None,
}

/// Puts whole files into place, so that a reader finds the old, the new or none, and never a part.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    counter: Arc<AtomicU64>,
}

impl Files {
    pub(crate) fn new(disk: Arc<dyn Disk>, layout: Layout) -> Self {
        Self { disk, layout, counter: Arc::default() }
    }

    /// A name nobody else uses while this process runs; leftovers of an earlier one are overwritten.
    pub(crate) fn scratch_path(&self) -> PathBuf {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        self.layout.scratch().join(format!("{number}.tmp"))
    }

    /// Writes a file and renames it to `path`, whose directory exists.
    ///
    /// # Errors
    /// Disk trouble. `path` then holds what it held before, or (only when the last step failed) the new content.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let scratch = self.scratch_path();
        let written = self.write_scratch(&scratch, bytes, durability);
        // Dying here leaves a scratch file, which the next start removes.
        if let Err(error) = written.and_then(|()| self.disk.rename(&scratch, path)) {
            // The first error is the one to report; a leftover is removed at the next start.
            let _ = self.disk.remove_file(&scratch);
            return Err(error);
        }
        match (durability, path.parent()) {
            (Durability::Full, Some(parent)) => self.disk.sync_dir(parent),
            _ => Ok(()),
        }
    }

    fn write_scratch(&self, scratch: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let file = self.disk.create(scratch)?;
        write_at(file.as_ref(), bytes, 0)?;
        if durability == Durability::None { Ok(()) } else { file.sync_data() }
    }

    /// Makes a directory below `above`, which exists, and both names durable.
    pub(crate) fn create_dir(&self, above: &Path, path: &Path) -> io::Result<()> {
        self.disk.create_dirs(path)?;
        self.disk.sync_dir(above)
    }
}
