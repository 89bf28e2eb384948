//! LogRecord messages as record lines (`docs/spec/01-lines.md` section 1.3).

use sealtrail_core::line::{ID_BYTES_MAX, write};

use super::Reason;
use super::schema::log_record;
use super::value::Mapper;
use super::wire::Wire;
use crate::redact::{Root, Scope};

/// A LogRecord, its own level read. What is absent is zero or empty, which a line omits alike; only `body` knows the
/// difference.
#[derive(Debug, Default)]
struct Fields<'a> {
    time: u64,
    observed_time: u64,
    severity: i32,
    severity_text: &'a [u8],
    body: Option<&'a [u8]>,
    dropped_attributes: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

impl<'a> Mapper<'_, 'a> {
    /// Appends a record line, without its newline, that points at these leaves.
    pub(super) fn record(&mut self, message: &'a [u8], resource: u32, scope: u32) -> Result<(), Reason> {
        let attributes = self.root(Root::Attributes);
        let fields = self.fields(message, attributes)?;
        self.timed = fields.time != 0 || fields.observed_time != 0;
        self.out.extend_from_slice(b"{");
        if !self.pairs.is_empty() {
            self.out.extend_from_slice(b"\"attributes\":");
            self.collected(0, 1, attributes)?;
            self.out.push(b',');
        }
        self.leave(attributes);
        if let Some(body) = fields.body {
            self.body(body)?;
        }
        self.number(b"\"droppedAttributesCount\":", fields.dropped_attributes);
        self.client_text(b"\"eventName\":", fields.event_name, Root::EventName)?;
        self.number(b"\"flags\":", fields.flags);
        self.time(b"\"observedTimeUnixNano\":\"", fields.observed_time);
        // `redacted` comes before the last text that redaction may touch.
        let severity_text = self.redacted_severity_text(fields.severity_text)?;
        let redacted = self.redactor.as_ref().map_or(0, |redactor| redactor.touched());
        self.number(b"\"redacted\":", redacted);
        self.number(b"\"resource\":", resource);
        self.number(b"\"scope\":", scope);
        self.number(b"\"severityNumber\":", fields.severity);
        match severity_text {
            Some(member) => self.out.extend_from_slice(&member),
            None => self.client_text(b"\"severityText\":", fields.severity_text, Root::SeverityText)?,
        }
        self.id(b"\"spanId\":\"", fields.span_id)?;
        self.time(b"\"timeUnixNano\":\"", fields.time);
        self.id(b"\"traceId\":\"", fields.trace_id)?;
        // Every member ends in a comma, and `resource` is always there.
        self.out.pop();
        self.out.push(b'}');
        if self.out.len() > self.end { Err(Reason::TooLarge) } else { Ok(()) }
    }

    /// Reads the record's own level and collects its attributes.
    fn fields(&mut self, message: &'a [u8], attributes: Scope) -> Result<Fields<'a>, Reason> {
        let mut fields = Fields::default();
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            match key {
                log_record::TIME => fields.time = wire.fixed64()?,
                log_record::SEVERITY_NUMBER => fields.severity = wire.varint()? as i32,
                log_record::SEVERITY_TEXT => fields.severity_text = wire.bytes()?,
                log_record::BODY => {
                    if fields.body.replace(wire.bytes()?).is_some() {
                        return Err(Reason::Malformed);
                    }
                }
                log_record::ATTRIBUTES => self.collect(wire.bytes()?, 1, attributes)?,
                log_record::DROPPED_ATTRIBUTES => fields.dropped_attributes = wire.varint()? as u32,
                log_record::FLAGS => fields.flags = wire.fixed32()?,
                log_record::TRACE_ID => fields.trace_id = wire.bytes()?,
                log_record::SPAN_ID => fields.span_id = wire.bytes()?,
                log_record::OBSERVED_TIME => fields.observed_time = wire.fixed64()?,
                log_record::EVENT_NAME => fields.event_name = wire.bytes()?,
                _ => wire.unknown(key, log_record::FIELDS)?,
            }
        }
        Ok(fields)
    }

    fn body(&mut self, message: &'a [u8]) -> Result<(), Reason> {
        let before = self.out.len();
        self.out.extend_from_slice(b"\"body\":");
        let (scope, action) = match &mut self.redactor {
            Some(redactor) => redactor.root(Root::Body),
            None => (Scope::default(), None),
        };
        let kept = match action {
            Some(action) => self.whole(message, 1, action)?,
            None => self.value(message, 1, scope)?,
        };
        self.leave(scope);
        if kept {
            self.out.push(b',');
        } else {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// A text member that redaction may change or drop.
    fn client_text(&mut self, key: &[u8], text: &'a [u8], root: Root) -> Result<(), Reason> {
        if text.is_empty() {
            return Ok(());
        }
        let before = self.out.len();
        self.out.extend_from_slice(key);
        let (scope, action) = match &mut self.redactor {
            Some(redactor) => redactor.root(root),
            None => (Scope::default(), None),
        };
        let kept = match action {
            Some(action) => self.whole_text(text, action),
            None => self.text(text, scope)?,
        };
        self.leave(scope);
        if kept {
            self.out.push(b',');
        } else {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// The member `severityText`, written ahead where redaction looks at this record.
    fn redacted_severity_text(&mut self, text: &'a [u8]) -> Result<Option<Vec<u8>>, Reason> {
        if self.redactor.is_none() {
            return Ok(None);
        }
        let before = self.out.len();
        self.client_text(b"\"severityText\":", text, Root::SeverityText)?;
        Ok(Some(self.out.split_off(before)))
    }

    pub(super) fn root(&mut self, root: Root) -> Scope {
        self.redactor.as_mut().map(|redactor| redactor.root(root).0).unwrap_or_default()
    }

    pub(super) fn leave(&mut self, scope: Scope) {
        if let Some(redactor) = &mut self.redactor {
            redactor.leave(scope);
        }
    }

    /// A member that is a number, where it is not zero.
    pub(super) fn number<T: itoa::Integer + Default + PartialEq>(&mut self, key: &[u8], value: T) {
        if value != T::default() {
            self.out.extend_from_slice(key);
            write::digits(self.out, value);
            self.out.push(b',');
        }
    }

    /// A member that is a time, where there is one; the key brings the opening quote.
    fn time(&mut self, key: &[u8], time: u64) {
        if time != 0 {
            self.out.extend_from_slice(key);
            write::digits(self.out, time);
            self.out.extend_from_slice(b"\",");
        }
    }

    /// A member that is an id, where there is one; the key brings the opening quote.
    fn id(&mut self, key: &[u8], id: &[u8]) -> Result<(), Reason> {
        if id.len() > ID_BYTES_MAX {
            return Err(Reason::Malformed);
        }
        if !id.is_empty() {
            self.out.extend_from_slice(key);
            write::hex(self.out, id);
            self.out.extend_from_slice(b"\",");
        }
        Ok(())
    }
}
