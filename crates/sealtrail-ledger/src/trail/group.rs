//! A group: the requests of one round, taken apart into statements and put together into answers.

use sealtrail_core::name::{Identity, Name};
use tokio::sync::oneshot;

use crate::control::Record;
use crate::refusal::Refusal;

use super::Committed;
use super::sequencer::{AdmittedBatch, AdmittedOpen, Command, Outcome};
use super::shared::EpochKey;

/// One statement of a group, with the number of the request it came in.
pub(super) enum Work {
    Open(usize, Box<AdmittedOpen>),
    Batch(usize, AdmittedBatch),
}

impl Work {
    pub(super) fn request(&self) -> usize {
        match self {
            Self::Open(request, _) | Self::Batch(request, _) => *request,
        }
    }

    pub(super) fn committed(&self) -> &Committed {
        match self {
            Self::Open(_, open) => &open.committed,
            Self::Batch(_, batch) => &batch.committed,
        }
    }

    pub(super) fn class(&self) -> Option<&Name> {
        match self {
            Self::Open(..) => None,
            Self::Batch(_, batch) => Some(&batch.claims.retention_class),
        }
    }
}

/// What a run will write, and what follows when it is durable.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) group: Vec<Committed>,
    /// Request, leaf, whether it stood there before.
    pub(super) places: Vec<(usize, u64, bool)>,
    pub(super) opens: Vec<(Identity, EpochKey)>,
    pub(super) holes: Vec<Record>,
    pub(super) records: u64,
    pub(super) stored_bytes: u64,
}

/// A request and what became of its statements so far.
pub(super) struct Request {
    reply: Reply,
    outcomes: Vec<Outcome>,
    pub(super) end: Option<Refusal>,
    pub(super) ended: bool,
}

enum Reply {
    One(oneshot::Sender<Outcome>),
    Many(oneshot::Sender<Vec<Outcome>>),
}

impl Request {
    pub(super) fn push(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    pub(super) fn reply(mut self) {
        self.outcomes.extend(self.end.map(Err));
        // Whoever does not wait for the answer any more asks again, and gets the same one.
        match self.reply {
            Reply::Many(reply) => drop(reply.send(self.outcomes)),
            Reply::One(reply) => {
                if let Some(outcome) = self.outcomes.pop() {
                    let _ = reply.send(outcome);
                }
            }
        }
    }
}

/// The requests of one round.
#[derive(Default)]
pub(super) struct Group {
    pub(super) requests: Vec<Request>,
    pub(super) work: Vec<Work>,
    pub(super) questions: Vec<Command>,
    pub(super) bytes: u64,
}

impl Group {
    pub(super) fn add(&mut self, command: Command) {
        let number = self.requests.len();
        let (reply, work): (_, Vec<Work>) = match command {
            Command::Open(open, reply) => (Reply::One(reply), vec![Work::Open(number, open)]),
            Command::Batches(batches, reply) => {
                let work = batches.into_iter().map(|batch| Work::Batch(number, batch)).collect();
                (Reply::Many(reply), work)
            }
            question => return self.questions.push(question),
        };
        self.bytes += work.iter().map(|work| work.committed().item.segment_bytes()).sum::<u64>();
        self.work.extend(work);
        self.requests.push(Request { reply, outcomes: Vec::new(), end: None, ended: false });
    }
}
