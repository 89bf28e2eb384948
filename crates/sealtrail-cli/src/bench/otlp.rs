//! OTLP requests to send: protobuf written by hand, so that making load costs little.

use serde_json::Value;

/// Time of the first record.
pub(crate) const BEGINNING_NS: u64 = 1_767_225_600_000_000_000;

/// A request of synthetic audit events, about 275 bytes each on the wire and 300 as lines.
pub(crate) fn synthetic(first: u64, count: u64) -> Vec<u8> {
    let records = (first..first + count).map(|n| {
        let mut record = Vec::with_capacity(300);
        fixed64(&mut record, 1, BEGINNING_NS + n * 1000);
        fixed64(&mut record, 11, BEGINNING_NS + n * 1000 + 17);
        varint_field(&mut record, 2, 9);
        bytes(&mut record, 3, b"INFO");
        bytes(
            &mut record,
            5,
            &string_value(&format!("user {} read account {}", n % 997, n * 7919 % 1_000_003)),
        );
        attribute(&mut record, "event.outcome", &string_value("success"));
        attribute(&mut record, "user.id", &string_value(&format!("u-{:06}", n % 997)));
        attribute(
            &mut record,
            "source.address",
            &string_value(&format!("10.1.{}.{}", n % 251, n * 31 % 251)),
        );
        attribute(&mut record, "request.sequence", &int_value(n));
        bytes(&mut record, 9, &(u128::from(n + 1) * 0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes(&mut record, 10, &(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        bytes(&mut record, 12, b"account.read");
        record
    });
    request(records)
}

/// A request whose records have these JSON objects as structured bodies. `salt` makes requests differ, so that none is
/// taken for a resend.
pub(crate) fn structured(events: &[Value], salt: u64) -> Vec<u8> {
    request(events.iter().enumerate().map(|(n, event)| {
        let mut record = Vec::new();
        fixed64(&mut record, 1, BEGINNING_NS + salt * 1_000_000 + n as u64);
        bytes(&mut record, 5, &any_value(event));
        record
    }))
}

fn request(records: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut resource = Vec::new();
    attribute_at(&mut resource, 1, "service.name", &string_value("bench"));
    let mut scope = Vec::new();
    bytes(&mut scope, 1, b"sealtrail.bench");
    let mut scope_logs = Vec::new();
    bytes(&mut scope_logs, 1, &scope);
    for record in records {
        bytes(&mut scope_logs, 2, &record);
    }
    let mut resource_logs = Vec::new();
    bytes(&mut resource_logs, 1, &resource);
    bytes(&mut resource_logs, 2, &scope_logs);
    let mut request = Vec::new();
    bytes(&mut request, 1, &resource_logs);
    request
}

fn any_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => {}
        Value::Bool(truth) => varint_field(&mut out, 2, u64::from(*truth)),
        Value::Number(number) => match number.as_i64() {
            Some(int) => varint_field(&mut out, 3, int.cast_unsigned()),
            None => fixed64(&mut out, 4, number.as_f64().unwrap_or_default().to_bits()),
        },
        Value::String(text) => bytes(&mut out, 1, text.as_bytes()),
        Value::Array(items) => {
            let mut list = Vec::new();
            items.iter().for_each(|item| bytes(&mut list, 1, &any_value(item)));
            bytes(&mut out, 5, &list);
        }
        Value::Object(members) => {
            let mut list = Vec::new();
            members.iter().for_each(|(key, value)| attribute_at(&mut list, 1, key, &any_value(value)));
            bytes(&mut out, 6, &list);
        }
    }
    out
}

fn attribute(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    attribute_at(out, 6, key, value);
}

fn attribute_at(out: &mut Vec<u8>, field: u64, key: &str, value: &[u8]) {
    let mut pair = Vec::with_capacity(key.len() + value.len() + 8);
    bytes(&mut pair, 1, key.as_bytes());
    bytes(&mut pair, 2, value);
    bytes(out, field, &pair);
}

fn string_value(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 4);
    bytes(&mut out, 1, text.as_bytes());
    out
}

fn int_value(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint_field(&mut out, 3, value);
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
