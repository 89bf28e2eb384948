//! The state directory: its lock, the instance's name, receipts, refused batches.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealtrail_core::name::{Identity, Name};
use sealtrail_env::{Disk, DiskFile, Environment, create_dirs_durably, write_at};

use super::item::{Item, MAGIC};
use super::{OutboxError, files_dir, recent};

/// Receipt files kept: one for each epoch, and an epoch lasts a day unless the agent restarts.
const RECEIPTS_MAX: usize = 1_024;

/// Longest file with a name or a key in it.
const SMALL_BYTES_MAX: usize = 4096;

/// The directory, locked while this lives.
pub(crate) struct StateDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Arc<dyn DiskFile>,
}

impl std::fmt::Debug for StateDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StateDir({})", self.path.display())
    }
}

impl StateDir {
    /// Makes what is missing and takes the lock.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, OutboxError> {
        let io = |source| OutboxError::Io { path: path.to_owned(), source };
        create_dirs_durably(disk.as_ref(), path).map_err(io)?;
        for dir in [files_dir(path), path.join("receipts"), path.join("refused")] {
            disk.create_dirs(&dir).map_err(io)?;
        }
        recent::create_dir(disk.as_ref(), path).map_err(io)?;
        let lock = disk.lock(&path.join("lock")).map_err(io)?;
        let lock = lock.ok_or_else(|| OutboxError::Locked(path.to_owned()))?;
        // What an earlier process put here may have a name that is not durable.
        disk.sync_dir(path).map_err(io)?;
        Ok(Self { disk, path: path.to_owned(), _lock: lock })
    }

    /// The disk it is on.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
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
        match self.disk.read(&path, SMALL_BYTES_MAX) {
            Ok(text) => Name::new(String::from_utf8_lossy(&text).trim_end())
                .map_err(|_| OutboxError::Instance(self.path.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut random = [0; 8];
                env.random.fill(&mut random)?;
                let name = hex::encode(random);
                self.replace(&path, format!("{name}\n").as_bytes()).map_err(io)?;
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
        match self.disk.read(&path, SMALL_BYTES_MAX) {
            Ok(key) => {
                let wrong =
                    |_| io(io::Error::new(io::ErrorKind::InvalidData, "`requests.key` has not 32 bytes"));
                key.as_slice().try_into().map_err(wrong)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut key = [0; 32];
                env.random.fill(&mut key)?;
                let unfinished = path.with_extension("tmp");
                let file = self.disk.create_private(&unfinished).map_err(io)?;
                self.replace_with(file.as_ref(), &unfinished, &path, &key).map_err(io)?;
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
        self.replace(&dir.join(&name), file)?;
        let mut others = Vec::new();
        for (found, _) in self.disk.list(&dir)? {
            if found == name || !found.ends_with(".receipt") {
                continue;
            }
            if found.starts_with(&epoch) {
                self.disk.remove_file(&dir.join(found))?;
            } else {
                let path = dir.join(found);
                others.push((self.disk.modified_ns(&path)?, path));
            }
        }
        others.sort();
        let surplus = (others.len() + 1).saturating_sub(RECEIPTS_MAX);
        others.into_iter().take(surplus).try_for_each(|(_, path)| self.disk.remove_file(&path))
    }

    /// Keeps a batch that the ledger refused, synced, so that nothing is lost that somebody may ask for.
    pub(crate) fn keep_refused(&self, epoch: Identity, sequence: u64, item: &Item<'_>) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        item.push_to(&mut bytes);
        self.replace(&self.refused_path(epoch, sequence), &bytes)
    }

    /// Removes a batch that was kept so and taken later: the process died before it could note that it was refused.
    pub(crate) fn drop_refused(&self, epoch: Identity, sequence: u64) -> io::Result<()> {
        self.disk.remove_file(&self.refused_path(epoch, sequence))
    }

    fn refused_path(&self, epoch: Identity, sequence: u64) -> PathBuf {
        self.path.join("refused").join(format!("{}-{sequence}.out", hex::encode(epoch.0)))
    }

    /// Epoch and sequence of the batches that were kept so.
    ///
    /// # Errors
    /// Disk trouble.
    pub(crate) fn refused(&self) -> io::Result<Vec<(Identity, u64)>> {
        let named = |name: String| {
            let (epoch, sequence) = name.strip_suffix(".out")?.split_once('-')?;
            let mut identity = [0; 32];
            hex::decode_to_slice(epoch, &mut identity).ok()?;
            Some((Identity(identity), sequence.parse().ok()?))
        };
        let files = self.disk.list(&self.path.join("refused"))?;
        Ok(files.into_iter().filter_map(|(name, _)| named(name)).collect())
    }

    /// Writes a file whole or not at all, synced.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let unfinished = path.with_extension("tmp");
        let file = self.disk.create(&unfinished)?;
        self.replace_with(file.as_ref(), &unfinished, path, bytes)
    }

    fn replace_with(
        &self,
        file: &dyn DiskFile,
        unfinished: &Path,
        path: &Path,
        bytes: &[u8],
    ) -> io::Result<()> {
        write_at(file, bytes, 0)?;
        file.sync_data()?;
        self.disk.rename(unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| self.disk.sync_dir(dir))
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_testkit::disk::SimDisk;

    use super::*;

    /// T28: what is synced in the outbox is not lost with the names of the directories above it.
    #[test]
    fn the_directories_of_a_new_state_are_durable() {
        for seed in 0..20 {
            let (disk, path) = (SimDisk::new(), Path::new("/var/agent"));
            let state = StateDir::open(Arc::new(disk.clone()), path).unwrap();
            let file = files_dir(path).join("0000000000.out");
            state.replace(&file, b"sealed").unwrap();
            let disk = disk.crashed(seed);
            assert_eq!(disk.content(&file).as_deref(), Some(b"sealed".as_slice()), "seed {seed}");
        }
    }
}
