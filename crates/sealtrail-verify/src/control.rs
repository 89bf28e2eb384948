//! What a verifier reads from control records: trails and streams (`docs/spec/07-control.md`).

use std::collections::{BTreeMap, HashSet};

use sealtrail_core::body::split_lines;
use sealtrail_core::hash::Hash;
use sealtrail_core::name::{Name, TrailId};
use sealtrail_core::statement::Published;
use serde_json::{Map, Value};

use crate::TrustPolicy;

/// One control record that matters to verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlEvent {
    LedgerCreated { name: String, vkey: String },
    TrailCreated { trail: TrailId, name: Name },
    StreamAdded { stream: Name, trail: TrailId },
    Malformed(&'static str),
}

impl ControlEvent {
    /// The events among the record lines of a checked body.
    pub(crate) fn read(plain: &[u8], context_count: u32) -> Vec<Self> {
        let records = split_lines(plain).skip(1 + context_count as usize);
        records.filter_map(|line| Self::from_line(&serde_json::from_slice(line).ok()?)).collect()
    }

    fn from_line(record: &Value) -> Option<Self> {
        let name = record.get("eventName")?.as_str()?;
        let none = Map::new();
        let attributes = record.get("attributes").and_then(Value::as_object).unwrap_or(&none);
        let text = |key| attributes.get(key).and_then(Value::as_str);
        let event = match name {
            "sealtrail.ledger.created" => ledger_created(text).ok_or("sealtrail.ledger.created"),
            "sealtrail.trail.created" => trail_created(text).ok_or("sealtrail.trail.created"),
            "sealtrail.stream.added" => {
                let accept = attributes.get("accept").is_some_and(Value::is_array);
                stream_added(text).filter(|_| accept).ok_or("sealtrail.stream.added")
            }
            _ => return None,
        };
        Some(event.unwrap_or_else(Self::Malformed))
    }
}

fn ledger_created<'a>(text: impl Fn(&'static str) -> Option<&'a str>) -> Option<ControlEvent> {
    Some(ControlEvent::LedgerCreated {
        name: text("ledger.name")?.to_owned(),
        vkey: text("ledger.vkey")?.to_owned(),
    })
}

fn trail_created<'a>(text: impl Fn(&'static str) -> Option<&'a str>) -> Option<ControlEvent> {
    Name::new(text("retention.class")?).ok()?;
    let trail = TrailId::from_hex(text("trail.id")?).ok()?;
    Some(ControlEvent::TrailCreated { trail, name: Name::new(text("trail.name")?).ok()? })
}

fn stream_added<'a>(text: impl Fn(&'static str) -> Option<&'a str>) -> Option<ControlEvent> {
    let trail = TrailId::from_hex(text("trail.id")?).ok()?;
    Some(ControlEvent::StreamAdded { stream: Name::new(text("stream.name")?).ok()?, trail })
}

/// A trail as the control trail speaks of it.
#[derive(Clone, Debug)]
pub(crate) struct KnownTrail {
    pub(crate) name: Name,
    /// Published roots by size.
    pub(crate) published: BTreeMap<u64, Hash>,
}

/// The fold over the control trail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    pub(crate) trails: BTreeMap<TrailId, KnownTrail>,
    pub(crate) streams: HashSet<(Name, TrailId)>,
}

impl Fold {
    /// Takes the next event, or ignores it with an error where it contradicts what came before.
    pub(crate) fn event(&mut self, event: ControlEvent, policy: &TrustPolicy) -> Result<(), String> {
        let control = policy.control;
        match event {
            ControlEvent::LedgerCreated { name, vkey } => {
                let same = name == policy.ledger.name().as_str()
                    && vkey == policy.ledger.verifier_key(control).to_string();
                if same {
                    Ok(())
                } else {
                    Err(format!("the ledger was created as `{name}` with key `{vkey}`"))
                }
            }
            ControlEvent::Malformed(name) => {
                Err(format!("record `{name}` lacks an attribute or has an ill-formed one"))
            }
            ControlEvent::TrailCreated { trail, .. }
                if trail == control || self.trails.contains_key(&trail) =>
            {
                Err(format!("trail `{trail}` is created twice"))
            }
            ControlEvent::TrailCreated { trail, name } => {
                self.trails.insert(trail, KnownTrail { name, published: BTreeMap::new() });
                Ok(())
            }
            ControlEvent::StreamAdded { stream, trail } if self.trails.contains_key(&trail) => {
                self.streams.insert((stream, trail));
                Ok(())
            }
            ControlEvent::StreamAdded { stream, trail } => {
                Err(format!("stream `{stream}` is added to unknown trail `{trail}`"))
            }
        }
    }

    /// Takes a published checkpoint, or ignores it with an error where it contradicts what came before.
    pub(crate) fn published(&mut self, item: &Published) -> Result<(), String> {
        let Some(trail) = self.trails.get_mut(&item.trail) else {
            return Err(format!("publishes unknown trail `{}`", item.trail));
        };
        match trail.published.last_key_value() {
            Some((size, _)) if *size > item.size.0 => {
                Err(format!("publishes trail `{}` at size `{}` after `{size}`", item.trail, item.size))
            }
            Some((size, root)) if *size == item.size.0 && *root != item.root => {
                Err(format!("publishes trail `{}` at size `{size}` with two roots", item.trail))
            }
            _ => {
                trail.published.insert(item.size.0, item.root);
                Ok(())
            }
        }
    }
}
