//! Reading the outbox in order, behind its writer: memory stays flat however long the ledger is away.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sealtrail_env::Disk;

use super::file::{FileReader, Position, RawItem, files_dir, numbers, path};

/// A cursor over all files of an outbox.
pub(crate) struct Reader {
    disk: Arc<dyn Disk>,
    state: PathBuf,
    at: Position,
    open: Option<FileReader>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?})", self.at)
    }
}

impl Reader {
    /// A cursor at a position; an offset of 0 is the file's first item.
    pub(crate) fn new(disk: Arc<dyn Disk>, state: PathBuf, at: Position) -> Self {
        Self { disk, state, at, open: None }
    }

    /// Where the next item is looked for.
    pub(crate) fn position(&self) -> Position {
        self.at
    }

    /// Goes to a position.
    pub(crate) fn seek(&mut self, at: Position) {
        (self.at, self.open) = (at, None);
    }

    /// The next item before `end`, with the file it stands in; `None` where there is none. What stands before `end` was
    /// synced, so what is not whole was damaged since: it is passed over, and a file that ends early goes on in the next.
    pub(crate) fn next(&mut self, end: Position) -> io::Result<Option<(u64, RawItem)>> {
        while self.at < end {
            if self.open.is_none() && !self.open_file()? {
                return Ok(None);
            }
            let Some(file) = self.open.as_mut() else { return Ok(None) };
            match file.next_whole()? {
                Some(item) if self.at.file < end.file || item.offset < end.offset => {
                    self.at.offset = item.end;
                    return Ok(Some((self.at.file, item)));
                }
                _ if self.at.file >= end.file => self.seek(end),
                _ => self.seek(Position { file: self.at.file + 1, offset: 0 }),
            }
        }
        Ok(None)
    }

    /// Opens the file at the position, or the first one after it.
    fn open_file(&mut self) -> io::Result<bool> {
        let all = numbers(self.disk.as_ref(), &files_dir(&self.state), "out")?;
        let Some(number) = all.into_iter().find(|n| *n >= self.at.file) else { return Ok(false) };
        if number > self.at.file {
            self.at = Position { file: number, offset: 0 };
        }
        let mut file = FileReader::open(self.disk.as_ref(), &path(&self.state, number))?;
        if self.at.offset > 0 {
            file.seek(self.at.offset);
        }
        self.at.offset = file.offset();
        self.open = Some(file);
        Ok(true)
    }
}
