//! Request bodies: bounded in bytes, time, and in what all of them hold together.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use sealtrail_env::{Memory, NoMemory, Share};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

use crate::refusal::{Class, Refusal};

use super::wire::BATCHES_BYTES_MAX;

/// What a request takes of the memory beside its body: its task, its stream, its head.
const REQUEST_BYTES: usize = 8 << 10;

/// Least memory that is taken for a body at a time, unless it ends before.
const STEP_BYTES: usize = 16 << 10;

/// How long a request waits for memory before it is told to come back: under what a client waits for an answer.
const MEMORY_WAIT: Duration = Duration::from_secs(2);

/// How often it looks.
const MEMORY_POLL: Duration = Duration::from_millis(10);

/// A body that comes slower than this has no more time than a header has: 4 MiB, what an agent sends at once, over a line
/// of half a Mbit/s.
const BYTES_PER_SECOND_MIN: u32 = 64 << 10;

/// Reads request bodies.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    memory: Memory,
    /// Time for a body that does not come at the least rate.
    slow: Duration,
    /// Time for any body.
    timeout: Duration,
}

/// A whole body with its share of the memory, which goes back when the last slice of it is gone: also where the client has
/// hung up and its batches are still being judged.
struct Held {
    bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn busy(_: NoMemory) -> Refusal {
    Refusal::new(Class::Unavailable, "too many requests at once")
}

impl BodyReader {
    pub(crate) fn new(memory_bytes_max: u32, slow: Duration, timeout: Duration) -> Self {
        let memory = Memory::new(memory_bytes_max as usize, BATCHES_BYTES_MAX + REQUEST_BYTES);
        Self { memory, slow: slow.min(timeout), timeout }
    }

    /// Reads a body of at most `max` bytes.
    ///
    /// # Errors
    /// `too-large`, `request-timeout`, `unavailable` (too much in memory already), `malformed-request` (it broke off).
    pub(crate) async fn read(&self, body: Body, max: usize) -> Result<Bytes, Refusal> {
        let least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if least > max {
            return Err(too_large(max));
        }
        let share = self.memory.share();
        let bytes = tokio::select! {
            biased;
            bytes = self.collect(body, &share, least, max) => bytes?,
            () = share.taken() => return Err(busy(NoMemory)),
        };
        Ok(Bytes::from_owner(Held { bytes, _permit: share.keep().map_err(busy)? }))
    }

    /// Takes memory as the bytes come, never for what is merely announced.
    async fn collect(
        &self,
        mut body: Body,
        share: &Share,
        least: usize,
        max: usize,
    ) -> Result<Bytes, Refusal> {
        room(share, REQUEST_BYTES).await?;
        let begun = Instant::now();
        let mut bytes = BytesMut::new();
        loop {
            let earned = Duration::from_secs(1) * u32::try_from(bytes.len()).unwrap_or(u32::MAX)
                / BYTES_PER_SECOND_MIN;
            let deadline = begun + (self.slow + earned).min(self.timeout);
            let slow = |_| Refusal::new(Class::RequestTimeout, "the body did not arrive in time");
            let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(slow)? else { break };
            let frame = frame.map_err(|error| Refusal::new(Class::MalformedRequest, error))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = bytes.len() + data.len();
            if length > max {
                return Err(too_large(max));
            }
            if length > bytes.capacity() {
                // Doubling, but no more than is said to come.
                let most = if least > 0 { least } else { max };
                let capacity = length.max((2 * bytes.capacity()).max(STEP_BYTES).min(most));
                room(share, REQUEST_BYTES + capacity).await?;
                bytes.reserve(capacity - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.freeze())
    }
}

fn too_large(max: usize) -> Refusal {
    Refusal::new(Class::TooLarge, format!("more than `{max}` bytes"))
}

/// Waits for memory. It is asked for again and again instead of queued for, so that a large request which has to wait does
/// not keep small ones waiting.
async fn room(share: &Share, bytes: usize) -> Result<(), Refusal> {
    let until = Instant::now() + MEMORY_WAIT;
    loop {
        match share.grow(bytes) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= until => return Err(busy(error)),
            Err(_) => sleep(MEMORY_POLL).await,
        }
    }
}
