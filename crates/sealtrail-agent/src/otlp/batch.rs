//! The lines of the open batch.

use std::sync::Arc;

use sealtrail_core::body::{LINE_BYTES_MAX, PLAIN_BYTES_MAX, RECORDS_MAX, REQUESTS_MAX, STUBS_MAX};
use sealtrail_core::hash::sha256;
use sealtrail_core::line::write;

use super::contexts::{Contexts, Last};
use super::cursor::{Cursor, Encoding, Item};
use super::list::Pair;
use super::plain::{PlainBody, Tally};
use super::stub::Stub;
use super::value::Mapper;
use super::{Reason, json};
use crate::redact::{Ahead, RedactionRules, Redactor};

/// Room kept before the records for header and contexts, so that they are put in front without moving the records.
/// Holds a header of 50 requests and 12 KiB of contexts; with more, the records are moved once.
const FRONT_BYTES: usize = 16 << 10;

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
    contexts: Contexts,
    /// Begins with [`FRONT_BYTES`] that are not lines.
    records: Vec<u8>,
    requests: Vec<[u8; 32]>,
    tally: Tally,
    full: bool,
    /// A JSON record as the protobuf message it stands for.
    message: Vec<u8>,
}

/// The batch cannot take one more.
#[derive(Debug)]
pub(super) struct Full;

/// What became of a record.
#[derive(Debug)]
struct Mapped {
    /// Whether redaction touched its line, or why there is none.
    redacted: Result<bool, Reason>,
    /// Whether it was read and has a time.
    timed: bool,
}

impl Mapped {
    fn failed(reason: Reason) -> Self {
        Self { redacted: Err(reason), timed: false }
    }
}

impl BatchLines {
    /// An empty batch. Without rules, or with rules that are switched off, nothing is redacted.
    #[must_use]
    pub fn new(limits: Limits, rules: Option<Arc<RedactionRules>>) -> Self {
        Self {
            limits,
            redactor: rules.filter(|rules| rules.is_enabled()).map(Redactor::new),
            contexts: Contexts::default(),
            records: vec![0; FRONT_BYTES],
            requests: Vec::new(),
            tally: Tally::default(),
            full: false,
            message: Vec::new(),
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
        write::header_bytes(self.requests.len()) + self.contexts.lines().len() + self.records.len()
            - FRONT_BYTES
    }

    /// Takes records from the cursor until the request or the batch is at its end. `now_ns` is the agent's clock, for
    /// stubs.
    pub fn take(&mut self, cursor: &mut Cursor<'_>, now_ns: u64) -> Progress {
        let mut pairs = Vec::new();
        let mut last = Last::default();
        let mut ahead = Ahead::new(cursor.request());
        while let Some(item) = cursor.item() {
            if self.record(&item, &mut pairs, &mut last, &mut ahead, now_ns).is_err() {
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
        match self.stub(None, &Stub { hash, length, reason, now_ns }) {
            Ok(()) => Progress::Done,
            Err(Full) => Progress::Full,
        }
    }

    /// The plain body of what was taken, under this seed, and an empty batch in its place.
    pub fn finish(&mut self, seed: &[u8; 32]) -> PlainBody {
        let mut buffer = std::mem::replace(&mut self.records, vec![0; FRONT_BYTES]);
        let mut start = buffer.len();
        if self.tally.sealed > 0 {
            let length = self.contexts.lines().len() + buffer.len() - FRONT_BYTES;
            let mut front =
                Vec::with_capacity(write::header_bytes(self.requests.len()) + self.contexts.lines().len());
            write::header(&mut front, length as u64, &self.requests, seed);
            front.push(b'\n');
            front.extend_from_slice(self.contexts.lines());
            start = FRONT_BYTES.saturating_sub(front.len());
            buffer.splice(start..FRONT_BYTES, front);
        }
        let body = PlainBody { buffer, start, contexts: self.contexts.count(), tally: self.tally };
        self.reset();
        body
    }

    /// Gives the memory of a body that is no longer needed to the open batch, if that is still without records.
    pub fn recycle(&mut self, body: PlainBody) {
        if self.records.len() == FRONT_BYTES && body.buffer.capacity() > self.records.capacity() {
            self.records = body.buffer;
            // As after any growth, but not what a burst left behind.
            let most = 2 * self.records.len();
            self.records.truncate(FRONT_BYTES);
            self.records.shrink_to(most);
            self.records.resize(FRONT_BYTES, 0);
        }
    }

    fn reset(&mut self) {
        self.contexts.clear();
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
        ahead: &mut Ahead<'_>,
        now_ns: u64,
    ) -> Result<(), Full> {
        self.has_room()?;
        let before = self.contexts.mark();
        let taken = self.place_and_write(item, pairs, last, ahead, now_ns);
        if taken.is_err() {
            self.full = true;
            // Contexts written for a record that did not fit.
            self.contexts.back_to(before);
        }
        taken
    }

    fn place_and_write<'a>(
        &mut self,
        item: &Item<'a>,
        pairs: &mut Vec<Pair<'a>>,
        last: &mut Last,
        ahead: &mut Ahead<'_>,
        now_ns: u64,
    ) -> Result<(), Full> {
        let leaves = self.contexts.of_record(item, last, &mut self.redactor)?;
        let start = self.records.len();
        let mapped = match leaves.failed {
            Some(reason) => Mapped::failed(reason),
            None => self.map(item, pairs, ahead, leaves.resource, leaves.scope),
        };
        let untimed = u64::from(!mapped.timed);
        match mapped.redacted {
            Ok(redacted) => self
                .commit(start, Tally { sealed: 1, redacted: redacted.into(), untimed, ..Tally::default() })?,
            Err(reason) => {
                self.records.truncate(start);
                if self.drops_stub() {
                    self.tally.untimed += untimed;
                    return Ok(());
                }
                let hash = Some(sha256(&[item.record]));
                let stub = Stub { hash, length: item.record.len() as u64, reason, now_ns };
                self.stub(Some((leaves.resource, leaves.scope)), &stub)?;
                self.tally.untimed += untimed;
            }
        }
        Ok(())
    }

    /// Appends a record line, or what of it was written before it failed.
    fn map<'a>(
        &mut self,
        item: &Item<'a>,
        pairs: &mut Vec<Pair<'a>>,
        ahead: &mut Ahead<'_>,
        resource: u32,
        scope: u32,
    ) -> Mapped {
        if item.encoding == Encoding::Json {
            self.message.clear();
            if let Err(reason) = json::log_record(item.record, &mut self.message) {
                return Mapped::failed(reason);
            }
            let redactor = self.redactor.as_mut().and_then(|redactor| redactor.begin(&self.message, ahead));
            return map_record(&mut self.records, &mut Vec::new(), redactor, &self.message, resource, scope);
        }
        let redactor = self.redactor.as_mut().and_then(|redactor| redactor.begin(item.record, ahead));
        map_record(&mut self.records, pairs, redactor, item.record, resource, scope)
    }

    /// Appends a stub line, or counts it where the body holds as many as it may.
    fn stub(&mut self, leaves: Option<(u32, u32)>, stub: &Stub) -> Result<(), Full> {
        if self.drops_stub() {
            return Ok(());
        }
        self.has_room()?;
        let start = self.records.len();
        stub.write(&mut self.records, leaves);
        self.commit(start, Tally { sealed: 1, stubbed: 1, ..Tally::default() })
    }

    /// Whether the body holds as many stubs as it may; then one more is counted as dropped.
    fn drops_stub(&mut self) -> bool {
        let drops = self.tally.stubbed >= STUBS_MAX.into();
        self.tally.dropped += u64::from(drops);
        drops
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
        self.tally.untimed += line.untimed;
        Ok(())
    }
}

/// Appends the line of one LogRecord.
fn map_record<'a>(
    out: &mut Vec<u8>,
    pairs: &mut Vec<Pair<'a>>,
    redactor: Option<&mut Redactor>,
    message: &'a [u8],
    resource: u32,
    scope: u32,
) -> Mapped {
    pairs.clear();
    let end = out.len() + LINE_BYTES_MAX;
    let mut mapper = Mapper { out, end, pairs, redactor, timed: false };
    let written = mapper.record(message, resource, scope);
    let touched = mapper.redactor.as_ref().is_some_and(|redactor| redactor.touched() > 0);
    Mapped { redacted: written.map(|()| touched), timed: mapper.timed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_burst_is_not_kept() {
        let mut batch = BatchLines::new(Limits::default(), None);
        for (length, capacity) in [(400_000, 500_000), (100_000, 2_000_000), (90_000, 200_000)] {
            let mut buffer = Vec::with_capacity(capacity);
            buffer.resize(length, 0);
            batch.recycle(PlainBody { buffer, start: 0, contexts: 0, tally: Tally::default() });
            assert!((length..=2 * length).contains(&batch.records.capacity()), "{length}");
            batch.finish(&[0; 32]);
        }
    }
}
