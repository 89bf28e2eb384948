//! Lines: one audit event as one JSON object in the form of RFC 8785 (`docs/spec/01-lines.md`).
//!
//! [`write`] appends the pieces of a line to a buffer; [`check`] decides, on the bytes alone, whether a line is one.
//! Neither builds a document in memory: a writer sorts its names before it writes, a verifier hashes the bytes it was
//! given and never serialises them again.

pub mod check;
mod order;
pub mod write;

pub use order::utf16_order;

/// Deepest nesting of a value: below the 100 at which protobuf readers stop, deeper than any real event.
pub const DEPTH_MAX: u32 = 64;

/// Longest trace or span id in bytes: four times what OTLP asks for.
pub const ID_BYTES_MAX: usize = 64;

/// Largest integer a bare JSON number may hold, 2^53 − 1: what every JSON reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
