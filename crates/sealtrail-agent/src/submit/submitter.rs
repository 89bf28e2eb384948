//! The task that sends the outbox to the ledger and believes nothing that does not verify.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::name::{Identity, TrailId};
use sealtrail_core::receipt::{Receipt, ReceiptFile};
use sealtrail_env::{Environment, blocking, is_full};
use tokio::sync::watch;
use tokio::time::Instant;

use super::api::{Problem, UNKNOWN_CLASS, batches_answer, batches_request};
use super::queue::{Loaded, Queue};
use super::trouble::Trouble;
use super::{Backoff, Bases, CallError, Checkpoints, Client, Refused};
use crate::outbox::{Append, Epochs, Item, Position, StateDir, expire, files_dir, numbers, release};
use crate::progress::Progress;
use crate::seal::Seen;
use crate::status::{Counter, Level, Status};

/// How often the newest receipt is written to its file while batches are being committed.
const RECEIPT_EVERY: Duration = Duration::from_secs(1);

/// How often digests past their time are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);

/// What no ledger says of a batch whose open it has, and which has seen what it signed.
const DENIALS: [&str; 2] = ["unknown-epoch", "seen-unknown"];

/// What a submitter is made of.
#[derive(Debug)]
pub(crate) struct SubmitterParts {
    pub(crate) env: Environment,
    pub(crate) client: Client,
    pub(crate) trail: TrailId,
    pub(crate) ledger: LedgerKey,
    pub(crate) control: TrailId,
    pub(crate) state: Arc<StateDir>,
    pub(crate) start: Position,
    pub(crate) settled: HashMap<Identity, u64>,
    pub(crate) checkpoints: Arc<Mutex<Checkpoints>>,
    pub(crate) seen: Seen,
    pub(crate) bases: Bases,
    pub(crate) refused: Refused,
    /// Epochs of earlier processes whose open has a receipt.
    pub(crate) opened: Epochs,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) outbox: SyncSender<Append>,
    /// How long batches may wait for their receipts before somebody should look.
    pub(crate) patience: Duration,
}

/// The submitter.
#[derive(Debug)]
pub(crate) struct Submitter {
    pub(super) parts: SubmitterParts,
    pub(super) queue: Option<Queue>,
    newest: Option<(Identity, u64, ReceiptFile)>,
    /// The batch that was gone back to last, until a receipt comes. Asked for again it has to wait: it was refused, or the
    /// ledger goes in circles.
    rewound: Option<(Identity, u64)>,
    receipt_due: Instant,
    expire_due: Instant,
    /// When a batch was settled last, or none waited.
    settled_at: Instant,
    released: u64,
}

impl Submitter {
    /// A submitter that has sent nothing yet.
    pub(crate) fn new(parts: SubmitterParts) -> Self {
        let queue = Queue::new(&parts.state, parts.start, parts.settled.clone());
        let now = Instant::now();
        let released = parts.start.file;
        Self {
            queue: Some(queue),
            parts,
            newest: None,
            rewound: None,
            receipt_due: now,
            expire_due: now,
            settled_at: now,
            released,
        }
    }

    /// Sends what there is until told to end. A call to the ledger that is going on then is given up: what it would have
    /// settled is sent again by the next process.
    pub(crate) async fn run(mut self, mut end: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            () = self.send_all() => {}
            _ = end.wait_for(|end| *end) => {}
        }
        self.keep_receipt().await;
    }

    async fn send_all(&mut self) {
        let mut backoff = Backoff::new(self.parts.env.clone());
        let mut watch = self.parts.progress.watch();
        loop {
            let (end, below) = {
                let reached = watch.borrow_and_update();
                (reached.end, reached.sealed)
            };
            let behind = self.queue.as_ref().map(|queue| queue.is_behind(end));
            if behind == Some(false) {
                self.parts.progress.read_to_the_end(below);
            }
            if behind != Some(true) {
                self.settled();
                self.housekeep(true).await;
                let _ = tokio::time::timeout(RECEIPT_EVERY, watch.changed()).await;
                continue;
            }
            match self.step(end).await {
                Ok(()) => {
                    backoff.reset();
                    self.parts.status.clear("ledger");
                    self.parts.status.clear("receipt");
                }
                Err(trouble) => {
                    self.tell(&trouble);
                    self.tell_overdue();
                    backoff.wait().await;
                }
            }
            self.housekeep(false).await;
        }
    }

    fn tell(&self, trouble: &Trouble) {
        let status = &self.parts.status;
        match trouble {
            Trouble::Call(CallError::Away(_) | CallError::Problem(_)) => {
                status.count(Counter::LedgerCallsFailed, 1);
                status.trouble("ledger", trouble.to_string());
            }
            Trouble::Outbox(_) => status.trouble("outbox", trouble.to_string()),
            Trouble::Forgotten(_) | Trouble::SetBack(_) => status.trouble("ledger", trouble.to_string()),
            _ => {
                status.count(Counter::LedgerAnswersInvalid, 1);
                status.trouble("receipt", trouble.to_string());
            }
        }
    }

    /// A batch was settled, or none waits.
    fn settled(&mut self) {
        self.settled_at = Instant::now();
        self.parts.status.clear("overdue");
    }

    /// T06: whatever the ledger answers, without a receipt that holds nothing is safe.
    fn tell_overdue(&self) {
        let patience = self.parts.patience;
        if self.settled_at.elapsed() > patience {
            let text =
                format!("no receipt for more than `{}` s, though batches wait", patience.as_secs_f64());
            self.parts.status.trouble("overdue", text);
        }
    }

    /// Sends one request's worth and settles what its answer settles.
    async fn step(&mut self, end: Position) -> Result<(), Trouble> {
        self.with_queue(move |queue| queue.fill(end)).await?.map_err(|e| Trouble::Outbox(e.to_string()))?;
        let Some(queue) = &self.queue else { return Ok(()) };
        let batches = queue.loaded();
        if batches.is_empty() {
            return Ok(());
        }
        let held = self.checkpoints(|c| c.held());
        let request = batches_request(held.trail_size, batches.iter().map(Loaded::parts));
        let answer = match self.parts.client.submit(self.parts.trail, request).await {
            Ok(answer) => batches_answer(&answer)?,
            Err(CallError::Problem(problem)) => return self.problem(problem, end).await,
            Err(error) => return Err(error.into()),
        };
        let (taken, problem) = self.verify(answer)?;
        self.settle(taken).await;
        match problem {
            Some(problem) => self.problem(problem, end).await,
            None => Ok(()),
        }
    }

    /// Runs something that reads the disk.
    async fn with_queue<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Queue) -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let lost = || Trouble::Outbox("reader is gone".to_owned());
        let mut queue = self.queue.take().ok_or_else(lost)?;
        let (queue, done) = blocking(move || {
            let done = work(&mut queue);
            (queue, done)
        })
        .await
        .ok_or_else(lost)?;
        self.queue = Some(queue);
        Ok(done)
    }

    pub(super) fn checkpoints<T>(&self, work: impl FnOnce(&mut Checkpoints) -> T) -> T {
        work(&mut self.parts.checkpoints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Settles the first batches, one for each receipt.
    async fn settle(&mut self, receipts: Vec<Receipt>) {
        for receipt in receipts {
            let Some(batch) = self.queue.as_mut().and_then(Queue::settle) else { break };
            if batch.pending {
                self.parts.status.count(Counter::BatchesCommitted, 1);
                self.account(&batch, false);
            }
            if self.newest.as_ref().is_some_and(|(epoch, ..)| *epoch != batch.epoch) {
                self.mark();
                self.keep_receipt().await;
            }
            if self.parts.refused.remove(batch.epoch, batch.sequence) {
                let (state, epoch, sequence) = (Arc::clone(&self.parts.state), batch.epoch, batch.sequence);
                self.on_disk("cannot remove what was refused", move || state.drop_refused(epoch, sequence))
                    .await;
            }
            self.rewound = None;
            let file = ReceiptFile { statement: batch.parts().0.to_vec(), receipt };
            self.newest = Some((batch.epoch, batch.sequence, file));
        }
        self.mark();
    }

    fn account(&mut self, batch: &Loaded, refused: bool) {
        self.settled();
        let ordinal = self.parts.bases.settle(batch.epoch, batch.sequence);
        self.parts.progress.settle(batch.bytes(), ordinal, refused);
    }

    /// Notes the newest receipt in the outbox. If the process dies before that is written, the batches are sent again.
    fn mark(&self) {
        if let Some((epoch, sequence, _)) = &self.newest {
            self.mark_settled(*epoch, *sequence);
        }
    }

    fn mark_settled(&self, epoch: Identity, sequence: u64) {
        let held = self.checkpoints(|c| c.held());
        let mut framed = Vec::new();
        Item::Committed { epoch, sequence, held }.push_to(&mut framed);
        // A writer that is too busy for a mark gets the next one.
        let _ = self.parts.outbox.try_send(Append::Mark { framed, held });
    }

    /// The ledger did not take the first batch.
    async fn problem(&mut self, problem: Problem, end: Position) -> Result<(), Trouble> {
        let Some((epoch, sequence)) =
            self.queue.as_ref().and_then(|q| q.loaded().front()).map(|b| (b.epoch, b.sequence))
        else {
            return Ok(());
        };
        match (problem.status, problem.expected) {
            (409, Some(expected)) if expected < sequence && self.rewound != Some((epoch, expected)) => {
                let found = self.with_queue(move |queue| queue.rewind(epoch, expected, end)).await?;
                match found {
                    Ok(true) => {
                        self.rewound = Some((epoch, expected));
                        Ok(())
                    }
                    // The ledger takes the batch with the hole before it after a while.
                    Ok(false) => Err(Trouble::Forgotten(expected)),
                    Err(error) => Err(Trouble::Outbox(error.to_string())),
                }
            }
            // The open has a receipt of this ledger, and what was seen its signature.
            (422, _) if DENIALS.contains(&problem.class.as_str()) && self.was_opened(epoch) => {
                Err(Trouble::SetBack(problem.class))
            }
            // A refusal is for good, so it has to be the ledger's: what is in between gives no class.
            (422, _) if problem.class != UNKNOWN_CLASS => self.refused(&problem).await,
            _ => Err(CallError::Problem(problem).into()),
        }
    }

    /// Whether the ledger gave a receipt for the open of this epoch.
    fn was_opened(&self, epoch: Identity) -> bool {
        self.parts.bases.contains(epoch) || self.parts.opened.contains(epoch)
    }

    /// The ledger refused the first batch for good. Its bytes are kept aside, synced, before it leaves the queue, so that
    /// nothing is lost; the hole it leaves is the ledger's to explain.
    async fn refused(&mut self, problem: &Problem) -> Result<(), Trouble> {
        let state = Arc::clone(&self.parts.state);
        let kept = self
            .with_queue(move |queue| {
                let Some(batch) = queue.loaded().front() else { return Ok(()) };
                let Some(item) = batch.item() else { return Ok(()) };
                state.keep_refused(batch.epoch, batch.sequence, &item)
            })
            .await?;
        if let Err(error) = kept {
            disk_trouble(&self.parts.status, &self.parts.progress, "cannot keep a refused batch", &error);
            return Err(Trouble::Outbox(error.to_string()));
        }
        let Some(batch) = self.queue.as_mut().and_then(Queue::settle) else { return Ok(()) };
        let status = &self.parts.status;
        status.count(Counter::BatchesRefused, 1);
        let epoch = hex::encode(batch.epoch.0);
        status.notice(
            Level::Error,
            format!("ledger refused batch `{}` of epoch `{epoch}`: {problem}", batch.sequence),
        );
        status.trouble("refused", problem.to_string());
        self.parts.refused.add(batch.epoch, batch.sequence);
        // The ledger will ask for it when it sees the next one, and take that after a while.
        self.rewound = Some((batch.epoch, batch.sequence));
        if batch.pending {
            self.account(&batch, true);
        }
        self.mark_settled(batch.epoch, batch.sequence);
        Ok(())
    }

    /// Writes the newest receipt to its file when that is due, deletes outbox files that are no longer needed and digests
    /// past their time.
    async fn housekeep(&mut self, idle: bool) {
        let now = Instant::now();
        if idle || now >= self.receipt_due {
            self.keep_receipt().await;
            self.receipt_due = now + RECEIPT_EVERY;
        }
        let needed = self.queue.as_ref().map_or(0, Queue::first_file);
        let expire_now = now >= self.expire_due;
        if needed <= self.released && !expire_now {
            return;
        }
        let wall_ns = self.parts.env.clock.wall_ns();
        let state = Arc::clone(&self.parts.state);
        self.on_disk("cannot tidy the outbox", move || {
            release_below(&state, needed, wall_ns)?;
            if expire_now { expire(state.disk().as_ref(), state.path(), wall_ns) } else { Ok(()) }
        })
        .await;
        self.released = needed;
        if expire_now {
            self.expire_due = now + EXPIRE_EVERY;
        }
    }

    /// Writes the newest receipt to its file, for whoever wants to verify it.
    async fn keep_receipt(&mut self) {
        let Some((epoch, sequence, file)) = self.newest.take() else { return };
        let state = Arc::clone(&self.parts.state);
        let bytes = file.encode();
        self.on_disk("cannot keep a receipt", move || state.keep_receipt(epoch, sequence, &bytes)).await;
    }

    /// Changes something on the disk. Its failure is told by the thread that saw it: whoever waits here may be ended first.
    async fn on_disk(&self, failing: &'static str, work: impl FnOnce() -> io::Result<()> + Send + 'static) {
        let (status, progress) = (self.parts.status.clone(), self.parts.progress.clone());
        let done = blocking(move || {
            if let Err(error) = work() {
                disk_trouble(&status, &progress, failing, &error);
            }
        });
        // The work itself does not panic, and nobody cancels it.
        let _ = done.await;
    }
}

/// A full disk is a warning: receipts can be fetched again, tidying is tried again. After anything else nobody knows what
/// the disk holds, so the agent writes nothing more. Files that somebody else removed are no trouble of the disk.
fn disk_trouble(status: &Status, progress: &Progress, what: &str, error: &io::Error) {
    if is_full(error) || error.kind() == io::ErrorKind::NotFound {
        return status.notice(Level::Warning, format!("{what}: {error}"));
    }
    status.notice(Level::Error, format!("{what}, the agent stops: {error}"));
    status.trouble("outbox", error.to_string());
    progress.fail();
}

fn release_below(state: &StateDir, needed: u64, wall_ns: u64) -> io::Result<()> {
    let (disk, path) = (state.disk().as_ref(), state.path());
    let files = numbers(disk, &files_dir(path), "out")?;
    files.into_iter().filter(|n| *n < needed).try_for_each(|n| release(disk, path, n, wall_ns))
}
