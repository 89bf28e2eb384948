//! Artefacts: bytes kept under their hash (`docs/spec/04-log.md` 4.6).

use std::io;

use sealtrail_core::artefact::ARTEFACT_BYTES_MAX;
use sealtrail_core::hash::{Hash, sha256};

use super::{Durability, Files, is_full};
use crate::health::Health;

/// The artefacts of a ledger.
#[derive(Clone)]
pub(crate) struct Artefacts {
    files: Files,
    health: Health,
}

impl Artefacts {
    pub(crate) fn new(files: Files, health: Health) -> Self {
        Self { files, health }
    }

    /// Keeps bytes; on return they are durable under their hash. Keeping them again changes nothing.
    ///
    /// # Errors
    /// Disk trouble: a full disk may have room again, anything else stops all writing.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<Hash> {
        self.keep(bytes).inspect_err(|error| {
            if !is_full(error) {
                self.health.fail(format_args!("cannot keep an artefact: {error}"));
            }
        })
    }

    fn keep(&self, bytes: &[u8]) -> io::Result<Hash> {
        let hash = sha256(&[bytes]);
        let path = self.files.layout.artefact(&hash);
        if let Some(parent) = path.parent() {
            self.files.create_dir(&self.files.layout.artefacts(), parent)?;
            match self.get(&hash) {
                // An earlier try may have come as far as the rename and no further.
                Ok(Some(_)) => {
                    self.files.disk.sync_dir(parent)?;
                    return Ok(hash);
                }
                Ok(None) => {}
                // Here are the bytes that it had.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
        // Dying before the rename leaves no artefact, and nothing refers to it yet; after it, an artefact that perhaps
        // nothing ever refers to.
        self.files.put(&path, bytes, Durability::Full)?;
        Ok(hash)
    }

    /// The bytes under a hash; `None` where there are none.
    ///
    /// # Errors
    /// Disk trouble; `InvalidData` where the bytes do not have this hash: they were damaged.
    pub(crate) fn get(&self, hash: &Hash) -> io::Result<Option<Vec<u8>>> {
        match self.files.disk.read(&self.files.layout.artefact(hash), ARTEFACT_BYTES_MAX) {
            Ok(bytes) if sha256(&[&bytes]) == *hash => Ok(Some(bytes)),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("artefact `{}` was damaged", hex::encode(hash)),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;
    use std::sync::Arc;

    use sealtrail_env::create_dirs_durably;
    use sealtrail_testkit::disk::{Op, SimDisk};

    use super::*;
    use crate::storage::Layout;

    #[test]
    fn a_damaged_artefact_is_written_anew_by_whoever_has_it() {
        let disk = SimDisk::new();
        let files = Files::new(Arc::new(disk.clone()), Layout::new(Path::new("/ledger")));
        for directory in [files.layout.artefacts(), files.layout.scratch()] {
            create_dirs_durably(&disk, &directory).unwrap();
        }
        let health = Health::default();
        let artefacts = Artefacts::new(files.clone(), health.clone());
        let hash = artefacts.put(b"evidence").unwrap();
        let file = files.disk.open(&files.layout.artefact(&hash)).unwrap();
        sealtrail_env::write_at(file.as_ref(), b"E", 0).unwrap();
        assert_eq!(artefacts.get(&hash).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(artefacts.put(b"evidence").unwrap(), hash);
        assert_eq!(artefacts.get(&hash).unwrap().as_deref(), Some(b"evidence".as_slice()));
        assert!(health.failure().is_none());
    }

    /// T28: an artefact that is there already, but perhaps not for ever, is made durable by whoever keeps it again.
    #[test]
    fn an_artefact_kept_again_is_durable() {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let files = Files::new(Arc::new(disk.clone()), Layout::new(Path::new("/ledger")));
            for directory in [files.layout.artefacts(), files.layout.scratch()] {
                create_dirs_durably(&disk, &directory).unwrap();
            }
            let above = files.layout.artefacts();
            disk.set_fault(move |op, path, _| {
                (op == Op::SyncDir && path.parent() == Some(&above)).then_some(ErrorKind::Other)
            });
            Artefacts::new(files.clone(), Health::default()).put(b"evidence").unwrap_err();
            disk.heal();
            let artefacts = Artefacts::new(files.clone(), Health::default());
            let hash = artefacts.put(b"evidence").unwrap();
            let files = Files::new(Arc::new(disk.crashed(seed)), files.layout);
            assert!(Artefacts::new(files, Health::default()).get(&hash).unwrap().is_some(), "seed {seed}");
        }
    }
}
