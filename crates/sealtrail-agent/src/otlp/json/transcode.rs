//! Records, resources and scopes in JSON, written as the protobuf messages they stand for.

use super::scalar;
use super::text::{Text, index_of};
use crate::otlp::Reason;
use crate::otlp::schema::{any_value, entity_ref, key_value, list, log_record, resource, scope};
use sealtrail_core::line::DEPTH_MAX;

/// A length that is not known yet takes four bytes of seven bits each; a request is far smaller than 2^28 bytes.
const LENGTH_BYTES: usize = 4;

/// A LogRecord.
pub(in crate::otlp) fn log_record(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    const NAMES: &[&str] = &[
        "timeUnixNano",
        "severityNumber",
        "severityText",
        "body",
        "attributes",
        "droppedAttributesCount",
        "flags",
        "traceId",
        "spanId",
        "observedTimeUnixNano",
        "eventName",
    ];
    object(&mut Text::new(json), NAMES, |name, text| {
        match name {
            0 => put_fixed64(out, log_record::TIME, scalar::integer(text.value())?),
            1 => put_varint(
                out,
                log_record::SEVERITY_NUMBER,
                i64::from(scalar::enumeration(text.value())?).cast_unsigned(),
            ),
            2 => put_bytes(out, log_record::SEVERITY_TEXT, &scalar::string(text.value())?),
            3 => put_message(out, log_record::BODY, |out| any_value(text, out, 1))?,
            4 => array(text, |text| put_message(out, log_record::ATTRIBUTES, |out| key_value(text, out, 1)))?,
            5 => {
                put_varint(out, log_record::DROPPED_ATTRIBUTES, scalar::integer::<u32>(text.value())?.into())
            }
            6 => put_fixed32(out, log_record::FLAGS, scalar::integer(text.value())?),
            7 => put_bytes(out, log_record::TRACE_ID, &scalar::id(text.value())?),
            8 => put_bytes(out, log_record::SPAN_ID, &scalar::id(text.value())?),
            9 => put_fixed64(out, log_record::OBSERVED_TIME, scalar::integer(text.value())?),
            _ => put_bytes(out, log_record::EVENT_NAME, &scalar::string(text.value())?),
        }
        Ok(())
    })
}

/// A Resource; nothing where it is absent.
pub(in crate::otlp) fn resource(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    if is_absent(json) {
        return Ok(());
    }
    object(&mut Text::new(json), &["attributes", "droppedAttributesCount", "entityRefs"], |name, text| {
        match name {
            0 => array(text, |text| put_message(out, resource::ATTRIBUTES, |out| key_value(text, out, 1)))?,
            1 => put_varint(out, resource::DROPPED_ATTRIBUTES, scalar::integer::<u32>(text.value())?.into()),
            _ => array(text, |text| put_message(out, resource::ENTITY_REFS, |out| entity_ref(text, out)))?,
        }
        Ok(())
    })
}

/// An InstrumentationScope; nothing where it is absent.
pub(in crate::otlp) fn scope(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    if is_absent(json) {
        return Ok(());
    }
    object(
        &mut Text::new(json),
        &["name", "version", "attributes", "droppedAttributesCount"],
        |name, text| {
            match name {
                0 => put_bytes(out, scope::NAME, &scalar::string(text.value())?),
                1 => put_bytes(out, scope::VERSION, &scalar::string(text.value())?),
                2 => array(text, |text| put_message(out, scope::ATTRIBUTES, |out| key_value(text, out, 1)))?,
                _ => put_varint(out, scope::DROPPED_ATTRIBUTES, scalar::integer::<u32>(text.value())?.into()),
            }
            Ok(())
        },
    )
}

/// The bytes of a schema URL; nothing where it is absent.
pub(in crate::otlp) fn schema_url(json: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
    if !is_absent(json) {
        out.extend_from_slice(&scalar::string(json)?);
    }
    Ok(())
}

fn is_absent(json: &[u8]) -> bool {
    json.is_empty() || json == b"null"
}

fn entity_ref(text: &mut Text<'_>, out: &mut Vec<u8>) -> Result<(), Reason> {
    object(text, &["schemaUrl", "type", "idKeys", "descriptionKeys"], |name, text| {
        match name {
            0 => put_bytes(out, entity_ref::SCHEMA_URL, &scalar::string(text.value())?),
            1 => put_bytes(out, entity_ref::TYPE, &scalar::string(text.value())?),
            2 => array(text, |text| put_text(out, entity_ref::ID_KEYS, text))?,
            _ => array(text, |text| put_text(out, entity_ref::DESCRIPTION_KEYS, text))?,
        }
        Ok(())
    })
}

fn key_value(text: &mut Text<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Reason> {
    object(text, &["key", "value", "keyStrindex"], |name, text| {
        match name {
            0 => put_bytes(out, key_value::KEY, &scalar::string(text.value())?),
            1 => put_message(out, key_value::VALUE, |out| any_value(text, out, depth))?,
            _ => put_int32(out, key_value::KEY_STRINDEX, scalar::integer(text.value())?),
        }
        Ok(())
    })
}

fn any_value(text: &mut Text<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Reason> {
    const NAMES: &[&str] = &[
        "stringValue",
        "boolValue",
        "intValue",
        "doubleValue",
        "arrayValue",
        "kvlistValue",
        "bytesValue",
        "stringValueStrindex",
    ];
    if depth > DEPTH_MAX {
        return Err(Reason::TooDeep);
    }
    object(text, NAMES, |name, text| {
        match name {
            0 => put_bytes(out, any_value::STRING, &scalar::string(text.value())?),
            1 => put_varint(out, any_value::BOOL, scalar::boolean(text.value())?.into()),
            2 => put_varint(out, any_value::INT, scalar::integer::<i64>(text.value())?.cast_unsigned()),
            3 => put_fixed64(out, any_value::DOUBLE, scalar::double(text.value())?.to_bits()),
            4 => put_message(out, any_value::ARRAY, |out| {
                object(text, &["values"], |_, text| {
                    array(text, |text| put_message(out, list::VALUES, |out| any_value(text, out, depth + 1)))
                })
            })?,
            5 => put_message(out, any_value::KVLIST, |out| {
                object(text, &["values"], |_, text| {
                    array(text, |text| put_message(out, list::VALUES, |out| key_value(text, out, depth + 1)))
                })
            })?,
            6 => put_bytes(out, any_value::BYTES, &scalar::bytes(text.value())?),
            _ => put_int32(out, any_value::STRING_STRINDEX, scalar::integer(text.value())?),
        }
        Ok(())
    })
}

/// An object: each member with a known name and a value that is not `null` goes to `read`, with the name's place in the
/// list; `read` must move past the value. A known name that occurs twice is malformed, an unknown one is passed over.
fn object<'a>(
    text: &mut Text<'a>,
    names: &[&str],
    mut read: impl FnMut(usize, &mut Text<'a>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    text.enter(b'{').ok_or(Reason::Malformed)?;
    let mut seen = 0u32;
    while let Some(name) = text.member() {
        let Some(index) = index_of(name, names) else {
            text.value();
            continue;
        };
        if seen & 1 << index != 0 {
            return Err(Reason::Malformed);
        }
        seen |= 1 << index;
        if text.kind() == b'n' {
            text.value();
        } else {
            read(index, text)?;
        }
    }
    Ok(())
}

fn array<'a>(
    text: &mut Text<'a>,
    mut read: impl FnMut(&mut Text<'a>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    text.enter(b'[').ok_or(Reason::Malformed)?;
    while text.element().is_some() {
        read(text)?;
    }
    Ok(())
}

fn put_integer(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_varint(out: &mut Vec<u8>, key: u32, value: u64) {
    put_integer(out, key.into());
    put_integer(out, value);
}

fn put_int32(out: &mut Vec<u8>, key: u32, value: i32) {
    put_varint(out, key, i64::from(value).cast_unsigned());
}

fn put_fixed64(out: &mut Vec<u8>, key: u32, value: u64) {
    put_integer(out, key.into());
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_fixed32(out: &mut Vec<u8>, key: u32, value: u32) {
    put_integer(out, key.into());
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, key: u32, bytes: &[u8]) {
    put_integer(out, key.into());
    put_integer(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, key: u32, text: &mut Text<'_>) -> Result<(), Reason> {
    put_bytes(out, key, &scalar::string(text.value())?);
    Ok(())
}

/// A message, whose length is written when it is known.
fn put_message(
    out: &mut Vec<u8>,
    key: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    put_integer(out, key.into());
    let place = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    write(out)?;
    let length = out.len() - place - LENGTH_BYTES;
    if length >> (7 * LENGTH_BYTES) != 0 {
        return Err(Reason::TooLarge);
    }
    let digits = out.get_mut(place..).into_iter().flatten().take(LENGTH_BYTES);
    for (index, digit) in digits.enumerate() {
        let more = if index + 1 < LENGTH_BYTES { 0x80 } else { 0 };
        *digit = (length >> (7 * index)) as u8 & 0x7f | more;
    }
    Ok(())
}
