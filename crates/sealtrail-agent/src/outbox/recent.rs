//! What is kept of outbox files that are no longer needed: the digests of requests, for as long as they may be sent again.
//!
//! `recent/<number>.rec` is an outbox file without its bodies.

use std::io;
use std::path::{Path, PathBuf};

use sealtrail_core::statement::{Claims, UnverifiedStatement};
use sealtrail_env::{Disk, write_at};

use super::file::{FileReader, numbers, path};
use super::item::{Item, MAGIC};
use super::known::RESEND_WINDOW_NS;

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
    let mut kept = Vec::new();
    let mut batches = 0;
    let mut file = FileReader::open(disk, &from)?;
    while let Some(raw) = file.next_whole()? {
        match raw.item() {
            Ok(Item::Open { statement, receipt, .. }) => {
                Item::Open { statement, evidence: &[], receipt }.push_to(&mut kept);
            }
            Ok(Item::Batch { statement, digests: Some(digests), .. }) if counts(statement, now_ns) => {
                Item::Digests { statement, digests }.push_to(&mut kept);
                batches += 1;
            }
            _ => {}
        }
    }
    if batches > 0 {
        write(disk, state, number, &kept)?;
    }
    disk.remove_file(&from)
}

fn write(disk: &dyn Disk, state: &Path, number: u64, items: &[u8]) -> io::Result<()> {
    let to = recent_path(state, number);
    let unfinished = to.with_extension("tmp");
    let file = disk.create(&unfinished)?;
    write_at(file.as_ref(), &[MAGIC, items].concat(), 0)?;
    file.sync_data()?;
    disk.rename(&unfinished, &to)?;
    disk.sync_dir(&dir(state))
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
