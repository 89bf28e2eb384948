//! A place in a line, moving forward.

use super::LineError;
use crate::body::LINE_BYTES_MAX;

/// What is left of a line that is UTF-8 and not too long.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    line_bytes: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(line: &'a [u8]) -> Result<Self, LineError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong(line.len()));
        }
        std::str::from_utf8(line).map_err(|error| LineError::NotUtf8(error.valid_up_to()))?;
        Ok(Self { rest: line, line_bytes: line.len() })
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.line_bytes - self.rest.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Moves on by that many bytes and returns them.
    pub(super) fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// Moves past these bytes if they stand here.
    pub(super) fn eat(&mut self, bytes: &[u8]) -> bool {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(&mut self, bytes: &[u8], expected: &'static str) -> Result<(), LineError> {
        if self.eat(bytes) { Ok(()) } else { Err(self.expected(expected)) }
    }

    pub(super) fn expected(&self, expected: &'static str) -> LineError {
        LineError::Expected { at: self.at(), expected }
    }

    pub(super) fn end(&self) -> Result<(), LineError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected("the line's end")) }
    }
}
