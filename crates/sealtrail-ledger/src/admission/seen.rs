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
        let known = checkpoint.is_some_and(|c| control.root_at(c.size()) == Some(c.root()));
        if known {
            self.seen.remember(*hash);
            return Ok(());
        }
        let detail = format!("`{}` is no control checkpoint of this ledger", hex::encode(hash));
        Err(Refusal::new(Class::SeenUnknown, detail))
    }
}
