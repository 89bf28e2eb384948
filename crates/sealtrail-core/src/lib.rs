//! The Sealtrail format and its arithmetic: pure, without clock, disk, network or randomness.
//!
//! `docs/spec/` is the text of what stands here as code: lines, bodies, statements, the log.

pub mod artefact;
pub mod body;
pub mod cbor;
pub mod checkpoint;
pub mod entry;
pub mod hash;
pub mod key;
pub mod line;
pub mod merkle;
pub mod name;
pub mod note;
pub mod receipt;
pub mod segment;
pub mod statement;
pub mod tile;
