//! The queue of requests before the mapper.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use sealtrail_core::hash::Hash;
use sealtrail_core::key::KeyId;
use sealtrail_core::statement::CloseReason;
use sealtrail_env::blocking;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Closed, Epoch, MapperSettings};
use crate::otlp::{Encoding, Reason};
use crate::outbox::KnownBatch;
use crate::progress::Progress;

/// Requests waiting for the mapper. It maps 1,000 records in under a millisecond, so these are worth a second at most;
/// their bytes have a bound of their own.
const QUEUE_MAX: usize = 1024;

/// A request read to its end, decompressed.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub(crate) digest: Hash,
    /// The agent's clock when it was there, ns.
    pub(crate) received_at_ns: u64,
    /// Its share of the memory for requests.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

/// A request that was not read to its end, or whose frame is broken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestStub {
    /// Bytes read, decompressed.
    pub(crate) length: u64,
    pub(crate) reason: Reason,
    pub(crate) received_at_ns: u64,
}

/// What the mapper made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its last record stands in the batch with this ordinal; so many of its records are stubs or were dropped. `None`:
    /// a batch of an earlier process, or no record at all.
    Accepted { ordinal: Option<u64>, stubs: u64, dropped: u64 },
    /// It has members, and none that leads to a record. Nothing is kept of it.
    NoRecord,
    /// It is no request. A stub says so.
    Unparseable,
    /// It cannot be taken now.
    Deferred(Deferred),
}

/// Why a request should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Deferred {
    /// No epoch: the ledger has not taken this agent's open, or the agent ends.
    #[error(
        "agent has no open epoch with the ledger: nothing was taken, send it again; if that goes on, the agent's standard \
         error says why"
    )]
    NotReady,
    /// The outbox is full of batches that the ledger has not taken.
    #[error(
        "the agent's outbox is full of batches that the ledger has not taken: nothing was taken, send it again; if that \
         goes on, look after the ledger or raise `outbox.bytes_max`"
    )]
    OutboxFull,
    /// More requests than can be held.
    #[error(
        "the agent cannot take more at this moment: nothing was taken, send it again, fewer at once if that goes on"
    )]
    Busy,
    /// It did not come to its end in time.
    #[error(
        "the request did not come to its end in time: nothing was taken, send it again, in smaller requests on a slow line"
    )]
    Slow,
    /// Not sealed in time; it still may be.
    #[error("not sealed in time: send it again, what is sealed meanwhile is not sealed twice")]
    Late,
    /// Not as safe as asked for, and it will not be.
    #[error(
        "the batch was refused by the ledger or could not be written: send it again; the agent's standard error says why"
    )]
    Lost,
}

/// What the mapper is given.
#[derive(Debug)]
pub(crate) enum Message {
    /// A request, with where its verdict goes.
    Request(Received, oneshot::Sender<Verdict>),
    /// A request that became a stub.
    Stub(RequestStub),
    /// Batches of earlier processes whose digests count.
    Know(Vec<KnownBatch>),
    /// An epoch is open at the ledger: seal.
    Begin(Box<Epoch>),
    /// Cut what is open, seal a close, say which it was.
    Close(CloseReason, Option<KeyId>, oneshot::Sender<Closed>),
    /// Settings of the next epoch.
    Configure(Box<MapperSettings>),
    /// End without sealing anything more.
    Stop,
}

/// The receiver's end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    sender: SyncSender<Message>,
    accepting: Arc<AtomicBool>,
    progress: Progress,
}

/// A queue that takes no requests yet.
pub(crate) fn intake(progress: Progress) -> (Intake, Receiver<Message>) {
    let (sender, receiver) = sync_channel(QUEUE_MAX);
    (Intake { sender, accepting: Arc::new(AtomicBool::new(false)), progress }, receiver)
}

impl Intake {
    /// Takes requests from now on, or no longer.
    pub(crate) fn accept(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Relaxed);
    }

    /// Whether a request may come; asked before its body is read.
    pub(crate) fn check(&self) -> Result<(), Deferred> {
        if !self.accepting.load(Ordering::Relaxed) {
            Err(Deferred::NotReady)
        } else if !self.progress.has_room() {
            Err(Deferred::OutboxFull)
        } else {
            Ok(())
        }
    }

    /// Queues a request.
    pub(crate) fn offer(&self, request: Received) -> Result<oneshot::Receiver<Verdict>, Deferred> {
        self.check()?;
        let (sender, receiver) = oneshot::channel();
        self.try_send(Message::Request(request, sender))?;
        Ok(receiver)
    }

    /// Queues a stub for a request that was not read to its end.
    pub(crate) fn offer_stub(&self, stub: RequestStub) -> Result<(), Deferred> {
        self.check()?;
        self.try_send(Message::Stub(stub))
    }

    fn try_send(&self, message: Message) -> Result<(), Deferred> {
        self.sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => Deferred::Busy,
            TrySendError::Disconnected(_) => Deferred::NotReady,
        })
    }

    /// Gives the mapper something other than a request, after the requests that are queued. May wait.
    pub(crate) async fn control(&self, message: Message) {
        let sender = self.sender.clone();
        // A mapper that is gone needs no control.
        let _ = blocking(move || sender.send(message)).await;
    }

    /// As [`Self::control`], from a thread of its own.
    pub(crate) fn stop(&self) {
        let _ = self.sender.send(Message::Stop);
    }
}
