//! Key-value lists: sorted into objects, or `$kv` where a key repeats or is not UTF-8 (`docs/spec/01-lines.md` section
//! 1.1).

use std::cmp::Ordering;

use sealtrail_core::body::LINE_BYTES_MAX;
use sealtrail_core::line::{utf16_order, write};

use super::Reason;
use super::schema::key_value;
use super::value::{Any, Mapper, check};
use super::wire::Wire;
use crate::redact::{Action, Scope};

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

impl<'a> Mapper<'_, 'a> {
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
        self.pairs.push(Pair { key, value, prefix: prefix(key, key_kind), order, key_kind, action });
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
            match pair.key_kind {
                KeyKind::Plain => plain_name(self.out, pair.key),
                // Not refused: `distinct` lists have only keys that are UTF-8.
                _ => write::name(self.out, std::str::from_utf8(pair.key).map_err(|_| Reason::Malformed)?),
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
}

/// The key and the value of a KeyValue; without a value, that of an empty AnyValue.
#[inline]
pub(super) fn read_key_value(message: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
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
fn prefix(key: &[u8], kind: KeyKind) -> u64 {
    let mut bytes = [0; 8];
    match key.first_chunk::<8>() {
        Some(first) => bytes = *first,
        None => bytes.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte),
    }
    if kind != KeyKind::Plain {
        for byte in &mut bytes {
            *byte = match *byte {
                0xee | 0xef => *byte + 0x10,
                0xf0..=0xff => *byte - 2,
                _ => *byte,
            };
        }
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
