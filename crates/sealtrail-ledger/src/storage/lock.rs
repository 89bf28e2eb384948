//! The writer's lock: one process writes a ledger's directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes here.
    #[error("ledger is in use by process `{holder}`, which holds `{path}`", path = .path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Process id of the holder, as it wrote it; `unknown` where it has not yet.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock file `{path}`", path = .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The lock on a ledger's directory. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and writes this process's id into the file.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process, or another ledger in this one, has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Ten digits hold any process id; whatever else stands there is not shown.
                let read = (&mut file).take(10).read_to_string(&mut holder);
                let known = read.is_ok() && !holder.is_empty() && holder.bytes().all(|b| b.is_ascii_digit());
                let holder = if known { holder } else { "unknown".to_owned() };
                return Err(LockError::Held { path: path.to_owned(), holder });
            }
            Err(error) => return Err(io(error.into())),
        }
        file.set_len(0).map_err(io)?;
        file.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
        Ok(Self { _file: file })
    }
}
