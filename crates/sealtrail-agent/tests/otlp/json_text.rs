//! Requests of the generated types as OTLP/JSON text, in one of the forms that clients choose from.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Map, Value, json};

/// What a client chooses where it may; each bit is one choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style(pub(crate) u8);

impl Style {
    fn is(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }

    fn integer(self, value: impl ToString + Into<serde_json::Number>) -> Value {
        if self.is(0) { Value::String(value.to_string()) } else { Value::Number(value.into()) }
    }

    fn id(self, bytes: &[u8]) -> Value {
        if self.is(1) { hex::encode(bytes).into() } else { hex::encode_upper(bytes).into() }
    }

    fn bytes(self, bytes: &[u8]) -> Value {
        let engine = match (self.is(2), self.is(3)) {
            (false, false) => STANDARD,
            (false, true) => STANDARD_NO_PAD,
            (true, false) => URL_SAFE,
            (true, true) => URL_SAFE_NO_PAD,
        };
        engine.encode(bytes).into()
    }

    /// Absence is a member left out, or `null`, beside a member nobody knows.
    fn object(self, members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let members = members.into_iter().filter(|(_, value)| self.is(4) || !value.is_null());
        let mut object: Map<String, Value> = members.map(|(name, value)| (name.into(), value)).collect();
        if self.is(5) {
            object.insert("aFutureField".into(), json!({"body": [1, {"stringValue": null}]}));
        }
        Value::Object(object)
    }
}

pub(crate) fn request(request: &ExportLogsServiceRequest, style: Style) -> String {
    let logs = request.resource_logs.iter().map(|logs| {
        let resource = logs.resource.as_ref().map_or(Value::Null, |resource| {
            let entities = resource.entity_refs.iter().map(|entity| {
                style.object([
                    ("schemaUrl", entity.schema_url.as_str().into()),
                    ("type", entity.r#type.as_str().into()),
                    ("idKeys", entity.id_keys.clone().into()),
                    ("descriptionKeys", entity.description_keys.clone().into()),
                ])
            });
            style.object([
                ("attributes", pairs(&resource.attributes, style)),
                ("droppedAttributesCount", style.integer(resource.dropped_attributes_count)),
                ("entityRefs", entities.collect()),
            ])
        });
        let scopes = logs.scope_logs.iter().map(|logs| {
            let scope = logs.scope.as_ref().map_or(Value::Null, |scope| {
                style.object([
                    ("name", scope.name.as_str().into()),
                    ("version", scope.version.as_str().into()),
                    ("attributes", pairs(&scope.attributes, style)),
                    ("droppedAttributesCount", style.integer(scope.dropped_attributes_count)),
                ])
            });
            style.object([
                ("scope", scope),
                ("logRecords", logs.log_records.iter().map(|entry| record(entry, style)).collect()),
                ("schemaUrl", logs.schema_url.as_str().into()),
            ])
        });
        style.object([
            ("resource", resource),
            ("scopeLogs", scopes.collect()),
            ("schemaUrl", logs.schema_url.as_str().into()),
        ])
    });
    let request = style.object([("resourceLogs", logs.collect())]);
    if style.is(6) { serde_json::to_string_pretty(&request).unwrap() } else { request.to_string() }
}

fn record(record: &LogRecord, style: Style) -> Value {
    style.object([
        ("timeUnixNano", style.integer(record.time_unix_nano)),
        ("observedTimeUnixNano", style.integer(record.observed_time_unix_nano)),
        ("severityNumber", record.severity_number.into()),
        ("severityText", record.severity_text.as_str().into()),
        ("body", record.body.as_ref().map_or(Value::Null, |body| any_value(body, style))),
        ("attributes", pairs(&record.attributes, style)),
        ("droppedAttributesCount", style.integer(record.dropped_attributes_count)),
        ("flags", style.integer(record.flags)),
        ("traceId", style.id(&record.trace_id)),
        ("spanId", style.id(&record.span_id)),
        ("eventName", record.event_name.as_str().into()),
    ])
}

fn pairs(pairs: &[KeyValue], style: Style) -> Value {
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().map_or(Value::Null, |value| any_value(value, style));
        style.object([("key", pair.key.as_str().into()), ("value", value)])
    };
    pairs.iter().map(pair).collect()
}

fn any_value(any: &AnyValue, style: Style) -> Value {
    let values = |value: Value| style.object([("values", value)]);
    let (name, value) = match &any.value {
        None => return style.object([("stringValue", Value::Null), ("intValue", Value::Null)]),
        Some(Any::StringValue(text)) => ("stringValue", text.as_str().into()),
        Some(Any::BoolValue(value)) => ("boolValue", (*value).into()),
        Some(Any::IntValue(int)) => ("intValue", style.integer(*int)),
        Some(Any::DoubleValue(double)) if double.is_nan() => ("doubleValue", "NaN".into()),
        Some(Any::DoubleValue(double)) if *double == f64::INFINITY => ("doubleValue", "Infinity".into()),
        Some(Any::DoubleValue(double)) if *double == f64::NEG_INFINITY => ("doubleValue", "-Infinity".into()),
        Some(Any::DoubleValue(double)) => ("doubleValue", (*double).into()),
        Some(Any::ArrayValue(array)) => {
            ("arrayValue", values(array.values.iter().map(|value| any_value(value, style)).collect()))
        }
        Some(Any::KvlistValue(list)) => ("kvlistValue", values(pairs(&list.values, style))),
        Some(Any::BytesValue(bytes)) => ("bytesValue", style.bytes(bytes)),
        Some(Any::StringValueStrindex(index)) => ("stringValueStrindex", (*index).into()),
    };
    style.object([(name, value)])
}
