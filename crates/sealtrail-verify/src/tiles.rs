//! Comparing published tiles and entry bundles with those that the entries give.

use std::io;

use sealtrail_core::entry::ENTRY_BYTES_MAX;
use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;
use sealtrail_core::tile::{TILE_WIDTH, Tile, push_entry};

use crate::{Class, Finding, Source};

/// Longest bundle: 256 entries with their lengths.
const BUNDLE_BYTES_MAX: usize = TILE_WIDTH as usize * (ENTRY_BYTES_MAX + 2);

/// Gathers hashes and entries until a tile is full, then compares it with the published file.
pub(crate) struct TileCheck<'a> {
    source: &'a dyn Source,
    trail: TrailId,
    levels: Vec<Vec<u8>>,
    bundle: Vec<u8>,
    bundled: u64,
    pub(crate) findings: Vec<Finding>,
    /// The first file that is there and cannot be read.
    pub(crate) unreadable: Option<io::Error>,
}

impl<'a> TileCheck<'a> {
    pub(crate) fn new(source: &'a dyn Source, trail: TrailId) -> Self {
        Self {
            source,
            trail,
            levels: Vec::new(),
            bundle: Vec::new(),
            bundled: 0,
            findings: Vec::new(),
            unreadable: None,
        }
    }

    /// Hears of a complete node of the tree.
    pub(crate) fn node(&mut self, level: u32, index: u64, hash: &Hash) {
        if !level.is_multiple_of(8) {
            return;
        }
        let tile_level = (level / 8) as usize;
        if self.levels.len() <= tile_level {
            self.levels.resize(tile_level + 1, Vec::new());
        }
        let Some(hashes) = self.levels.get_mut(tile_level) else { return };
        hashes.extend_from_slice(hash);
        if index % TILE_WIDTH == TILE_WIDTH - 1 {
            let hashes = std::mem::take(hashes);
            let tile_level = u8::try_from(tile_level).unwrap_or(u8::MAX);
            self.compare(Tile { level: Some(tile_level), number: index / TILE_WIDTH, width: 256 }, &hashes);
        }
    }

    /// Hears of an entry.
    pub(crate) fn entry(&mut self, entry: &[u8]) {
        push_entry(&mut self.bundle, entry);
        self.bundled += 1;
        if self.bundled.is_multiple_of(TILE_WIDTH) {
            let bundle = std::mem::take(&mut self.bundle);
            let number = self.bundled / TILE_WIDTH - 1;
            self.compare(Tile { level: None, number, width: 256 }, &bundle);
        }
    }

    fn compare(&mut self, tile: Tile, expected: &[u8]) {
        let path = tile.path();
        let found = self.source.read(&format!("trails/{}/{path}", self.trail), BUNDLE_BYTES_MAX);
        let detail = match found {
            Ok(None) => return,
            Ok(Some(found)) if found == expected => return,
            Ok(Some(_)) => format!("published `{path}` differs from the entries"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
            Err(error) => {
                self.unreadable.get_or_insert(error);
                return;
            }
        };
        self.findings.push(Finding::new(Class::TileMismatch, detail).trail(self.trail));
    }
}
