//! The frame of a JSON request, down to the text of each record.

use serde_json::value::RawValue;

use super::text::{Text, index_of};
use crate::otlp::Reason;
use crate::otlp::cursor::{Level, Source};

impl Level {
    /// The member that holds this level's elements.
    fn name(self) -> &'static str {
        match self {
            Self::ResourceLogs => "resourceLogs",
            Self::ScopeLogs => "scopeLogs",
            Self::LogRecords => "logRecords",
        }
    }

    fn inner(self) -> Option<Self> {
        match self {
            Self::ResourceLogs => Some(Self::ScopeLogs),
            Self::ScopeLogs => Some(Self::LogRecords),
            Self::LogRecords => None,
        }
    }
}

/// Checks that the request is JSON with the frame's arrays where they belong, and counts the records.
pub(in crate::otlp) fn validate(request: &[u8]) -> Result<u64, Reason> {
    serde_json::from_slice::<&RawValue>(request).map_err(|_| Reason::Malformed)?;
    let mut records = 0;
    validate_object(&mut Text::new(request), Level::ResourceLogs, &mut records)?;
    Ok(records)
}

fn validate_object(text: &mut Text<'_>, level: Level, records: &mut u64) -> Result<(), Reason> {
    text.enter(b'{').ok_or(Reason::Malformed)?;
    while let Some(name) = text.member() {
        if index_of(name, &[level.name()]).is_none() || text.kind() == b'n' {
            text.value();
            continue;
        }
        text.enter(b'[').ok_or(Reason::Malformed)?;
        while text.element().is_some() {
            match level.inner() {
                Some(inner) => validate_object(text, inner, records)?,
                None => {
                    text.value();
                    *records += 1;
                }
            }
        }
    }
    Ok(())
}

/// Whether `resourceLogs` occurs twice, which makes every record malformed.
pub(in crate::otlp) fn repeats_resource_logs(request: &[u8]) -> bool {
    count(request, Level::ResourceLogs.name()) > 1
}

/// How often a name occurs in an object.
fn count(object: &[u8], wanted: &str) -> usize {
    let mut text = Text::new(object);
    let mut found = 0;
    if text.enter(b'{').is_some() {
        while let Some(name) = text.member() {
            found += usize::from(index_of(name, &[wanted]).is_some());
            text.value();
        }
    }
    found
}

/// The elements of one level of a validated frame, in order.
#[derive(Debug, Clone, Copy)]
pub(in crate::otlp) struct Elements<'a> {
    /// Behind the members read so far.
    object: Text<'a>,
    /// Behind the elements read so far of the array reached, if one was.
    array: Text<'a>,
    wanted: &'static str,
}

impl<'a> Elements<'a> {
    pub(in crate::otlp) fn new(object: &'a [u8], level: Level) -> Self {
        let mut text = Text::new(object);
        if text.enter(b'{').is_none() {
            text = Text::default();
        }
        Self { object: text, array: Text::default(), wanted: level.name() }
    }

    pub(in crate::otlp) fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if self.array.element().is_some() {
                return Some(self.array.value());
            }
            self.array = self.next_array()?;
        }
    }

    fn next_array(&mut self) -> Option<Text<'a>> {
        loop {
            let name = self.object.member()?;
            let mut array = Text::new(self.object.value());
            if index_of(name, &[self.wanted]).is_some() && array.enter(b'[').is_some() {
                return Some(array);
            }
        }
    }
}

/// The context of an element of `resourceLogs` or `scopeLogs`.
pub(in crate::otlp) fn source(logs: &[u8], ordinal: u64, level: Level) -> Source<'_> {
    let context = if level == Level::ResourceLogs { "resource" } else { "scope" };
    let inner = level.inner().map_or("", Level::name);
    let mut source = Source { ordinal, message: &[], schema_url: &[], malformed: false };
    let mut seen = [false; 3];
    let mut text = Text::new(logs);
    if text.enter(b'{').is_none() {
        return source;
    }
    while let Some(name) = text.member() {
        let value = text.value();
        let Some(index) = index_of(name, &[context, "schemaUrl", inner]) else { continue };
        if let Some(seen) = seen.get_mut(index) {
            source.malformed |= std::mem::replace(seen, true);
        }
        match index {
            0 => source.message = value,
            1 => source.schema_url = value,
            _ => {}
        }
    }
    source
}
