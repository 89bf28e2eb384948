//! What is kept of outbox files that are no longer needed: the digests of requests, for as long as they may be sent again.
//!
//! `recent/<number>.rec` is an outbox file without its bodies.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealtrail_core::statement::{Claims, UnverifiedStatement};
use sealtrail_env::{Disk, DiskFile, write_at};

use super::file::{FileReader, numbers, path};
use super::item::{Digests, Item, MAGIC};
use super::known::RESEND_WINDOW_NS;

/// How much is written at once: the digests of some 60 batches. A file can have several hundred.
const WRITE_BYTES: usize = 64 << 10;

fn dir(state: &Path) -> PathBuf {
    state.join("recent")
}

fn recent_path(state: &Path, number: u64) -> PathBuf {
    dir(state).join(format!("{number:010}.rec"))
}

/// Makes the directory.
pub(crate) fn create_dir(disk: &dyn Disk, state: &Path) -> io::Result<()> {
    disk.create_dirs(&dir(state))
}

/// Reads the items of all kept files, oldest first.
pub(crate) fn read(disk: &dyn Disk, state: &Path, mut take: impl FnMut(&Item<'_>)) -> io::Result<()> {
    for number in numbers(disk, &dir(state), "rec")? {
        let mut file = FileReader::open(disk, &recent_path(state, number))?;
        while let Some(raw) = file.next_whole()? {
            if let Ok(item) = raw.item() {
                take(&item);
            }
        }
    }
    Ok(())
}

/// Deletes an outbox file all of whose batches have receipts, keeping the digests that still count.
///
/// If the process dies before the deletion both files stand; reading both does no harm.
pub(crate) fn release(disk: &dyn Disk, state: &Path, number: u64, now_ns: u64) -> io::Result<()> {
    let from = path(state, number);
    let mut kept = Kept::new(disk, state, number);
    let mut file = FileReader::open(disk, &from)?;
    while let Some(raw) = file.next_whole()? {
        match raw.item() {
            Ok(Item::Open { statement, receipt, .. }) => kept.open(statement, receipt),
            Ok(Item::Batch { statement, digests: Some(digests), .. }) if counts(statement, now_ns) => {
                kept.digests(statement, digests)?;
            }
            _ => {}
        }
    }
    kept.finish()?;
    disk.remove_file(&from)
}

/// A file of digests while it is written. Without digests there is none.
struct Kept<'a> {
    disk: &'a dyn Disk,
    state: &'a Path,
    to: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    /// What is not yet in the file, and where it goes.
    items: Vec<u8>,
    offset: u64,
    counting: bool,
}

impl<'a> Kept<'a> {
    fn new(disk: &'a dyn Disk, state: &'a Path, number: u64) -> Self {
        let to = recent_path(state, number);
        Self { disk, state, to, file: None, items: MAGIC.to_vec(), offset: 0, counting: false }
    }

    fn open(&mut self, statement: &[u8], receipt: &[u8]) {
        Item::Open { statement, evidence: &[], receipt }.push_to(&mut self.items);
    }

    fn digests(&mut self, statement: &[u8], digests: Digests<'_>) -> io::Result<()> {
        Item::Digests { statement, digests }.push_to(&mut self.items);
        self.counting = true;
        if self.items.len() < WRITE_BYTES { Ok(()) } else { self.write().map(drop) }
    }

    fn write(&mut self) -> io::Result<Arc<dyn DiskFile>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.create(&self.unfinished())?,
        };
        write_at(file.as_ref(), &self.items, self.offset)?;
        self.offset += self.items.len() as u64;
        self.items.clear();
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.counting {
            return Ok(());
        }
        self.write()?.sync_data()?;
        self.disk.rename(&self.unfinished(), &self.to)?;
        self.disk.sync_dir(&dir(self.state))
    }

    fn unfinished(&self) -> PathBuf {
        self.to.with_extension("tmp")
    }
}

/// Deletes kept files whose newest batch is older than the window.
pub(crate) fn expire(disk: &dyn Disk, state: &Path, now_ns: u64) -> io::Result<()> {
    for number in numbers(disk, &dir(state), "rec")? {
        let path = recent_path(state, number);
        let mut counting = false;
        let mut file = FileReader::open(disk, &path)?;
        while let Some(raw) = file.next_whole()? {
            if let Ok(Item::Digests { statement, .. }) = raw.item() {
                counting |= counts(statement, now_ns);
            }
        }
        if !counting {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether a batch was sealed within the window, or, where the clock was set back, after now.
fn counts(statement: &[u8], now_ns: u64) -> bool {
    match UnverifiedStatement::decode(statement).as_ref().map(UnverifiedStatement::claims) {
        Ok(Claims::Batch(claims)) => claims.wall_clock_ns.1.saturating_add(RESEND_WINDOW_NS) > now_ns,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_core::key::Algorithm;
    use sealtrail_env::RealDisk;
    use sealtrail_testkit::build::{Builder, records};

    use super::*;
    use crate::outbox::files_dir;

    /// Digests of a file for which many small requests came: they are written in several pieces.
    #[test]
    fn all_digests_of_a_long_file_are_kept() {
        let mut builder = Builder::new(31);
        let trail = builder.trail("main");
        builder.stream("payments", trail);
        let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
        let (statement, ..) = builder.unlogged_batch(&mut epoch, &records(0, 1), |_| {}).parts();
        let lines: Vec<_> = (0..100_u32).map(|n| n.to_be_bytes().repeat(500)).collect();
        let mut bytes = MAGIC.to_vec();
        for line in &lines {
            let digests = Some(Digests { line, salt: [0; 16], proof: Vec::new() });
            Item::Batch { statement: &statement, digests, body: b"body" }.push_to(&mut bytes);
        }
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(files_dir(state.path())).unwrap();
        create_dir(&RealDisk, state.path()).unwrap();
        std::fs::write(path(state.path(), 0), bytes).unwrap();
        release(&RealDisk, state.path(), 0, 0).unwrap();
        let mut kept = Vec::new();
        read(&RealDisk, state.path(), |item| match item {
            Item::Digests { digests, .. } => kept.push(digests.line.to_vec()),
            other => panic!("{other:?}"),
        })
        .unwrap();
        assert!(kept == lines, "{} of {}", kept.len(), lines.len());
        assert!(numbers(&RealDisk, &files_dir(state.path()), "out").unwrap().is_empty());
    }
}
