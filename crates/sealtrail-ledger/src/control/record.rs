//! Control records: what the ledger says about itself (`docs/spec/07-control.md`), as record lines.

use std::collections::BTreeMap;

use sealtrail_attest::ReferenceValue;
use sealtrail_core::hash::Hash;
use sealtrail_core::line::write;
use sealtrail_core::name::{Identity, Name, TrailId};
use serde_json::Value;

use crate::refusal::Class;

/// A control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    LedgerCreated { name: String, vkey: String },
    LedgerStarted { version: &'static str, recovered_bytes: u64 },
    LedgerStopped,
    TrailCreated { trail: TrailId, name: Name, class: Name },
    StreamAdded { stream: Name, trail: TrailId, accept: Vec<ReferenceValue> },
    StatementRefused { class: Class, trail: TrailId, digest: Hash, count: u64 },
    HoleAccepted { trail: TrailId, epoch: Identity, from: u64, to: u64 },
    RecordsDropped { count: u64 },
}

/// An attribute's value.
enum Attribute {
    Text(String),
    Int(u64),
    Json(Value),
}

impl Record {
    fn event_name(&self) -> &'static str {
        match self {
            Self::LedgerCreated { .. } => "sealtrail.ledger.created",
            Self::LedgerStarted { .. } => "sealtrail.ledger.started",
            Self::LedgerStopped => "sealtrail.ledger.stopped",
            Self::TrailCreated { .. } => "sealtrail.trail.created",
            Self::StreamAdded { .. } => "sealtrail.stream.added",
            Self::StatementRefused { .. } => "sealtrail.statement.refused",
            Self::HoleAccepted { .. } => "sealtrail.hole.accepted",
            Self::RecordsDropped { .. } => "sealtrail.records.dropped",
        }
    }

    /// Attributes by name. All names are ASCII, where the order of bytes is that of UTF-16 code units.
    fn attributes(&self) -> BTreeMap<&'static str, Attribute> {
        let text = |value: &dyn ToString| Attribute::Text(value.to_string());
        match self {
            Self::LedgerCreated { name, vkey } => {
                BTreeMap::from([("ledger.name", text(name)), ("ledger.vkey", text(vkey))])
            }
            Self::LedgerStarted { version, recovered_bytes } => BTreeMap::from([
                ("recovered.bytes", Attribute::Int(*recovered_bytes)),
                ("software.version", text(version)),
            ]),
            Self::LedgerStopped => BTreeMap::new(),
            Self::TrailCreated { trail, name, class } => BTreeMap::from([
                ("retention.class", text(class)),
                ("trail.id", text(trail)),
                ("trail.name", text(name)),
            ]),
            Self::StreamAdded { stream, trail, accept } => BTreeMap::from([
                // A reference value is strings, booleans, lists and maps of them, which JSON takes as they are.
                ("accept", Attribute::Json(serde_json::to_value(accept).unwrap_or_default())),
                ("stream.name", text(stream)),
                ("trail.id", text(trail)),
            ]),
            Self::StatementRefused { class, trail, digest, count } => BTreeMap::from([
                ("count", Attribute::Int(*count)),
                ("digest", Attribute::Text(hex::encode(digest))),
                ("reason", text(&class.as_str())),
                ("trail.id", text(trail)),
            ]),
            Self::HoleAccepted { trail, epoch, from, to } => BTreeMap::from([
                ("epoch", text(epoch)),
                ("from", Attribute::Int(*from)),
                ("to", Attribute::Int(*to)),
                ("trail.id", text(trail)),
            ]),
            Self::RecordsDropped { count } => BTreeMap::from([("count", Attribute::Int(*count))]),
        }
    }

    /// Appends the record line, without its newline; `resource` and `scope` are the leaves of its context lines.
    pub(super) fn write(&self, line: &mut Vec<u8>, observed_ns: u64, resource: u32, scope: u32) {
        line.push(b'{');
        let attributes = self.attributes();
        if !attributes.is_empty() {
            line.extend_from_slice(b"\"attributes\":{");
            for (number, (name, value)) in attributes.iter().enumerate() {
                comma(line, number);
                write::name(line, name);
                value.write(line);
            }
            line.extend_from_slice(b"},");
        }
        line.extend_from_slice(b"\"eventName\":");
        write::string(line, self.event_name());
        line.extend_from_slice(b",\"observedTimeUnixNano\":\"");
        write::digits(line, observed_ns);
        line.extend_from_slice(b"\",\"resource\":");
        write::digits(line, resource);
        line.extend_from_slice(b",\"scope\":");
        write::digits(line, scope);
        line.push(b'}');
    }

    /// Reads the records that state is folded from; `None` for all others.
    ///
    /// # Errors
    /// What is wrong with a record that lacks an attribute or has an ill-formed one.
    pub(crate) fn parse(line: &[u8]) -> Result<Option<Self>, &'static str> {
        let line: Value = serde_json::from_slice(line).map_err(|_| "a control record is not JSON")?;
        let attributes = line.get("attributes").unwrap_or(&Value::Null);
        match line.get("eventName").and_then(Value::as_str) {
            Some("sealtrail.trail.created") => Self::parse_trail(attributes).map(Some),
            Some("sealtrail.stream.added") => Self::parse_stream(attributes).map(Some),
            _ => Ok(None),
        }
    }

    fn parse_trail(attributes: &Value) -> Result<Self, &'static str> {
        const WRONG: &str = "a `sealtrail.trail.created` record is ill-formed";
        Ok(Self::TrailCreated {
            trail: trail_id(attributes).ok_or(WRONG)?,
            name: name(attributes, "trail.name").ok_or(WRONG)?,
            class: name(attributes, "retention.class").ok_or(WRONG)?,
        })
    }

    fn parse_stream(attributes: &Value) -> Result<Self, &'static str> {
        const WRONG: &str = "a `sealtrail.stream.added` record is ill-formed";
        let accept = attributes.get("accept").cloned().ok_or(WRONG)?;
        Ok(Self::StreamAdded {
            stream: name(attributes, "stream.name").ok_or(WRONG)?,
            trail: trail_id(attributes).ok_or(WRONG)?,
            accept: serde_json::from_value(accept).map_err(|_| WRONG)?,
        })
    }
}

fn name(attributes: &Value, key: &str) -> Option<Name> {
    Name::new(attributes.get(key)?.as_str()?).ok()
}

fn trail_id(attributes: &Value) -> Option<TrailId> {
    TrailId::from_hex(attributes.get("trail.id")?.as_str()?).ok()
}

impl Attribute {
    fn write(&self, line: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write::string(line, text),
            Self::Int(value) => write::digits(line, *value),
            Self::Json(value) => write_json(line, value),
        }
    }
}

fn comma(line: &mut Vec<u8>, number: usize) {
    if number > 0 {
        line.push(b',');
    }
}

/// Writes strings, booleans, lists and maps of them, which is all that a reference value is made of. Their names are
/// ASCII, where the order of bytes is that of UTF-16 code units.
fn write_json(line: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write::string(line, text),
        Value::Array(items) => {
            line.push(b'[');
            for (number, item) in items.iter().enumerate() {
                comma(line, number);
                write_json(line, item);
            }
            line.push(b']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            line.push(b'{');
            for (number, (name, member)) in sorted.into_iter().enumerate() {
                comma(line, number);
                write::name(line, name);
                write_json(line, member);
            }
            line.push(b'}');
        }
        Value::Bool(_) | Value::Null | Value::Number(_) => {
            line.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_core::line::check;

    use super::*;

    /// The line, after the checker has taken it.
    fn line(record: &Record) -> String {
        let contexts =
            [check::context(br#"{"resource":{}}"#).unwrap(), check::context(br#"{"scope":{}}"#).unwrap()];
        let mut line = Vec::new();
        record.write(&mut line, 5, 1, 2);
        check::record(&line, &contexts).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn every_record_is_a_line() {
        let trail = TrailId([0xab; 16]);
        let name = |text| Name::new(text).unwrap();
        let accept = ReferenceValue::software([1; 32], vec![[2; 32]])
            .with_streams(vec!["web-*".into(), "a\"\\\u{1}é".into()]);
        let added = Record::StreamAdded { stream: name("payments"), trail, accept: vec![accept] };
        let expected = format!(
            "{{\"attributes\":{{\"accept\":[{{\"kind\":\"software\",\"measurements\":[\"{}\"],\"root\":\"{}\",\
             \"streams\":[\"web-*\",\"a\\\"\\\\\\u0001é\"]}}],\"stream.name\":\"payments\",\"trail.id\":\"{trail}\"}},\
             \"eventName\":\"sealtrail.stream.added\",\"observedTimeUnixNano\":\"5\",\"resource\":1,\"scope\":2}}",
            "02".repeat(32),
            "01".repeat(32),
        );
        assert_eq!(line(&added), expected);
        assert_eq!(Record::parse(line(&added).as_bytes()), Ok(Some(added)));
        let created = Record::TrailCreated { trail, name: name("t"), class: name("default") };
        assert_eq!(Record::parse(line(&created).as_bytes()), Ok(Some(created)));
        for other in [
            Record::LedgerCreated { name: "a/b".into(), vkey: "a/b/00+11+AA==".into() },
            Record::LedgerStarted { version: "1", recovered_bytes: 7 },
            Record::LedgerStopped,
            Record::StatementRefused { class: Class::Flood, trail, digest: [3; 32], count: 9 },
            Record::HoleAccepted { trail, epoch: Identity([4; 32]), from: 1, to: (1 << 53) - 1 },
        ] {
            assert_eq!(Record::parse(line(&other).as_bytes()), Ok(None));
        }
        assert!(Record::parse(br#"{"eventName":"sealtrail.trail.created"}"#).is_err());
    }
}
