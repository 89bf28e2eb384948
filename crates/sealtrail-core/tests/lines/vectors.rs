//! RFC 8785's vectors, ECMAScript's numbers, and the JSON test suite.

use std::fs;

use sealtrail_core::line::write;
use sealtrail_testkit::shared;
use serde_json::Value;

use crate::tree::Tree;
use crate::{oracle, record, with_body};

/// A JSON document as a value: numbers that are integers in JSON become ints, the others doubles.
pub(crate) fn from_json(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Tree::Int(int),
            None => Tree::Double(number.as_f64().unwrap()),
        },
        Value::String(text) => Tree::Text(text.clone().into_bytes()),
        Value::Array(items) => Tree::Array(items.iter().map(from_json).collect()),
        Value::Object(members) => Tree::List(
            members.iter().map(|(key, value)| (key.clone().into_bytes(), from_json(value))).collect(),
        ),
    }
}

#[test]
fn jcs_documents() {
    let mut cases = 0;
    for name in ["arrays", "structures", "unicode", "values"] {
        let Some(input) = shared(&format!("vectors/jcs/input/{name}.json")) else { return };
        let output = shared(&format!("vectors/jcs/output/{name}.json")).unwrap();
        let mut written = Vec::new();
        from_json(&serde_json::from_slice(&fs::read(input).unwrap()).unwrap()).write(&mut written);
        let output = fs::read_to_string(output).unwrap();
        // Where the format departs from RFC 8785 on purpose: an integral double (`1E30`, `56.0`) does not stand bare.
        let wrapped = |number: &str| format!("{{\"$d\":\"{number}\"}}");
        let expected =
            output.replace("1e+30", &wrapped("1e+30")).replace(":56,", &format!(":{},", wrapped("56")));
        assert_eq!(String::from_utf8(written).unwrap(), expected, "{name}");
        assert!(record(&with_body(expected.as_bytes())).is_ok(), "{name}");
        assert_eq!(record(&with_body(output.as_bytes())).is_ok(), !output.contains("1e+30"), "{name}");
        cases += 1;
    }
    println!("jcs documents: {cases} cases");
}

#[test]
fn ecmascript_numbers() {
    let Some(path) = shared("vectors/jcs/es6numbers-first10000.txt") else { return };
    let mut cases = 0;
    for line in fs::read_to_string(path).unwrap().lines() {
        let (bits, text) = line.split_once(',').unwrap();
        let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        let negative_zero = value == 0.0 && value.is_sign_negative();
        let wrapped = format!("{{\"$d\":\"{}\"}}", if negative_zero { "-0" } else { text });
        let bare = value.fract() != 0.0;
        let (right, wrong) = if bare { (text, wrapped.as_str()) } else { (wrapped.as_str(), text) };

        let mut written = Vec::new();
        write::double(&mut written, value);
        assert_eq!(String::from_utf8(written).unwrap(), right, "{line}");
        assert!(record(&with_body(right.as_bytes())).is_ok(), "{line}");
        // An integral double's text is an integer's where it is small enough.
        let integer = value.abs() < 9_007_199_254_740_992.0;
        assert_eq!(record(&with_body(wrong.as_bytes())).is_ok(), !bare && integer, "{line}");
        cases += 1;
    }
    assert_eq!(cases, 10_000);
    println!("ecmascript numbers: {cases} cases");
}

#[test]
fn json_test_suite() {
    let Some(folder) = shared("vectors/json-test-suite/test_parsing") else { return };
    let (mut refused, mut judged, mut accepted) = (0, 0, 0);
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let bytes = fs::read(file.path()).unwrap();
        let verdict = record(&with_body(&bytes));
        let again = record(&with_body(&bytes));
        assert_eq!(verdict, again, "{name}");
        // Closes the body and opens a member `b`: as a file it is not JSON, in this place neither.
        if name.starts_with("n_") {
            assert!(verdict.is_err(), "{name}");
            assert!(record(&bytes).is_err(), "{name}");
            refused += 1;
        } else {
            assert_eq!(verdict.is_ok(), oracle::is_value(&bytes), "{name}: {verdict:?}");
            judged += 1;
            accepted += u32::from(verdict.is_ok());
        }
    }
    println!(
        "json test suite: {refused} n_ refused; {judged} y_ and i_ judged, {accepted} of them canonical"
    );
    assert_eq!((refused, judged), (131, 100));
}

#[test]
fn json_test_suite_made_canonical() {
    let Some(path) = shared("vectors/json-test-suite/jcs-of-y-cases.jsonl") else { return };
    let mut cases = 0;
    for line in fs::read_to_string(path).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(bytes) = case["jcs_utf8_hex"].as_str().map(|text| hex::decode(text).unwrap()) else {
            continue;
        };
        let verdict = record(&with_body(&bytes));
        assert_eq!(verdict.is_ok(), oracle::is_value(&bytes), "{case} {verdict:?}");
        let mut written = Vec::new();
        from_json(&serde_json::from_slice(&bytes).unwrap()).write(&mut written);
        assert!(record(&with_body(&written)).is_ok(), "{case}");
        assert_eq!(written == bytes, verdict.is_ok(), "{case}");
        cases += 1;
    }
    println!("json test suite, canonical forms: {cases} cases");
}
