//! Random requests of the generated types.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;

pub(crate) fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "",
        "$",
        "$$",
        "$b",
        "a",
        "b",
        "\"",
        "\\",
        "\n",
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "é",
        "\u{e000}",
        "\u{ffff}",
        "\u{10000}",
        "user.email",
        "user.id",
        "ab",
    ]);
    prop_oneof![
        4 => prop::collection::vec(odd, 0..3).prop_map(|parts| parts.concat()),
        4 => "[a-z.]{0,30}",
        1 => any::<String>(),
    ]
}

fn double() -> impl Strategy<Value = f64> {
    let odd =
        vec![0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, 1e300];
    prop_oneof![
        prop::sample::select(odd),
        any::<u64>().prop_map(f64::from_bits),
        any::<f32>().prop_map(f64::from)
    ]
}

fn int() -> impl Strategy<Value = i64> {
    let edge = 1 << 53;
    let odd = vec![0, -1, edge - 1, edge, -edge + 1, -edge, i64::MAX, i64::MIN];
    prop_oneof![prop::sample::select(odd), any::<i64>(), any::<i16>().prop_map(i64::from)]
}

pub(crate) fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        1 => Just(None),
        6 => text().prop_map(|value| Some(Value::StringValue(value))),
        1 => any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        2 => int().prop_map(|value| Some(Value::IntValue(value))),
        2 => double().prop_map(|value| Some(Value::DoubleValue(value))),
        1 => prop::collection::vec(any::<u8>(), 0..5).prop_map(|value| Some(Value::BytesValue(value))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            prop::collection::vec(pair(inner), 0..5)
                .prop_map(|values| AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }),
        ]
    })
}

fn pair(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (text(), prop::option::weighted(0.9, value)).prop_map(|(key, value)| KeyValue {
        key,
        value,
        ..KeyValue::default()
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(pair(any_value()), 0..6)
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>()]
}

fn id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![]), Just(vec![0; 16]), prop::collection::vec(any::<u8>(), 0..=64)]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), any::<u64>()]
}

pub(crate) fn record() -> impl Strategy<Value = LogRecord> {
    let numbers = (time(), time(), small(), small(), prop_oneof![-5..30, any::<i32>()]);
    let texts = (text(), text(), id(), id());
    (numbers, texts, prop::option::of(any_value()), attributes()).prop_map(
        |(numbers, texts, body, attributes)| LogRecord {
            time_unix_nano: numbers.0,
            observed_time_unix_nano: numbers.1,
            severity_number: numbers.4,
            severity_text: texts.0,
            body,
            attributes,
            dropped_attributes_count: numbers.2,
            flags: numbers.3,
            trace_id: texts.2,
            span_id: texts.3,
            event_name: texts.1,
        },
    )
}

fn entity_ref() -> impl Strategy<Value = EntityRef> {
    let keys = || prop::collection::vec(text(), 0..3);
    (text(), text(), keys(), keys()).prop_map(|(schema_url, r#type, id_keys, description_keys)| EntityRef {
        schema_url,
        r#type,
        id_keys,
        description_keys,
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    (attributes(), small(), prop::collection::vec(entity_ref(), 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), small()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn scope_logs() -> impl Strategy<Value = ScopeLogs> {
    (prop::option::of(scope()), prop::collection::vec(record(), 0..4), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url })
}

fn resource_logs() -> impl Strategy<Value = ResourceLogs> {
    (prop::option::of(resource()), prop::collection::vec(scope_logs(), 0..3), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url })
}

pub(crate) fn request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    prop::collection::vec(resource_logs(), 0..3)
        .prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}
