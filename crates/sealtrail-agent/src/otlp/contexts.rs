//! The context lines of the open batch, each written once.

use std::collections::HashMap;

use sealtrail_core::body::{CONTEXTS_MAX, LINE_BYTES_MAX, PLAIN_BYTES_MAX};

use super::batch::Full;
use super::cursor::{Encoding, Item, Source};
use super::value::Mapper;
use super::{Reason, json};
use crate::redact::{Ahead, Redactor};

/// Most bytes of received contexts kept to be recognised again: what their lines could take in a body. A context
/// beyond is mapped once more where it comes again.
const KNOWN_BYTES_MAX: usize = PLAIN_BYTES_MAX;

/// The context lines so far.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    lines: Vec<u8>,
    count: u32,
    /// Where the contexts received so far stand, by kind, encoding and received bytes.
    known: HashMap<Box<[u8]>, Placed>,
    known_bytes: usize,
    /// Leaves of the lines.
    leaves: HashMap<Box<[u8]>, u32>,
    key: Vec<u8>,
    message: Vec<u8>,
    schema_url: Vec<u8>,
}

/// The contexts of one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaves {
    pub(super) resource: u32,
    pub(super) scope: u32,
    /// Why the record becomes a stub: one of them could not be mapped, and an empty one stands for it.
    pub(super) failed: Option<Reason>,
}

/// The contexts of the record before, by their number in the request.
#[derive(Debug, Default)]
pub(super) struct Last {
    resource: Option<(u64, Placed)>,
    scope: Option<(u64, Placed)>,
}

/// A state to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    bytes: usize,
    count: u32,
}

/// Where a context stands, and why its records become stubs if it could not be mapped.
#[derive(Debug, Clone, Copy)]
struct Placed {
    leaf: u32,
    failed: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resource,
    Scope,
}

impl Contexts {
    /// The lines, each with its newline.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// How many there are; they are leaves 1 to this.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.count = 0;
        self.known.clear();
        self.known_bytes = 0;
        self.leaves.clear();
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.lines.len(), count: self.count }
    }

    /// Takes back the lines since a mark. They are not forgotten: only a batch that is full goes back, and it asks no
    /// more.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.lines.truncate(mark.bytes);
        self.count = mark.count;
    }

    /// The leaves of a record's resource and scope: those there are, or new ones.
    pub(super) fn of_record(
        &mut self,
        item: &Item<'_>,
        last: &mut Last,
        redactor: &mut Option<Redactor>,
    ) -> Result<Leaves, Full> {
        let resource = match last.resource {
            Some((ordinal, placed)) if ordinal == item.resource.ordinal => placed,
            _ => self.place(Kind::Resource, item.encoding, &item.resource, redactor)?,
        };
        let scope = match last.scope {
            Some((ordinal, placed)) if ordinal == item.scope.ordinal => placed,
            _ => self.place(Kind::Scope, item.encoding, &item.scope, redactor)?,
        };
        last.resource = Some((item.resource.ordinal, resource));
        last.scope = Some((item.scope.ordinal, scope));
        Ok(Leaves { resource: resource.leaf, scope: scope.leaf, failed: resource.failed.or(scope.failed) })
    }

    fn place(
        &mut self,
        kind: Kind,
        encoding: Encoding,
        source: &Source<'_>,
        redactor: &mut Option<Redactor>,
    ) -> Result<Placed, Full> {
        if source.malformed {
            return self.place_failed(kind, Reason::Malformed);
        }
        self.key.clear();
        self.key.extend_from_slice(&[kind as u8, encoding as u8]);
        self.key.extend_from_slice(&(source.schema_url.len() as u64).to_le_bytes());
        self.key.extend_from_slice(source.schema_url);
        self.key.extend_from_slice(source.message);
        if let Some(placed) = self.known.get(self.key.as_slice()) {
            return Ok(*placed);
        }
        let start = self.lines.len();
        let placed = match self.map(kind, encoding, source, redactor) {
            Ok(()) => self.commit(start),
            Err(reason) => {
                self.lines.truncate(start);
                self.place_failed(kind, reason)
            }
        }?;
        if self.known_bytes + self.key.len() <= KNOWN_BYTES_MAX {
            self.known_bytes += self.key.len();
            self.known.insert(self.key.as_slice().into(), placed);
        }
        Ok(placed)
    }

    /// The leaf of the empty context, for records under one that could not be mapped.
    fn place_failed(&mut self, kind: Kind, reason: Reason) -> Result<Placed, Full> {
        let start = self.lines.len();
        let line: &[u8] = if kind == Kind::Resource { b"{\"resource\":{}}" } else { b"{\"scope\":{}}" };
        self.lines.extend_from_slice(line);
        self.commit(start).map(|placed| Placed { failed: Some(reason), ..placed })
    }

    /// Appends a context line, or what of it was written before it failed.
    fn map(
        &mut self,
        kind: Kind,
        encoding: Encoding,
        source: &Source<'_>,
        redactor: &mut Option<Redactor>,
    ) -> Result<(), Reason> {
        let (mut message, mut url) = (source.message, source.schema_url);
        if encoding == Encoding::Json {
            self.message.clear();
            self.schema_url.clear();
            match kind {
                Kind::Resource => json::resource(message, &mut self.message)?,
                Kind::Scope => json::scope(message, &mut self.message)?,
            }
            json::schema_url(url, &mut self.schema_url)?;
            (message, url) = (&self.message, &self.schema_url);
        }
        let end = self.lines.len() + LINE_BYTES_MAX;
        let redactor = redactor.as_mut().and_then(|redactor| redactor.begin(message, &mut Ahead::default()));
        let mut mapper = Mapper { out: &mut self.lines, end, pairs: &mut Vec::new(), redactor, timed: false };
        match kind {
            Kind::Resource => mapper.resource(message, url),
            Kind::Scope => mapper.scope(message, url),
        }
    }

    /// Ends the line written since `start`, or takes it back where the body has that line already.
    fn commit(&mut self, start: usize) -> Result<Placed, Full> {
        let line = self.lines.get(start..).unwrap_or_default();
        if let Some(leaf) = self.leaves.get(line) {
            let placed = Placed { leaf: *leaf, failed: None };
            self.lines.truncate(start);
            return Ok(placed);
        }
        if self.count == CONTEXTS_MAX {
            return Err(Full);
        }
        self.count += 1;
        self.leaves.insert(line.into(), self.count);
        self.lines.push(b'\n');
        Ok(Placed { leaf: self.count, failed: None })
    }
}
