//! The state directory: its lock, the instance's name, receipts, refused batches.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sealtrail_core::name::{Identity, Name};

use super::item::{Item, MAGIC};
use super::{OutboxError, files_dir, recent};
use crate::environment::Environment;

/// Receipt files kept: one for each epoch, and an epoch lasts a day unless the agent restarts.
const RECEIPTS_MAX: usize = 1_024;

/// The directory, locked while this lives.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Makes what is missing and takes the lock.
    pub(crate) fn open(path: &Path) -> Result<Self, OutboxError> {
        let io = |source| OutboxError::Io { path: path.to_owned(), source };
        for dir in [files_dir(path), path.join("receipts"), path.join("refused")] {
            std::fs::create_dir_all(dir).map_err(io)?;
        }
        recent::create_dir(path).map_err(io)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(io)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| OutboxError::Locked(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The configured instance name, or the one kept here, or a new random one that is kept from now on.
    pub(crate) fn instance(&self, configured: Option<&Name>, env: &Environment) -> Result<Name, OutboxError> {
        if let Some(name) = configured {
            return Ok(name.clone());
        }
        let path = self.path.join("instance");
        let io = |source| OutboxError::Io { path: self.path.clone(), source };
        match std::fs::read_to_string(&path) {
            Ok(text) => Name::new(text.trim_end()).map_err(|_| OutboxError::Instance(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut random = [0; 8];
                env.random.fill(&mut random)?;
                let name = hex::encode(random);
                replace(&path, format!("{name}\n").as_bytes()).map_err(io)?;
                Name::new(&name).map_err(|_| OutboxError::Instance(self.path.clone()))
            }
            Err(error) => Err(io(error)),
        }
    }

    /// The key of this agent's request digests, made once. Whoever has it and a signed body can try out what redaction
    /// removed, so nobody but the owner reads it, and it never leaves this directory.
    pub(crate) fn request_key(&self, env: &Environment) -> Result<[u8; 32], OutboxError> {
        let path = self.path.join("requests.key");
        let io = |source| OutboxError::Io { path: self.path.clone(), source };
        match std::fs::read(&path) {
            Ok(key) => {
                let wrong =
                    |_| io(io::Error::new(io::ErrorKind::InvalidData, "`requests.key` has not 32 bytes"));
                key.as_slice().try_into().map_err(wrong)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                env.random.fill(&mut key)?;
                replace_secret(&path, &key).map_err(io)?;
                Ok(key)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Keeps an epoch's newest receipt file in place of its older ones.
    pub(crate) fn keep_receipt(&self, epoch: Identity, sequence: u64, file: &[u8]) -> io::Result<()> {
        let dir = self.path.join("receipts");
        let epoch = hex::encode(epoch.0);
        let name = format!("{epoch}-{sequence}.receipt");
        replace(&dir.join(&name), file)?;
        let mut others = Vec::new();
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let found = entry.file_name().to_string_lossy().into_owned();
            if found == name || !found.ends_with(".receipt") {
                continue;
            }
            if found.starts_with(&epoch) {
                std::fs::remove_file(entry.path())?;
            } else {
                others.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        others.sort();
        let surplus = (others.len() + 1).saturating_sub(RECEIPTS_MAX);
        others.into_iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
    }

    /// Keeps a batch that the ledger refused, synced, so that nothing is lost that somebody may ask for.
    pub(crate) fn keep_refused(&self, epoch: Identity, sequence: u64, item: &Item<'_>) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        item.push_to(&mut bytes);
        replace(&self.path.join("refused").join(format!("{}-{sequence}.out", hex::encode(epoch.0))), &bytes)
    }
}

/// Writes a file whole or not at all, synced.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o666)
}

/// As [`replace`], for what only the owner may read.
fn replace_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with_mode(path, bytes, 0o600)
}

fn replace_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut file = File::options().create(true).truncate(true).write(true).mode(mode).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
