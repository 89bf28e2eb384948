//! Places for connections. When all are taken a newcomer gets that of a client that keeps us waiting, so that no number of
//! silent or dribbling clients keeps out one that has something to say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// All places of a listener.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places_max: usize,
    taken: Mutex<Taken>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_age: BTreeMap<u64, Arc<Connection>>,
    by_peer: HashMap<IpAddr, usize>,
}

/// What a connection does; shared by its place, its stream and its requests. Times are in ms since its start.
#[derive(Debug)]
pub(super) struct Connection {
    peer: IpAddr,
    start: Instant,
    going: AtomicUsize,
    owed: AtomicUsize,
    served: AtomicBool,
    asked_ms: AtomicU64,
    moved_ms: AtomicU64,
    /// 0: what is written is taken.
    blocked_ms: AtomicU64,
    flooded: AtomicBool,
    leave: Notify,
}

/// A connection's place; free again once this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    number: u64,
    connection: Arc<Connection>,
}

/// A request on a connection, from its head to its answer.
#[derive(Debug)]
pub struct Request {
    connection: Arc<Connection>,
    whole: AtomicBool,
}

impl Places {
    /// So many places, none of them taken.
    #[must_use]
    pub fn new(places_max: usize) -> Self {
        Self(Arc::new(Inner { places_max, taken: Mutex::default(), emptied: Notify::new() }))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from this address; the second says whether another had to leave for it. Nobody leaves who
    /// is owed an answer: `None` where that is everybody.
    #[must_use]
    pub fn take(&self, from: IpAddr) -> Option<(Place, bool)> {
        let mut taken = self.taken();
        let full = taken.by_age.len() >= self.0.places_max;
        if full {
            let number = taken.gives_way()?;
            if let Some(connection) = taken.remove(number) {
                connection.leave.notify_one();
            }
        }
        let (number, connection) = (taken.next, Arc::new(Connection::new(peer(from))));
        taken.next += 1;
        *taken.by_peer.entry(connection.peer).or_default() += 1;
        taken.by_age.insert(number, Arc::clone(&connection));
        Some((Place { places: self.clone(), number, connection }, full))
    }

    /// Comes back once no place is taken.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.taken().by_age.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Taken {
    /// Whoever never sent a whole request comes before whoever did; then the peer with the most places; then the longest
    /// silence. So a flood of strangers costs no client its connection, and one address takes from itself first.
    fn gives_way(&self) -> Option<u64> {
        let waiting = self.by_age.iter().filter(|(_, c)| c.owed.load(Ordering::Relaxed) == 0);
        let rank = |c: &Connection| {
            let places = self.by_peer.get(&c.peer).copied().unwrap_or_default();
            (c.served.load(Ordering::Relaxed), Reverse(places), c.moved_ms_absolute())
        };
        waiting.min_by_key(|(_, connection)| rank(connection)).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Connection>> {
        let connection = self.by_age.remove(&number)?;
        if let Some(places) = self.by_peer.get_mut(&connection.peer) {
            *places -= 1;
            if *places == 0 {
                self.by_peer.remove(&connection.peer);
            }
        }
        Some(connection)
    }
}

/// Who counts as one: an address, of IPv6 a network of 64 bits, of which everybody has as many addresses as he likes.
fn peer(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

impl Connection {
    fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            start: Instant::now(),
            going: AtomicUsize::new(0),
            owed: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            asked_ms: AtomicU64::new(0),
            moved_ms: AtomicU64::new(0),
            blocked_ms: AtomicU64::new(0),
            flooded: AtomicBool::new(false),
            leave: Notify::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When a byte last moved, comparable over connections.
    fn moved_ms_absolute(&self) -> Instant {
        self.start + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    fn since(&self, ms: &AtomicU64) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(ms.load(Ordering::Relaxed)))
    }

    /// Bytes came or went.
    pub(super) fn moved(&self) {
        self.moved_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// More came that asks for nothing than a client has reason to send.
    pub(super) fn flooded(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }

    /// What is written is taken, or is not.
    pub(super) fn blocked(&self, blocked: bool) {
        if !blocked {
            self.blocked_ms.store(0, Ordering::Relaxed);
        } else if self.blocked_ms.load(Ordering::Relaxed) == 0 {
            self.blocked_ms.store(self.now_ms().max(1), Ordering::Relaxed);
        }
    }
}

impl Place {
    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Comes back when the connection has to leave for another.
    pub async fn leave(&self) {
        self.connection.leave.notified().await;
    }

    /// A source of [`Request`]s, one for each that begins on the connection.
    pub fn requests(&self) -> impl Fn() -> Arc<Request> + use<> {
        let connection = Arc::clone(&self.connection);
        move || {
            connection.going.fetch_add(1, Ordering::Relaxed);
            connection.asked_ms.store(connection.now_ms(), Ordering::Relaxed);
            Arc::new(Request { connection: Arc::clone(&connection), whole: AtomicBool::new(false) })
        }
    }

    /// How long nothing came of a connection on which no request ever came to its end; nothing where one did.
    #[must_use]
    pub fn stranger_for(&self) -> Duration {
        let served = self.connection.served.load(Ordering::Relaxed);
        if served { Duration::ZERO } else { self.connection.start.elapsed() }
    }

    /// Whether the connection was ended because its client kept saying what asks for nothing.
    #[must_use]
    pub fn flooded(&self) -> bool {
        self.connection.flooded.load(Ordering::Relaxed)
    }

    /// How long no request has been going on.
    #[must_use]
    pub fn idle_for(&self) -> Duration {
        let going = self.connection.going.load(Ordering::Relaxed) > 0;
        if going { Duration::ZERO } else { self.connection.since(&self.connection.asked_ms) }
    }

    /// How long not a byte has moved, and no request has been going on.
    #[must_use]
    pub fn still_for(&self) -> Duration {
        self.idle_for().min(self.connection.since(&self.connection.moved_ms))
    }

    /// How long the client has not taken what was written to it.
    #[must_use]
    pub fn unread_for(&self) -> Duration {
        match self.connection.blocked_ms.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            _ => self.connection.since(&self.connection.blocked_ms),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.remove(self.number);
        if taken.by_age.is_empty() {
            self.places.0.emptied.notify_waiters();
        }
    }
}

impl Request {
    /// It has come to its end: from now on the client is owed an answer.
    pub fn whole(&self) {
        if !self.whole.swap(true, Ordering::Relaxed) {
            self.connection.owed.fetch_add(1, Ordering::Relaxed);
            self.connection.served.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if *self.whole.get_mut() {
            self.connection.owed.fetch_sub(1, Ordering::Relaxed);
        }
        self.connection.asked_ms.store(self.connection.now_ms(), Ordering::Relaxed);
        self.connection.going.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn full(places_max: usize) -> (Places, Vec<Place>) {
        let places = Places::new(places_max);
        let all = (0..places_max).map(|_| places.take(HERE).unwrap().0).collect();
        (places, all)
    }

    fn taken(places: &Places) -> Vec<u64> {
        places.taken().by_age.keys().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_keeps_us_waiting_gives_way() {
        let (places, all) = full(5);
        tokio::time::advance(Duration::from_secs(1)).await;
        // 0 is owed an answer, 1 was given one, 2 dribbles a body, 3 has said something later than 4.
        let owed = all[0].requests()();
        owed.whole();
        all[1].requests()().whole();
        let _dribbling = all[2].requests()();
        all[3].connection().moved();
        tokio::time::advance(Duration::from_secs(1)).await;
        all[2].connection().moved();
        let mut late = Vec::new();
        for left in [4, 3, 2] {
            let (place, another_left) = places.take(HERE).unwrap();
            assert!(another_left && !taken(&places).contains(&left), "{left}: {:?}", taken(&places));
            place.requests()().whole();
            late.push(place);
        }
        assert_eq!(taken(&places), [0, 1, 5, 6, 7]);
        // All have been served: the one that was silent longest, and never the one that is owed an answer.
        let _late = places.take(HERE).unwrap();
        assert_eq!(taken(&places), [0, 5, 6, 7, 8]);
    }

    #[test]
    fn whoever_is_owed_an_answer_stays() {
        let (places, mut all) = full(3);
        let owed: Vec<_> = all.iter().map(|place| place.requests()()).collect();
        owed.iter().for_each(|request| request.whole());
        assert!(places.take(HERE).is_none());
        drop(owed);
        assert!(places.take(HERE).is_some());
        all.clear();
        assert_eq!(places.taken().by_peer.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_takes_from_itself_first() {
        let places = Places::new(4);
        let _other = places.take(THERE).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let _held: Vec<_> = (0..3).map(|_| places.take(HERE).unwrap()).collect();
        for _ in 0..10 {
            std::mem::forget(places.take(HERE).unwrap());
            assert!(taken(&places).contains(&0));
        }
        let network = |text: &str| peer(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), THERE);
    }
}
