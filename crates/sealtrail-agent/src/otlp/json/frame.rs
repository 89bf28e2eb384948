//! The frame of a JSON request, down to the text of each record.

use serde_json::value::RawValue;

use super::text::{Text, index_of};
use crate::otlp::Reason;
use crate::otlp::cursor::Source;

/// The three repeated fields of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    ResourceLogs,
    ScopeLogs,
    LogRecords,
}

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

/// What the whole frame says.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::otlp) struct Frame {
    pub(in crate::otlp) records: u64,
    /// `resourceLogs` occurs twice, which makes every record malformed.
    pub(in crate::otlp) malformed: bool,
}

/// Checks that the request is JSON with the frame's arrays where they belong, and counts the records.
pub(in crate::otlp) fn validate(request: &[u8]) -> Result<Frame, Reason> {
    serde_json::from_slice::<&RawValue>(request).map_err(|_| Reason::Malformed)?;
    let mut records = 0;
    let occurs = validate_object(&mut Text::new(request), Level::ResourceLogs, &mut records)?;
    Ok(Frame { records, malformed: occurs > 1 })
}

/// Returns how often the level's member occurs in this object.
fn validate_object(text: &mut Text<'_>, level: Level, records: &mut u64) -> Result<u32, Reason> {
    let mut occurs = 0;
    text.enter(b'{').ok_or(Reason::Malformed)?;
    while let Some(name) = text.member() {
        let wanted = index_of(name, &[level.name()]).is_some();
        occurs += u32::from(wanted);
        if !wanted || text.kind() == b'n' {
            text.value();
            continue;
        }
        text.enter(b'[').ok_or(Reason::Malformed)?;
        while text.element().is_some() {
            match level.inner() {
                Some(inner) => {
                    validate_object(text, inner, records)?;
                }
                None => {
                    text.value();
                    *records += 1;
                }
            }
        }
    }
    Ok(occurs)
}

/// The elements of one level of a validated frame, in order.
#[derive(Debug, Clone, Copy)]
pub(in crate::otlp) struct Elements<'a> {
    /// In the object that has them, or in an array of them.
    text: Text<'a>,
    in_array: bool,
    level: Level,
}

impl<'a> Elements<'a> {
    /// The elements in the object that begins the text; what stands behind the object is not looked at.
    fn new(mut text: Text<'a>, level: Level) -> Self {
        if text.enter(b'{').is_none() {
            text = Text::default();
        }
        Self { text, in_array: false, level }
    }

    pub(in crate::otlp) fn of_request(request: &'a [u8]) -> Self {
        Self::new(Text::new(request), Level::ResourceLogs)
    }

    /// The text of the next record.
    pub(in crate::otlp) fn record(&mut self) -> Option<&'a [u8]> {
        self.step()?;
        Some(self.text.value())
    }

    /// The context of the next element of `resourceLogs` or `scopeLogs`, and the elements inside.
    pub(in crate::otlp) fn logs(&mut self, ordinal: u64) -> Option<(Source<'a>, Self)> {
        self.step()?;
        let inner = self.level.inner()?;
        let elements = Self::new(self.text, inner);
        let context = if self.level == Level::ResourceLogs { "resource" } else { "scope" };
        Some((source(&mut self.text, [context, "schemaUrl", inner.name()], ordinal), elements))
    }

    /// Moves to the next element, of this array or of another of that name.
    fn step(&mut self) -> Option<()> {
        loop {
            if self.in_array {
                if self.text.element().is_some() {
                    return Some(());
                }
                self.in_array = false;
            }
            let name = self.text.member()?;
            self.in_array = index_of(name, &[self.level.name()]).is_some() && self.text.enter(b'[').is_some();
            if !self.in_array {
                self.text.value();
            }
        }
    }
}

/// Moves past an object and returns the context in it: the first two of the names. What occurs twice is malformed.
fn source<'a>(text: &mut Text<'a>, names: [&str; 3], ordinal: u64) -> Source<'a> {
    let mut source = Source { ordinal, message: &[], schema_url: &[], malformed: false };
    let mut seen = 0u32;
    if text.enter(b'{').is_none() {
        text.value();
        return source;
    }
    while let Some(name) = text.member() {
        let value = text.value();
        let Some(index) = index_of(name, &names) else { continue };
        source.malformed |= seen & 1 << index != 0;
        seen |= 1 << index;
        match index {
            0 => source.message = value,
            1 => source.schema_url = value,
            _ => {}
        }
    }
    source
}
