//! OTLP/JSON: each leniency of `docs/spec/01-lines.md` section 1.5, and each refusal.

use sealtrail_agent::otlp::{Encoding, Request};
use sealtrail_core::hash::sha256;

use crate::{line, lines};

fn request(record: &str) -> String {
    format!("{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{record}]}}]}}]}}")
}

fn of_record(record: &str) -> String {
    line(Encoding::Json, request(record).as_bytes())
}

/// The members of the line besides `resource` and `scope`.
fn members(record: &str) -> String {
    let line = of_record(record);
    line.replace("\"resource\":1,\"scope\":2", "*")
        .trim_matches(['{', '}'])
        .replace(",*", "")
        .replace("*,", "")
}

fn body(any_value: &str) -> String {
    members(&format!("{{\"body\":{any_value}}}"))
}

/// The record is a stub with this reason, over the record's text.
fn is_stub(record: &str, reason: &str) {
    let line = of_record(record);
    let expected = format!(
        "\"stub\":{{\"hash\":\"{}\",\"length\":{},\"reason\":\"{reason}\"}}}}",
        hex::encode(sha256(&[record.as_bytes()])),
        record.len()
    );
    assert!(line.ends_with(&expected), "{record}: {line}");
}

#[test]
fn ids_are_hex_in_either_case() {
    assert_eq!(members(r#"{"traceId":"0aBc","spanId":"FF00"}"#), r#""spanId":"ff00","traceId":"0abc""#);
    assert_eq!(members(r#"{"traceId":"","spanId":null}"#), "*");
    assert_eq!(
        members(&format!(r#"{{"traceId":"{}"}}"#, "00".repeat(64))),
        format!("\"traceId\":\"{}\"", "00".repeat(64))
    );
    is_stub(r#"{"traceId":"abc"}"#, "malformed");
    is_stub(r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#, "malformed");
    is_stub(&format!(r#"{{"spanId":"{}"}}"#, "00".repeat(65)), "malformed");
    is_stub(r#"{"spanId":17}"#, "malformed");
}

#[test]
fn integers_are_strings_or_numbers() {
    for time in [
        "1760000000000000001",
        "\"1760000000000000001\"",
        "17600000000000000.01e2",
        "\"1760000000000000001.0\"",
    ] {
        assert_eq!(
            members(&format!("{{\"timeUnixNano\":{time}}}")),
            "\"timeUnixNano\":\"1760000000000000001\""
        );
    }
    for (text, shown) in [
        ("17", "17"),
        ("\"-17\"", "-17"),
        ("1e2", "100"),
        ("-0", "0"),
        ("9007199254740991", "9007199254740991"),
        ("\"9007199254740993\"", r#"{"$i":"9007199254740993"}"#),
        ("9007199254740993", r#"{"$i":"9007199254740993"}"#),
        ("9007199254740993.0", r#"{"$i":"9007199254740993"}"#),
        ("-9223372036854775808", r#"{"$i":"-9223372036854775808"}"#),
    ] {
        assert_eq!(body(&format!("{{\"intValue\":{text}}}")), format!("\"body\":{shown}"));
    }
    assert_eq!(
        members(r#"{"flags":"1","droppedAttributesCount":"2"}"#),
        r#""droppedAttributesCount":2,"flags":1"#
    );
    for value in [
        "1.5",
        "\"\"",
        "\" 1\"",
        "\"1 \"",
        "\"+1\"",
        "\"0x1\"",
        "\"01\"",
        "\"1_0\"",
        "true",
        "[1]",
        "{}",
        "9223372036854775808",
        "\"-9223372036854775809\"",
        "\"NaN\"",
        "1e400",
        "\"\\u0031x\"",
    ] {
        is_stub(&format!("{{\"body\":{{\"intValue\":{value}}}}}"), "malformed");
    }
    is_stub(r#"{"timeUnixNano":-1}"#, "malformed");
    is_stub(r#"{"timeUnixNano":18446744073709551616}"#, "malformed");
    is_stub(r#"{"flags":4294967296}"#, "malformed");
    is_stub(r#"{"droppedAttributesCount":-1}"#, "malformed");
}

#[test]
fn enumerations_are_integers() {
    assert_eq!(members(r#"{"severityNumber":9}"#), "\"severityNumber\":9");
    assert_eq!(members(r#"{"severityNumber":-2147483648}"#), "\"severityNumber\":-2147483648");
    assert_eq!(members(r#"{"severityNumber":0}"#), "*");
    for value in ["\"SEVERITY_NUMBER_INFO\"", "\"9\"", "9.5", "2147483648", "true"] {
        is_stub(&format!("{{\"severityNumber\":{value}}}"), "malformed");
    }
}

#[test]
fn unknown_names_are_ignored() {
    assert_eq!(
        members(
            r#"{"new":{"a":[1,"}"]},"new":1,"body":{"stringValue":"a","new":"\ud800"},"time_unix_nano":"5"}"#
        ),
        "\"body\":\"a\""
    );
    let text = r#" { "x" : [ ] , "resourceLogs" : [ { "y" : { } , "scopeLogs" : [ { "logRecords" : [ { } ] , "z" : null } ] } ] } "#;
    assert_eq!(line(Encoding::Json, text.as_bytes()), "{\"resource\":1,\"scope\":2}");
}

#[test]
fn names_may_be_escaped() {
    assert_eq!(members(r#"{"b\u006fdy":{"string\u0056alue":"\u0061\ud83d\ude00\/"}}"#), "\"body\":\"a😀/\"");
    is_stub(r#"{"body":{"stringValue":"a"},"b\u006fdy":{"stringValue":"b"}}"#, "malformed");
}

#[test]
fn null_is_absence() {
    let text = r#"{"timeUnixNano":null,"severityNumber":null,"severityText":null,"body":null,"attributes":null,
        "droppedAttributesCount":null,"flags":null,"traceId":null,"spanId":null,"observedTimeUnixNano":null,"eventName":null}"#;
    assert_eq!(of_record(text), "{\"resource\":1,\"scope\":2}");
    assert_eq!(body(r#"{"stringValue":null}"#), "\"body\":null");
    assert_eq!(body(r#"{"stringValue":null,"intValue":1}"#), "\"body\":1");
    assert_eq!(body(r#"{"arrayValue":{"values":null}}"#), "\"body\":[]");
    assert_eq!(body(r#"{"kvlistValue":{}}"#), "\"body\":{}");
    assert_eq!(body(r#"{"arrayValue":null}"#), "\"body\":null");
    assert_eq!(
        members(r#"{"attributes":[{"key":"a","value":null},{"key":null}]}"#),
        r#""attributes":{"":null,"a":null}"#
    );
    let text = r#"{"resourceLogs":[{"resource":null,"schemaUrl":null,"scopeLogs":[{"scope":null,"schemaUrl":null,"logRecords":[{}]}]}]}"#;
    assert_eq!(lines(Encoding::Json, text.as_bytes()).contexts, ["{\"resource\":{}}", "{\"scope\":{}}"]);
    for text in ["{\"resourceLogs\":null}", "{}", "{\"resourceLogs\":[{\"scopeLogs\":null},{}]}"] {
        assert_eq!(Request::parse(Encoding::Json, text.as_bytes()).unwrap().records(), 0);
    }
    // But not as an element: nothing says what an absent element would be.
    is_stub("null", "malformed");
    is_stub(r#"{"body":{"arrayValue":{"values":[null]}}}"#, "malformed");
    is_stub(r#"{"attributes":[null]}"#, "malformed");
}

#[test]
fn doubles() {
    for (text, shown) in [
        ("0.5", "0.5"),
        ("\"0.5\"", "0.5"),
        ("1", r#"{"$d":"1"}"#),
        ("-0.0", r#"{"$d":"-0"}"#),
        ("-0", r#"{"$d":"-0"}"#),
        ("\"NaN\"", r#"{"$d":"NaN"}"#),
        ("\"Infinity\"", r#"{"$d":"Infinity"}"#),
        ("\"-Infinity\"", r#"{"$d":"-Infinity"}"#),
        // Correctly rounded, which fast parsers do not promise.
        ("8.41e21", r#"{"$d":"8.41e+21"}"#),
        ("2.2250738585072011e-308", "2.225073858507201e-308"),
        ("0.1e-6", "1e-7"),
        ("5e-324", "5e-324"),
        ("1e-400", r#"{"$d":"0"}"#),
    ] {
        assert_eq!(body(&format!("{{\"doubleValue\":{text}}}")), format!("\"body\":{shown}"), "{text}");
    }
    for text in [
        "\"nan\"",
        "\"inf\"",
        "\"infinity\"",
        "\"+Infinity\"",
        "1e400",
        "\"1e400\"",
        "\"\"",
        "\".5\"",
        "\"5.\"",
        "true",
    ] {
        is_stub(&format!("{{\"body\":{{\"doubleValue\":{text}}}}}"), "malformed");
    }
}

#[test]
fn bytes_in_either_alphabet_padded_or_not() {
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(body(&format!("{{\"bytesValue\":\"{text}\"}}")), r#""body":{"$b":"+/8="}"#);
    }
    assert_eq!(body(r#"{"bytesValue":""}"#), r#""body":{"$b":""}"#);
    for text in ["\"a\"", "\"+_8\"", "\"AA==A\"", "\"AB==\"", "\"A A=\"", "5", "[1,2]"] {
        is_stub(&format!("{{\"body\":{{\"bytesValue\":{text}}}}}"), "malformed");
    }
}

#[test]
fn names_occur_once() {
    for record in [
        r#"{"body":{"intValue":1},"body":{"intValue":1}}"#,
        r#"{"body":null,"body":{"intValue":1}}"#,
        r#"{"flags":1,"flags":1}"#,
        r#"{"body":{"intValue":1,"intValue":1}}"#,
        r#"{"body":{"intValue":1,"stringValue":"a"}}"#,
        r#"{"body":{"arrayValue":{"values":[],"values":[]}}}"#,
        r#"{"attributes":[{"key":"a","key":"b"}]}"#,
        r#"{"attributes":[{"value":{},"value":{}}]}"#,
    ] {
        is_stub(record, "malformed");
    }
    // In the frame: everything under it.
    let record = "{\"logRecords\":[{}]}";
    for (text, stubs) in [
        (
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{record}]}}],"resourceLogs":[{{"scopeLogs":[{record}]}}]}}"#
            ),
            2,
        ),
        (
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{record}],"scopeLogs":[{record}]}},{{"scopeLogs":[{record}]}}]}}"#
            ),
            2,
        ),
        (format!(r#"{{"resourceLogs":[{{"resource":null,"resource":{{}},"scopeLogs":[{record}]}}]}}"#), 1),
        (
            format!(
                r#"{{"resourceLogs":[{{"schemaUrl":"","schemaUrl":"","scopeLogs":[{record},{record}]}}]}}"#
            ),
            2,
        ),
        (
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}],"logRecords":[{}]},{"logRecords":[{}]}]}]}"#
                .to_owned(),
            2,
        ),
        (
            format!(
                r#"{{"resourceLogs":[{{"scopeLogs":[{{"scope":{{"name":"a","name":"a"}},"logRecords":[{{}}]}},{record}]}}]}}"#
            ),
            1,
        ),
        (
            format!(
                r#"{{"resourceLogs":[{{"resource":{{"entityRefs":[{{"type":"a","type":"b"}}]}},"scopeLogs":[{record}]}}]}}"#
            ),
            1,
        ),
    ] {
        let lines = lines(Encoding::Json, text.as_bytes());
        assert_eq!(lines.records.iter().filter(|line| line.contains("stub")).count(), stubs, "{text}");
    }
}

#[test]
fn wrong_kinds() {
    for record in [
        "5",
        "\"a\"",
        "[]",
        "true",
        r#"{"body":"a"}"#,
        r#"{"body":[]}"#,
        r#"{"body":{"stringValue":5}}"#,
        r#"{"body":{"boolValue":"true"}}"#,
        r#"{"body":{"boolValue":1}}"#,
        r#"{"body":{"arrayValue":[]}}"#,
        r#"{"body":{"kvlistValue":{"values":{}}}}"#,
        r#"{"attributes":{}}"#,
        r#"{"attributes":[5]}"#,
        r#"{"attributes":[{"key":5}]}"#,
        r#"{"eventName":{}}"#,
        r#"{"severityText":["a"]}"#,
        // Half a surrogate pair is JSON, but no text.
        r#"{"body":{"stringValue":"\ud800"}}"#,
        r#"{"attributes":[{"key":"\udc00"}]}"#,
    ] {
        is_stub(record, "malformed");
    }
    for (resource, expected) in [("5", 1), ("{\"attributes\":5}", 1), ("{}", 0)] {
        let text = format!(
            r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"logRecords":[{{}}]}}]}}]}}"#
        );
        let stubs = lines(Encoding::Json, text.as_bytes())
            .records
            .iter()
            .filter(|line| line.contains("stub"))
            .count();
        assert_eq!(stubs, expected);
    }
    let text = r#"{"resourceLogs":[{"schemaUrl":5,"scopeLogs":[{"logRecords":[{}]}]}]}"#;
    assert!(line(Encoding::Json, text.as_bytes()).contains("malformed"));
}

#[test]
fn profile_fields() {
    assert_eq!(body(r#"{"stringValueStrindex":0}"#), "\"body\":null");
    assert_eq!(members(r#"{"attributes":[{"key":"a","keyStrindex":0}]}"#), r#""attributes":{"a":null}"#);
    is_stub(r#"{"body":{"stringValueStrindex":1}}"#, "unsupported");
    is_stub(r#"{"attributes":[{"keyStrindex":1}]}"#, "unsupported");
}

#[test]
fn depth_and_size() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"arrayValue":{"values":["#, "]}}");
        format!("{{\"body\":{}{{}}{}}}", open.repeat(depth - 1), close.repeat(depth - 1))
    };
    assert!(!of_record(&nested(64)).contains("stub"));
    is_stub(&nested(65), "too-deep");
    is_stub(&nested(20_000), "too-deep");
    is_stub(&format!("{{\"eventName\":\"{}\"}}", "a".repeat(1 << 20)), "too-large");
    // Deep where nobody looks.
    let unknown = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(of_record(&unknown), "{\"resource\":1,\"scope\":2}");
}

#[test]
fn unparseable() {
    for text in [
        "",
        " ",
        "null",
        "[]",
        "5",
        "{",
        "{}x",
        "{},",
        "{\"resourceLogs\":{}}",
        "{\"resourceLogs\":5}",
        "{\"resourceLogs\":[5]}",
        "{\"resourceLogs\":[null]}",
        "{\"resourceLogs\":[{\"scopeLogs\":5}]}",
        "{\"resourceLogs\":[{\"scopeLogs\":[[]]}]}",
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":{}}]}]}",
        "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":\"\"}]}]}",
        "{'resourceLogs':[]}",
        "{\"resourceLogs\":[],}",
        "\u{feff}{}",
        "{\"a\":01}",
        "{\"a\":NaN}",
        "{\"a\":\"\u{1}\"}",
    ] {
        assert!(Request::parse(Encoding::Json, text.as_bytes()).is_err(), "{text}");
    }
    assert!(Request::parse(Encoding::Json, b"{\"a\":\"\xff\"}").is_err());
    assert!(
        Request::parse(Encoding::Json, request("{\"x\":\"\u{e9}\"}").replace('\u{e9}', "\\").as_bytes())
            .is_err()
    );
}

#[test]
fn contexts() {
    let text = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}],
        "droppedAttributesCount":"3","entityRefs":[{"schemaUrl":"e","type":"host","idKeys":["host.name",""],"descriptionKeys":[]},{}]},
        "schemaUrl":"r","scopeLogs":[{"scope":{"name":"n","version":"1","droppedAttributesCount":1,
        "attributes":[{"key":"a","value":{"boolValue":true}}]},"schemaUrl":"s","logRecords":[{}]}]}]}"#;
    assert_eq!(
        lines(Encoding::Json, text.as_bytes()).contexts,
        [
            r#"{"resource":{"attributes":{"host.name":"h"},"droppedAttributesCount":3,"entityRefs":[{"idKeys":["host.name",""],"schemaUrl":"e","type":"host"},{}],"schemaUrl":"r"}}"#,
            r#"{"scope":{"attributes":{"a":true},"droppedAttributesCount":1,"name":"n","schemaUrl":"s","version":"1"}}"#,
        ]
    );
}
