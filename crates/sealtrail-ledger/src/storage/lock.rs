//! The writer's lock: one process writes a ledger's directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, DiskFile, write_at};

/// Ten digits hold any process id; whatever else stands there is not shown.
const HOLDER_BYTES_MAX: usize = 10;

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
pub struct Lock {
    _file: Arc<dyn DiskFile>,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

impl Lock {
    /// Takes the lock and writes this process's id into the file.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process, or another ledger in this one, has it.
    pub fn take(disk: &dyn Disk, path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let Some(file) = disk.lock(path).map_err(io)? else {
            let holder = disk.read(path, HOLDER_BYTES_MAX).unwrap_or_default();
            let known = !holder.is_empty() && holder.iter().all(u8::is_ascii_digit);
            let holder =
                if known { String::from_utf8_lossy(&holder).into_owned() } else { "unknown".to_owned() };
            return Err(LockError::Held { path: path.to_owned(), holder });
        };
        file.set_size(0).map_err(io)?;
        write_at(file.as_ref(), std::process::id().to_string().as_bytes(), 0).map_err(io)?;
        Ok(Self { _file: file })
    }
}
