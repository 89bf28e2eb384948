//! When each instance was last heard of. An enclave that is cut off or frozen says nothing; that it says nothing is seen here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{BatchClaims, OpenClaims};

/// An epoch is silent after so many heartbeat intervals, as for verifiers (`docs/spec/06-verification.md` 6.7).
const INTERVALS: u64 = 3;

/// Epochs that have neither a close nor a successor, with the times of the ledger's wall clock.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<HashMap<Identity, Epoch>>);

#[derive(Clone, Debug)]
struct Epoch {
    stream: Name,
    instance: Name,
    heartbeat_ns: u64,
    last_ns: u64,
}

/// An instance that should have been heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silent {
    pub(crate) stream: Name,
    pub(crate) instance: Name,
    pub(crate) epoch: Identity,
    /// How long nothing has come, ns.
    pub(crate) for_ns: u64,
}

impl Heard {
    fn epochs(&self) -> MutexGuard<'_, HashMap<Identity, Epoch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An epoch begins, in the place of another one of its instance.
    pub(crate) fn open(&self, id: Identity, claims: &OpenClaims, before: Option<Identity>, now_ns: u64) {
        let mut epochs = self.epochs();
        if let Some(before) = before {
            epochs.remove(&before);
        }
        let epoch = Epoch {
            stream: claims.place.stream.clone(),
            instance: claims.place.instance.clone(),
            heartbeat_ns: claims.heartbeat_ms.saturating_mul(1_000_000),
            last_ns: now_ns,
        };
        epochs.insert(id, epoch);
    }

    /// A batch came.
    pub(crate) fn batch(&self, claims: &BatchClaims, now_ns: u64) {
        let mut epochs = self.epochs();
        if claims.close.is_some() {
            epochs.remove(&claims.epoch);
        } else if let Some(epoch) = epochs.get_mut(&claims.epoch) {
            epoch.last_ns = epoch.last_ns.max(now_ns);
        }
    }

    /// Who is silent now, the longest silence first. Nobody could be heard before the ledger was started.
    pub(crate) fn silent(&self, now_ns: u64, started_ns: u64) -> Vec<Silent> {
        let epochs = self.epochs();
        let mut silent: Vec<_> = epochs
            .iter()
            .filter(|(_, epoch)| {
                let waited = now_ns.saturating_sub(epoch.last_ns.max(started_ns));
                waited > epoch.heartbeat_ns.saturating_mul(INTERVALS)
            })
            .map(|(id, epoch)| Silent {
                stream: epoch.stream.clone(),
                instance: epoch.instance.clone(),
                epoch: *id,
                for_ns: now_ns.saturating_sub(epoch.last_ns),
            })
            .collect();
        silent.sort_by_key(|epoch| (std::cmp::Reverse(epoch.for_ns), epoch.epoch.0));
        silent
    }
}
