//! Evidence appraisal for Sealtrail: bytes, a trust policy and a time in, a verdict out.
//!
//! Pure: no clock, no file, no network, no randomness, and nothing of the log. The same inputs give the same verdict for
//! ever, so evidence can be judged again years later, as of the time it was used.
//!
//! [`Evidence::decode`] reads an artefact, [`appraise`] checks it against what the open binds ([`Expected`]) and against
//! the code a trust policy accepts ([`ReferenceValue`]), and gives an [`Appraisal`], or says why not ([`Refused`]).
//! The forms are fixed in `docs/spec/05-evidence.md`.

mod appraisal;
mod appraise;
mod cbor;
mod evidence;
pub mod ledger;
pub mod nitro;
mod reference_value;
mod refused;
mod sign1;
pub mod software;

pub use appraisal::Appraisal;
pub use appraise::{Expected, TIME_TOLERANCE_MS, appraise, check_bound};
pub use cbor::{CborError, CborFault};
pub use evidence::{
    ENDORSEMENTS_MAX, EVIDENCE_BYTES_MAX, Evidence, EvidenceError, FieldError, Kind, SHOWN_MAX,
};
pub use reference_value::{ReferenceValue, ReferenceValueError};
pub use refused::{BoundField, ChallengeFault, Refusal, Refused};
