//! Lines: the writer and the checker against vectors, an independent oracle, and real events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod forms;
mod oracle;
mod property;
mod real;
mod tree;
mod vectors;

use sealtrail_core::line::check::{self, Context, LineError, RecordInfo};

/// Checks a record line in a body whose leaf 1 is a resource and leaf 2 a scope.
fn record(line: &[u8]) -> Result<RecordInfo, LineError> {
    check::record(line, &[Context::Resource, Context::Scope])
}

/// The record line whose body is that text.
fn with_body(value: &[u8]) -> Vec<u8> {
    [b"{\"body\":", value, b",\"resource\":1,\"scope\":2}"].concat()
}
