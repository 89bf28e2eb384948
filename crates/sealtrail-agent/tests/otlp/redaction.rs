//! Redaction: what is found, what is selected, what is done, and what is left alone.

use std::fs;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use proptest::prelude::*;
use prost::Message;
use sealtrail_agent::otlp::Encoding;
use sealtrail_agent::redact::{
    Action, Detector, RedactionConfig, RedactionError, RedactionRules, RuleConfig,
};
use sealtrail_testkit::shared;

use crate::json_text::{self, Style};
use crate::{lines, lines_with, model};

const KEY: [u8; 32] = [9; 32];

/// Rules as an operator writes them.
pub(crate) fn rules(toml: &str) -> Arc<RedactionRules> {
    Arc::new(RedactionRules::compile(&toml::from_str(toml).unwrap(), &KEY).unwrap())
}

pub(crate) fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.into())) }
}

fn list(pairs: &[(&str, AnyValue)]) -> AnyValue {
    AnyValue { value: Some(Any::KvlistValue(KeyValueList { values: attributes(pairs) })) }
}

pub(crate) fn array(values: &[AnyValue]) -> AnyValue {
    AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: values.to_vec() })) }
}

fn attributes(pairs: &[(&str, AnyValue)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, AnyValue)| KeyValue {
        key: (*key).into(),
        value: Some(value.clone()),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn request(record: LogRecord) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

/// The record's line, the same from both encodings.
fn line(rules: &Arc<RedactionRules>, record: LogRecord) -> String {
    let request = request(record);
    let protobuf = lines_with(Encoding::Protobuf, &request.encode_to_vec(), Some(rules.clone()));
    let json = json_text::request(&request, Style(0));
    assert_eq!(protobuf, lines_with(Encoding::Json, json.as_bytes(), Some(rules.clone())));
    protobuf.records[0].clone()
}

pub(crate) fn body(rules: &Arc<RedactionRules>, body: AnyValue) -> String {
    let line = line(rules, LogRecord { body: Some(body), ..LogRecord::default() });
    line.trim_start_matches("{\"body\":").replace("\"resource\":1,\"scope\":2}", "")
}

fn hmac(value: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &KEY);
    format!("hmac-sha256:{}", &hex::encode(aws_lc_rs::hmac::sign(&key, value.as_bytes()))[..32])
}

#[test]
fn each_detector_finds_its_form() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
    // The example secret of AWS's documentation, put together so that no scanner takes this file for a leak.
    let aws_secret = ["wJalrXUtnFEMI", "/K7MDENG/", "bPxRfiCYEXAMPLEKEY"].concat();
    let github = format!("ghp_{}", "a1B2".repeat(9));
    let cases = [
        (Detector::Card, "4111 1111 1111 1111", "paid with ", " today"),
        (Detector::Email, "jane.o'neil+x@mail.example.co.uk", "from <", ">"),
        (Detector::Email, "jürgen@bücher.example", "", ""),
        (Detector::Jwt, jwt, "cookie=", "; path=/"),
        (Detector::BearerToken, "Bearer abcdefghij0123456789-._~+/==", "Authorization: ", "\n"),
        (Detector::AwsAccessKey, "AKIAIOSFODNN7EXAMPLE", "key ", "."),
        (Detector::AwsSecretKey, &aws_secret, "", ""),
        (Detector::PrivateKey, pem, "key:\n", "\nend"),
        (Detector::ApiKey, &github, "token ", " used"),
        (Detector::ApiKey, "xoxb-123456789012-abcdefABCDEF", "", ","),
    ];
    for (detector, secret, before, after) in cases {
        let secret_found = if secret.contains('\'') { "neil+x@mail.example.co.uk" } else { secret };
        let config = RedactionConfig { detectors: vec![detector], ..RedactionConfig::default() };
        let only = Arc::new(RedactionRules::compile(&config, &KEY).unwrap());
        let shown = format!("{before}{secret}{after}");
        let expected = serde_json::to_string(&shown.replace(secret_found, "[redacted]")).unwrap();
        assert_eq!(body(&only, text(&shown)), format!("{expected},\"redacted\":1,"), "{detector:?}");
        // Any other detector leaves it.
        let others = Detector::ALL.iter().copied().filter(|other| *other != detector).collect();
        let config = RedactionConfig { detectors: others, ..RedactionConfig::default() };
        let others = Arc::new(RedactionRules::compile(&config, &KEY).unwrap());
        assert!(!body(&others, text(&shown)).contains("[redacted]"), "{detector:?}");
    }
    let config = r#"{"secretAccessKey": "SECRET"}"#.replace("SECRET", &aws_secret);
    assert!(!body(&rules(""), text(&config)).contains("wJalr"));
    let unfinished = "-----BEGIN PRIVATE KEY-----\nMIIE";
    assert_eq!(body(&rules(""), text(unfinished)), "\"[redacted]\",\"redacted\":1,");
}

#[test]
fn what_only_looks_alike_is_left() {
    for plain in [
        "user@localhost",
        "a @ b.c",
        "2021-07-28 16:35:00 1234567890",
        "1760000000000000000",
        "task-1234567890123456",
        "arn:aws:iam::342082656213:role/x",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "AROAIOSFODNN7EXAMPLE",
        "bearer of bad news",
        "sk-short",
        "550e8400-e29b-41d4-a716-446655440000",
        "eyJ",
        "-----BEGIN CERTIFICATE-----",
        "the secret key: none",
        "/usr/lib/x86_64-linux-gnu/libexample0.so",
    ] {
        let line = body(&rules(""), text(plain));
        assert_eq!(line, format!("{},", serde_json::to_string(plain).unwrap()));
    }
}

#[test]
fn every_text_of_a_client_is_searched() {
    let mail = || text("a@example.com");
    let record = LogRecord {
        body: Some(list(&[("deep", array(&[list(&[("er", mail())]), mail(), text("plain")]))])),
        attributes: attributes(&[("a@example.com", mail()), ("x", text("plain"))]),
        event_name: "by a@example.com".into(),
        severity_text: "a@example.com!".into(),
        ..LogRecord::default()
    };
    assert_eq!(
        line(&rules(""), record),
        r#"{"attributes":{"a@example.com":"[redacted]","x":"plain"},"body":{"deep":[{"er":"[redacted]"},"[redacted]","plain"]},"eventName":"by [redacted]","redacted":5,"resource":1,"scope":2,"severityText":"[redacted]!"}"#
    );
    let json = r#"{"resourceLogs":[{"schemaUrl":"http://a@example.com","resource":{"attributes":[{"key":"k","value":{"stringValue":"a@example.com"}}]},
        "scopeLogs":[{"scope":{"name":"a@example.com","attributes":[{"key":"k","value":{"stringValue":"a@example.com"}}]},"logRecords":[{}]}]}]}"#;
    let lines = lines_with(Encoding::Json, json.as_bytes(), Some(rules("")));
    assert_eq!(
        lines.contexts,
        [
            r#"{"resource":{"attributes":{"k":"[redacted]"},"redacted":1,"schemaUrl":"http://a@example.com"}}"#,
            r#"{"scope":{"attributes":{"k":"[redacted]"},"name":"a@example.com","redacted":1}}"#
        ]
    );
    assert_eq!(lines.records, ["{\"resource\":1,\"scope\":2}"]);
}

#[test]
fn text_that_is_not_utf8_is_searched_and_bytes_are_not() {
    let record = crate::protobuf::field(5, &crate::protobuf::field(1, b"\xff a@example.com"));
    let found = lines_with(Encoding::Protobuf, &crate::protobuf::request(&record), Some(rules("")));
    assert_eq!(found.records, [r#"{"body":{"$u":"/yBbcmVkYWN0ZWRd"},"redacted":1,"resource":1,"scope":2}"#]);
    let bytes = AnyValue { value: Some(Any::BytesValue(b"a@example.com".to_vec())) };
    assert_eq!(body(&rules(""), bytes), r#"{"$b":"YUBleGFtcGxlLmNvbQ=="},"#);
}

#[test]
fn actions_on_selected_values() {
    let record = || LogRecord {
        body: Some(list(&[
            ("password", text("p")),
            ("users", array(&[list(&[("password", text("q")), ("id", text("i"))])])),
        ])),
        attributes: attributes(&[
            ("user.email", text("e")),
            ("user", list(&[("email", text("f")), ("n", AnyValue { value: Some(Any::IntValue(5)) })])),
        ]),
        event_name: "login".into(),
        severity_text: "INFO".into(),
        ..LogRecord::default()
    };
    let of = |toml: &str| line(&rules(&format!("detectors = []\n[[rules]]\n{toml}")), record());
    let plain = line(&rules("enabled = false"), record());
    assert!(!plain.contains("redacted"));
    assert_eq!(plain, lines(Encoding::Protobuf, &request(record()).encode_to_vec()).records[0]);

    let both = of(r#"action = "mask"
        select = ["attributes.user.email"]"#);
    assert!(
        both.starts_with(r#"{"attributes":{"user":{"email":"[redacted]","n":5},"user.email":"[redacted]"}"#),
        "{both}"
    );
    assert!(both.contains("\"redacted\":2,"));
    let one = of(r#"action = "hash"
        select = ["attributes.\"user.email\""]"#);
    assert!(
        one.contains(&format!(r#""user.email":"{}""#, hmac("e"))) && one.contains(r#""email":"f""#),
        "{one}"
    );
    let number = of(r#"action = "hash"
        select = ["attributes.user"]"#);
    assert!(number.contains(&format!(r#""user":"{}""#, hmac(r#"{"email":"f","n":5}"#))), "{number}");
    let dropped = of(r#"action = "drop"
        select = ["attributes.*", "body.*.password", "eventName"]"#);
    assert_eq!(
        dropped,
        r#"{"body":{"password":"p","users":[{"id":"i"}]},"redacted":4,"resource":1,"scope":2,"severityText":"INFO"}"#
    );
    let body = of(r#"action = "drop"
        select = ["body", "severityText"]"#);
    assert!(
        body.ends_with(r#""eventName":"login","redacted":2,"resource":1,"scope":2}"#)
            && !body.contains("body"),
        "{body}"
    );
    let names = of(r#"action = "hash"
        select = ["eventName", "severityText", "body"]"#);
    assert!(names.contains(&format!(r#""eventName":"{}""#, hmac("login"))), "{names}");
    assert!(names.ends_with(&format!(r#""severityText":"{}"}}"#, hmac("INFO"))), "{names}");
}

#[test]
fn patterns() {
    let rules = rules(
        r#"
        detectors = []
        [[rules]]
        action = "mask"
        pattern = "emp-[0-9]+"
        [[rules]]
        action = "hash"
        pattern = "[a-z]+-[0-9]{3}$"
        [[rules]]
        action = "drop"
        pattern = "^top secret"
        select = ["attributes", "body.secret"]
        "#
        .replace("\"attributes\", ", "")
        .as_str(),
    );
    assert_eq!(body(&rules, text("emp-12, emp-7")), "\"[redacted], [redacted]\",\"redacted\":1,");
    assert_eq!(body(&rules, text("see job-123")), format!("\"see {}\",\"redacted\":1,", hmac("job-123")));
    // What overlaps is masked as one.
    assert_eq!(body(&rules, text("an emp-123")), "\"an [redacted]\",\"redacted\":1,");
    assert_eq!(body(&rules, text("top secret")), "\"top secret\",");
    let both =
        list(&[("secret", array(&[text("top secret plan"), text("open")])), ("other", text("top secret"))]);
    assert_eq!(body(&rules, both), r#"{"other":"top secret","secret":["open"]},"redacted":1,"#);
    assert_eq!(body(&rules, list(&[("secret", text("top secret"))])), "{},\"redacted\":1,");
}

#[test]
fn what_drops_decides_the_form_that_is_left() {
    let rules = rules("detectors = [\"email\"]\ndetector-action = \"drop\"");
    let twice = list(&[("a", text("x")), ("a", text("a@example.com"))]);
    assert_eq!(body(&rules, twice), r#"{"a":"x"},"redacted":1,"#);
    let record =
        LogRecord { attributes: attributes(&[("a", text("a@example.com"))]), ..LogRecord::default() };
    assert_eq!(line(&rules, record), r#"{"redacted":1,"resource":1,"scope":2}"#);
    assert_eq!(
        line(&rules, LogRecord { body: Some(text("a@example.com")), ..LogRecord::default() }),
        r#"{"redacted":1,"resource":1,"scope":2}"#
    );
}

#[test]
fn a_damaged_record_is_a_stub_whatever_is_dropped() {
    let rules = rules("[[rules]]\naction = \"drop\"\nselect = [\"body\", \"attributes.a\"]");
    let deep = (0..70).fold(text("x"), |inner, _| array(&[inner]));
    let nested = |record: LogRecord| {
        lines_with(Encoding::Protobuf, &request(record).encode_to_vec(), Some(rules.clone()))
    };
    let stub = nested(LogRecord { body: Some(deep.clone()), ..LogRecord::default() });
    assert!(stub.records[0].contains("too-deep"));
    let stub = nested(LogRecord { attributes: attributes(&[("a", deep)]), ..LogRecord::default() });
    assert!(stub.records[0].contains("too-deep"));
}

#[test]
fn digests() {
    let digest = |toml: &str| rules(toml).digest();
    assert_eq!(
        digest(""),
        digest(
            "detectors = [\"api-key\", \"private-key\", \"aws-secret-key\", \"aws-access-key\", \"bearer-token\", \"basic-credentials\", \"jwt\", \"email\", \"card\", \"card\"]"
        )
    );
    assert_ne!(digest(""), digest("detectors = []"));
    assert_ne!(digest(""), digest("detector-action = \"hash\""));
    assert_ne!(digest(""), digest("[[rules]]\naction = \"mask\"\nselect = [\"body\"]"));
    assert_ne!(digest(""), digest("enabled = false"));
    assert_eq!(digest("enabled = false"), digest("enabled = false\ndetectors = []"));
    let config = RedactionConfig::default();
    let with = |key| RedactionRules::compile(&config, key).unwrap().digest();
    assert_eq!(with(&[0; 32]), with(&[1; 32]));
}

#[test]
fn configurations_refused() {
    for toml in [
        "detector = []",
        "detectors = [\"cards\"]",
        "[[rules]]\nselect = [\"body\"]",
        "[[rules]]\naction = \"redact\"",
    ] {
        assert!(toml::from_str::<RedactionConfig>(toml).is_err(), "{toml}");
    }
    let rule = |select: &[&str], pattern: Option<&str>, detector| RuleConfig {
        action: Action::Mask,
        select: select.iter().map(|path| (*path).to_owned()).collect(),
        pattern: pattern.map(str::to_owned),
        detector,
    };
    let compile = |rules: Vec<RuleConfig>| {
        RedactionRules::compile(&RedactionConfig { rules, ..RedactionConfig::default() }, &KEY).unwrap_err()
    };
    assert_eq!(compile(vec![rule(&[], None, None)]), RedactionError::NothingToFind(1));
    assert_eq!(compile(vec![rule(&[], Some("a"), Some(Detector::Card))]), RedactionError::TwoPatterns(1));
    assert!(matches!(
        compile(vec![rule(&["body"], None, None), rule(&["bodies"], None, None)]),
        RedactionError::Selector { rule: 2, .. }
    ));
    assert!(matches!(compile(vec![rule(&[], Some("("), None)]), RedactionError::Pattern { rule: 1, .. }));
    assert!(matches!(
        compile(vec![rule(&[], Some("(a{1000}){1000}"), None)]),
        RedactionError::Pattern { rule: 1, .. }
    ));
    assert_eq!(compile(vec![rule(&["body"], None, None); 65]), RedactionError::TooManyRules(65));
    assert!(matches!(
        compile(vec![rule(&["body"; 65], None, None)]),
        RedactionError::TooManyPaths { rule: 1, paths: 65 }
    ));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_encodings_are_redacted_alike(request in model::request(), style: u8, chosen in 0usize..4) {
        let toml = [
            "[[rules]]\naction = \"mask\"\npattern = \"[a-c]\"",
            "detector-action = \"drop\"\n[[rules]]\naction = \"drop\"\npattern = \"[a-c]{2}\"",
            "[[rules]]\naction = \"hash\"\nselect = [\"attributes.*\", \"body.a\", \"body.*.b\", \"eventName\"]",
            "[[rules]]\naction = \"drop\"\nselect = [\"attributes.a\", \"body.a\", \"resource.attributes.*\"]\n[[rules]]\naction = \"mask\"\npattern = \"^\\\\$\"",
        ][chosen];
        let protobuf = lines_with(Encoding::Protobuf, &request.encode_to_vec(), Some(rules(toml)));
        let text = json_text::request(&request, Style(style));
        prop_assert_eq!(protobuf, lines_with(Encoding::Json, text.as_bytes(), Some(rules(toml))));
    }
}

/// What each detector finds in real events: it says how much an audit trail loses.
#[test]
fn real_events() {
    for name in ["cloudtrail-string-500", "cloudtrail-structured-500", "sshd-string-500"] {
        let Some(path) = shared(&format!("vectors/otlp/real/{name}.binpb")) else { return };
        let bytes = fs::read(path).unwrap();
        let plain = lines(Encoding::Protobuf, &bytes);
        for detector in Detector::ALL {
            let config = RedactionConfig { detectors: vec![detector], ..RedactionConfig::default() };
            let rules = Arc::new(RedactionRules::compile(&config, &KEY).unwrap());
            let found = lines_with(Encoding::Protobuf, &bytes, Some(rules));
            let touched = found.records.iter().filter(|line| line.contains("\"redacted\":")).count();
            let changed =
                found.records.iter().zip(&plain.records).filter(|(found, plain)| found != plain).count();
            assert_eq!(touched, changed);
            println!("{name}: {detector:?} touches {touched} of {} records", plain.records.len());
        }
    }
}
