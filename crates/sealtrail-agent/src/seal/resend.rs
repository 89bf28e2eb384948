//! Recognising requests that were sent before.
//!
//! OTLP clients send a request again when its answer got lost. Identical bytes within ten minutes get the first outcome
//! and are counted, not sealed twice. What has a record without any time is not remembered: a second event can be the
//! same bytes.

use std::collections::{HashMap, VecDeque};

use sealtrail_core::hash::Hash;

use crate::outbox::{KnownBatch, RESEND_WINDOW_NS};

/// Most digests remembered: 400 requests a second for ten minutes, in about 24 MiB. Beyond that the oldest are forgotten
/// early and delivery is at least once, as it is after ten minutes anyway.
const DIGESTS_MAX: usize = 1 << 18;

/// Where a request that was seen before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Ordinal of the batch with its last record; `None` for a batch of an earlier process, all of which are committed.
    pub(crate) ordinal: Option<u64>,
    pub(crate) stubs: u64,
    pub(crate) dropped: u64,
}

/// Digests of the last ten minutes.
#[derive(Debug, Default)]
pub(crate) struct Resends {
    known: HashMap<Hash, Known>,
    expiry: VecDeque<(u64, Hash)>,
}

impl Resends {
    /// With what stands in believed batches of earlier processes. `wall_ns` and `monotonic_ns` are now.
    pub(crate) fn load(batches: &[KnownBatch], wall_ns: u64, monotonic_ns: u64) -> Self {
        let mut resends = Self::default();
        for batch in batches {
            // A batch from the future was sealed before the clock was set back, nobody knows when.
            let age = wall_ns.saturating_sub(batch.sealed_at_ns);
            let Some(left) = RESEND_WINDOW_NS.checked_sub(age) else { continue };
            for digest in &batch.requests {
                let known = Known { ordinal: None, stubs: 0, dropped: 0 };
                resends.insert_until(*digest, known, monotonic_ns.saturating_add(left));
            }
        }
        resends
    }

    /// What became of a request with this digest, if it came within the window.
    pub(crate) fn get(&mut self, digest: &Hash, monotonic_ns: u64) -> Option<Known> {
        self.expire(monotonic_ns);
        self.known.get(digest).copied()
    }

    /// Remembers a request.
    pub(crate) fn insert(&mut self, digest: Hash, known: Known, monotonic_ns: u64) {
        self.insert_until(digest, known, monotonic_ns.saturating_add(RESEND_WINDOW_NS));
    }

    /// Forgets a request whose records did not become safe.
    pub(crate) fn forget(&mut self, digest: &Hash) {
        self.known.remove(digest);
    }

    fn insert_until(&mut self, digest: Hash, known: Known, until_ns: u64) {
        self.known.insert(digest, known);
        self.expiry.push_back((until_ns, digest));
        while self.expiry.len() > DIGESTS_MAX {
            self.pop();
        }
    }

    fn expire(&mut self, monotonic_ns: u64) {
        while self.expiry.front().is_some_and(|(until, _)| *until <= monotonic_ns) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, digest)) = self.expiry.pop_front() {
            self.known.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_core::name::Identity;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn digests_count_for_ten_minutes() {
        let mut resends = Resends::default();
        let known = Known { ordinal: Some(3), stubs: 0, dropped: 0 };
        resends.insert([1; 32], known, 5 * SECOND);
        assert_eq!(resends.get(&[1; 32], 604 * SECOND), Some(known));
        assert_eq!(resends.get(&[2; 32], 604 * SECOND), None);
        assert_eq!(resends.get(&[1; 32], 605 * SECOND), None);
    }

    #[test]
    fn digests_of_an_earlier_process_count_from_when_they_were_sealed() {
        let batch = |sealed_at_ns, digest| KnownBatch {
            epoch: Identity([0; 32]),
            sequence: 0,
            sealed_at_ns,
            requests: vec![[digest; 32]],
        };
        let now = 10_000 * SECOND;
        let batches =
            [batch(now - 601 * SECOND, 1), batch(now - 500 * SECOND, 2), batch(now + 86_400 * SECOND, 3)];
        let mut resends = Resends::load(&batches, now, SECOND);
        assert!(resends.get(&[1; 32], SECOND).is_none());
        assert!(resends.get(&[2; 32], 100 * SECOND).is_some());
        assert!(resends.get(&[3; 32], 100 * SECOND).is_some());
        assert!(resends.get(&[2; 32], 101 * SECOND).is_none());
        assert!(resends.get(&[3; 32], 602 * SECOND).is_none());
    }

    #[test]
    fn the_oldest_give_way() {
        let mut resends = Resends::default();
        for n in 0..=DIGESTS_MAX {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            resends.insert(digest, Known { ordinal: None, stubs: 0, dropped: 0 }, 0);
        }
        assert_eq!((resends.known.len(), resends.expiry.len()), (DIGESTS_MAX, DIGESTS_MAX));
        assert!(resends.get(&[0; 32], 1).is_none());
    }
}
