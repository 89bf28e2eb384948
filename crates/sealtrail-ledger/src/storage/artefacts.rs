//! Artefacts: bytes kept under their hash (`docs/spec/04-log.md` 4.6).

use std::io;

use sealtrail_core::artefact::ARTEFACT_BYTES_MAX;
use sealtrail_core::hash::{Hash, sha256};

use super::{Durability, Files};

/// The artefacts of a ledger.
#[derive(Clone)]
pub(crate) struct Artefacts {
    files: Files,
}

impl Artefacts {
    pub(crate) fn new(files: Files) -> Self {
        Self { files }
    }

    /// Keeps bytes; on return they are durable under their hash. Keeping them again changes nothing.
    ///
    /// # Errors
    /// Disk trouble.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<Hash> {
        let hash = sha256(&[bytes]);
        let path = self.files.layout.artefact(&hash);
        if self.get(&hash)?.is_some() {
            return Ok(hash);
        }
        if let Some(parent) = path.parent() {
            self.files.create_dir(&self.files.layout.artefacts(), parent)?;
        }
        // Dying before the rename leaves no artefact, and nothing refers to it yet; after it, an artefact that perhaps
        // nothing ever refers to.
        self.files.put(&path, bytes, Durability::Full)?;
        Ok(hash)
    }

    /// The bytes under a hash; `None` where there are none or they do not have this hash.
    ///
    /// # Errors
    /// Disk trouble.
    pub(crate) fn get(&self, hash: &Hash) -> io::Result<Option<Vec<u8>>> {
        match self.files.disk.read(&self.files.layout.artefact(hash), ARTEFACT_BYTES_MAX) {
            Ok(bytes) if sha256(&[&bytes]) == *hash => Ok(Some(bytes)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
