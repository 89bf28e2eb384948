//! Where a verifier reads from: a directory, a server, anything that has the layout of `docs/spec/04-log.md` 4.8.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// Files of a ledger by their relative path.
pub trait Source: Sync {
    /// Opens a file; `None` where there is none.
    ///
    /// # Errors
    /// The file is there and cannot be read, or it cannot be told.
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>>;

    /// Reads a whole file of at most `max` bytes.
    ///
    /// # Errors
    /// As [`Source::open`]; a longer file is [`io::ErrorKind::InvalidData`].
    fn read(&self, path: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("`{path}` is longer than {max} bytes"),
            ));
        }
        Ok(Some(bytes))
    }
}

/// A ledger's directory, or a copy of one.
#[derive(Clone, Debug)]
pub struct Directory(pub PathBuf);

impl Source for Directory {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let path_here = self.0.join(path);
        match std::fs::metadata(&path_here) {
            Ok(meta) if meta.is_file() => Ok(Some(Box::new(File::open(path_here)?))),
            Ok(_) => Err(io::Error::other(format!("`{path}` is not a file"))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
