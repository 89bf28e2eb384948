//! AnyValue messages as values of a line (`docs/spec/01-lines.md` section 1.1).

use sealtrail_core::line::{DEPTH_MAX, write};

use super::Reason;
use super::list::{Pair, read_key_value};
use super::schema::{any_value, list};
use super::wire::Wire;
use crate::redact::{Action, Finding, Redactor, Scope};

/// An AnyValue, its own level read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Any<'a> {
    Empty,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(&'a [u8]),
    List(&'a [u8]),
    Bytes(&'a [u8]),
}

impl<'a> Any<'a> {
    #[inline]
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Reason> {
        let mut any = Self::Empty;
        let mut member = 0;
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            let value = match key {
                any_value::STRING => Self::Text(wire.bytes()?),
                any_value::BOOL => Self::Bool(wire.varint()? != 0),
                any_value::INT => Self::Int(wire.varint()?.cast_signed()),
                any_value::DOUBLE => Self::Double(f64::from_bits(wire.fixed64()?)),
                any_value::ARRAY => Self::Array(wire.bytes()?),
                any_value::KVLIST => Self::List(wire.bytes()?),
                any_value::BYTES => Self::Bytes(wire.bytes()?),
                // An int32: the low half counts. Zero is a member all the same, one without a value.
                any_value::STRING_STRINDEX if wire.varint()? as u32 == 0 => Self::Empty,
                any_value::STRING_STRINDEX => return Err(Reason::Unsupported),
                _ => {
                    wire.unknown(key, any_value::FIELDS)?;
                    continue;
                }
            };
            // The same scalar again replaces the one before; anything else twice is two values.
            let message_again = matches!(value, Self::Array(_) | Self::List(_));
            if member != 0 && (member != key || message_again) {
                return Err(Reason::Malformed);
            }
            member = key;
            any = value;
        }
        Ok(any)
    }
}

/// Appends values to a line.
pub(super) struct Mapper<'m, 'a> {
    pub(super) out: &'m mut Vec<u8>,
    /// The buffer's length beyond which the line is too large.
    pub(super) end: usize,
    pub(super) pairs: &'m mut Vec<Pair<'a>>,
    pub(super) redactor: Option<&'m mut Redactor>,
    /// Whether the record was read and has a time.
    pub(super) timed: bool,
}

impl<'a> Mapper<'_, 'a> {
    /// Appends an AnyValue whose own level is `depth`. `false`: redaction dropped it and nothing was appended.
    pub(super) fn value(&mut self, message: &'a [u8], depth: u32, scope: Scope) -> Result<bool, Reason> {
        if depth > DEPTH_MAX {
            return Err(Reason::TooDeep);
        }
        match Any::read(message)? {
            Any::Empty => self.out.extend_from_slice(b"null"),
            Any::Text(text) => return self.text(text, scope),
            Any::Bool(value) => self.out.extend_from_slice(if value { b"true" } else { b"false" }),
            Any::Int(value) => write::int(self.out, value),
            Any::Double(value) => write::double(self.out, value),
            Any::Array(array) => self.array(array, depth, scope)?,
            Any::List(list) => self.list(list, depth, scope)?,
            Any::Bytes(bytes) => {
                self.room_for(bytes)?;
                write::bytes(self.out, bytes);
            }
        }
        self.room_for(&[]).map(|()| true)
    }

    /// Appends text after redaction has seen it. `false`: redaction dropped it.
    pub(super) fn text(&mut self, text: &[u8], scope: Scope) -> Result<bool, Reason> {
        let finding = self.redactor.as_mut().map(|redactor| redactor.inspect(text, scope));
        let text = match finding {
            None | Some(Finding::Keep) => text,
            Some(Finding::Drop) => return Ok(false),
            Some(Finding::Replaced(text)) => text,
        };
        if self.out.len() + text.len() > self.end {
            return Err(Reason::TooLarge);
        }
        write::text(self.out, text);
        Ok(true)
    }

    /// Whether the line can still hold what takes at least these bytes.
    pub(super) fn room_for(&self, bytes: &[u8]) -> Result<(), Reason> {
        if self.out.len() + bytes.len() > self.end { Err(Reason::TooLarge) } else { Ok(()) }
    }

    fn array(&mut self, message: &'a [u8], depth: u32, scope: Scope) -> Result<(), Reason> {
        self.out.push(b'[');
        let mut first = true;
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            if key != list::VALUES {
                wire.unknown(key, list::FIELDS)?;
                continue;
            }
            let before = self.out.len();
            if !first {
                self.out.push(b',');
            }
            if self.value(wire.bytes()?, depth + 1, scope)? {
                first = false;
            } else {
                self.out.truncate(before);
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn list(&mut self, message: &'a [u8], depth: u32, scope: Scope) -> Result<(), Reason> {
        let start = self.pairs.len();
        let mut wire = Wire::new(message);
        while let Some(key) = wire.key()? {
            match key {
                list::VALUES => self.collect(wire.bytes()?, depth + 1, scope)?,
                _ => wire.unknown(key, list::FIELDS)?,
            }
        }
        self.collected(start, depth + 1, scope)
    }

    /// Appends what a rule leaves of a value that it selects as a whole. `false`: nothing.
    pub(super) fn whole(&mut self, message: &'a [u8], depth: u32, action: Action) -> Result<bool, Reason> {
        check(message, depth)?;
        let Some(redactor) = self.redactor.take() else { return Ok(true) };
        redactor.touch();
        let kept = match (action, Any::read(message)?) {
            (Action::Drop, _) => false,
            (Action::Mask, _) => redactor.mask(self.out),
            (Action::Hash, Any::Text(text)) => redactor.hash(text, self.out),
            (Action::Hash, _) => {
                // The form in which it would stand in a line without rules.
                let start = self.out.len();
                self.value(message, depth, Scope::default())?;
                let canonical = self.out.split_off(start);
                redactor.hash(&canonical, self.out)
            }
        };
        self.redactor = Some(redactor);
        Ok(kept)
    }

    /// The same for a member that is text.
    pub(super) fn whole_text(&mut self, text: &[u8], action: Action) -> bool {
        let Some(redactor) = &mut self.redactor else { return true };
        redactor.touch();
        match action {
            Action::Drop => false,
            Action::Mask => redactor.mask(self.out),
            Action::Hash => redactor.hash(text, self.out),
        }
    }
}

/// Walks a value that is not written, so that a record is malformed or too deep whatever the rules are.
pub(super) fn check(message: &[u8], depth: u32) -> Result<(), Reason> {
    if depth > DEPTH_MAX {
        return Err(Reason::TooDeep);
    }
    let (elements, of_pairs) = match Any::read(message)? {
        Any::Array(elements) => (elements, false),
        Any::List(elements) => (elements, true),
        _ => return Ok(()),
    };
    let mut wire = Wire::new(elements);
    while let Some(key) = wire.key()? {
        match key {
            list::VALUES if of_pairs => check(read_key_value(wire.bytes()?)?.1, depth + 1)?,
            list::VALUES => check(wire.bytes()?, depth + 1)?,
            _ => wire.unknown(key, list::FIELDS)?,
        }
    }
    Ok(())
}
