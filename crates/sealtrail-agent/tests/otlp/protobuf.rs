//! Protobuf: every field of every message against the generated types, and what those cannot express.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::prelude::*;
use prost::Message;
use sealtrail_agent::otlp::{Encoding, Request};

use crate::json_text::{self, Style};
use crate::{NOW, line, lines, model, oracle};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_encodings_give_the_lines_of_the_oracle(request in model::request(), style: u8) {
        let expected = oracle::resolved(&request);
        let binary = request.encode_to_vec();
        let protobuf = lines(Encoding::Protobuf, &binary);
        prop_assert_eq!(&protobuf.resolved(), &expected);
        let text = json_text::request(&request, Style(style));
        let json = lines(Encoding::Json, text.as_bytes());
        prop_assert_eq!(&json.resolved(), &expected, "{}", text);
    }
}

/// A field of bytes, text or a message.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    [field.as_slice(), bytes].concat()
}

/// A request with one record under empty contexts.
pub(crate) fn request(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

/// The one record's line.
fn of_record(record: &[u8]) -> String {
    line(Encoding::Protobuf, &request(record))
}

fn of_body(any_value: &[u8]) -> String {
    let line = of_record(&field(5, any_value));
    line.strip_suffix(",\"resource\":1,\"scope\":2}").unwrap_or(&line).replacen("{\"body\":", "", 1)
}

fn is_stub(line: &str, reason: &str) {
    assert!(
        line.starts_with(&format!(
            "{{\"observedTimeUnixNano\":\"{NOW}\",\"resource\":1,\"scope\":2,\"stub\""
        )),
        "{line}"
    );
    assert!(line.ends_with(&format!("\"reason\":\"{reason}\"}}}}")), "{line}");
}

#[test]
fn values_beyond_the_generated_types() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "null"),
        (&field(1, b"\xff"), r#"{"$u":"/w=="}"#),
        (&field(1, b"ok\xc3"), r#"{"$u":"b2vD"}"#),
        // The last of a scalar counts; unknown fields, groups too, do not.
        (b"\x0a\x01a\x0a\x01b", "\"b\""),
        (b"\x18\x01\x7a\x01x\x18\x02", "2"),
        (b"\x0a\x01a\xfb\x01\x08\x05\x0b\x0c\xfc\x01", "\"a\""),
        // The strindex of a profile, zero: no value, but a member.
        (b"\x40\x00", "null"),
        (b"\x40\x00\x0a\x01a", ""),
        // Varints longer than they need be, a bool beyond one, an int32 of which only the low half counts.
        (b"\x18\x81\x80\x00", "1"),
        (b"\x10\x80\x02", "true"),
        (b"\x40\x80\x80\x80\x80\x10", "null"),
        (b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "-1"),
        (b"\x32\x0c\x0a\x04\x0a\x02\xff\x00\x0a\x04\x0a\x01a\x12", ""),
    ];
    for (value, expected) in cases {
        if expected.is_empty() {
            is_stub(&of_body(value), "malformed");
        } else {
            assert_eq!(of_body(value), *expected, "{value:02x?}");
        }
    }
}

#[test]
fn lists_that_are_no_objects() {
    let pair = |key: &[u8], value: &[u8]| field(1, &[field(1, key), field(2, value)].concat());
    let list = |pairs: &[Vec<u8>]| field(6, &pairs.concat());
    let (one, two) = (b"\x18\x01".as_slice(), b"\x18\x02".as_slice());
    assert_eq!(of_body(&list(&[pair(b"b", one), pair(b"a", two)])), r#"{"a":2,"b":1}"#);
    assert_eq!(
        of_body(&list(&[pair(b"b", one), pair(b"a", two), pair(b"b", two)])),
        r#"{"$kv":[["b",1],["a",2],["b",2]]}"#
    );
    assert_eq!(
        of_body(&list(&[pair(b"b", one), pair(b"\xff", two)])),
        r#"{"$kv":[["b",1],[{"$u":"/w=="},2]]}"#
    );
    assert_eq!(of_body(&list(&[pair(b"$b", one), pair(b"$b", two)])), r#"{"$kv":[["$b",1],["$b",2]]}"#);
    assert_eq!(
        of_body(&list(&[pair("\u{e000}".as_bytes(), one), pair("\u{10000}".as_bytes(), two)])),
        "{\"\u{10000}\":2,\"\u{e000}\":1}"
    );
    // The same first eight bytes, in more than two orders.
    assert_eq!(
        of_body(&list(&[pair(b"http.request.b", one), pair(b"http.request.a", two), pair(b"http.req", one)])),
        r#"{"http.req":1,"http.request.a":2,"http.request.b":1}"#
    );
    assert_eq!(
        of_body(&list(&[pair(b"a\0", one), pair(b"a", two), pair(b"", two)])),
        r#"{"":2,"a":2,"a\u0000":1}"#
    );
    // A KeyValue without anything; a key that occurs twice: the last counts.
    assert_eq!(of_body(&field(6, &field(1, b""))), r#"{"":null}"#);
    assert_eq!(of_body(&field(6, &field(1, b"\x0a\x01a\x0a\x01b"))), r#"{"b":null}"#);
    let attributes = [field(6, b"\x0a\x01a"), field(6, b"\x0a\x01a")].concat();
    assert_eq!(
        of_record(&attributes),
        r#"{"attributes":{"$kv":[["a",null],["a",null]]},"resource":1,"scope":2}"#
    );
}

#[test]
fn stubs_and_their_reasons() {
    let list_of = |key_value: &[u8]| field(6, &field(1, key_value));
    let deep = |depth: usize| (1..depth).fold(b"\x18\x01".to_vec(), |inner, _| field(5, &field(1, &inner)));
    let malformed: &[Vec<u8>] = &[
        field(5, b"\x0a\x01a\x18\x01"),
        field(5, b"\x18\x01\x0a\x01a"),
        field(5, b"\x2a\x00\x2a\x00"),
        field(5, b"\x32\x00\x32\x00"),
        [field(5, b""), field(5, b"")].concat(),
        field(5, &list_of(b"\x12\x00\x12\x00")),
        field(5, b"\x08\x01"),
        field(5, b"\x0a\x05a"),
        field(5, b"\x18"),
        field(5, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        field(5, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        field(5, b"\x21\x00"),
        field(5, b"\x00"),
        field(5, b"\x0f"),
        field(5, b"\xf3\x01\x08"),
        field(5, b"\xf3\x01\xfc\x01"),
        field(5, &[0x7b; 200]),
        field(9, &[1; 65]),
        field(10, &[1; 65]),
        b"\x12\x01a".to_vec(),
        b"\x09\x00".to_vec(),
        b"\x80\x80\x80\x80\x80\x10".to_vec(),
    ];
    for record in malformed {
        is_stub(&of_record(record), "malformed");
        assert!(of_record(record).contains(&format!(",\"length\":{},", record.len())));
    }
    is_stub(&of_record(&field(5, b"\x40\x01")), "unsupported");
    is_stub(&of_record(&field(5, b"\x0a\x01a\x40\x01")), "unsupported");
    is_stub(&of_record(&field(6, b"\x0a\x01a\x18\x01")), "unsupported");
    is_stub(&of_record(&field(5, &field(5, &field(1, b"\x40\x7f")))), "unsupported");

    assert!(!of_record(&field(5, &deep(64))).contains("stub"));
    is_stub(&of_record(&field(5, &deep(65))), "too-deep");
    assert!(!of_record(&field(6, &field(2, &deep(64)))).contains("stub"));
    is_stub(&of_record(&field(6, &field(2, &deep(65)))), "too-deep");
    is_stub(&of_record(&field(5, &deep(5_000))), "too-deep");

    let bytes = |length| field(5, &field(7, &vec![0; length]));
    let text = |byte, length| field(5, &field(1, &vec![byte; length]));
    assert!(!of_record(&text(b'a', 1_000_000)).contains("stub"));
    is_stub(&of_record(&text(b'a', 1 << 20)), "too-large");
    is_stub(&of_record(&text(0, 200_000)), "too-large");
    is_stub(&of_record(&bytes(800_000)), "too-large");
    is_stub(&of_record(&field(5, &field(5, &field(1, b"").repeat(300_000)))), "too-large");
    is_stub(&of_record(&field(5, &field(6, &field(1, b"").repeat(300_000)))), "too-large");
    is_stub(&of_record(&field(6, b"").repeat(300_000)), "too-large");
}

#[test]
fn contexts_that_cannot_be_mapped() {
    let record = field(2, &field(5, b"\x0a\x01a"));
    let good_scope = field(2, &[field(1, b"\x0a\x04name"), record.clone()].concat());
    let under =
        |resource: Vec<u8>| lines(Encoding::Protobuf, &field(1, &[resource, good_scope.clone()].concat()));
    let cases = [
        ([field(1, b""), field(1, b"")].concat(), "malformed"),
        (field(1, b"\x08\x01"), "malformed"),
        (field(1, b"\x1a\x02\x08\x01"), "malformed"),
        (field(1, &field(1, b"\x18\x01")), "unsupported"),
        (field(3, &vec![b'a'; 1 << 20]), "too-large"),
        (field(1, &field(3, &field(3, b"").repeat(500_000))), "too-large"),
    ];
    for (resource, reason) in cases {
        let lines = under(resource);
        assert_eq!(lines.contexts, ["{\"resource\":{}}", "{\"scope\":{\"name\":\"name\"}}"]);
        is_stub(&lines.records[0], reason);
    }
    let scopes =
        [field(2, &[field(1, b""), field(1, b""), record.clone()].concat()), good_scope.clone()].concat();
    let lines = lines(Encoding::Protobuf, &field(1, &scopes));
    assert_eq!(lines.contexts, ["{\"resource\":{}}", "{\"scope\":{}}", "{\"scope\":{\"name\":\"name\"}}"]);
    is_stub(&lines.records[0], "malformed");
    assert_eq!(lines.records[1], "{\"body\":\"a\",\"resource\":1,\"scope\":3}");
}

#[test]
fn schema_urls_stand_after_the_records_too() {
    let record = field(2, b"");
    let scope = field(2, &[record, field(3, b"old"), field(3, b"s\xff"), field(1, b"\x0a\x01n")].concat());
    let request = field(1, &[scope, field(3, b"r"), field(1, b"\x10\x05")].concat());
    let lines = lines(Encoding::Protobuf, &request);
    assert_eq!(lines.contexts[0], r#"{"resource":{"droppedAttributesCount":5,"schemaUrl":"r"}}"#);
    assert_eq!(lines.contexts[1], r#"{"scope":{"name":"n","schemaUrl":{"$u":"c/8="}}}"#);
    assert_eq!(lines.records, ["{\"resource\":1,\"scope\":2}"]);
}

#[test]
fn frames() {
    for request in [b"".as_slice(), b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x7a\x01x", b"\x10\x01\x0a\x00"] {
        assert_eq!(Request::parse(Encoding::Protobuf, request).unwrap().records(), 0, "{request:02x?}");
    }
    for request in [
        b"\x0a".as_slice(),
        b"\x0a\x01",
        b"\x0a\x01\x00",
        b"\x08\x01",
        b"\x0a\x02\x08\x01",
        b"\x0a\x02\x1a\x05",
        b"\x0a\x04\x12\x02\x12\x01",
        b"\x0a\x04\x12\x02\x18\x01",
        b"{}",
        b"\xff",
        b"\x00",
        b"\x0c",
    ] {
        assert!(Request::parse(Encoding::Protobuf, request).is_err(), "{request:02x?}");
    }
}

#[test]
fn all_fields_at_once() {
    let text = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1760000000000000000",
        "observedTimeUnixNano":1760000000000000001,"severityNumber":9,"severityText":"INFO","flags":1,
        "droppedAttributesCount":2,"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174",
        "eventName":"auth.login","body":{"stringValue":"login"},"attributes":[
        {"key":"user.id","value":{"stringValue":"alice"}},{"key":"event.outcome","value":{"stringValue":"success"}}]}]}]}]}"#;
    assert_eq!(
        line(Encoding::Json, text.as_bytes()),
        r#"{"attributes":{"event.outcome":"success","user.id":"alice"},"body":"login","droppedAttributesCount":2,"eventName":"auth.login","flags":1,"observedTimeUnixNano":"1760000000000000001","resource":1,"scope":2,"severityNumber":9,"severityText":"INFO","spanId":"eee19b7ec3c1b174","timeUnixNano":"1760000000000000000","traceId":"5b8efff798038103d269b633813fc60c"}"#
    );
    assert!(ExportLogsServiceRequest::decode(request(b"").as_slice()).is_ok());
}
