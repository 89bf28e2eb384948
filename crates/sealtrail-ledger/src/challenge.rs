//! Challenges: what an agent's evidence has to answer, once, within five minutes (`docs/spec/08-api.md`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sealtrail_core::hash::Hash;
use sealtrail_core::name::{Name, TrailId};

use crate::env::{Environment, NoRandomness};

/// How long a challenge is good for, in ns.
const LIFETIME_NS: u64 = 300 * 1_000_000_000;

/// Most challenges out at once: 54 a second for their whole lifetime, in under 8 MB. Beyond, the oldest is forgotten.
const CHALLENGES_MAX: usize = 16_384;

/// The bytes of a challenge: hash of a control checkpoint note, then 32 random bytes.
pub(crate) type Challenge = [u8; 64];

/// Whom a challenge was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) trail: TrailId,
    pub(crate) stream: Name,
    pub(crate) instance: Name,
}

/// The challenges that are out. A restart forgets them; agents then ask again.
pub(crate) struct Challenges {
    env: Environment,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    issued: HashMap<Challenge, (Holder, u64)>,
    /// In order of issue, used ones included.
    order: VecDeque<(Challenge, u64)>,
}

impl Challenges {
    pub(crate) fn new(env: Environment) -> Self {
        Self { env, table: Mutex::default() }
    }

    /// A fresh challenge that names a control checkpoint note.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn issue(&self, note: &Hash, holder: Holder) -> Result<Challenge, NoRandomness> {
        let random: [u8; 32] = self.env.random()?;
        let mut challenge = [0; 64];
        let (left, right) = challenge.split_at_mut(32);
        left.copy_from_slice(note);
        right.copy_from_slice(&random);
        let now = self.env.clock.monotonic_ns();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forget(now);
        table.issued.insert(challenge, (holder, now));
        table.order.push_back((challenge, now));
        Ok(challenge)
    }

    /// Whether the challenge is good for this holder now.
    pub(crate) fn is_good(&self, challenge: &Challenge, holder: &Holder) -> bool {
        let now = self.env.clock.monotonic_ns();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.is_good(challenge, holder, now)
    }

    /// Uses the challenge up; `false` where it was not good.
    pub(crate) fn take(&self, challenge: &Challenge, holder: &Holder) -> bool {
        let now = self.env.clock.monotonic_ns();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.is_good(challenge, holder, now) && table.issued.remove(challenge).is_some()
    }
}

impl Table {
    fn is_good(&self, challenge: &Challenge, holder: &Holder, now: u64) -> bool {
        self.issued
            .get(challenge)
            .is_some_and(|(to, at)| to == holder && now.saturating_sub(*at) < LIFETIME_NS)
    }

    /// Makes room for one more.
    fn forget(&mut self, now: u64) {
        while let Some((challenge, at)) = self.order.front() {
            if now.saturating_sub(*at) < LIFETIME_NS && self.order.len() < CHALLENGES_MAX {
                break;
            }
            self.issued.remove(challenge);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_good_once_and_for_its_holder() {
        let challenges = Challenges::new(Environment::system());
        let name = |text| Name::new(text).unwrap();
        let holder =
            |instance| Holder { trail: TrailId([1; 16]), stream: name("s"), instance: name(instance) };
        let challenge = challenges.issue(&[7; 32], holder("a")).unwrap();
        assert_eq!(challenge[..32], [7; 32]);
        assert!(challenges.is_good(&challenge, &holder("a")));
        assert!(!challenges.take(&challenge, &holder("b")));
        assert!(challenges.take(&challenge, &holder("a")));
        assert!(!challenges.take(&challenge, &holder("a")));
    }

    #[test]
    fn a_flood_forgets_the_oldest() {
        let challenges = Challenges::new(Environment::system());
        let name = |text| Name::new(text).unwrap();
        let holder = Holder { trail: TrailId([1; 16]), stream: name("s"), instance: name("i") };
        let first = challenges.issue(&[7; 32], holder.clone()).unwrap();
        for _ in 0..CHALLENGES_MAX {
            challenges.issue(&[7; 32], holder.clone()).unwrap();
        }
        assert!(!challenges.is_good(&first, &holder));
        assert_eq!(challenges.table.lock().unwrap().issued.len(), CHALLENGES_MAX);
    }
}
