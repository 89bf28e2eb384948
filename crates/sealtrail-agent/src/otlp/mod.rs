//! OTLP in, lines out (`docs/spec/01-lines.md` section 1.5), without a message or a document in between.
//!
//! [`Request::parse`] walks a request once, down to the bytes of each record; a request that passes is accepted. A
//! [`Cursor`] then moves through its records, and [`BatchLines`] maps them one by one into the lines of the open batch
//! until the request or the batch is at its end:
//!
//! ```
//! use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, Request};
//!
//! let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"login"}}]}]}]}"#;
//! let request = Request::parse(Encoding::Json, json)?;
//! let mut cursor = request.cursor();
//! let mut batch = BatchLines::new(Limits::default(), None);
//! batch.take(&mut cursor, 1_760_000_000_000_000_000);
//! assert!(cursor.is_done());
//! let plain = batch.finish(&[7; 32]);
//! assert!(plain.bytes().ends_with(b"{\"body\":\"login\",\"resource\":1,\"scope\":2}\n"));
//! # Ok::<(), sealtrail_agent::otlp::Unparseable>(())
//! ```
//!
//! What is wrong inside a record makes a stub of that record and of no other.

mod batch;
mod context;
mod contexts;
mod cursor;
mod json;
mod list;
mod plain;
mod protobuf;
mod reason;
mod record;
mod schema;
mod stub;
mod value;
mod wire;

pub use batch::{BatchLines, Limits, Progress};
pub use cursor::{Cursor, Encoding, Request, Unparseable};
pub use plain::{PlainBody, Tally};
pub use reason::Reason;
