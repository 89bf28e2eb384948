//! Which control checkpoints agents may say they have seen (`docs/spec/06-verification.md`, `seen-unknown`).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::hash::Hash;

use crate::refusal::{Class, Refusal};

use super::Admission;

/// Most hashes remembered; agents name the newest few. Beyond, all are forgotten and looked up again.
const REMEMBERED_MAX: usize = 4096;

/// Control checkpoint notes that were found good.
#[derive(Debug, Default)]
pub(crate) struct SeenNotes(Mutex<HashSet<Hash>>);

impl SeenNotes {
    fn contains(&self, hash: &Hash) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    fn remember(&self, hash: Hash) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= REMEMBERED_MAX {
            notes.clear();
        }
        notes.insert(hash);
    }
}

impl Admission {
    /// The hash is that of an artefact that is a checkpoint of the control trail as it is.
    pub(super) fn check_seen(&self, hash: &Hash) -> Result<(), Refusal> {
        if self.control.state.note().hash == *hash || self.seen.contains(hash) {
            return Ok(());
        }
        let note = self.artefacts.get(hash).map_err(|error| Refusal::new(Class::Unavailable, error))?;
        let control = &self.control.state.trail;
        let checkpoint = note
            .and_then(|note| UnverifiedCheckpoint::decode(&note).ok())
            .and_then(|unverified| unverified.verify(&self.ledger, control.info.id).ok());
        let name = hex::encode(hash);
        let unknown =
            || Refusal::new(Class::SeenUnknown, format!("`{name}` is no control checkpoint of this ledger"));
        let checkpoint = checkpoint.ok_or_else(unknown)?;
        // What cannot be read back is no reason to refuse for good, and neither is a trail shorter than this ledger's own word.
        let Some(root) = control.root_at(checkpoint.size()) else {
            let detail = format!("the control trail as it was in `{name}` cannot be read");
            return Err(Refusal::new(Class::Unavailable, detail));
        };
        if root != checkpoint.root() {
            return Err(unknown());
        }
        self.seen.remember(*hash);
        Ok(())
    }
}
