//! The control trail: the ledger's own records, and the published checkpoints of all other trails.

mod fold;
mod pending;
mod record;
mod refusals;
mod sealer;
mod state;
mod thread;

pub(crate) use fold::{Fold, PublishedAt};
pub(crate) use pending::Pending;
pub(crate) use record::Record;
pub use sealer::SealError;
pub(crate) use sealer::{EpochSettings, NewEpoch, Sealer, predecessor};
pub(crate) use state::{ControlHandle, ControlNote, ControlState, View};
pub use thread::ControlError;
pub(crate) use thread::{ControlThread, ControlTiming, LastTimes, Message};
