//! Verification of a ledger: one streaming pass, one verdict (`docs/spec/06-verification.md`).
//!
//! Bytes come in through [`Source`], the trust policy and receipts as arguments. No clock, no network: the same inputs
//! give the same verdict for ever.

mod checkpoints;
mod conclude;
mod content;
mod control;
mod epoch;
mod finding;
mod opens;
mod policy;
mod receipts;
mod source;
mod state;
mod tiles;
mod trail;
mod verdict;
mod verify;
mod walk;
mod words;
mod workers;

pub use content::BatchView;
pub use finding::{Class, Finding, Severity};
pub use policy::{PolicyError, TrustPolicy};
pub use source::{Directory, Source};
pub use verdict::{
    Covered, EpochReport, EpochState, NotCovered, Outcome, ReceiptReport, Tool, TrailReport, Verdict,
};
pub use verify::{Options, Progress, ReceiptInput, Visitor, verify};
pub use walk::trail_tree;
