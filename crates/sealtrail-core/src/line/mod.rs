//! Lines: one audit event as one JSON object in the form of RFC 8785 (`docs/spec/01-lines.md`).
//!
//! [`write`] appends the pieces of a line to a buffer; [`check`] decides, on the bytes alone, whether a line is one.
//! Neither builds a document in memory: a writer sorts its names before it writes, a verifier hashes the bytes it was
//! given and never serialises them again.

pub mod check;
mod order;
pub mod write;

pub use order::utf16_order;

/// Longest line in bytes, without its newline: 1 MiB, four times the largest event real systems log (CloudTrail,
/// 256 KB).
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of a value: below the 100 at which protobuf readers stop, deeper than any real event.
pub const DEPTH_MAX: u32 = 64;

/// Most request digests in a header line: 8,192 × 67 bytes keep it below [`LINE_BYTES_MAX`].
pub const REQUESTS_MAX: usize = 8_192;

/// Most context lines in a body: with [`RECORDS_MAX`] records a leaf index fits 17 bits.
pub const CONTEXTS_MAX: usize = 4_095;

/// Most record lines in a body.
pub const RECORDS_MAX: usize = 65_535;

/// Most bytes in a plain body: eight longest lines.
pub const PLAIN_BYTES_MAX: usize = 8 << 20;

/// Most stubs in a body; whoever floods an agent with malformed records fills no more than this.
pub const STUBS_MAX: usize = 128;

/// Longest trace or span id in bytes: four times what OTLP asks for.
pub const ID_BYTES_MAX: usize = 64;

/// Largest integer a bare JSON number may hold, 2^53 − 1: what every JSON reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
