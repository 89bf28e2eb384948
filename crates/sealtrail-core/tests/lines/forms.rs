//! Every form of the specification, accepted, and every way to miss it, refused with its reason.

use sealtrail_core::body::{LINE_BYTES_MAX, REQUESTS_MAX};
use sealtrail_core::line::check::{Context, Header, LineError, context, header, record as check_record};
use sealtrail_core::line::{DEPTH_MAX, write};

use crate::{record, with_body};

fn accepted(values: &[&str]) {
    for value in values {
        assert_eq!(record(&with_body(value.as_bytes())).map(|info| info.stub), Ok(false), "{value}");
    }
}

/// The variant's name of the error that each value is refused with.
fn refused(values: &[(&str, &str)]) {
    for (value, reason) in values {
        let error = record(&with_body(value.as_bytes())).expect_err(value);
        let name = format!("{error:?}");
        assert!(name.starts_with(reason), "{value}: expected {reason}, found {error:?}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn values() {
    accepted(&[
        "null",
        "true",
        "false",
        "\"\"",
        "\"a\"",
        "\"é\u{7f}/\u{10ffff}\"",
        r#""\"\\\b\t\n\f\r\u0000\u001f""#,
        "0",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        "0.5",
        "-0.1",
        "1e-7",
        "5e-324",
        "333333333.3333333",
        "[]",
        "{}",
        "[[],{}]",
        r#"{"a":1,"b":2}"#,
        r#"{"$$ref":null}"#,
        r#"{"$$":1,"$$a":2,"a":3}"#,
        r#"{"$i":"9007199254740992"}"#,
        r#"{"$i":"-9007199254740992"}"#,
        r#"{"$i":"-9223372036854775808"}"#,
        r#"{"$i":"9223372036854775807"}"#,
        r#"{"$d":"0"}"#,
        r#"{"$d":"-0"}"#,
        r#"{"$d":"NaN"}"#,
        r#"{"$d":"Infinity"}"#,
        r#"{"$d":"-Infinity"}"#,
        r#"{"$d":"1e+21"}"#,
        r#"{"$d":"-25"}"#,
        r#"{"$b":""}"#,
        r#"{"$b":"AA=="}"#,
        r#"{"$b":"+/8="}"#,
        r#"{"$u":"/w=="}"#,
        r#"{"$kv":[["a",1],["a",2]]}"#,
        r#"{"$kv":[[{"$u":"/w=="},1]]}"#,
        r#"{"$kv":[["$i",1],["$i",[]]]}"#,
        "{\"\u{10000}\":1,\"\u{e000}\":2}",
    ]);
    let id = "ab".repeat(32);
    accepted(&[&format!(r#"{{"$e":["{id}","AAAAAAAAAAAAAAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}}"#)]);
}

#[test]
fn values_refused() {
    refused(&[
        ("", "Expected"),
        ("nul", "Expected"),
        ("True", "Expected"),
        (" 1", "Expected"),
        ("1 ", "Expected"),
        ("\"a", "Expected"),
        (r#""\/""#, "StringForm"),
        (r#""\u0041""#, "StringForm"),
        (r#""\u0008""#, "StringForm"),
        (r#""\u001F""#, "StringForm"),
        (r#""\u000a""#, "StringForm"),
        (r#""\ud800""#, "StringForm"),
        ("\"\n\"", "StringForm"),
        ("01", "NumberForm"),
        ("-0", "NumberForm"),
        ("+1", "Expected"),
        ("1.0", "NumberForm"),
        ("1e21", "NumberForm"),
        ("1e+21", "NumberForm"),
        ("1E-7", "Expected"),
        ("0.10", "NumberForm"),
        ("0.30000000000000001", "NumberForm"),
        ("9007199254740992", "NumberForm"),
        ("1e999", "NumberForm"),
        ("-9007199254740992", "NumberForm"),
        ("-", "NumberForm"),
        ("0.5.5", "NumberForm"),
        ("NaN", "Expected"),
        ("[1,]", "Expected"),
        ("[1 ,2]", "Expected"),
        ("[", "Expected"),
        ("{\"a\":1,}", "Expected"),
        (r#"{"a":1,"a":1}"#, "NameOrder"),
        (r#"{"b":1,"a":1}"#, "NameOrder"),
        (r#"{"a" :1}"#, "Expected"),
        ("{\"\u{e000}\":1,\"\u{10000}\":2}", "NameOrder"),
        (r#"{"$":1}"#, "UnknownWrapper"),
        (r#"{"$x":1}"#, "UnknownWrapper"),
        (r##"{"#":1,"$i":"9007199254740992"}"##, "UnknownWrapper"),
        (r#"{"$i":"9007199254740992","a":1}"#, "Expected"),
        (r#"{"$b":"AA==","$d":"0"}"#, "Expected"),
        (r#"{"$i":"9007199254740991"}"#, "NeedlessWrapper"),
        (r#"{"$i":"0"}"#, "NeedlessWrapper"),
        (r#"{"$i":"-0"}"#, "NeedlessWrapper"),
        (r#"{"$i":"09007199254740992"}"#, "NumberForm"),
        (r#"{"$i":"9223372036854775808"}"#, "OutOfBounds"),
        (r#"{"$i":9007199254740992}"#, "Expected"),
        (r#"{"$i":"18446744073709551616"}"#, "NumberForm"),
        (r#"{"$d":"0.5"}"#, "NeedlessWrapper"),
        (r#"{"$d":"1.0"}"#, "NumberForm"),
        (r#"{"$d":"inf"}"#, "NumberForm"),
        (r#"{"$d":"nan"}"#, "NumberForm"),
        (r#"{"$d":"1e21"}"#, "NumberForm"),
        (r#"{"$d":""}"#, "NumberForm"),
        (r#"{"$b":"AA"}"#, "Base64"),
        (r#"{"$b":"AB=="}"#, "Base64"),
        (r#"{"$b":"-_8="}"#, "Base64"),
        (r#"{"$b":"AA== "}"#, "Base64"),
        (r#"{"$u":""}"#, "NeedlessWrapper"),
        (r#"{"$u":"YQ=="}"#, "NeedlessWrapper"),
        (r#"{"$kv":[]}"#, "Expected"),
        (r#"{"$kv":[["a",1]]}"#, "NeedlessWrapper"),
        (r#"{"$kv":[["b",1],["a",2]]}"#, "NeedlessWrapper"),
        (r#"{"$kv":[["a",1],["a"]]}"#, "Expected"),
        (r#"{"$kv":[["a",1],[1,2]]}"#, "Expected"),
        (r#"{"$kv":[[{"$u":"YQ=="},1]]}"#, "NeedlessWrapper"),
        (r#"{"$e":[]}"#, "Expected"),
    ]);
    let id = "ab".repeat(32);
    refused(&[
        (&format!(r#"{{"$e":["{id}","AAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}}"#), "Base64"),
        (&format!(r#"{{"$e":["{id}","AAAAAAAAAAAAAAAA","AAAA"]}}"#), "Base64"),
        (
            &format!(r#"{{"$e":["{}","AAAAAAAAAAAAAAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}}"#, "AB".repeat(32)),
            "Hex",
        ),
    ]);
    assert!(matches!(record(b"{\"body\":\"\xff\",\"resource\":1,\"scope\":2}"), Err(LineError::NotUtf8(9))));
}

#[test]
fn depth() {
    let most = DEPTH_MAX as usize;
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}null{}", open.repeat(depth - 1), close.repeat(depth - 1))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"$kv\":[[\"a\",0],[\"a\",", "]]}")] {
        accepted(&[&nested(open, close, most)]);
        refused(&[(&nested(open, close, most + 1), "TooDeep")]);
    }
    let attributes =
        |depth| format!("{{\"attributes\":{},\"resource\":1,\"scope\":2}}", nested("{\"a\":", "}", depth));
    // The list of attributes around the values does not count.
    assert!(record(attributes(most + 1).as_bytes()).is_ok());
    assert!(record(attributes(most + 2).as_bytes()).is_err());
    assert!(record(&with_body("[".repeat(1_000_000).as_bytes())).is_err());
}

#[test]
fn records() {
    let id = "0a".repeat(64);
    let full = format!(
        r#"{{"attributes":{{"a":1}},"body":null,"droppedAttributesCount":4294967295,"eventName":"e","flags":1,"observedTimeUnixNano":"18446744073709551615","redacted":1,"resource":1,"scope":2,"severityNumber":-2147483648,"severityText":{{"$u":"/w=="}},"spanId":"00","timeUnixNano":"1","traceId":"{id}"}}"#
    );
    assert!(record(full.as_bytes()).unwrap().redacted);
    assert!(!record(br#"{"resource":1,"scope":2}"#).unwrap().redacted);
    assert!(record(br#"{"attributes":{"$kv":[["a",1],["a",2]]},"resource":1,"scope":2}"#).is_ok());

    for (find, replace) in [
        (r#"{"a":1}"#, "{}"),
        (r#"{"a":1}"#, r#"{"$d":"0"}"#),
        (r#"{"a":1}"#, "[]"),
        ("4294967295", "4294967296"),
        ("4294967295", "0"),
        ("4294967295", "1.5"),
        (r#""e""#, r#""""#),
        (r#""e""#, "1"),
        (r#""flags":1"#, r#""flags":0"#),
        ("18446744073709551615", "18446744073709551616"),
        ("18446744073709551615", "0"),
        ("18446744073709551615", "01"),
        (r#""18446744073709551615""#, "1"),
        (r#""redacted":1"#, r#""redacted":0"#),
        ("-2147483648", "-2147483649"),
        ("-2147483648", "2147483648"),
        ("-2147483648", "0"),
        ("-2147483648", "-0"),
        ("/w==", "YQ=="),
        (r#""00""#, r#""0""#),
        (r#""00""#, r#""""#),
        (r#""00""#, r#""0A""#),
        (r#""traceId":""#, r#""traceId":"00"#),
        (r#""resource":1,"#, ""),
        (r#""scope":2,"#, ""),
        (r#""resource":1"#, r#""resource":0"#),
        (r#""resource":1"#, r#""resource":2"#),
        (r#""scope":2"#, r#""scope":1"#),
        (r#""scope":2"#, r#""scope":3"#),
        (r#""scope":2"#, r#""scope":"2""#),
        (r#""spanId""#, r#""spanid""#),
        (r#","flags":1"#, r#","flags":1,"flags":1"#),
        ("{\"attr", "{ \"attr"),
        (r#""scope":2"#, r#""scope":18446744073709551617"#),
        (r#""flags":1"#, r#""extra":1,"flags":1"#),
    ] {
        assert!(full.contains(find), "{find}");
        let line = full.replacen(find, replace, 1);
        assert!(record(line.as_bytes()).is_err(), "{line}");
    }
    assert!(record(format!("{full}\n").as_bytes()).is_err());
    assert_eq!(record(b"{\"scope\":2}"), Err(LineError::Missing("resource")));
    assert_eq!(
        check_record(b"{\"resource\":1,\"scope\":2}", &[]),
        Err(LineError::NoContext { at: 12, index: 1 })
    );
}

#[test]
fn stubs() {
    let stub = |before: &str, hash: &str| {
        format!(r#"{{{before}"stub":{{"hash":{hash},"length":20971521,"reason":"too-large"}}}}"#)
    };
    let hash = format!("\"{}\"", "0f".repeat(32));
    let time = r#""observedTimeUnixNano":"1","#;
    let both = r#""observedTimeUnixNano":"1","resource":1,"scope":2,"#;
    for line in [stub(time, "null"), stub(time, &hash), stub(both, "null"), stub(both, &hash)] {
        assert!(record(line.as_bytes()).unwrap().stub, "{line}");
        for reason in ["malformed", "too-deep", "unsupported"] {
            assert!(record(line.replace("too-large", reason).as_bytes()).unwrap().stub);
        }
        assert!(record(line.replace("too-large", "other").as_bytes()).is_err());
        assert!(record(line.replace("20971521", "-1").as_bytes()).is_err());
        assert!(record(line.replace("}}", ",\"x\":1}}").as_bytes()).is_err());
        assert!(record(line.replace("}}", "},\"timeUnixNano\":\"1\"}").as_bytes()).is_err());
    }
    for before in [
        "",
        r#""resource":1,"scope":2,"#,
        r#""observedTimeUnixNano":"1","resource":1,"#,
        r#""observedTimeUnixNano":"1","scope":2,"#,
        r#""observedTimeUnixNano":"1","resource":2,"scope":1,"#,
        r#""observedTimeUnixNano":"1","redacted":1,"resource":1,"scope":2,"#,
        r#""body":1,"observedTimeUnixNano":"1","resource":1,"scope":2,"#,
        r#""observedTimeUnixNano":"0","#,
    ] {
        assert!(record(stub(before, "null").as_bytes()).is_err(), "{before}");
    }
    assert!(record(stub(time, "\"00\"").as_bytes()).is_err());
}

#[test]
fn examples_of_the_specification() {
    for (line, stub) in [
        (
            r#"{"attributes":{"event.outcome":"success","user.id":"alice"},"body":"login","eventName":"auth.login","observedTimeUnixNano":"1760000000000000001","resource":1,"scope":2,"severityNumber":9,"severityText":"INFO","timeUnixNano":"1760000000000000000"}"#,
            false,
        ),
        (
            r#"{"attributes":{"$$ref":null,"big":{"$i":"-9218868437227405312"},"ratio":0.5,"total":{"$d":"3"}},"resource":1,"scope":2}"#,
            false,
        ),
        (
            r#"{"observedTimeUnixNano":"1760000000000000002","stub":{"hash":null,"length":20971521,"reason":"too-large"}}"#,
            true,
        ),
    ] {
        assert_eq!(record(line.as_bytes()).unwrap().stub, stub);
    }
}

#[test]
fn contexts() {
    for (line, kind) in [
        (r#"{"resource":{}}"#, Context::Resource),
        (r#"{"scope":{}}"#, Context::Scope),
        (
            r#"{"resource":{"attributes":{"a":1},"droppedAttributesCount":1,"entityRefs":[{}],"redacted":2,"schemaUrl":"s"}}"#,
            Context::Resource,
        ),
        (
            r#"{"resource":{"entityRefs":[{"descriptionKeys":["a",""],"idKeys":[{"$u":"/w=="}],"schemaUrl":"s","type":"t"}]}}"#,
            Context::Resource,
        ),
        (
            r#"{"scope":{"attributes":{"a":1},"droppedAttributesCount":1,"name":"n","redacted":2,"schemaUrl":"s","version":"v"}}"#,
            Context::Scope,
        ),
    ] {
        assert_eq!(context(line.as_bytes()), Ok(kind), "{line}");
    }
    for line in [
        "{}",
        r#"{"resource":null}"#,
        r#"{"resource":{},"scope":{}}"#,
        r#"{"resource":{"attributes":{}}}"#,
        r#"{"resource":{"name":"a"}}"#,
        r#"{"resource":{"schemaUrl":""}}"#,
        r#"{"resource":{"entityRefs":[]}}"#,
        r#"{"resource":{"entityRefs":[{"idKeys":[]}]}}"#,
        r#"{"resource":{"entityRefs":[{"type":""}]}}"#,
        r#"{"scope":{"version":"v","name":"n"}}"#,
        r#"{"scope":{"entityRefs":[{}]}}"#,
        r#"{"scope":{"redacted":0}}"#,
        r#"{"scope":{"name":"n","name":"n"}}"#,
        r#"{"scope":{"name":1}}"#,
        r#"{"scope":{}} "#,
    ] {
        assert!(context(line.as_bytes()).is_err(), "{line}");
    }
}

#[test]
fn headers() {
    let seed = [7; 32];
    for (length, requests) in [(0, vec![]), (8 << 20, vec![[1; 32]]), (5, vec![[0xab; 32]; REQUESTS_MAX])] {
        let mut line = Vec::new();
        write::header(&mut line, length, &requests, &seed);
        assert!(line.len() < write::header_bytes(requests.len()));
        assert_eq!(header(&line), Ok(Header { length, requests, seed }));
    }
    let mut line = Vec::new();
    write::header(&mut line, 1, &[[0; 32]; REQUESTS_MAX + 1], &seed);
    assert_eq!(header(&line), Err(LineError::TooManyRequests));

    line.clear();
    write::header(&mut line, 10, &[[0xab; 32]; 2], &seed);
    let line = String::from_utf8(line).unwrap();
    for (find, replace) in [
        ("10", "010"),
        ("10", "-1"),
        ("10", "1e1"),
        ("abab", "ABAB"),
        ("abab", "ab"),
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1.0"),
        (",\"v\":1", ""),
        ("0707", "07"),
        (",", ", "),
        ("[", "[,"),
        ("]", ",]"),
        ("{\"length\":10,", "{"),
        ("}", "} "),
    ] {
        assert!(header(line.replacen(find, replace, 1).as_bytes()).is_err(), "{find} {replace}");
    }
}

#[test]
fn length() {
    let filler = |length: usize| with_body(format!("\"{}\"", "a".repeat(length)).as_bytes());
    let room = LINE_BYTES_MAX - filler(0).len();
    assert!(record(&filler(room)).is_ok());
    assert_eq!(record(&filler(room + 1)), Err(LineError::TooLong(LINE_BYTES_MAX + 1)));
}
