//! AnyValue messages as values of a line (`docs/spec/01-lines.md` section 1.1).

use std::cmp::Ordering;

use sealtrail_core::body::LINE_BYTES_MAX;
use sealtrail_core::line::{DEPTH_MAX, utf16_order, write};

use super::Reason;
use super::schema::{any_value, key_value, list};
use super::wire::Wire;
use crate::redact::{Action, Finding, Redactor, Scope};

/// Most pairs that wait to be written at one time: each takes at least the eight bytes `"":null,` of the line.
const PAIRS_MAX: usize = LINE_BYTES_MAX / 8;

/// One key and its value, before they are sorted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// The key's first bytes such that integers compare as the names do; what is equal here compares in full.
    prefix: u64,
    /// Its place in the order received.
    order: u32,
    key_kind: KeyKind,
    /// What redaction does to the value as a whole.
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    Plain,
    Escaped,
    NotUtf8,
}

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
    fn room_for(&self, bytes: &[u8]) -> Result<(), Reason> {
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

    /// Reads a KeyValue and keeps it until the list is complete. Redaction drops here, so that what is left decides
    /// the list's form.
    pub(super) fn collect(&mut self, message: &'a [u8], depth: u32, scope: Scope) -> Result<(), Reason> {
        let (key, value) = read_key_value(message)?;
        let mut action = None;
        if let Some(redactor) = &mut self.redactor {
            action = redactor.select(scope, key);
            let searched =
                if redactor.drops_strings() && action.is_none() { Any::read(value)? } else { Any::Empty };
            let found = matches!(searched, Any::Text(text) if redactor.drops(text, scope, key));
            if found || action == Some(Action::Drop) {
                redactor.touch();
                return check(value, depth);
            }
        }
        if self.pairs.len() == PAIRS_MAX {
            return Err(Reason::TooLarge);
        }
        let key_kind = if write::is_plain(key) {
            KeyKind::Plain
        } else if std::str::from_utf8(key).is_ok() {
            KeyKind::Escaped
        } else {
            KeyKind::NotUtf8
        };
        let order = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX);
        self.pairs.push(Pair { key, value, prefix: prefix(key), order, key_kind, action });
        Ok(())
    }

    /// Appends the pairs collected since `start` as a key-value list, whose values have that depth.
    pub(super) fn collected(&mut self, start: usize, depth: u32, scope: Scope) -> Result<(), Reason> {
        let pairs = self.pairs.get_mut(start..).unwrap_or_default();
        pairs.sort_unstable_by(by_name);
        let distinct = pairs.is_sorted_by(|left, right| left.prefix != right.prefix || left.key != right.key);
        if distinct && pairs.iter().all(|pair| pair.key_kind != KeyKind::NotUtf8) {
            self.object(start, depth, scope)?;
        } else {
            pairs.sort_unstable_by_key(|pair| pair.order);
            self.repeated(start, depth, scope)?;
        }
        self.pairs.truncate(start);
        Ok(())
    }

    /// The pairs, sorted, as an object.
    fn object(&mut self, start: usize, depth: u32, scope: Scope) -> Result<(), Reason> {
        let mut before = b'{';
        let mut index = start;
        while let Some(pair) = self.pairs.get(index).copied() {
            self.out.push(before);
            match (pair.key_kind, std::str::from_utf8(pair.key)) {
                (KeyKind::Plain, _) => plain_name(self.out, pair.key),
                (_, Ok(key)) => write::name(self.out, key),
                // Not reached: `distinct` lists have only keys that are UTF-8.
                (_, Err(_)) => return Err(Reason::Malformed),
            }
            self.pair_value(&pair, depth, scope)?;
            before = b',';
            index += 1;
        }
        self.out.extend_from_slice(if index == start { b"{}" } else { b"}" });
        Ok(())
    }

    /// The pairs, as received, as `$kv`.
    fn repeated(&mut self, start: usize, depth: u32, scope: Scope) -> Result<(), Reason> {
        self.out.extend_from_slice(b"{\"$kv\":[");
        let mut index = start;
        while let Some(pair) = self.pairs.get(index).copied() {
            self.out.extend_from_slice(if index == start { b"[" } else { b",[" });
            self.room_for(pair.key)?;
            write::text(self.out, pair.key);
            self.out.push(b',');
            self.pair_value(&pair, depth, scope)?;
            self.out.push(b']');
            index += 1;
        }
        self.out.extend_from_slice(b"]}");
        Ok(())
    }

    fn pair_value(&mut self, pair: &Pair<'a>, depth: u32, scope: Scope) -> Result<(), Reason> {
        if let Some(action) = pair.action {
            return self.whole(pair.value, depth, action).map(|_| ());
        }
        let Some(inner) = self.redactor.as_mut().map(|redactor| redactor.enter(scope, pair.key)) else {
            return self.value(pair.value, depth, scope).map(|_| ());
        };
        if !self.value(pair.value, depth, inner)? {
            // Not reached: what is dropped was dropped when it was collected.
            self.out.extend_from_slice(b"null");
        }
        if let Some(redactor) = &mut self.redactor {
            redactor.leave(inner);
        }
        Ok(())
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

/// The key and the value of a KeyValue; without a value, that of an empty AnyValue.
#[inline]
fn read_key_value(message: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let mut key = [].as_slice();
    let mut value = None;
    let mut key_strindex = 0;
    let mut wire = Wire::new(message);
    while let Some(field) = wire.key()? {
        match field {
            key_value::KEY => key = wire.bytes()?,
            key_value::VALUE => {
                if value.replace(wire.bytes()?).is_some() {
                    return Err(Reason::Malformed);
                }
            }
            key_value::KEY_STRINDEX => key_strindex = wire.varint()? as u32,
            _ => wire.unknown(field, key_value::FIELDS)?,
        }
    }
    if key_strindex == 0 { Ok((key, value.unwrap_or_default())) } else { Err(Reason::Unsupported) }
}

/// The first eight bytes of a key, shorter ones padded with zeros, each byte moved so that supplementary characters
/// come before U+E000 (see [`utf16_order`]).
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (place, byte) in bytes.iter_mut().zip(key) {
        *place = match byte {
            0xee | 0xef => byte + 0x10,
            0xf0..=0xff => byte - 2,
            _ => *byte,
        };
    }
    u64::from_be_bytes(bytes)
}

fn by_name(left: &Pair<'_>, right: &Pair<'_>) -> Ordering {
    left.prefix.cmp(&right.prefix).then_with(|| utf16_order(left.key, right.key))
}

/// A name that needs no escape, with its colon.
fn plain_name(out: &mut Vec<u8>, key: &[u8]) {
    out.reserve(key.len() + 4);
    out.push(b'"');
    if key.first() == Some(&b'$') {
        out.push(b'$');
    }
    out.extend_from_slice(key);
    out.extend_from_slice(b"\":");
}
