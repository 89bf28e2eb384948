//! Batches: bounds, going on where one ended, contexts, stubs, the body's arithmetic.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::prelude::*;
use prost::Message;
use sealtrail_agent::otlp::{BatchLines, Encoding, Limits, PlainBody, Progress, Reason, Request};
use sealtrail_core::body::{CONTEXTS_MAX, PLAIN_BYTES_MAX, RECORDS_MAX, REQUESTS_MAX, STUBS_MAX};
use sealtrail_core::line::check;

use crate::protobuf::field;
use crate::{Lines, NOW, lines, model};

const SEED: [u8; 32] = [7; 32];

fn small(records_max: u32, bytes_max: usize) -> Limits {
    Limits { records_max, bytes_max }
}

/// The bodies that a request fills.
fn bodies(request: &[u8], limits: Limits) -> Vec<PlainBody> {
    let request = Request::parse(Encoding::Protobuf, request).unwrap();
    let mut cursor = request.cursor();
    let mut batch = BatchLines::new(limits, None);
    let mut bodies = Vec::new();
    while batch.take(&mut cursor, NOW) == Progress::Full {
        assert!(!batch.is_empty());
        assert_eq!(batch.take(&mut cursor, NOW), Progress::Full);
        bodies.push(batch.finish(&SEED));
    }
    bodies.push(batch.finish(&SEED));
    bodies
}

fn records(count: usize, record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record).repeat(count)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_body_or_many_hold_the_same(request in model::request(), records_max in 1u32..4, bytes_max in 0usize..3_000) {
        let bytes = request.encode_to_vec();
        let whole = lines(Encoding::Protobuf, &bytes).resolved();
        let bodies = bodies(&bytes, small(records_max, bytes_max));
        let mut parts = Vec::new();
        for body in &bodies {
            prop_assert!(body.record_count() <= records_max);
            prop_assert!(body.record_count() <= 1 || body.bytes().len() <= bytes_max);
            parts.extend(Lines::of(body).resolved());
        }
        prop_assert_eq!(parts, whole);
    }
}

#[test]
fn most_records() {
    let bodies = bodies(&records(RECORDS_MAX as usize * 2 + 5, b""), Limits::default());
    let counts: Vec<_> = bodies.iter().map(PlainBody::record_count).collect();
    assert_eq!(counts, [RECORDS_MAX, RECORDS_MAX, 5]);
    bodies.iter().for_each(|body| drop(Lines::of(body)));
}

#[test]
fn most_bytes() {
    let record = field(5, &field(1, &vec![b'a'; 1_000_000]));
    let bodies = bodies(&records(20, &record), Limits::default());
    assert_eq!(bodies.iter().map(PlainBody::record_count).collect::<Vec<_>>(), [8, 8, 4]);
    for body in &bodies {
        assert!(body.bytes().len() <= PLAIN_BYTES_MAX);
        Lines::of(body);
    }
}

#[test]
fn most_contexts() {
    let logs =
        |index: usize| field(1, &[field(3, index.to_string().as_bytes()), field(2, &field(2, b""))].concat());
    let request: Vec<u8> = (1..=5_000).flat_map(logs).collect();
    let bodies = bodies(&request, Limits::default());
    let counts: Vec<_> = bodies.iter().map(|body| (body.context_count(), body.record_count())).collect();
    assert_eq!(counts, [(CONTEXTS_MAX, CONTEXTS_MAX - 1), (907, 906)]);
    bodies.iter().for_each(|body| drop(Lines::of(body)));
}

#[test]
fn contexts_are_written_once() {
    let logs = |name: &[u8]| {
        let scope = |name: &[u8]| field(2, &[field(1, &field(1, name)), field(2, b"")].concat());
        field(1, &[field(1, &field(1, &field(1, name))), scope(b"one"), scope(b"two")].concat())
    };
    let bytes = [logs(b"a"), logs(b"b"), logs(b"a")].concat();
    let request = Request::parse(Encoding::Protobuf, &bytes).unwrap();
    let mut batch = BatchLines::new(Limits::default(), None);
    for _ in 0..2 {
        assert_eq!(batch.take(&mut request.cursor(), NOW), Progress::Done);
    }
    let lines = Lines::of(&batch.finish(&SEED));
    assert_eq!(lines.contexts.len(), 4);
    assert_eq!(lines.records.len(), 12);
    assert_eq!(lines.records[11], "{\"resource\":1,\"scope\":3}");
}

#[test]
fn a_context_that_did_not_fit_is_not_left() {
    let logs = |name: &str, body: usize| {
        let record = field(2, &field(5, &field(1, &vec![b'a'; body])));
        field(1, &[field(3, name.as_bytes()), field(2, &record)].concat())
    };
    let bodies = bodies(&[logs("one", 10), logs("two", 500)].concat(), small(10, 500));
    let shown: Vec<_> = bodies.iter().map(Lines::of).collect();
    assert_eq!(shown[0].contexts, ["{\"resource\":{\"schemaUrl\":\"one\"}}", "{\"scope\":{}}"]);
    assert_eq!(shown[1].contexts, ["{\"resource\":{\"schemaUrl\":\"two\"}}", "{\"scope\":{}}"]);
}

#[test]
fn most_stubs() {
    let bytes = [records(STUBS_MAX as usize + 3, b"\x00"), records(1, b"")].concat();
    let request = Request::parse(Encoding::Protobuf, &bytes).unwrap();
    let mut batch = BatchLines::new(Limits::default(), None);
    assert_eq!(batch.take(&mut request.cursor(), NOW), Progress::Done);
    assert_eq!(batch.push_request_stub(None, 5, Reason::TooLarge, NOW), Progress::Done);
    let plain = batch.finish(&SEED);
    let tally = plain.tally();
    assert_eq!((tally.sealed, tally.stubbed, tally.dropped), (129, 128, 4));
    Lines::of(&plain);
}

#[test]
fn request_stubs() {
    let mut batch = BatchLines::new(Limits::default(), None);
    assert_eq!(batch.push_request_stub(None, 20_971_521, Reason::TooLarge, NOW), Progress::Done);
    assert_eq!(batch.push_request_stub(Some([0xab; 32]), 3, Reason::Malformed, 0), Progress::Done);
    batch.end_request([0xab; 32]);
    let plain = batch.finish(&SEED);
    let lines = Lines::of(&plain);
    assert_eq!(
        lines.records,
        [
            r#"{"observedTimeUnixNano":"1760000000000000002","stub":{"hash":null,"length":20971521,"reason":"too-large"}}"#.to_owned(),
            format!(r#"{{"observedTimeUnixNano":"1","stub":{{"hash":"{}","length":3,"reason":"malformed"}}}}"#, "ab".repeat(32)),
        ]
    );
    assert_eq!(plain.context_count(), 0);
}

#[test]
fn most_requests() {
    let bytes = records(1, b"");
    let request = Request::parse(Encoding::Protobuf, &bytes).unwrap();
    let mut batch = BatchLines::new(Limits::default(), None);
    let mut taken = 0;
    while batch.take(&mut request.cursor(), NOW) == Progress::Done {
        batch.end_request([taken as u8; 32]);
        taken += 1;
    }
    assert_eq!(taken, REQUESTS_MAX);
    let plain = batch.finish(&SEED);
    Lines::of(&plain);
    let header = plain.bytes().split(|byte| *byte == b'\n').next().unwrap();
    assert_eq!(check::header(header).unwrap().requests.len(), REQUESTS_MAX);
    assert!(batch.is_empty());
}

#[test]
fn digests_of_requests_whose_records_were_dropped_leave_room() {
    let limits = small(RECORDS_MAX, 40_000);
    let mut batch = BatchLines::new(limits, None);
    let bytes = records(1, b"\x00");
    let request = Request::parse(Encoding::Protobuf, &bytes).unwrap();
    while batch.take(&mut request.cursor(), NOW) == Progress::Done {
        batch.end_request([1; 32]);
    }
    assert!(batch.tally().dropped > 0);
    assert!(batch.finish(&SEED).bytes().len() <= limits.bytes_max);
}

#[test]
fn without_records_there_is_no_body() {
    let mut batch = BatchLines::new(Limits::default(), None);
    let empty = ExportLogsServiceRequest::default().encode_to_vec();
    let request = Request::parse(Encoding::Protobuf, &empty).unwrap();
    assert!(request.cursor().is_done());
    assert_eq!(batch.take(&mut request.cursor(), NOW), Progress::Done);
    assert!(batch.is_empty());
    assert!(batch.finish(&SEED).bytes().is_empty());
}

#[test]
fn memory_is_given_back() {
    let bytes = records(1_000, &field(5, b"\x0a\x01a"));
    let request = Request::parse(Encoding::Protobuf, &bytes).unwrap();
    let mut batch = BatchLines::new(Limits::default(), None);
    let mut first = None;
    for _ in 0..3 {
        batch.take(&mut request.cursor(), NOW);
        let plain = batch.finish(&SEED);
        let bytes = plain.bytes().to_vec();
        assert_eq!(*first.get_or_insert_with(|| bytes.clone()), bytes);
        batch.recycle(plain);
    }
}
