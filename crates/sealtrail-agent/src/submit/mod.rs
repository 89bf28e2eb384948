//! Sending batches to the ledger, in order, until verified receipts cover them.

mod answer;
mod api;
mod backoff;
mod checkpoints;
mod client;
mod lineage;
mod network;
mod ordinals;
mod queue;
mod submitter;
mod trouble;

pub(crate) use api::{Challenge, challenge_answer, challenge_request, epoch_answer, epoch_request};
pub(crate) use backoff::Backoff;
pub(crate) use checkpoints::{Checkpoints, HeldError};
pub(crate) use client::{CallError, Client};
pub(crate) use lineage::{Sightings, watch as watch_lineage};
pub(crate) use network::Http;
pub use network::{Call, Network, NetworkError};
pub(crate) use ordinals::{Bases, Refused};
pub(crate) use submitter::{Submitter, SubmitterParts};
