//! Lines of all four kinds.

use serde_json::{Value, json};

use super::Set;
use super::json::hex;

const CLASS: &str = "line-form";

fn input(line: &[u8]) -> Value {
    json!({ "line": hex(line) })
}

fn digest(digit: char) -> String {
    digit.to_string().repeat(64)
}

pub(super) fn headers() -> Set {
    let mut set = Set::new("header-line", "02-body.md 2.1");
    let seed = digest('a');
    let line = |length: &str, requests: &str, seed: &str, v: &str| {
        format!(r#"{{"length":{length},"requests":[{requests}],"seed":"{seed}","v":{v}}}"#)
    };
    let (one, two) = (digest('0'), digest('f'));
    for (name, about, text) in [
        ("no-requests", "no request ends here", line("0", "", &seed, "1")),
        ("one-request", "one", line("17", &format!("\"{one}\""), &seed, "1")),
        ("two-requests", "two, in order", line("17", &format!("\"{two}\",\"{one}\""), &seed, "1")),
        ("repeated-request", "the same twice", line("17", &format!("\"{one}\",\"{one}\""), &seed, "1")),
        ("longest", "the largest integer", line("9007199254740991", "", &seed, "1")),
    ] {
        set.accept(name, about, input(text.as_bytes()));
    }
    let good = line("17", "", &seed, "1");
    for (name, about, text) in [
        ("version-2", "another version", line("17", "", &seed, "2")),
        ("version-text", "the version as text", line("17", "", &seed, "\"1\"")),
        ("length-negative", "a negative length", line("-1", "", &seed, "1")),
        ("length-leading-zero", "a leading zero", line("017", "", &seed, "1")),
        ("length-fraction", "a fraction", line("17.5", "", &seed, "1")),
        ("length-text", "a length as text", line("\"17\"", "", &seed, "1")),
        ("length-2-53", "2^53", line("9007199254740992", "", &seed, "1")),
        ("seed-upper-case", "hex in upper case", line("17", "", &digest('A'), "1")),
        ("seed-short", "62 digits", line("17", "", &seed[2..], "1")),
        ("request-short", "a digest of 62 digits", line("17", &format!("\"{}\"", &one[2..]), &seed, "1")),
        ("request-comma", "a comma too many", line("17", &format!("\"{one}\","), &seed, "1")),
        ("space", "whitespace", good.replace(":17", ": 17")),
        (
            "order",
            "members in another order",
            good.replacen(r#""length":17,"requests":[]"#, r#""requests":[],"length":17"#, 1),
        ),
        ("missing-seed", "no seed", r#"{"length":17,"requests":[],"v":1}"#.to_owned()),
        ("another-member", "a member that it does not have", good.replace("\"v\":1", "\"v\":1,\"w\":1")),
        ("repeated-member", "a member twice", good.replace("\"v\":1", "\"v\":1,\"v\":1")),
        ("escaped-name", "a name with a needless escape", good.replace("\"v\"", "\"\\u0076\"")),
        ("trailing", "something after the object", good.clone() + " "),
        ("bom", "a byte order mark", format!("\u{feff}{good}")),
        ("empty", "nothing", String::new()),
    ] {
        set.reject(name, CLASS, about, input(text.as_bytes()));
    }
    set
}

pub(super) fn contexts() -> Set {
    let mut set = Set::new("context-line", "01-lines.md 1.2");
    for (name, line, about) in [
        ("resource-empty", r#"{"resource":{}}"#, "a resource that says nothing"),
        ("scope-empty", r#"{"scope":{}}"#, "a scope that says nothing"),
        (
            "resource-full",
            r#"{"resource":{"attributes":{"service.name":"a"},"droppedAttributesCount":4294967295,"entityRefs":[{},{"descriptionKeys":[""],"idKeys":["k","k"],"schemaUrl":"u","type":"service"}],"redacted":1,"schemaUrl":"https://example.com"}}"#,
            "every member of a resource",
        ),
        (
            "scope-full",
            r#"{"scope":{"attributes":{"a":null},"droppedAttributesCount":1,"name":"n","redacted":9007199254740991,"schemaUrl":"u","version":"1"}}"#,
            "every member of a scope",
        ),
        (
            "attributes-kv",
            r#"{"resource":{"attributes":{"$kv":[["k",1],["k",2]]}}}"#,
            "attributes with a key twice",
        ),
        ("name-not-utf8", r#"{"scope":{"name":{"$u":"/w=="}}}"#, "a name that is not UTF-8"),
    ] {
        set.accept(name, about, input(line.as_bytes()));
    }
    for (name, line, about) in [
        ("neither", r#"{}"#, "neither of the two"),
        ("both", r#"{"resource":{},"scope":{}}"#, "both"),
        ("other", r#"{"service":{}}"#, "another name"),
        ("null", r#"{"resource":null}"#, "null is not an object"),
        ("attributes-empty", r#"{"resource":{"attributes":{}}}"#, "an empty list is omitted"),
        ("attributes-array", r#"{"resource":{"attributes":[]}}"#, "attributes are a list of keys and values"),
        ("dropped-zero", r#"{"resource":{"droppedAttributesCount":0}}"#, "zero is omitted"),
        ("dropped-2-32", r#"{"resource":{"droppedAttributesCount":4294967296}}"#, "2^32"),
        ("redacted-zero", r#"{"scope":{"redacted":0}}"#, "zero is omitted"),
        ("redacted-2-53", r#"{"scope":{"redacted":9007199254740992}}"#, "2^53"),
        ("entity-refs-empty", r#"{"resource":{"entityRefs":[]}}"#, "an empty array is omitted"),
        ("entity-keys-empty", r#"{"resource":{"entityRefs":[{"idKeys":[]}]}}"#, "an empty array is omitted"),
        ("entity-type-empty", r#"{"resource":{"entityRefs":[{"type":""}]}}"#, "an empty text is omitted"),
        (
            "entity-order",
            r#"{"resource":{"entityRefs":[{"type":"a","idKeys":["k"]}]}}"#,
            "members in another order",
        ),
        ("schema-url-empty", r#"{"resource":{"schemaUrl":""}}"#, "an empty text is omitted"),
        ("scope-member-in-resource", r#"{"resource":{"name":"n"}}"#, "a member of the other kind"),
        ("order", r#"{"scope":{"version":"1","name":"n"}}"#, "members in another order"),
        ("repeated", r#"{"scope":{"name":"n","name":"n"}}"#, "a member twice"),
        (
            "name-needless-wrapper",
            r#"{"scope":{"name":{"$u":"bg=="}}}"#,
            "UTF-8 in a wrapper for what is not",
        ),
    ] {
        set.reject(name, CLASS, about, input(line.as_bytes()));
    }
    set
}

/// The input of a record line under a resource at leaf 1 and a scope at leaf 2.
fn record(line: &[u8]) -> Value {
    json!({ "contexts": ["resource", "scope"], "line": hex(line) })
}

/// The record line with this body.
fn with_body(value: &str) -> Vec<u8> {
    format!(r#"{{"body":{value},"resource":1,"scope":2}}"#).into_bytes()
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

pub(super) fn records() -> Set {
    let mut set = Set::new("record-line", "01-lines.md 1.1, 1.3");
    accepted_values(&mut set);
    accepted_records(&mut set);
    refused_values(&mut set);
    refused_records(&mut set);
    set
}

fn accepted_values(set: &mut Set) {
    let deepest = nested(64);
    for (name, value, about) in [
        ("null", "null", "an empty value"),
        ("string", r#""é𝄞\"\\\b\t\n\f\r\u0000\u001f/""#, "every escape there is"),
        ("string-del", "\"\u{7f}\u{2028}\"", "no other control character is escaped"),
        ("string-empty", r#""""#, "an empty string"),
        ("true", "true", "a boolean"),
        ("int-largest", "9007199254740991", "2^53 − 1"),
        ("int-smallest", "-9007199254740991", "−(2^53 − 1)"),
        ("int-beyond", r#"{"$i":"9007199254740992"}"#, "2^53"),
        ("int-64", r#"{"$i":"-9223372036854775808"}"#, "−2^63"),
        ("double", "0.1", "a double that is not integral"),
        ("double-smallest", "5e-324", "the smallest double"),
        ("double-precise", "-1.7976931348623157", "17 digits"),
        ("double-exponent", "1e-7", "the largest power of ten in exponent form below one"),
        ("double-plain", "0.000001", "the smallest in plain form"),
        ("double-integral", r#"{"$d":"3"}"#, "an integral double"),
        ("double-zero", r#"{"$d":"0"}"#, "zero"),
        ("double-negative-zero", r#"{"$d":"-0"}"#, "negative zero"),
        ("double-large", r#"{"$d":"1e+21"}"#, "a large one"),
        ("double-nan", r#"{"$d":"NaN"}"#, "not a number"),
        ("double-infinity", r#"{"$d":"-Infinity"}"#, "negative infinity"),
        ("bytes", r#"{"$b":"AP8="}"#, "bytes"),
        ("bytes-empty", r#"{"$b":""}"#, "no bytes"),
        ("not-utf8", r#"{"$u":"/w=="}"#, "a string that is not UTF-8"),
        ("array", r#"[1,"a",null,[],{}]"#, "an array"),
        ("object", r#"{"a":1,"b":{"c":2}}"#, "a list of keys and values"),
        (
            "object-utf16-order",
            "{\"\u{1f600}\":1,\"\u{fb33}\":2}",
            "names in order of UTF-16 code units, not of bytes",
        ),
        ("object-dollar", r#"{"$$":1,"$$$i":2,"$$i":"3"}"#, "keys that start with a dollar"),
        ("object-empty-key", r#"{"":1}"#, "an empty key"),
        ("kv-repeated", r#"{"$kv":[["b",1],["a",2],["b",3]]}"#, "a key twice, in the order received"),
        ("kv-not-utf8", r#"{"$kv":[[{"$u":"/w=="},1]]}"#, "a key that is not UTF-8"),
        ("kv-dollar", r#"{"$kv":[["$a",1],["$a",2]]}"#, "keys stand as they are"),
        (
            "encrypted",
            r#"{"$e":["0000000000000000000000000000000000000000000000000000000000000000","AAAAAAAAAAAAAAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}"#,
            "a value under a data subject's key",
        ),
        ("depth-64", &deepest, "64 deep"),
    ] {
        set.accept(&format!("value-{name}"), about, record(&with_body(value)));
    }
}

fn accepted_records(set: &mut Set) {
    for (name, line, about) in [
        ("smallest", r#"{"resource":1,"scope":2}"#, "what is required and nothing else"),
        (
            "full",
            r#"{"attributes":{"a":1},"body":null,"droppedAttributesCount":1,"eventName":"e","flags":4294967295,"observedTimeUnixNano":"18446744073709551615","redacted":2,"resource":1,"scope":2,"severityNumber":-2147483648,"severityText":"s","spanId":"00","timeUnixNano":"1","traceId":"00000000000000000000000000000000"}"#,
            "every member",
        ),
        (
            "attributes-kv",
            r#"{"attributes":{"$kv":[["k",1],["k",1]]},"resource":1,"scope":2}"#,
            "attributes with a key twice",
        ),
        ("severity-24", r#"{"resource":1,"scope":2,"severityNumber":24}"#, "a severity"),
        ("redacted", r#"{"body":"[redacted]","redacted":1,"resource":1,"scope":2}"#, "a redacted record"),
    ] {
        set.accept(name, about, record(line.as_bytes()));
    }
    let id = format!(r#"{{"resource":1,"scope":2,"spanId":"{}"}}"#, "ab".repeat(64));
    set.accept("id-64-bytes", "the longest id", record(id.as_bytes()));
    let contexts =
        json!({ "contexts": ["scope", "resource", "resource"], "line": hex(br#"{"resource":3,"scope":1}"#) });
    set.accept("contexts-in-any-order", "context lines stand in any order", contexts);
}

fn refused_values(set: &mut Set) {
    let deep = nested(65);
    for (name, value, about) in [
        ("space", "[1, 2]", "whitespace"),
        ("int-2-53", "9007199254740992", "an integer that needs the wrapper"),
        ("int-leading-zero", "01", "a leading zero"),
        ("int-plus", "+1", "a sign too many"),
        ("int-negative-zero", "-0", "negative zero is a double"),
        ("int-fraction", "1.0", "an integer with a fraction"),
        ("int-exponent", "1e3", "an integer with an exponent"),
        ("double-integral", "1e+21", "an integral double without its wrapper"),
        ("double-long", "0.10", "not the shortest form"),
        ("double-upper-e", "1E-7", "an upper-case exponent"),
        ("double-exponent-early", "1e-6", "an exponent where plain digits stand"),
        ("double-rounds", "0.1000000000000000055511151231257827", "more digits than the double has"),
        ("double-nan", "NaN", "not JSON"),
        ("i-needless", r#"{"$i":"1"}"#, "an integer that has a bare form"),
        ("i-too-large", r#"{"$i":"9223372036854775808"}"#, "2^63"),
        ("i-leading-zero", r#"{"$i":"09007199254740992"}"#, "a leading zero"),
        ("i-number", r#"{"$i":9007199254740992}"#, "digits as a number"),
        ("d-needless", r#"{"$d":"0.5"}"#, "a double that has a bare form"),
        ("d-form", r#"{"$d":"1e21"}"#, "another form of a number"),
        ("d-fraction", r#"{"$d":"1.0"}"#, "another form of a number"),
        ("d-nan-sign", r#"{"$d":"-NaN"}"#, "there is one NaN"),
        ("d-inf", r#"{"$d":"inf"}"#, "another word for infinity"),
        ("b-unpadded", r#"{"$b":"AP8"}"#, "base64 without padding"),
        ("b-url", r#"{"$b":"__8="}"#, "the URL-safe alphabet"),
        ("b-bits", r#"{"$b":"AP9="}"#, "unused bits that are not zero"),
        ("b-newline", r#"{"$b":"AP8=\n"}"#, "whitespace in base64"),
        ("u-needless", r#"{"$u":"YQ=="}"#, "UTF-8 in the wrapper for what is not"),
        ("kv-needless", r#"{"$kv":[["a",1],["b",2]]}"#, "distinct keys"),
        ("kv-empty", r#"{"$kv":[]}"#, "an empty list is {}"),
        ("kv-pair", r#"{"$kv":[["a",1,2],["a",1]]}"#, "a pair of three"),
        ("kv-key-number", r#"{"$kv":[[1,1],[1,1]]}"#, "a key that is no string"),
        ("e-short", r#"{"$e":["00","AAAAAAAAAAAAAAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}"#, "a key id of one byte"),
        (
            "e-nonce",
            r#"{"$e":["0000000000000000000000000000000000000000000000000000000000000000","AAAA","AAAAAAAAAAAAAAAAAAAAAA=="]}"#,
            "a nonce of three bytes",
        ),
        (
            "e-no-tag",
            r#"{"$e":["0000000000000000000000000000000000000000000000000000000000000000","AAAAAAAAAAAAAAAA","AAAA"]}"#,
            "a ciphertext shorter than a tag",
        ),
        ("wrapper-unknown", r#"{"$x":1}"#, "an unknown wrapper"),
        ("wrapper-and-more", r#"{"$i":"9007199254740992","a":1}"#, "a wrapper with a second member"),
        ("wrapper-after", r#"{"!":1,"$i":"9007199254740992"}"#, "a wrapper that is not alone"),
        ("object-order", r#"{"b":1,"a":2}"#, "names out of order"),
        ("object-byte-order", "{\"\u{fb33}\":2,\"\u{1f600}\":1}", "names in order of bytes"),
        ("object-repeated", r#"{"a":1,"a":1}"#, "a name twice"),
        ("string-escape-needless", r#""\u0041""#, "an escape of what stands literally"),
        ("string-escape-slash", r#""\/""#, "a slash is not escaped"),
        ("string-escape-upper", r#""\u001F""#, "upper-case hex digits"),
        ("string-escape-short", r#""\u0008""#, "a backspace has a short escape"),
        ("string-surrogate", r#""\ud800""#, "a lone surrogate"),
        ("string-raw-control", "\"\u{1}\"", "a control character that is not escaped"),
        ("string-open", "\"a", "a string without an end"),
        ("depth-65", &deep, "65 deep"),
    ] {
        set.reject(&format!("value-{name}"), CLASS, about, record(&with_body(value)));
    }
    let not_utf8 = [br#"{"body":""#, &[0xff][..], br#"","resource":1,"scope":2}"#].concat();
    set.reject("value-string-not-utf8", CLASS, "bytes that are not UTF-8", record(&not_utf8));
}

fn refused_records(set: &mut Set) {
    for (name, line, about) in [
        ("no-resource", r#"{"scope":2}"#, "no resource"),
        ("no-scope", r#"{"resource":1}"#, "no scope"),
        ("resource-0", r#"{"resource":0,"scope":2}"#, "points at the header line"),
        ("resource-a-scope", r#"{"resource":2,"scope":2}"#, "points at a scope"),
        ("scope-3", r#"{"resource":1,"scope":3}"#, "points at a record"),
        ("resource-text", r#"{"resource":"1","scope":2}"#, "an index as text"),
        ("unknown-member", r#"{"name":"n","resource":1,"scope":2}"#, "a member that it does not have"),
        ("order", r#"{"scope":2,"resource":1}"#, "members out of order"),
        ("repeated", r#"{"resource":1,"resource":1,"scope":2}"#, "a member twice"),
        ("attributes-empty", r#"{"attributes":{},"resource":1,"scope":2}"#, "an empty list is omitted"),
        (
            "attributes-wrapper",
            r#"{"attributes":{"$i":"9007199254740992"},"resource":1,"scope":2}"#,
            "a value in place of a list",
        ),
        ("event-name-empty", r#"{"eventName":"","resource":1,"scope":2}"#, "an empty text is omitted"),
        ("flags-0", r#"{"flags":0,"resource":1,"scope":2}"#, "zero is omitted"),
        ("flags-2-32", r#"{"flags":4294967296,"resource":1,"scope":2}"#, "2^32"),
        ("dropped-0", r#"{"droppedAttributesCount":0,"resource":1,"scope":2}"#, "zero is omitted"),
        ("redacted-0", r#"{"redacted":0,"resource":1,"scope":2}"#, "zero is omitted"),
        ("severity-0", r#"{"resource":1,"scope":2,"severityNumber":0}"#, "zero is omitted"),
        ("severity-2-31", r#"{"resource":1,"scope":2,"severityNumber":2147483648}"#, "2^31"),
        ("time-number", r#"{"resource":1,"scope":2,"timeUnixNano":1}"#, "a time as a number"),
        ("time-0", r#"{"resource":1,"scope":2,"timeUnixNano":"0"}"#, "zero is omitted"),
        ("time-leading-zero", r#"{"resource":1,"scope":2,"timeUnixNano":"01"}"#, "a leading zero"),
        ("time-2-64", r#"{"resource":1,"scope":2,"timeUnixNano":"18446744073709551616"}"#, "2^64"),
        ("id-upper-case", r#"{"resource":1,"scope":2,"spanId":"AB"}"#, "hex in upper case"),
        ("id-odd", r#"{"resource":1,"scope":2,"spanId":"abc"}"#, "three digits"),
        ("id-empty", r#"{"resource":1,"scope":2,"traceId":""}"#, "an empty id"),
        ("trailing", r#"{"resource":1,"scope":2},"#, "something after the object"),
        ("not-an-object", "[]", "an array"),
        ("empty", "", "nothing"),
    ] {
        set.reject(name, CLASS, about, record(line.as_bytes()));
    }
    let id = format!(r#"{{"resource":1,"scope":2,"spanId":"{}"}}"#, "ab".repeat(65));
    set.reject("id-65-bytes", CLASS, "an id above 64 bytes", record(id.as_bytes()));
}

pub(super) fn stubs() -> Set {
    let mut set = Set::new("stub-line", "01-lines.md 1.4");
    let hash = digest('c');
    let stub = |front: &str, hash: &str, length: &str, reason: &str| {
        format!(r#"{{{front}"stub":{{"hash":{hash},"length":{length},"reason":"{reason}"}}}}"#)
    };
    let time = r#""observedTimeUnixNano":"1","#;
    let placed = r#""observedTimeUnixNano":"1","resource":1,"scope":2,"#;
    let hashed = format!("\"{hash}\"");
    for reason in ["malformed", "too-large", "too-deep", "unsupported"] {
        let line = stub(placed, &hashed, "12", reason);
        set.accept(&format!("record-{reason}"), "a record that became a stub", record(line.as_bytes()));
    }
    let request = stub(time, "null", "20971521", "too-large");
    set.accept("request-unread", "a request that was not read to its end", record(request.as_bytes()));
    let request = stub(time, &hashed, "0", "malformed");
    set.accept("request", "a request that cannot be parsed", record(request.as_bytes()));

    let other = |name: &str| format!(r#""observedTimeUnixNano":"1",{name},"#);
    for (name, about, line) in [
        ("no-time", "no time", stub("", &hashed, "1", "malformed")),
        (
            "resource-alone",
            "a resource without a scope",
            stub(&other(r#""resource":1"#), &hashed, "1", "malformed"),
        ),
        (
            "scope-alone",
            "a scope without a resource",
            stub(&other(r#""scope":2"#), &hashed, "1", "malformed"),
        ),
        (
            "redacted",
            "a stub is never redacted",
            stub(&other(r#""redacted":1,"resource":1,"scope":2"#), &hashed, "1", "malformed"),
        ),
        ("body", "a stub has no body", stub(&format!(r#""body":1,{time}"#), &hashed, "1", "malformed")),
        ("reason", "another reason", stub(placed, &hashed, "1", "ugly")),
        ("length-negative", "a negative length", stub(placed, &hashed, "-1", "malformed")),
        ("length-2-53", "2^53", stub(placed, &hashed, "9007199254740992", "malformed")),
        ("hash-short", "62 digits", stub(placed, &format!("\"{}\"", &hash[2..]), "1", "malformed")),
        ("hash-empty", "an empty hash", stub(placed, "\"\"", "1", "malformed")),
        ("member-missing", "no reason", format!(r#"{{{placed}"stub":{{"hash":{hashed},"length":1}}}}"#)),
        (
            "member-more",
            "something after it",
            stub(placed, &hashed, "1", "malformed").replace("}}", r#"},"timeUnixNano":"1"}"#),
        ),
        (
            "severity",
            "a member of records",
            stub(placed, &hashed, "1", "malformed").replace(r#""stub""#, r#""severityNumber":1,"stub""#),
        ),
    ] {
        set.reject(name, CLASS, about, record(line.as_bytes()));
    }
    set
}
