//! Whether bytes are a line: strict, on the bytes alone, in one pass.
//!
//! ```
//! use sealtrail_core::line::check::{Context, record};
//!
//! let contexts = [Context::Resource, Context::Scope];
//! let info = record(br#"{"body":"login","resource":1,"scope":2}"#, &contexts)?;
//! assert!(!info.stub && !info.redacted);
//! assert!(record(br#"{"body":1.0,"resource":1,"scope":2}"#, &contexts).is_err());
//! # Ok::<(), sealtrail_core::line::check::LineError>(())
//! ```
//!
//! Names stand in their order in every kind of line, so the members of a line are asked for one after the other, each
//! at most once: repeats, unknown members and wrong order all show as something unexpected.

mod member;
mod number;
mod reader;
mod string;
mod value;
mod wrapper;

use super::INTEGER_MAX;
use crate::body::{LINE_BYTES_MAX, REQUESTS_MAX};
use reader::Reader;

/// What a line says about itself once it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordInfo {
    /// It is a stub: it stands for what could not be mapped.
    pub stub: bool,
    /// Redaction changed or removed something.
    pub redacted: bool,
}

/// Which of the two kinds a context line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// `{"resource":…}`
    Resource,
    /// `{"scope":…}`
    Scope,
}

/// The header line of a body, `docs/spec/02-body.md` section 2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the plain body after the header line's newline, as the header claims.
    pub length: u64,
    /// SHA-256 of the requests that end in this body, in order.
    pub requests: Vec<[u8; 32]>,
    /// The random bytes that give every salt.
    pub seed: [u8; 32],
}

/// Why bytes are not a line. Positions are bytes from the line's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than [`LINE_BYTES_MAX`].
    #[error("line has `{0}` bytes, at most `{LINE_BYTES_MAX}` are allowed")]
    TooLong(usize),
    /// Not UTF-8 from here on.
    #[error("line is not UTF-8 at byte `{0}`")]
    NotUtf8(usize),
    /// Something else stands where the form asks for this: whitespace, a member unknown, repeated or out of order, a
    /// value of the wrong kind, the line's end.
    #[error("expected {expected} at byte `{at}`")]
    Expected {
        /// Where.
        at: usize,
        /// What the form asks for.
        expected: &'static str,
    },
    /// A required member is not there.
    #[error("member `{0}` is missing")]
    Missing(&'static str),
    /// A control, or an escape other than the one RFC 8785 prescribes.
    #[error("string has a character in non-canonical form at byte `{0}`")]
    StringForm(usize),
    /// A number not written as RFC 8785 and this format write it.
    #[error("number is not in canonical form at byte `{0}`")]
    NumberForm(usize),
    /// An integer outside what this member allows.
    #[error("integer at byte `{at}` is not within {bounds}")]
    OutOfBounds {
        /// Where.
        at: usize,
        /// What is allowed.
        bounds: &'static str,
    },
    /// A name not after the one before it in UTF-16 order, repeats included.
    #[error("name at byte `{0}` repeats or precedes the name before it")]
    NameOrder(usize),
    /// A name that starts with `$` and not with `$$`, and is none of the wrappers, or not alone.
    #[error("no such wrapper at byte `{0}`")]
    UnknownWrapper(usize),
    /// A wrapper around what has a bare form.
    #[error("wrapper at byte `{0}` holds what has a bare form")]
    NeedlessWrapper(usize),
    /// Not hex in lower case of an allowed length.
    #[error("expected lower-case hex of {bytes} bytes at byte `{at}`")]
    Hex {
        /// Where.
        at: usize,
        /// How many bytes are allowed.
        bytes: &'static str,
    },
    /// Not base64 as RFC 4648 section 4 writes it, or of a length this member does not allow.
    #[error("not strict base64 at byte `{0}`")]
    Base64(usize),
    /// Deeper than [`DEPTH_MAX`](super::DEPTH_MAX).
    #[error("value is nested too deep at byte `{0}`")]
    TooDeep(usize),
    /// Text, a list or attributes that are empty and so should not be there.
    #[error("empty where something must stand at byte `{0}`")]
    Empty(usize),
    /// A record points at a leaf that is not a context line of that kind.
    #[error("`{index}` at byte `{at}` is not the leaf of such a context line")]
    NoContext {
        /// Where.
        at: usize,
        /// What the record says.
        index: u64,
    },
    /// More request digests than [`REQUESTS_MAX`].
    #[error("more than `{REQUESTS_MAX}` request digests")]
    TooManyRequests,
}

/// Checks a header line.
///
/// # Errors
/// The line is not exactly of the form of `docs/spec/02-body.md` section 2.1. That `length` is true is for the caller
/// to see, who has the body.
pub fn header(line: &[u8]) -> Result<Header, LineError> {
    let mut reader = Reader::new(line)?;
    reader.expect(b"{\"length\":", "`length`")?;
    let length = reader.integer(0, INTEGER_MAX, "0 to 2^53 - 1")?;
    reader.expect(b",\"requests\":[", "`requests`")?;
    let mut requests = Vec::new();
    while !reader.eat(b"]") {
        if requests.len() == REQUESTS_MAX {
            return Err(LineError::TooManyRequests);
        }
        if !requests.is_empty() {
            reader.expect(b",", "`,` or `]`")?;
        }
        requests.push(reader.digest()?);
    }
    reader.expect(b",\"seed\":", "`seed`")?;
    let seed = reader.digest()?;
    reader.expect(b",\"v\":1}", "`v` to be 1")?;
    reader.end()?;
    Ok(Header { length, requests, seed })
}

/// Checks a context line.
///
/// # Errors
/// The line is not exactly of the form of `docs/spec/01-lines.md` section 1.2.
pub fn context(line: &[u8]) -> Result<Context, LineError> {
    let mut reader = Reader::new(line)?;
    let context = if reader.eat(b"{\"resource\":") {
        member::resource(&mut reader)?;
        Context::Resource
    } else {
        reader.expect(b"{\"scope\":", "`resource` or `scope`")?;
        member::scope(&mut reader)?;
        Context::Scope
    };
    reader.expect(b"}", "`}`")?;
    reader.end()?;
    Ok(context)
}

/// Checks a record line or a stub line, with what is known of the body's context lines: `contexts[0]` is leaf 1.
///
/// # Errors
/// The line is not exactly of the form of `docs/spec/01-lines.md` sections 1.3 or 1.4, or points at a leaf that is not
/// a context of the right kind.
pub fn record(line: &[u8], contexts: &[Context]) -> Result<RecordInfo, LineError> {
    let mut reader = Reader::new(line)?;
    let info = member::record(&mut reader, contexts)?;
    reader.end()?;
    Ok(info)
}
