//! Recognising requests that were sent before.
//!
//! OTLP clients send a request again when its answer got lost. Identical bytes within ten minutes get the first outcome
//! and are counted, not sealed twice. What has a record without any time is not remembered: a second event can be the
//! same bytes.

use std::collections::VecDeque;

use sealtrail_core::hash::Hash;

use crate::outbox::{KnownBatch, RESEND_WINDOW_NS};

/// Most digests remembered: 400 requests a second for ten minutes, in 13 MiB. Beyond that the oldest are forgotten early and
/// delivery is at least once, as it is after ten minutes anyway.
const DIGESTS_MAX: usize = 1 << 18;

/// Digests that have their memory from the start: 100 requests a second for ten minutes, in 3.5 MiB. An agent under such a
/// load takes in its first minute what it takes in its tenth, so a limit that is too low shows at once.
const DIGESTS_AT_START: usize = 1 << 16;

/// Chains of the index, named by two bytes of a digest: four digests in each where there are most.
const CHAINS: usize = 1 << 16;

/// In place of the ordinal of a batch of an earlier process.
const EARLIER: u64 = u64::MAX;

/// Where a request that was seen before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Ordinal of the batch with its last record; `None` for a batch of an earlier process, all of which are committed.
    pub(crate) ordinal: Option<u64>,
    pub(crate) stubs: u64,
    pub(crate) dropped: u64,
}

/// Digests of the last ten minutes.
pub(crate) struct Resends {
    /// In the order in which they came, numbered from `first` on. An entry leaves only as the oldest.
    entries: VecDeque<Entry>,
    first: u64,
    /// Number of the newest entry of each chain. A number below `first` leads nowhere: that entry has left, and so have those
    /// that it led to.
    chains: Vec<u64>,
}

/// A digest and what it stands for, in 48 bytes.
#[derive(Clone, Copy)]
struct Entry {
    digest: Half,
    /// Zero for one that was forgotten.
    until_ns: u64,
    ordinal: u64,
    /// Number of the next older entry of its chain.
    older: u64,
    /// A request of 20 MiB does not hold 2^32 records.
    stubs: u32,
    dropped: u32,
}

/// Half of a digest. It is an HMAC under a key of the agent, so nobody else can look for two requests with the same half, and
/// chance finds none.
type Half = [u8; 16];

impl Default for Resends {
    fn default() -> Self {
        let blank = Entry { digest: [0; 16], until_ns: 0, ordinal: EARLIER, older: 0, stubs: 0, dropped: 0 };
        // Memory is taken only when it is written.
        let mut entries = VecDeque::from(vec![blank; DIGESTS_AT_START]);
        entries.clear();
        Self { entries, first: 1, chains: vec![0; CHAINS] }
    }
}

impl std::fmt::Debug for Resends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Resends({})", self.entries.len())
    }
}

impl Resends {
    /// Remembers what stands in believed batches of earlier processes. `wall_ns` and `monotonic_ns` are now.
    pub(crate) fn load(&mut self, batches: &[KnownBatch], wall_ns: u64, monotonic_ns: u64) {
        for batch in batches {
            // A batch from the future was sealed before the clock was set back, nobody knows when.
            let age = wall_ns.saturating_sub(batch.sealed_at_ns);
            let Some(left) = RESEND_WINDOW_NS.checked_sub(age) else { continue };
            for digest in &batch.requests {
                let known = Known { ordinal: None, stubs: 0, dropped: 0 };
                self.insert_until(digest, known, monotonic_ns.saturating_add(left));
            }
        }
    }

    /// What became of a request with this digest, if it came within the window.
    pub(crate) fn get(&mut self, digest: &Hash, monotonic_ns: u64) -> Option<Known> {
        self.expire(monotonic_ns);
        let entry = self.newest(digest)?;
        // One from an earlier process may stand behind one that lasts longer.
        (entry.until_ns > monotonic_ns).then(|| entry.known())
    }

    /// Remembers a request.
    pub(crate) fn insert(&mut self, digest: &Hash, known: Known, monotonic_ns: u64) {
        self.insert_until(digest, known, monotonic_ns.saturating_add(RESEND_WINDOW_NS));
    }

    /// Forgets a request whose records did not become safe.
    pub(crate) fn forget(&mut self, digest: &Hash) {
        // It stays in its place, so that older entries of the same digest do not count again.
        if let Some(entry) = self.newest(digest) {
            entry.until_ns = 0;
        }
    }

    fn insert_until(&mut self, digest: &Hash, known: Known, until_ns: u64) {
        if self.entries.len() == DIGESTS_MAX {
            self.pop();
        }
        let half = half(digest);
        let number = self.first + self.entries.len() as u64;
        let Some(chain) = self.chains.get_mut(chain(half)) else { return };
        let older = std::mem::replace(chain, number);
        self.entries.push_back(Entry {
            digest: half,
            until_ns,
            ordinal: known.ordinal.unwrap_or(EARLIER),
            older,
            stubs: u32::try_from(known.stubs).unwrap_or(u32::MAX),
            dropped: u32::try_from(known.dropped).unwrap_or(u32::MAX),
        });
    }

    /// The newest entry of a digest, the only one that counts.
    fn newest(&mut self, digest: &Hash) -> Option<&mut Entry> {
        let half = half(digest);
        let mut number = *self.chains.get(chain(half))?;
        loop {
            let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
            let entry = self.entries.get(at)?;
            if entry.digest == half {
                return self.entries.get_mut(at);
            }
            number = entry.older;
        }
    }

    fn expire(&mut self, monotonic_ns: u64) {
        while self.entries.front().is_some_and(|entry| entry.until_ns <= monotonic_ns) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if self.entries.pop_front().is_some() {
            self.first += 1;
        }
    }
}

impl Entry {
    fn known(&self) -> Known {
        Known {
            ordinal: (self.ordinal != EARLIER).then_some(self.ordinal),
            stubs: self.stubs.into(),
            dropped: self.dropped.into(),
        }
    }
}

fn half(digest: &Hash) -> Half {
    digest.first_chunk().copied().unwrap_or_default()
}

fn chain([a, b, ..]: Half) -> usize {
    u16::from_le_bytes([a, b]).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use sealtrail_core::name::Identity;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn known(ordinal: u64) -> Known {
        Known { ordinal: Some(ordinal), stubs: 0, dropped: 0 }
    }

    fn batch(sealed_at_ns: u64, digest: u8) -> KnownBatch {
        KnownBatch { epoch: Identity([0; 32]), sequence: 0, sealed_at_ns, requests: vec![[digest; 32]] }
    }

    #[test]
    fn digests_count_for_ten_minutes() {
        let mut resends = Resends::default();
        let known = Known { ordinal: Some(3), stubs: 1, dropped: 2 };
        resends.insert(&[1; 32], known, 5 * SECOND);
        assert_eq!(resends.get(&[1; 32], 604 * SECOND), Some(known));
        assert_eq!(resends.get(&[2; 32], 604 * SECOND), None);
        assert_eq!(resends.get(&[1; 32], 605 * SECOND), None);
    }

    #[test]
    fn digests_of_an_earlier_process_count_from_when_they_were_sealed() {
        let now = 10_000 * SECOND;
        let batches =
            [batch(now - 601 * SECOND, 1), batch(now + 86_400 * SECOND, 2), batch(now - 500 * SECOND, 3)];
        let mut resends = Resends::default();
        resends.load(&batches, now, SECOND);
        let known = Some(Known { ordinal: None, stubs: 0, dropped: 0 });
        assert_eq!(resends.get(&[1; 32], SECOND), None);
        assert_eq!(resends.get(&[2; 32], 100 * SECOND), known);
        assert_eq!(resends.get(&[3; 32], 100 * SECOND), known);
        assert_eq!(resends.get(&[3; 32], 101 * SECOND), None);
        assert_eq!(resends.get(&[2; 32], 600 * SECOND), known);
        assert_eq!(resends.get(&[2; 32], 602 * SECOND), None);
    }

    /// It was refused, came again and was taken: that one lasts ten minutes of its own.
    #[test]
    fn a_request_that_came_again_outlives_the_one_that_was_forgotten() {
        let mut resends = Resends::default();
        resends.insert(&[1; 32], known(1), 0);
        resends.forget(&[1; 32]);
        assert_eq!(resends.get(&[1; 32], SECOND), None);
        resends.insert(&[1; 32], known(2), 300 * SECOND);
        assert_eq!(resends.get(&[1; 32], 700 * SECOND), Some(known(2)));
        resends.forget(&[1; 32]);
        assert_eq!(resends.get(&[1; 32], 700 * SECOND), None);
    }

    #[test]
    fn the_oldest_give_way_and_take_no_more_memory() {
        let digest = |n: usize| {
            let mut digest = [0; 32];
            // The lowest byte first: it names the chain.
            digest[..8].copy_from_slice(&n.to_le_bytes());
            digest
        };
        let mut resends = Resends::default();
        for n in 0..DIGESTS_MAX + 10 {
            resends.insert(&digest(n), known(n as u64), 0);
        }
        assert_eq!((resends.entries.len(), resends.entries.capacity()), (DIGESTS_MAX, DIGESTS_MAX));
        for n in 0..DIGESTS_MAX + 10 {
            let there = (n >= 10).then(|| known(n as u64));
            assert_eq!(resends.get(&digest(n), 1), there, "{n}");
        }
    }

    /// What must be under the load of the figures: nothing is allocated while the first ten minutes fill up.
    #[test]
    fn a_hundred_requests_a_second_take_what_was_taken_at_the_start() {
        let mut resends = Resends::default();
        let at_start = resends.entries.capacity();
        for n in 0..200_000_u64 {
            let digest = sealtrail_core::hash::sha256(&[&n.to_be_bytes()]);
            let now = n * SECOND / 100;
            assert_eq!(resends.get(&digest, now), None);
            resends.insert(&digest, known(n), now);
        }
        assert_eq!((resends.entries.len(), resends.entries.capacity()), (60_000, at_start));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Get(u8),
        Forget(u8),
        /// A batch of an earlier process, sealed so many seconds ago; less than nothing: in the future.
        Load(i64, u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Few digests, so that they come again.
        let digest = 0..6_u8;
        prop_oneof![
            digest.clone().prop_map(Step::Insert),
            digest.clone().prop_map(Step::Get),
            digest.clone().prop_map(Step::Forget),
            (-100..700_i64, digest).prop_map(|(age, digest)| Step::Load(age, digest)),
            (0..300_u64).prop_map(Step::Wait),
        ]
    }

    /// Digests that share a chain.
    fn chained(n: u8) -> Hash {
        let mut digest = [0; 32];
        digest[8] = n;
        digest
    }

    proptest! {
        #[test]
        fn is_what_a_table_of_digests_says(steps in proptest::collection::vec(step(), 1..200)) {
            let mut resends = Resends::default();
            let mut table: HashMap<u8, (Known, u64)> = HashMap::new();
            let mut now = 1_000 * SECOND;
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(digest) => {
                        resends.insert(&chained(digest), known(n as u64), now);
                        table.insert(digest, (known(n as u64), now + RESEND_WINDOW_NS));
                    }
                    Step::Forget(digest) => {
                        resends.forget(&chained(digest));
                        table.remove(&digest);
                    }
                    Step::Load(age_s, digest) => {
                        let sealed_at_ns = now.saturating_add_signed(-age_s * SECOND as i64);
                        let requests = vec![chained(digest)];
                        resends.load(&[KnownBatch { requests, ..batch(sealed_at_ns, 0) }], now, now);
                        let known = Known { ordinal: None, stubs: 0, dropped: 0 };
                        if let Some(left_s) = 600_u64.checked_sub(age_s.max(0) as u64) {
                            table.insert(digest, (known, now + left_s * SECOND));
                        }
                    }
                    Step::Get(_) => {}
                    Step::Wait(s) => now += s * SECOND,
                }
                let digest = match step { Step::Get(digest) => digest, _ => continue };
                let there = table.get(&digest).filter(|(_, until)| *until > now).map(|(known, _)| *known);
                prop_assert_eq!(resends.get(&chained(digest), now), there);
            }
        }
    }
}
