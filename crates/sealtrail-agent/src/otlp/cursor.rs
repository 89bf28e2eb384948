//! A request that can be walked, and the place reached in it.

use super::{Reason, json, protobuf};

/// How a request is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// The request is not an ExportLogsServiceRequest: it cannot be walked to its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("request is not an ExportLogsServiceRequest")]
pub struct Unparseable;

/// An ExportLogsServiceRequest whose frame, down to the bytes of each record, has been checked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    encoding: Encoding,
    bytes: &'a [u8],
    records: u64,
    malformed: bool,
}

impl<'a> Request<'a> {
    /// Checks the frame of a request, decompressed.
    ///
    /// # Errors
    /// [`Unparseable`]: the walk to some record fails, or the JSON is not JSON. What is wrong inside a record, a
    /// resource or a scope shows later, as stubs.
    pub fn parse(encoding: Encoding, bytes: &'a [u8]) -> Result<Self, Unparseable> {
        let unparseable = |_: Reason| Unparseable;
        let (records, malformed) = match encoding {
            Encoding::Protobuf => (protobuf::validate(bytes).map_err(unparseable)?, false),
            Encoding::Json => {
                let frame = json::validate(bytes).map_err(unparseable)?;
                (frame.records, frame.malformed)
            }
        };
        Ok(Self { encoding, bytes, records, malformed })
    }

    /// How many records it holds.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether there is no record in it although something was sent: the client may believe otherwise. Nothing, and
    /// `{}`, is what a client sends that has none.
    #[must_use]
    pub fn misses_records(&self) -> bool {
        let is_empty = match self.encoding {
            Encoding::Protobuf => self.bytes.is_empty(),
            Encoding::Json => self.bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}"),
        };
        self.records == 0 && !is_empty
    }

    /// A cursor before its first record.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'a> {
        let nothing = Source { ordinal: 0, message: &[], schema_url: &[], malformed: false };
        let mut cursor = Cursor {
            encoding: self.encoding,
            request: self.bytes,
            resource_logs: match self.encoding {
                Encoding::Protobuf => Elements::Protobuf(protobuf::Elements::of_request(self.bytes)),
                Encoding::Json => Elements::Json(json::Elements::of_request(self.bytes)),
            },
            scope_logs: None,
            records: None,
            malformed: self.malformed,
            resource: nothing,
            scope: nothing,
            ordinal: 0,
            next: None,
        };
        cursor.advance();
        cursor
    }
}

/// The received bytes that a context line is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// Which context of the request it is; two records with the same number share it.
    pub(super) ordinal: u64,
    /// The Resource or InstrumentationScope; empty where it is absent.
    pub(super) message: &'a [u8],
    /// The schema URL beside it: the bytes, or the JSON text of the value.
    pub(super) schema_url: &'a [u8],
    /// Something occurred twice that must not.
    pub(super) malformed: bool,
}

/// One record as received.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) encoding: Encoding,
    pub(super) record: &'a [u8],
    pub(super) resource: Source<'a>,
    pub(super) scope: Source<'a>,
}

/// A place in a request: the record that comes next. A batch that is full leaves it where it is, and the next batch
/// goes on from there.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    encoding: Encoding,
    request: &'a [u8],
    resource_logs: Elements<'a>,
    scope_logs: Option<Elements<'a>>,
    records: Option<Elements<'a>>,
    malformed: bool,
    resource: Source<'a>,
    scope: Source<'a>,
    ordinal: u64,
    next: Option<Item<'a>>,
}

impl<'a> Cursor<'a> {
    /// Whether all records have been taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// The request as it came.
    pub(super) fn request(&self) -> &'a [u8] {
        self.request
    }

    /// The record that comes next.
    pub(super) fn item(&self) -> Option<Item<'a>> {
        self.next
    }

    /// Moves past the record that comes next.
    pub(super) fn advance(&mut self) {
        self.next = self.find();
    }

    fn find(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(record) = self.records.as_mut().and_then(Elements::record) {
                let (resource, scope) = (self.resource, self.scope);
                return Some(Item { encoding: self.encoding, record, resource, scope });
            }
            self.ordinal += 1;
            if let Some((scope, records)) = self.scope_logs.as_mut().and_then(|logs| logs.logs(self.ordinal))
            {
                self.scope = scope;
                self.records = Some(records);
                continue;
            }
            let (resource, scope_logs) = self.resource_logs.logs(self.ordinal)?;
            self.resource = resource;
            self.resource.malformed |= self.malformed;
            self.scope_logs = Some(scope_logs);
            self.records = None;
        }
    }
}

/// The elements of one level, in either encoding.
#[derive(Debug, Clone)]
enum Elements<'a> {
    Protobuf(protobuf::Elements<'a>),
    Json(json::Elements<'a>),
}

impl<'a> Elements<'a> {
    fn record(&mut self) -> Option<&'a [u8]> {
        match self {
            Self::Protobuf(elements) => elements.record(),
            Self::Json(elements) => elements.record(),
        }
    }

    fn logs(&mut self, ordinal: u64) -> Option<(Source<'a>, Self)> {
        match self {
            Self::Protobuf(elements) => {
                elements.logs(ordinal).map(|(source, inner)| (source, Self::Protobuf(inner)))
            }
            Self::Json(elements) => elements.logs(ordinal).map(|(source, inner)| (source, Self::Json(inner))),
        }
    }
}
