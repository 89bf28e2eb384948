//! Request bodies: bounded in bytes, time, and in what all of them hold together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::refusal::{Class, Refusal};

/// Unit of the memory budget in bytes: small enough to waste little, large enough for 32-bit permits.
const UNIT_BYTES: usize = 1 << 10;

/// How long a request waits for memory before it is told to come back: under what a client waits for an answer.
const MEMORY_WAIT: Duration = Duration::from_secs(2);

/// How often it looks.
const MEMORY_POLL: Duration = Duration::from_millis(10);

/// Reads request bodies.
#[derive(Clone, Debug)]
pub(crate) struct BodyReader {
    budget: Arc<Semaphore>,
    timeout: Duration,
}

/// A whole body with its share of the memory budget, which goes back when the last slice of it is gone: also where the
/// client has hung up and its batches are still being judged.
struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyReader {
    pub(crate) fn new(memory_bytes_max: u32, timeout: Duration) -> Self {
        let units = memory_bytes_max as usize / UNIT_BYTES;
        Self { budget: Arc::new(Semaphore::new(units)), timeout }
    }

    /// Reads a body of at most `max` bytes.
    ///
    /// # Errors
    /// `too-large`, `request-timeout`, `unavailable` (too much in memory already), `malformed-request` (it broke off).
    pub(crate) async fn read(&self, body: Body, max: usize) -> Result<Bytes, Refusal> {
        let too_large = || Refusal::new(Class::TooLarge, format!("more than `{max}` bytes"));
        let hint = body.size_hint();
        let least = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
        if least > max {
            return Err(too_large());
        }
        // A body that does not say how long it is counts as the longest.
        let most = hint.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(max).min(max);
        let units = u32::try_from(most.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let permit = timeout(MEMORY_WAIT, self.room(units)).await;
        let busy = |_| Refusal::new(Class::Unavailable, "too many requests at once");
        let permit = permit.map_err(busy)?;
        let bytes = timeout(self.timeout, collect(body, least, max, too_large)).await;
        let slow = |_| Refusal::new(Class::RequestTimeout, "the body did not arrive in time");
        Ok(Bytes::from_owner(Held { bytes: bytes.map_err(slow)??, _permit: permit }))
    }

    /// Waits for a share of the budget. It is asked for again and again instead of queued for, so that a large request
    /// which has to wait does not keep small ones waiting.
    async fn room(&self, units: u32) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.budget.clone().try_acquire_many_owned(units) {
                return permit;
            }
            sleep(MEMORY_POLL).await;
        }
    }
}

async fn collect(
    mut body: Body,
    least: usize,
    max: usize,
    too_large: impl Fn() -> Refusal,
) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::with_capacity(least);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(Class::MalformedRequest, error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
