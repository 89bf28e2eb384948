//! A trail: its tree and epochs, the one thread that decides what enters it, and what everybody else may read.

mod commit;
mod epochs;
mod group;
mod heard;
mod reader;
mod sequencer;
mod shared;
mod start;

pub(crate) use commit::{Committed, RoomError, TrailWriter};
pub(crate) use epochs::{EpochTable, Judged, Last, Location, Patience, ReadBack, Slot};
pub(crate) use heard::Silent;
pub(crate) use sequencer::{
    AdmittedBatch, AdmittedOpen, Command, Placed, Sequencer, SequencerHandle, stale_challenge,
};
pub(crate) use shared::{Head, SegmentPart, TrailInfo, TrailShared};
pub use start::StartError;
pub(crate) use start::{StartContext, Started, start_trail};
