//! The lines of the open batch.

use std::collections::HashMap;
use std::sync::Arc;

use sealtrail_core::body::{
    CONTEXTS_MAX, LINE_BYTES_MAX, PLAIN_BYTES_MAX, RECORDS_MAX, REQUESTS_MAX, STUBS_MAX,
};
use sealtrail_core::hash::sha256;
use sealtrail_core::line::write;

use super::cursor::{Cursor, Encoding, Item, Source};
use super::plain::{PlainBody, Tally};
use super::value::{Mapper, Pair};
use super::{Reason, json};
use crate::redact::{RedactionRules, Redactor};

/// Room kept before the records for header and contexts, so that they are put in front without moving the records.
/// Holds a header of 50 requests and 12 KiB of contexts; with more, the records are moved once.
const FRONT_BYTES: usize = 16 << 10;

/// Most bytes of received contexts kept to be recognised again: what their lines could take in a body. A context
/// beyond is written once more where it comes again.
const KNOWN_BYTES_MAX: usize = PLAIN_BYTES_MAX;

/// When a batch is full, below the bounds of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most records in a batch.
    pub records_max: u32,
    /// Most bytes of its plain body; the first record is taken whatever its size.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records_max: RECORDS_MAX, bytes_max: PLAIN_BYTES_MAX }
    }
}

/// How far a batch got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything was taken.
    Done,
    /// The batch is full. What is left goes into the next one.
    Full,
}

/// The lines of one batch while it is open.
#[derive(Debug)]
pub struct BatchLines {
    limits: Limits,
    redactor: Option<Redactor>,
    contexts: Vec<u8>,
    context_count: u32,
    /// Leaves of the contexts received so far, by kind, encoding and received bytes.
    known: HashMap<Box<[u8]>, Placed>,
    known_bytes: usize,
    /// Leaves of the context lines.
    leaves: HashMap<Box<[u8]>, u32>,
    /// Begins with [`FRONT_BYTES`] that are not lines.
    records: Vec<u8>,
    requests: Vec<[u8; 32]>,
    tally: Tally,
    full: bool,
    scratch: Scratch,
}

/// Working memory that keeps its room.
#[derive(Debug, Default)]
struct Scratch {
    key: Vec<u8>,
    message: Vec<u8>,
    schema_url: Vec<u8>,
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

/// The contexts of the record before, by their number in the request.
#[derive(Debug, Default)]
struct Last {
    resource: Option<(u64, Placed)>,
    scope: Option<(u64, Placed)>,
}

/// The batch cannot take one more.
struct Full;

impl BatchLines {
    /// An empty batch. Without rules, or with rules that are switched off, nothing is redacted.
    #[must_use]
    pub fn new(limits: Limits, rules: Option<Arc<RedactionRules>>) -> Self {
        Self {
            limits,
            redactor: rules.filter(|rules| rules.is_enabled()).map(Redactor::new),
            contexts: Vec::new(),
            context_count: 0,
            known: HashMap::new(),
            known_bytes: 0,
            leaves: HashMap::new(),
            records: vec![0; FRONT_BYTES],
            requests: Vec::new(),
            tally: Tally::default(),
            full: false,
            scratch: Scratch::default(),
        }
    }

    /// Whether nothing was taken since the batch was opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tally == Tally::default()
    }

    /// What was taken since the batch was opened.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Bytes of the plain body so far, its header line included.
    #[must_use]
    pub fn plain_bytes(&self) -> usize {
        write::header_bytes(self.requests.len()) + self.contexts.len() + self.records.len() - FRONT_BYTES
    }

    /// Takes records from the cursor until the request or the batch is at its end. `now_ns` is the agent's clock, for
    /// stubs.
    pub fn take(&mut self, cursor: &mut Cursor<'_>, now_ns: u64) -> Progress {
        let mut pairs = Vec::new();
        let mut last = Last::default();
        while let Some(item) = cursor.item() {
            if self.record(&item, &mut pairs, &mut last, now_ns).is_err() {
                return Progress::Full;
            }
            cursor.advance();
        }
        Progress::Done
    }

    /// Notes that a request ends in this batch: its digest goes into the header line. There is always room for one
    /// after a record was taken.
    pub fn end_request(&mut self, digest: [u8; 32]) {
        if self.requests.len() < REQUESTS_MAX {
            self.requests.push(digest);
        }
    }

    /// Takes the stub of a whole request: one that cannot be parsed, or was refused before it was read to its end (then
    /// without a hash, and `length` is what was read).
    pub fn push_request_stub(
        &mut self,
        hash: Option<[u8; 32]>,
        length: u64,
        reason: Reason,
        now_ns: u64,
    ) -> Progress {
        match self.stub(None, hash, length, reason, now_ns) {
            Ok(()) => Progress::Done,
            Err(Full) => Progress::Full,
        }
    }

    /// The plain body of what was taken, under this seed, and an empty batch in its place.
    pub fn finish(&mut self, seed: &[u8; 32]) -> PlainBody {
        let mut buffer = std::mem::replace(&mut self.records, vec![0; FRONT_BYTES]);
        let mut start = buffer.len();
        if self.tally.sealed > 0 {
            let length = self.contexts.len() + buffer.len() - FRONT_BYTES;
            let mut front =
                Vec::with_capacity(write::header_bytes(self.requests.len()) + self.contexts.len());
            write::header(&mut front, length as u64, &self.requests, seed);
            front.push(b'\n');
            front.extend_from_slice(&self.contexts);
            start = FRONT_BYTES.saturating_sub(front.len());
            buffer.splice(start..FRONT_BYTES, front);
        }
        let body = PlainBody { buffer, start, contexts: self.context_count, tally: self.tally };
        self.reset();
        body
    }

    /// Gives the memory of a body that is no longer needed to the open batch, if that is still without records.
    pub fn recycle(&mut self, body: PlainBody) {
        if self.records.len() == FRONT_BYTES && body.buffer.capacity() > self.records.capacity() {
            self.records = body.buffer;
            self.records.truncate(FRONT_BYTES);
            self.records.resize(FRONT_BYTES, 0);
        }
    }

    fn reset(&mut self) {
        self.contexts.clear();
        self.context_count = 0;
        self.known.clear();
        self.known_bytes = 0;
        self.leaves.clear();
        self.requests.clear();
        self.tally = Tally::default();
        self.full = false;
    }

    /// Takes one record, or leaves the batch as it was and closes it to further ones.
    fn record<'a>(
        &mut self,
        item: &Item<'a>,
        pairs: &mut Vec<Pair<'a>>,
        last: &mut Last,
        now_ns: u64,
    ) -> Result<(), Full> {
        self.has_room()?;
        let before = (self.contexts.len(), self.context_count);
        let taken = self.place_and_write(item, pairs, last, now_ns);
        if taken.is_err() {
            // Contexts written for a record that did not fit. The maps may name them still: a full batch asks no more.
            self.full = true;
            self.contexts.truncate(before.0);
            self.context_count = before.1;
        }
        taken
    }

    fn place_and_write<'a>(
        &mut self,
        item: &Item<'a>,
        pairs: &mut Vec<Pair<'a>>,
        last: &mut Last,
        now_ns: u64,
    ) -> Result<(), Full> {
        let resource = match last.resource {
            Some((ordinal, placed)) if ordinal == item.resource.ordinal => placed,
            _ => self.place(Kind::Resource, item.encoding, &item.resource)?,
        };
        let scope = match last.scope {
            Some((ordinal, placed)) if ordinal == item.scope.ordinal => placed,
            _ => self.place(Kind::Scope, item.encoding, &item.scope)?,
        };
        last.resource = Some((item.resource.ordinal, resource));
        last.scope = Some((item.scope.ordinal, scope));
        let start = self.records.len();
        let mapped = match resource.failed.or(scope.failed) {
            Some(reason) => Err(reason),
            None => self.map(item, pairs, resource.leaf, scope.leaf),
        };
        match mapped {
            Ok(redacted) => {
                self.commit(start, Tally { sealed: 1, redacted: redacted.into(), ..Tally::default() })
            }
            Err(reason) => {
                self.records.truncate(start);
                if self.tally.stubbed >= STUBS_MAX.into() {
                    self.tally.dropped += 1;
                    return Ok(());
                }
                let hash = sha256(&[item.record]);
                let leaves = Some((resource.leaf, scope.leaf));
                self.stub(leaves, Some(hash), item.record.len() as u64, reason, now_ns)
            }
        }
    }

    /// Appends a record line, or what of it was written before it failed. Says whether redaction touched it.
    fn map<'a>(
        &mut self,
        item: &Item<'a>,
        pairs: &mut Vec<Pair<'a>>,
        resource: u32,
        scope: u32,
    ) -> Result<bool, Reason> {
        if item.encoding == Encoding::Json {
            self.scratch.message.clear();
            json::log_record(item.record, &mut self.scratch.message)?;
            let (out, redactor) = (&mut self.records, &mut self.redactor);
            return map_record(out, &mut Vec::new(), redactor, &self.scratch.message, resource, scope);
        }
        map_record(&mut self.records, pairs, &mut self.redactor, item.record, resource, scope)
    }

    /// The leaf of a context: one that the batch has, or a new one.
    fn place(&mut self, kind: Kind, encoding: Encoding, source: &Source<'_>) -> Result<Placed, Full> {
        if source.malformed {
            return self.place_failed(kind, Reason::Malformed);
        }
        self.scratch.key.clear();
        self.scratch.key.extend_from_slice(&[kind as u8, encoding as u8]);
        self.scratch.key.extend_from_slice(&(source.schema_url.len() as u64).to_le_bytes());
        self.scratch.key.extend_from_slice(source.schema_url);
        self.scratch.key.extend_from_slice(source.message);
        if let Some(placed) = self.known.get(self.scratch.key.as_slice()) {
            return Ok(*placed);
        }
        let start = self.contexts.len();
        let placed = match self.map_context(kind, encoding, source) {
            Ok(()) => self.commit_context(start),
            Err(reason) => {
                self.contexts.truncate(start);
                self.place_failed(kind, reason)
            }
        }?;
        if self.known_bytes + self.scratch.key.len() <= KNOWN_BYTES_MAX {
            self.known_bytes += self.scratch.key.len();
            self.known.insert(self.scratch.key.as_slice().into(), placed);
        }
        Ok(placed)
    }

    /// The leaf of the empty context, for records under one that could not be mapped.
    fn place_failed(&mut self, kind: Kind, reason: Reason) -> Result<Placed, Full> {
        let start = self.contexts.len();
        let line: &[u8] = if kind == Kind::Resource { b"{\"resource\":{}}" } else { b"{\"scope\":{}}" };
        self.contexts.extend_from_slice(line);
        self.commit_context(start).map(|placed| Placed { failed: Some(reason), ..placed })
    }

    fn map_context(&mut self, kind: Kind, encoding: Encoding, source: &Source<'_>) -> Result<(), Reason> {
        let Scratch { message, schema_url, .. } = &mut self.scratch;
        let (mut from, mut url) = (source.message, source.schema_url);
        if encoding == Encoding::Json {
            message.clear();
            schema_url.clear();
            match kind {
                Kind::Resource => json::resource(from, message)?,
                Kind::Scope => json::scope(from, message)?,
            }
            json::schema_url(url, schema_url)?;
            (from, url) = (message, schema_url);
        }
        let end = self.contexts.len() + LINE_BYTES_MAX;
        let redactor = self.redactor.as_mut().and_then(|redactor| redactor.begin(from));
        let mut mapper = Mapper { out: &mut self.contexts, end, pairs: &mut Vec::new(), redactor };
        match kind {
            Kind::Resource => mapper.resource(from, url),
            Kind::Scope => mapper.scope(from, url),
        }
    }

    /// Ends the context line written since `start`, or takes it back where the body has that line already.
    fn commit_context(&mut self, start: usize) -> Result<Placed, Full> {
        let line = self.contexts.get(start..).unwrap_or_default();
        if let Some(leaf) = self.leaves.get(line) {
            let placed = Placed { leaf: *leaf, failed: None };
            self.contexts.truncate(start);
            return Ok(placed);
        }
        if self.context_count == CONTEXTS_MAX {
            return Err(Full);
        }
        self.context_count += 1;
        self.leaves.insert(line.into(), self.context_count);
        self.contexts.push(b'\n');
        Ok(Placed { leaf: self.context_count, failed: None })
    }

    /// Appends a stub line, or counts it where the body holds as many as it may.
    fn stub(
        &mut self,
        leaves: Option<(u32, u32)>,
        hash: Option<[u8; 32]>,
        length: u64,
        reason: Reason,
        now_ns: u64,
    ) -> Result<(), Full> {
        if self.tally.stubbed >= STUBS_MAX.into() {
            self.tally.dropped += 1;
            return Ok(());
        }
        self.has_room()?;
        let start = self.records.len();
        stub_line(&mut self.records, leaves, hash, length, reason, now_ns);
        self.commit(start, Tally { sealed: 1, stubbed: 1, ..Tally::default() })
    }

    fn has_room(&self) -> Result<(), Full> {
        let records_max = self.limits.records_max.clamp(1, RECORDS_MAX);
        let full = self.full
            || self.tally.sealed >= records_max.into()
            // One place is kept for the request that the next record may end.
            || self.requests.len() >= REQUESTS_MAX
            || self.is_over_bytes();
        if full { Err(Full) } else { Ok(()) }
    }

    /// Whether the lines so far, with the digest of one more request, are more than a body may hold. The first record
    /// always fits: two contexts, a record and a header are at most 3.5 MiB.
    fn is_over_bytes(&self) -> bool {
        let bytes = self.plain_bytes() + write::header_bytes(1);
        self.tally.sealed > 0 && bytes > self.limits.bytes_max.min(PLAIN_BYTES_MAX)
    }

    /// Ends the record line written since `start`, or takes it back where the body would be too large with it.
    fn commit(&mut self, start: usize, line: Tally) -> Result<(), Full> {
        self.records.push(b'\n');
        if self.is_over_bytes() {
            self.records.truncate(start);
            self.full = true;
            return Err(Full);
        }
        self.tally.sealed += line.sealed;
        self.tally.stubbed += line.stubbed;
        self.tally.redacted += line.redacted;
        Ok(())
    }
}

/// Appends the line of one LogRecord.
fn map_record<'a>(
    out: &mut Vec<u8>,
    pairs: &mut Vec<Pair<'a>>,
    redactor: &mut Option<Redactor>,
    message: &'a [u8],
    resource: u32,
    scope: u32,
) -> Result<bool, Reason> {
    pairs.clear();
    let end = out.len() + LINE_BYTES_MAX;
    let redactor = redactor.as_mut().and_then(|redactor| redactor.begin(message));
    let mut mapper = Mapper { out, end, pairs, redactor };
    mapper.record(message, resource, scope)?;
    Ok(mapper.redactor.is_some_and(|redactor| redactor.touched() > 0))
}

/// Appends a stub line, without its newline (`docs/spec/01-lines.md` section 1.4).
fn stub_line(
    out: &mut Vec<u8>,
    leaves: Option<(u32, u32)>,
    hash: Option<[u8; 32]>,
    length: u64,
    reason: Reason,
    now_ns: u64,
) {
    out.extend_from_slice(b"{\"observedTimeUnixNano\":\"");
    // The form has no time 0.
    write::digits(out, now_ns.max(1));
    out.push(b'"');
    if let Some((resource, scope)) = leaves {
        out.extend_from_slice(b",\"resource\":");
        write::digits(out, resource);
        out.extend_from_slice(b",\"scope\":");
        write::digits(out, scope);
    }
    out.extend_from_slice(b",\"stub\":{\"hash\":");
    match hash {
        Some(hash) => {
            out.push(b'"');
            write::hex(out, &hash);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"length\":");
    write::digits(out, length.min(sealtrail_core::line::INTEGER_MAX));
    out.extend_from_slice(b",\"reason\":\"");
    out.extend_from_slice(reason.as_str().as_bytes());
    out.extend_from_slice(b"\"}}");
}
