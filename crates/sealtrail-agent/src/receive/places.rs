//! Places for connections. When all are taken, the oldest connection without a request going on gives way, so that no number
//! of silent or dribbling clients keeps out one that has something to say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections at once, on each listener: every container of a large node, several times over.
const PLACES: usize = 1024;

/// All places of a listener.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    taken: Mutex<Taken>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_age: BTreeMap<u64, Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    going: AtomicUsize,
    recent: AtomicBool,
    leave: Notify,
}

/// A connection's place; free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    number: u64,
    shared: Arc<Shared>,
}

/// A request going on in a connection.
#[derive(Debug)]
pub(crate) struct Going(Arc<Shared>);

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if need be that of the oldest connection with no request going on; the second says whether it had to leave.
    /// `None` where every connection has a request going on.
    pub(crate) fn take(&self) -> Option<(Place, bool)> {
        let mut taken = self.taken();
        let full = taken.by_age.len() >= PLACES;
        if full {
            let idle = |shared: &Shared| shared.going.load(Ordering::Relaxed) == 0;
            let oldest = taken.by_age.iter().find(|(_, shared)| idle(shared)).map(|(number, _)| *number)?;
            if let Some(shared) = taken.by_age.remove(&oldest) {
                shared.leave.notify_one();
            }
        }
        let (number, shared) = (taken.next, Arc::new(Shared::default()));
        taken.next += 1;
        taken.by_age.insert(number, Arc::clone(&shared));
        Some((Place { places: self.clone(), number, shared }, full))
    }

    /// Comes back once no place is taken.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.taken().by_age.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Place {
    /// Comes back when the connection has to leave.
    pub(crate) async fn leave(&self) {
        self.shared.leave.notified().await;
    }

    /// A source of [`Going`] for the connection's requests.
    pub(crate) fn requests(&self) -> impl Fn() -> Going + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            shared.going.fetch_add(1, Ordering::Relaxed);
            shared.recent.store(true, Ordering::Relaxed);
            Going(Arc::clone(&shared))
        }
    }

    /// Whether a request was going on since this was last asked.
    pub(crate) fn was_active(&self) -> bool {
        self.shared.recent.swap(false, Ordering::Relaxed) || self.shared.going.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.by_age.remove(&self.number);
        if taken.by_age.is_empty() {
            self.places.0.emptied.notify_waiters();
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.going.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_without_a_request_gives_way() {
        let places = Places::default();
        let mut all: Vec<Place> = (0..PLACES).map(|_| places.take().unwrap().0).collect();
        let busy: Vec<Going> = all[..10].iter().map(|place| place.requests()()).collect();
        let (late, left) = places.take().unwrap();
        assert!(left);
        assert!(!places.taken().by_age.contains_key(&10) && places.taken().by_age.contains_key(&0));
        let _requests: Vec<Going> = all.iter().chain([&late]).map(|place| place.requests()()).collect();
        assert!(places.take().is_none());
        drop(busy);
        all.clear();
        assert_eq!(places.taken().by_age.len(), 1);
    }
}
