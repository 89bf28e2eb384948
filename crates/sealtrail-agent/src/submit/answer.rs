//! What a ledger answered, before any of it is believed.

use sealtrail_core::checkpoint::Checkpoint;
use sealtrail_core::receipt::Receipt;

use super::HeldError;
use super::api::{BatchResult, BatchesAnswer, Problem};
use super::queue::{Loaded, Queue};
use super::submitter::{Submitter, SubmitterParts};
use super::trouble::Trouble;

impl Submitter {
    /// Checks an answer as a whole: all its receipts, their one checkpoint, that this extends the held one, the control
    /// note. Only then does any of it count.
    pub(super) fn verify(&self, answer: BatchesAnswer) -> Result<(Vec<Receipt>, Option<Problem>), Trouble> {
        let empty = std::collections::VecDeque::new();
        let batches = self.queue.as_ref().map_or(&empty, Queue::loaded);
        let results = answer.results.len();
        if results == 0 || results > batches.len() {
            return Err(Trouble::Results { results, batches: batches.len() });
        }
        let mut receipts = Vec::new();
        let mut problem = None;
        let mut checkpoint: Option<Checkpoint> = None;
        for (batch, result) in batches.iter().zip(answer.results) {
            match result {
                _ if problem.is_some() => {
                    return Err(Trouble::Results { results, batches: receipts.len() + 1 });
                }
                BatchResult::Problem(status, text) => problem = Some(Problem::read(status, &text)),
                BatchResult::Receipt(bytes) => {
                    let (receipt, found) = self.verify_receipt(batch, &bytes)?;
                    if checkpoint
                        .as_ref()
                        .is_some_and(|c| c.size() != found.size() || c.root() != found.root())
                    {
                        return Err(Trouble::Checkpoints);
                    }
                    checkpoint = Some(found);
                    receipts.push(receipt);
                }
            }
        }
        if let Some(checkpoint) = checkpoint {
            let seen = self.checkpoints(|held| {
                let mut next = held.clone();
                next.extend(&checkpoint, &answer.consistency)?;
                next.see(&answer.control_note)?;
                *held = next;
                Ok::<_, HeldError>(held.seen())
            })?;
            self.parts.seen.set(seen);
        }
        Ok((receipts, problem))
    }

    fn verify_receipt(&self, batch: &Loaded, bytes: &[u8]) -> Result<(Receipt, Checkpoint), Trouble> {
        let refused = |error| Trouble::Receipt { sequence: batch.sequence, error };
        let receipt = Receipt::decode(bytes).map_err(refused)?;
        let (statement, _) = batch.parts();
        let SubmitterParts { trail, ledger, control, .. } = &self.parts;
        let included = receipt.verify(statement, *trail, ledger, *control).map_err(refused)?;
        Ok((receipt, included.checkpoint))
    }
}
