//! Reading committed entries back from their segments.

use std::ops::Range;
use std::sync::Arc;

use sealtrail_core::entry::Entry;
use sealtrail_core::name::Identity;
use sealtrail_core::segment::ItemKind;
use sealtrail_core::statement::{Claims, UnverifiedStatement};

use super::shared::TrailShared;
use super::{ReadBack, Slot};
use crate::storage::{DiskFile, Place, read_index_pair, read_item};

/// Reads committed entries one after another, with the segment they stand in held open.
pub(crate) struct EntryReader<'a> {
    trail: &'a TrailShared,
    /// Number, file, bytes of it.
    open: Option<(u64, Arc<dyn DiskFile>, u64)>,
}

impl<'a> EntryReader<'a> {
    pub(super) fn new(trail: &'a TrailShared) -> Self {
        Self { trail, open: None }
    }

    /// The bytes of an entry; `None` beyond the tree or where the disk does not give it back whole.
    pub(crate) fn entry(&mut self, leaf: u64) -> Option<Vec<u8>> {
        let place = self.trail.log().index.place(leaf)?;
        let (file, file_bytes) = self.file(place)?;
        let offset = match place {
            Place::At(_, offset) => offset,
            Place::Nth(_, nth) => read_index_pair(file.as_ref(), file_bytes, nth).ok()??.entry,
        };
        let item = read_item(file.as_ref(), offset, file_bytes, &[ItemKind::Entry]).ok()?;
        item.map(|(_, payload)| payload)
    }

    fn file(&mut self, place: Place) -> Option<(&Arc<dyn DiskFile>, u64)> {
        // A segment that is being written grows, and what was read of its end before is not its index.
        let same =
            self.open.take().filter(|(number, ..)| matches!(place, Place::Nth(of, _) if of == *number));
        let open = match same {
            Some(open) => open,
            None => self.open(place.segment())?,
        };
        let (_, file, file_bytes) = self.open.insert(open);
        Some((file, *file_bytes))
    }

    fn open(&self, number: u64) -> Option<(u64, Arc<dyn DiskFile>, u64)> {
        let files = &self.trail.files;
        let active = {
            let log = self.trail.log();
            log.active.as_ref().filter(|(active, ..)| *active == number).map(|(_, file, _)| file.clone())
        };
        let file = match active {
            Some(file) => file,
            None => files.disk.open_read(&files.layout.segment(self.trail.info.id, number)).ok()?,
        };
        let file_bytes = file.size().ok()?;
        Some((number, file, file_bytes))
    }
}

impl ReadBack for TrailShared {
    fn batch(&self, epoch: Identity, sequence: u64, leaves: Range<u64>) -> Option<Slot> {
        let mut reader = self.reader();
        for leaf in leaves {
            let bytes = reader.entry(leaf)?;
            let statement = UnverifiedStatement::decode(Entry::decode(&bytes).ok()?.statement).ok()?;
            if let Claims::Batch(claims) = statement.claims()
                && claims.epoch == epoch
                && claims.sequence == sequence
            {
                return Some(Slot { sequence, leaf, identity: statement.identity() });
            }
        }
        None
    }
}
