//! The same mapping from the generated types through documents in memory and another canonicaliser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value, json};

/// Each record as `Lines::resolved` gives it.
pub(crate) fn resolved(request: &ExportLogsServiceRequest) -> Vec<[String; 3]> {
    let mut records = Vec::new();
    for resource_logs in &request.resource_logs {
        let resource = resource(resource_logs.resource.as_ref(), &resource_logs.schema_url);
        for scope_logs in &resource_logs.scope_logs {
            let scope = scope(scope_logs.scope.as_ref(), &scope_logs.schema_url);
            for log_record in &scope_logs.log_records {
                let own = canonical(&record(log_record)).replace("\"resource\":0,\"scope\":0", "*");
                records.push([canonical(&resource), canonical(&scope), own]);
            }
        }
    }
    records
}

fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap()
}

fn record(record: &LogRecord) -> Value {
    let mut members = Map::new();
    put_list(&mut members, &record.attributes);
    if let Some(body) = &record.body {
        members.insert("body".into(), value(body));
    }
    put_number(&mut members, "droppedAttributesCount", record.dropped_attributes_count.into());
    put_text(&mut members, "eventName", &record.event_name);
    put_number(&mut members, "flags", record.flags.into());
    put_number(&mut members, "severityNumber", record.severity_number.into());
    put_text(&mut members, "severityText", &record.severity_text);
    put_text(&mut members, "spanId", &hex::encode(&record.span_id));
    put_text(&mut members, "traceId", &hex::encode(&record.trace_id));
    for (name, time) in
        [("timeUnixNano", record.time_unix_nano), ("observedTimeUnixNano", record.observed_time_unix_nano)]
    {
        if time != 0 {
            members.insert(name.into(), time.to_string().into());
        }
    }
    members.insert("resource".into(), 0.into());
    members.insert("scope".into(), 0.into());
    Value::Object(members)
}

fn resource(resource: Option<&Resource>, schema_url: &str) -> Value {
    let mut members = Map::new();
    if let Some(resource) = resource {
        put_list(&mut members, &resource.attributes);
        put_number(&mut members, "droppedAttributesCount", resource.dropped_attributes_count.into());
        if !resource.entity_refs.is_empty() {
            members.insert("entityRefs".into(), resource.entity_refs.iter().map(entity_ref).collect());
        }
    }
    put_text(&mut members, "schemaUrl", schema_url);
    json!({ "resource": members })
}

fn entity_ref(entity: &EntityRef) -> Value {
    let mut members = Map::new();
    put_text(&mut members, "schemaUrl", &entity.schema_url);
    put_text(&mut members, "type", &entity.r#type);
    for (name, keys) in [("idKeys", &entity.id_keys), ("descriptionKeys", &entity.description_keys)] {
        if !keys.is_empty() {
            members.insert(name.into(), keys.clone().into());
        }
    }
    Value::Object(members)
}

fn scope(scope: Option<&InstrumentationScope>, schema_url: &str) -> Value {
    let mut members = Map::new();
    if let Some(scope) = scope {
        put_list(&mut members, &scope.attributes);
        put_number(&mut members, "droppedAttributesCount", scope.dropped_attributes_count.into());
        put_text(&mut members, "name", &scope.name);
        put_text(&mut members, "version", &scope.version);
    }
    put_text(&mut members, "schemaUrl", schema_url);
    json!({ "scope": members })
}

fn put_list(members: &mut Map<String, Value>, attributes: &[KeyValue]) {
    if !attributes.is_empty() {
        members.insert("attributes".into(), list(attributes));
    }
}

fn put_number(members: &mut Map<String, Value>, name: &str, number: i64) {
    if number != 0 {
        members.insert(name.into(), number.into());
    }
}

fn put_text(members: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        members.insert(name.into(), text.into());
    }
}

fn list(pairs: &[KeyValue]) -> Value {
    let of = |pair: &KeyValue| pair.value.as_ref().map_or(Value::Null, value);
    let mut members = Map::new();
    for pair in pairs {
        let dollar = if pair.key.starts_with('$') { "$" } else { "" };
        members.insert(format!("{dollar}{}", pair.key), of(pair));
    }
    if members.len() == pairs.len() {
        return Value::Object(members);
    }
    let pairs: Vec<Value> = pairs.iter().map(|pair| json!([pair.key, of(pair)])).collect();
    json!({ "$kv": pairs })
}

fn value(any: &AnyValue) -> Value {
    match &any.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => text.as_str().into(),
        Some(Any::BoolValue(value)) => (*value).into(),
        Some(Any::IntValue(int)) if int.abs_diff(0) < 1 << 53 => (*int).into(),
        Some(Any::IntValue(int)) => json!({ "$i": int.to_string() }),
        Some(Any::DoubleValue(double)) if double.is_finite() && double.fract() != 0.0 => (*double).into(),
        Some(Any::DoubleValue(double)) if *double == 0.0 && double.is_sign_negative() => {
            json!({ "$d": "-0" })
        }
        Some(Any::DoubleValue(double)) if double.is_finite() => json!({ "$d": canonical(&(*double).into()) }),
        Some(Any::DoubleValue(double)) if double.is_nan() => json!({ "$d": "NaN" }),
        Some(Any::DoubleValue(double)) => {
            json!({ "$d": if *double > 0.0 { "Infinity" } else { "-Infinity" } })
        }
        Some(Any::ArrayValue(array)) => array.values.iter().map(value).collect(),
        Some(Any::KvlistValue(pairs)) => list(&pairs.values),
        Some(Any::BytesValue(bytes)) => json!({ "$b": STANDARD.encode(bytes) }),
        Some(Any::StringValueStrindex(0)) => Value::Null,
        Some(Any::StringValueStrindex(_)) => panic!("not of logs"),
    }
}
