//! Refusals on their way into the control trail: folded by reason and trail, so that a flood costs a few records.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;

use crate::refusal::Class;

use super::Record;

/// Most pairs of reason and trail held between two records: a hundred trails with every reason. Beyond, refusals
/// are counted in the metrics only.
const PAIRS_MAX: usize = 4096;

/// Refusals not yet recorded.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pending: Mutex<BTreeMap<(Class, TrailId), (Hash, u64)>>,
}

impl Refusals {
    /// Notes a refusal; `false` where there is no room for another pair.
    pub(crate) fn add(&self, class: Class, trail: TrailId, digest: Hash) -> bool {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let room = pending.len() < PAIRS_MAX;
        match pending.get_mut(&(class, trail)) {
            Some((_, count)) => *count += 1,
            None if room => drop(pending.insert((class, trail), (digest, 1))),
            None => return false,
        }
        true
    }

    /// Takes what was noted, each pair with its first digest and its count.
    pub(super) fn take(&self) -> Vec<Record> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *pending)
            .into_iter()
            .map(|((class, trail), (digest, count))| Record::StatementRefused { class, trail, digest, count })
            .collect()
    }
}
