//! Memory for requests, shared by all of them while they arrive and until they are dealt with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What memory is counted in.
const PAGE_BYTES: usize = 4 << 10;

/// From this age on a request that is still arriving gives up its memory when others lack it. A batch of 4 MiB takes as
/// long at 16 Mbit/s.
const SLOW: Duration = Duration::from_secs(2);

/// From here on a request is a long one.
const LONG_BYTES: usize = 1 << 20;

/// The part of the memory that long requests leave to others, so far as the longest one fits into the rest.
const RESERVE_PART: usize = 4;

/// Memory for all requests of a process.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pages: Arc<Semaphore>,
    /// Pages that long requests leave free.
    reserve: usize,
    arriving: Mutex<Arriving>,
}

#[derive(Debug, Default)]
struct Arriving {
    next: u64,
    by_age: BTreeMap<u64, Arc<Holding>>,
}

#[derive(Debug)]
struct Holding {
    since: Instant,
    permit: Mutex<Permit>,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Permit {
    held: Option<OwnedSemaphorePermit>,
    lost: bool,
}

/// There is no memory for it now, or what it had was given to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory is left for this request")]
pub struct NoMemory;

/// The part of one request that is arriving.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    number: u64,
    holding: Arc<Holding>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// So many bytes for all requests together, of which one takes so many at most.
    #[must_use]
    pub fn new(bytes_max: usize, request_bytes_max: usize) -> Self {
        let reserve =
            (bytes_max / RESERVE_PART).min(bytes_max.saturating_sub(request_bytes_max)) / PAGE_BYTES;
        let pages = Arc::new(Semaphore::new(bytes_max / PAGE_BYTES));
        Self(Arc::new(Inner { pages, reserve, arriving: Mutex::default() }))
    }

    /// A share for a request that begins to arrive, without any memory yet.
    #[must_use]
    pub fn share(&self) -> Share {
        let holding = Holding { since: Instant::now(), permit: Mutex::default(), taken: Notify::new() };
        let holding = Arc::new(holding);
        let mut arriving = lock(&self.0.arriving);
        let number = arriving.next;
        arriving.next += 1;
        arriving.by_age.insert(number, Arc::clone(&holding));
        Share { memory: self.clone(), number, holding }
    }

    /// Takes pages; where there are too few, from requests that have been arriving for too long, the oldest first. What
    /// those hold is freed as soon as their tasks run.
    fn acquire(&self, number: u64, pages: u32, long: bool) -> Option<OwnedSemaphorePermit> {
        let all = &self.0.pages;
        // Two long requests at once may both find the last of it: it is a reserve, not a promise.
        let has_room = || !long || all.available_permits() >= self.0.reserve + pages as usize;
        let free = || has_room().then(|| Arc::clone(all).try_acquire_many_owned(pages).ok())?;
        if let Some(permit) = free() {
            return Some(permit);
        }
        let arriving = lock(&self.0.arriving);
        for (_, slow) in
            arriving.by_age.range(..number).take_while(|(_, older)| older.since.elapsed() >= SLOW)
        {
            let mut permit = lock(&slow.permit);
            if permit.held.take().is_none() {
                continue;
            }
            permit.lost = true;
            slow.taken.notify_one();
            if let Some(permit) = free() {
                return Some(permit);
            }
        }
        None
    }
}

impl Share {
    /// Makes it so many bytes at least.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn grow(&self, bytes: usize) -> Result<(), NoMemory> {
        let (lost, held) = {
            let permit = lock(&self.holding.permit);
            (permit.lost, permit.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits))
        };
        let more = u32::try_from(bytes.div_ceil(PAGE_BYTES).saturating_sub(held)).map_err(|_| NoMemory)?;
        if lost {
            return Err(NoMemory);
        }
        if more == 0 {
            return Ok(());
        }
        // Without the lock: another request may be taking this one's memory meanwhile.
        let more = self.memory.acquire(self.number, more, bytes > LONG_BYTES).ok_or(NoMemory)?;
        let mut permit = lock(&self.holding.permit);
        if permit.lost {
            return Err(NoMemory);
        }
        match &mut permit.held {
            Some(held) => held.merge(more),
            None => permit.held = Some(more),
        }
        Ok(())
    }

    /// Comes back when its memory was given to others; what it was for should then be dropped at once.
    pub async fn taken(&self) {
        self.holding.taken.notified().await;
    }

    /// The request is whole: its memory stays its own until the permit is dropped.
    ///
    /// # Errors
    /// [`NoMemory`] where it was given to others.
    pub fn keep(self) -> Result<Option<OwnedSemaphorePermit>, NoMemory> {
        let mut permit = lock(&self.holding.permit);
        if permit.lost { Err(NoMemory) } else { Ok(permit.held.take()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        lock(&self.memory.0.arriving).by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_that_dribbles_gives_up_its_memory() {
        let memory = Memory::new(10 * PAGE_BYTES, 10 * PAGE_BYTES);
        let (slow, slower) = (memory.share(), memory.share());
        slow.grow(6 * PAGE_BYTES).unwrap();
        slower.grow(4 * PAGE_BYTES).unwrap();
        let young = memory.share();
        assert_eq!(young.grow(1), Err(NoMemory), "the others are not slow yet");
        tokio::time::advance(SLOW).await;
        // An older one takes nothing from a younger one: where all are slow, one of them comes to its end.
        assert_eq!(slow.grow(7 * PAGE_BYTES), Err(NoMemory));
        young.grow(1).unwrap();
        slow.taken().await;
        assert_eq!(slow.grow(1), Err(NoMemory));
        assert!(slow.keep().is_err());
        assert!(slower.keep().unwrap().is_some());
        assert!(young.keep().unwrap().is_some());
        assert_eq!(memory.0.pages.available_permits(), 10);
        assert!(lock(&memory.0.arriving).by_age.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_whole_keeps_its_memory() {
        let memory = Memory::new(10 * PAGE_BYTES, 10 * PAGE_BYTES);
        let share = memory.share();
        share.grow(10 * PAGE_BYTES).unwrap();
        let kept = share.keep().unwrap();
        tokio::time::advance(10 * SLOW).await;
        assert_eq!(memory.share().grow(1), Err(NoMemory));
        drop(kept);
        assert_eq!(memory.share().grow(1), Ok(()));
    }

    #[test]
    fn long_requests_leave_some_of_it_to_others() {
        let memory = Memory::new(16 << 20, 10 << 20);
        let (long, short) = (memory.share(), memory.share());
        assert_eq!(long.grow((12 << 20) + 1), Err(NoMemory));
        long.grow(12 << 20).unwrap();
        assert_eq!(memory.share().grow(LONG_BYTES + 1), Err(NoMemory));
        short.grow(LONG_BYTES).unwrap();
        // The longest one fits, whatever is left for others then.
        assert_eq!(Memory::new(11 << 20, 10 << 20).share().grow(10 << 20), Ok(()));
    }
}
