//! Quarantine: the bytes of refused statements, for whoever looks into why, up to a quota.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use sealtrail_core::cbor::Encoder;
use sealtrail_core::hash::sha256;
use sealtrail_core::name::TrailId;

use super::{Durability, Files};

/// The quarantine of a ledger. What came first stays: a flood cannot push out what it followed.
pub(crate) struct Quarantine {
    files: Files,
    bytes_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: u64,
    names: HashSet<String>,
}

/// What became of bytes given to the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quarantined {
    /// They are there.
    Kept,
    /// The quota is used up, they are there already, or the disk did not take them. Their digest is on record all the
    /// same.
    Dropped,
}

impl Quarantine {
    /// The quarantine as an earlier process left it.
    ///
    /// # Errors
    /// Disk trouble.
    pub(crate) fn open(files: Files, bytes_max: u64) -> io::Result<Self> {
        let mut kept = Kept::default();
        for (name, bytes) in files.disk.list(&files.layout.quarantine())? {
            kept.bytes += bytes;
            kept.names.insert(name);
        }
        Ok(Self { files, bytes_max, kept: Mutex::new(kept) })
    }

    /// Keeps a refused statement and what came with it: CBOR `[1, class, trail, statement, attachment]` under the hash
    /// of the statement's bytes. The first bytes under a hash stay. Not made durable: it proves nothing.
    pub(crate) fn put(
        &self,
        trail: TrailId,
        class: &str,
        statement: &[u8],
        attachment: &[u8],
    ) -> Quarantined {
        let name = hex::encode(sha256(&[statement]));
        let mut encoder = Encoder::new();
        encoder.array(5).uint(1).text(class).bytes(&trail.0).bytes(statement).bytes(attachment);
        let bytes = encoder.into_bytes();
        if !self.admit(&name, bytes.len() as u64) {
            return Quarantined::Dropped;
        }
        let path = self.files.layout.quarantine().join(&name);
        match self.files.put(&path, &bytes, Durability::None) {
            Ok(()) => Quarantined::Kept,
            Err(_) => Quarantined::Dropped,
        }
    }

    /// Counts a file against the quota. A file that then fails to be written stays counted until the next start: the
    /// quota errs on the small side.
    fn admit(&self, name: &str, bytes: u64) -> bool {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes.saturating_add(bytes) > self.bytes_max || !kept.names.insert(name.to_owned()) {
            return false;
        }
        kept.bytes += bytes;
        true
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}
