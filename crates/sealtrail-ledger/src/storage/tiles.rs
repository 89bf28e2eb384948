//! Publishing a trail as tlog-tiles files (`docs/spec/04-log.md` 4.2): hash tiles, entry bundles, the checkpoint.
//!
//! All of it is derived from durable entries and can be made again.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::leaf_hash;
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::tile::{TILE_WIDTH, Tile, push_entry};

use super::{Durability, Files, TrailTree};

/// How many generations of partial tiles stay: readers that fetched a checkpoint a few seconds ago still find them.
const PARTIALS_KEPT: usize = 8;

/// A full hash tile.
const TILE_BYTES: usize = TILE_WIDTH as usize * size_of::<Hash>();

/// Levels of hash tiles in the largest tree: 256^7 entries are beyond 2^53.
const LEVELS_MAX: u8 = 7;

/// Why tiles could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TileError {
    /// Disk trouble.
    #[error("cannot write tiles")]
    Io(#[from] io::Error),
    /// An entry could not be read back.
    #[error("cannot read entry `{0}` back")]
    Entry(u64),
}

/// Writes the tiles and checkpoints of one trail.
pub(crate) struct TileWriter {
    files: Files,
    trail: TrailId,
    published: TreeSize,
    partials: VecDeque<Vec<Tile>>,
}

/// What tiles are made of.
pub(crate) trait Entries {
    /// Calls `read` with the tree.
    fn with_tree(&self, read: &mut dyn FnMut(&TrailTree));

    /// An entry's bytes.
    fn entry(&self, index: u64) -> Option<Vec<u8>>;
}

impl TileWriter {
    pub(crate) fn new(files: Files, trail: TrailId, published: TreeSize) -> Self {
        Self { files, trail, published, partials: VecDeque::new() }
    }

    /// The size of the published checkpoint.
    pub(crate) fn published(&self) -> TreeSize {
        self.published
    }

    /// Brings the tiles up to `size` and then replaces the checkpoint.
    ///
    /// # Errors
    /// [`TileError`]; the old checkpoint then stands, and all its tiles with it.
    pub(crate) fn publish(
        &mut self,
        entries: &dyn Entries,
        size: TreeSize,
        note: &[u8],
    ) -> Result<(), TileError> {
        let tiles = tiles_between(self.published.0, size.0);
        self.write_all(entries, &tiles)?;
        // Dying here leaves tiles beyond the checkpoint, which say nothing and are written again.
        self.files.put(&self.files.layout.checkpoint(self.trail), note, Durability::Full)?;
        self.published = size;
        self.partials.push_back(tiles.iter().copied().filter(is_partial).collect());
        self.drop_partials(&tiles);
        Ok(())
    }

    /// Writes the tiles of the published size that are missing or not what the entries say, and all partial ones: an
    /// earlier process may have died before they were durable.
    ///
    /// # Errors
    /// [`TileError`].
    pub(crate) fn rebuild(&mut self, entries: &dyn Entries) -> Result<(), TileError> {
        let wanted = tiles_between(0, self.published.0);
        let missing: Vec<Tile> =
            wanted.into_iter().filter(|tile| is_partial(tile) || !self.is_whole(entries, tile)).collect();
        self.write_all(entries, &missing)
    }

    fn is_whole(&self, entries: &dyn Entries, tile: &Tile) -> bool {
        let Some(level) = tile.level else {
            let file = self.files.disk.open_read(&self.files.layout.tile(self.trail, tile));
            // Every entry has more than two bytes, so a bundle of 256 has more than so many.
            return file.and_then(|file| file.size()).is_ok_and(|bytes| bytes > TILE_WIDTH * 2);
        };
        let Some(written) = read_tile(&self.files, self.trail, tile) else { return false };
        let mut whole = false;
        entries.with_tree(&mut |tree| whole = tree.has_tile(level, tile.number, &written));
        whole
    }

    fn write_all(&self, entries: &dyn Entries, tiles: &[Tile]) -> Result<(), TileError> {
        for tile in tiles {
            let bytes = match tile.level {
                Some(level) => hashes(entries, tile, level)?,
                None => bundle(entries, tile)?,
            };
            let path = self.files.layout.tile(self.trail, tile);
            let durability = if is_partial(tile) { Durability::None } else { Durability::Content };
            if let Some(parent) = path.parent() {
                self.files.disk.create_dirs(parent)?;
            }
            self.files.put(&path, &bytes, durability)?;
        }
        Ok(())
    }

    /// Removes partial tiles that nobody needs any more: of full tiles, and of old generations. Failing to is no
    /// matter.
    fn drop_partials(&mut self, written: &[Tile]) {
        for tile in written.iter().filter(|tile| !is_partial(tile)) {
            let mut directory = self.files.layout.tile(self.trail, tile).into_os_string();
            directory.push(".p");
            let _ = self.files.disk.remove_dirs(directory.as_ref());
        }
        while self.partials.len() > PARTIALS_KEPT {
            let still: Vec<Tile> = self.partials.iter().skip(1).flatten().copied().collect();
            for tile in self.partials.pop_front().unwrap_or_default() {
                if !still.contains(&tile) {
                    let _ = self.files.disk.remove_file(&self.files.layout.tile(self.trail, &tile));
                }
            }
        }
    }
}

fn is_partial(tile: &Tile) -> bool {
    u64::from(tile.width) < TILE_WIDTH
}

/// The tiles that a tree of `new` entries has and one of `old` does not.
fn tiles_between(old: u64, new: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut at = |level: Option<u8>, old: u64, new: u64| {
        let mut number = old / TILE_WIDTH;
        while number * TILE_WIDTH < new {
            let width = (new - number * TILE_WIDTH).min(TILE_WIDTH);
            if number * TILE_WIDTH + width > old {
                tiles.push(Tile { level, number, width: u16::try_from(width).unwrap_or(u16::MAX) });
            }
            number += 1;
        }
    };
    at(None, old, new);
    for level in 0..=LEVELS_MAX {
        let shift = 8 * u32::from(level);
        at(Some(level), old.checked_shr(shift).unwrap_or(0), new.checked_shr(shift).unwrap_or(0));
    }
    tiles
}

/// From the tree, or, where it forgot them, from the entries.
fn hashes(entries: &dyn Entries, tile: &Tile, level: u8) -> Result<Vec<u8>, TileError> {
    let mut known = None;
    entries.with_tree(&mut |tree| known = tree.tile(level, tile.number, tile.width));
    if let Some(known) = known {
        return Ok(known);
    }
    let mut bytes = Vec::with_capacity(usize::from(tile.width) * size_of::<Hash>());
    for index in leaves(tile) {
        bytes.extend(leaf_hash(&entries.entry(index).ok_or(TileError::Entry(index))?));
    }
    Ok(bytes)
}

/// The indices of the entries of a bundle or a tile of leaves.
fn leaves(tile: &Tile) -> Range<u64> {
    let start = tile.number * TILE_WIDTH;
    start..start + u64::from(tile.width)
}

/// The hashes of a full tile as they are on the disk; `None` where there is none.
pub(crate) fn read_tile(files: &Files, trail: TrailId, tile: &Tile) -> Option<Vec<Hash>> {
    let bytes = files.disk.read(&files.layout.tile(trail, tile), TILE_BYTES).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    (hashes.len() as u64 == TILE_WIDTH && rest.is_empty()).then(|| hashes.to_vec())
}

fn bundle(entries: &dyn Entries, tile: &Tile) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for index in leaves(tile) {
        push_entry(&mut bytes, &entries.entry(index).ok_or(TileError::Entry(index))?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_between_two_sizes_are_those_that_change() {
        let paths = |old, new| -> Vec<String> { tiles_between(old, new).iter().map(Tile::path).collect() };
        assert_eq!(paths(0, 0), Vec::<String>::new());
        assert_eq!(paths(0, 1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(paths(5, 5), Vec::<String>::new());
        assert_eq!(paths(255, 256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(
            paths(256, 513),
            ["tile/entries/001", "tile/entries/002.p/1", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]
        );
    }
}
