//! The members of context, record and stub lines, each asked for in the order of names.

use super::reader::Reader;
use super::{Context, LineError, RecordInfo};
use crate::line::INTEGER_MAX;

/// The members of one object, in order.
struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    any: bool,
}

impl<'r, 'a> Members<'r, 'a> {
    fn open(reader: &'r mut Reader<'a>) -> Result<Self, LineError> {
        reader.expect(b"{", "`{`")?;
        Ok(Self { reader, any: false })
    }

    /// Moves to the value of the member of that name, if it is the next. `key` is the name, quoted, with its colon; its
    /// length is known when this is compiled, so that comparing it is a few instructions.
    #[inline]
    fn next<const KEY: usize>(&mut self, key: &[u8; KEY]) -> Option<&mut Reader<'a>> {
        let rest = self.reader.rest();
        let member = if self.any { rest.strip_prefix(b",")? } else { rest };
        if member.first_chunk() != Some(key) {
            return None;
        }
        self.reader.take(KEY + usize::from(self.any));
        self.any = true;
        Some(self.reader)
    }

    /// Reads the member of that name, if it is the next, and says whether it was there.
    #[inline]
    fn optional<T, const KEY: usize>(
        &mut self,
        key: &[u8; KEY],
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, LineError>,
    ) -> Result<bool, LineError> {
        match self.next(key) {
            Some(reader) => read(reader).map(|_| true),
            None => Ok(false),
        }
    }

    fn close(self) -> Result<(), LineError> {
        self.reader.expect(b"}", "a known member in order, or `}`")
    }
}

/// The value of `resource` in a context line.
pub(super) fn resource(reader: &mut Reader<'_>) -> Result<(), LineError> {
    let mut members = Members::open(reader)?;
    members.optional(b"\"attributes\":", Reader::attributes)?;
    members.optional(b"\"droppedAttributesCount\":", uint32)?;
    members.optional(b"\"entityRefs\":", |reader| list(reader, entity))?;
    members.optional(b"\"redacted\":", count)?;
    members.optional(b"\"schemaUrl\":", Reader::text)?;
    members.close()
}

/// The value of `scope` in a context line.
pub(super) fn scope(reader: &mut Reader<'_>) -> Result<(), LineError> {
    let mut members = Members::open(reader)?;
    members.optional(b"\"attributes\":", Reader::attributes)?;
    members.optional(b"\"droppedAttributesCount\":", uint32)?;
    members.optional(b"\"name\":", Reader::text)?;
    members.optional(b"\"redacted\":", count)?;
    members.optional(b"\"schemaUrl\":", Reader::text)?;
    members.optional(b"\"version\":", Reader::text)?;
    members.close()
}

/// A record line or a stub line.
pub(super) fn record(reader: &mut Reader<'_>, contexts: &[Context]) -> Result<RecordInfo, LineError> {
    let mut members = Members::open(reader)?;
    members.optional(b"\"attributes\":", Reader::attributes)?;
    members.optional(b"\"body\":", |reader| reader.value(1))?;
    members.optional(b"\"droppedAttributesCount\":", uint32)?;
    members.optional(b"\"eventName\":", Reader::text)?;
    members.optional(b"\"flags\":", uint32)?;
    let stub_so_far = !members.any;
    let observed = members.optional(b"\"observedTimeUnixNano\":", Reader::time)?;
    let before_redacted = members.reader.at();
    let redacted = members.optional(b"\"redacted\":", count)?;
    let leaf = |kind| move |reader: &mut Reader<'_>| pointer(reader, contexts, kind);
    let resource = members.optional(b"\"resource\":", leaf(Context::Resource))?;
    let scope = members.optional(b"\"scope\":", leaf(Context::Scope))?;
    if stub_so_far && let Some(reader) = members.next(b"\"stub\":") {
        stub(reader)?;
        members.close()?;
        return match (observed, redacted, resource, scope) {
            (true, false, true, true) | (true, false, false, false) => {
                Ok(RecordInfo { stub: true, redacted: false })
            }
            (false, ..) => Err(LineError::Missing("observedTimeUnixNano")),
            (_, true, ..) => {
                Err(LineError::Expected { at: before_redacted, expected: "no `redacted` in a stub" })
            }
            (.., false, true) => Err(LineError::Missing("resource")),
            (.., true, false) => Err(LineError::Missing("scope")),
        };
    }
    members.optional(b"\"severityNumber\":", Reader::severity)?;
    members.optional(b"\"severityText\":", Reader::text)?;
    members.optional(b"\"spanId\":", Reader::id)?;
    members.optional(b"\"timeUnixNano\":", Reader::time)?;
    members.optional(b"\"traceId\":", Reader::id)?;
    members.close()?;
    match (resource, scope) {
        (true, true) => Ok(RecordInfo { stub: false, redacted }),
        (false, _) => Err(LineError::Missing("resource")),
        (_, false) => Err(LineError::Missing("scope")),
    }
}

/// A leaf index; it must be that of a context line of the kind.
fn pointer(reader: &mut Reader<'_>, contexts: &[Context], kind: Context) -> Result<(), LineError> {
    let at = reader.at();
    let index = reader.integer(0, INTEGER_MAX, "0 to 2^53 - 1")?;
    let leaf = usize::try_from(index).ok().and_then(|index| contexts.get(index.checked_sub(1)?));
    if leaf == Some(&kind) { Ok(()) } else { Err(LineError::NoContext { at, index }) }
}

/// The value of `stub`.
fn stub(reader: &mut Reader<'_>) -> Result<(), LineError> {
    reader.expect(b"{\"hash\":", "`hash`")?;
    if !reader.eat(b"null") {
        reader.digest()?;
    }
    reader.expect(b",\"length\":", "`length`")?;
    reader.integer(0, INTEGER_MAX, "0 to 2^53 - 1")?;
    reader.expect(b",\"reason\":", "`reason`")?;
    let reasons: [&[u8]; 4] = [b"\"malformed\"}", b"\"too-large\"}", b"\"too-deep\"}", b"\"unsupported\"}"];
    if reasons.iter().any(|reason| reader.eat(reason)) {
        Ok(())
    } else {
        Err(reader.expected("a known reason"))
    }
}

/// An element of `entityRefs`.
fn entity(reader: &mut Reader<'_>) -> Result<(), LineError> {
    let text_or_empty = |reader: &mut Reader<'_>| reader.text_or_empty().map(|_| ());
    let mut members = Members::open(reader)?;
    members.optional(b"\"descriptionKeys\":", |reader| list(reader, text_or_empty))?;
    members.optional(b"\"idKeys\":", |reader| list(reader, text_or_empty))?;
    members.optional(b"\"schemaUrl\":", Reader::text)?;
    members.optional(b"\"type\":", Reader::text)?;
    members.close()
}

/// An array that is not empty.
fn list(
    reader: &mut Reader<'_>,
    item: impl Fn(&mut Reader<'_>) -> Result<(), LineError>,
) -> Result<(), LineError> {
    reader.expect(b"[", "`[`")?;
    if reader.peek() == Some(b']') {
        return Err(LineError::Empty(reader.at()));
    }
    loop {
        item(reader)?;
        if reader.eat(b"]") {
            return Ok(());
        }
        reader.expect(b",", "`,` or `]`")?;
    }
}

/// 1 to 2^32 − 1.
fn uint32(reader: &mut Reader<'_>) -> Result<(), LineError> {
    reader.integer(1, u64::from(u32::MAX), "1 to 2^32 - 1").map(|_| ())
}

/// 1 to 2^53 − 1.
fn count(reader: &mut Reader<'_>) -> Result<(), LineError> {
    reader.integer(1, INTEGER_MAX, "1 to 2^53 - 1").map(|_| ())
}
