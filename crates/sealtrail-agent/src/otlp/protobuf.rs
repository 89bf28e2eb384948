//! The frame of a protobuf request: ExportLogsServiceRequest, ResourceLogs, ScopeLogs, down to the bytes of each
//! LogRecord, which are not looked into here.

use super::Reason;
use super::cursor::Source;
use super::schema::frame::{CONTEXT, INNER, LOGS_FIELDS, REQUEST_FIELDS, RESOURCE_LOGS, SCHEMA_URL};
use super::wire::Wire;

/// Walks the whole frame and counts the records.
pub(super) fn validate(request: &[u8]) -> Result<u64, Reason> {
    let mut records = 0;
    each(request, RESOURCE_LOGS, REQUEST_FIELDS, |resource_logs| {
        each(resource_logs, INNER, LOGS_FIELDS, |scope_logs| {
            each(scope_logs, INNER, LOGS_FIELDS, |_| {
                records += 1;
                Ok(())
            })
        })
    })?;
    Ok(records)
}

/// Hands over each field of that key; every field of the message must be well-formed.
fn each<'a>(
    message: &'a [u8],
    wanted: u32,
    known: u32,
    mut found: impl FnMut(&'a [u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let mut wire = Wire::new(message);
    while let Some(key) = wire.key()? {
        match key {
            _ if key == wanted => found(wire.bytes()?)?,
            CONTEXT | INNER | SCHEMA_URL if known == LOGS_FIELDS => drop(wire.bytes()?),
            _ => wire.unknown(key, known)?,
        }
    }
    Ok(())
}

/// The elements of one level of a validated frame, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'a> {
    wire: Wire<'a>,
    wanted: u32,
}

impl<'a> Elements<'a> {
    pub(super) fn of_request(request: &'a [u8]) -> Self {
        Self { wire: Wire::new(request), wanted: RESOURCE_LOGS }
    }

    /// The bytes of the next record.
    pub(super) fn record(&mut self) -> Option<&'a [u8]> {
        loop {
            let key = self.wire.key().ok()??;
            if key == self.wanted {
                return self.wire.bytes().ok();
            }
            self.wire.unknown(key, 0).ok()?;
        }
    }

    /// The context of the next ResourceLogs or ScopeLogs, and the elements inside.
    pub(super) fn logs(&mut self, ordinal: u64) -> Option<(Source<'a>, Self)> {
        let logs = self.record()?;
        Some((source(logs, ordinal), Self { wire: Wire::new(logs), wanted: INNER }))
    }
}

/// The context of a ResourceLogs or ScopeLogs: its resource or scope and its schema URL.
fn source(logs: &[u8], ordinal: u64) -> Source<'_> {
    let mut source = Source { ordinal, message: &[], schema_url: &[], malformed: false };
    let mut seen = false;
    let mut wire = Wire::new(logs);
    while let Ok(Some(key)) = wire.key() {
        let read = match key {
            CONTEXT => wire.bytes().map(|message| {
                source.message = message;
                source.malformed |= seen;
                seen = true;
            }),
            SCHEMA_URL => wire.bytes().map(|url| source.schema_url = url),
            _ => wire.unknown(key, 0),
        };
        if read.is_err() {
            break;
        }
    }
    source
}
