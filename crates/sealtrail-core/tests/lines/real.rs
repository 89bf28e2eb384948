//! Real audit events as bodies: what is written reads back equal, 64-bit integers included.

use std::fs::File;
use std::io::{BufRead, BufReader};

use sealtrail_testkit::shared;
use serde_json::Value;

use crate::vectors::from_json;
use crate::{record, with_body};

/// Of each data set so many events, spread over it.
const EVENTS: usize = 2_000;

#[test]
fn events_read_back() {
    let sets = [
        "windows-security-audit",
        "windows-campaign-logonpasswords",
        "cloudtrail-sans504",
        "cloudtrail-stratus",
        "panther-test-events",
    ];
    for set in sets {
        let Some(path) = shared(&format!("data/{set}/events.jsonl.zst")) else { return };
        let text = zstd::stream::read::Decoder::new(File::open(path).unwrap()).unwrap();
        let mut large = 0;
        let mut events = 0;
        for line in BufReader::new(text).lines().step_by(13).take(EVENTS) {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let mut written = Vec::new();
            from_json(&event).write(&mut written);
            let line = with_body(&written);
            assert!(record(&line).is_ok(), "{set} {event}");
            let read: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(unwrapped(&read["body"], &mut large), event, "{set}");
            events += 1;
        }
        println!("{set}: {events} events, {large} integers beyond 2^53 kept");
    }
}

/// The document behind a line's value.
fn unwrapped(value: &Value, large: &mut u32) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| unwrapped(item, large)).collect(),
        Value::Object(members) => {
            if let Some(int) = members.get("$i") {
                *large += 1;
                return int.as_str().unwrap().parse::<i64>().unwrap().into();
            }
            if let Some(double) = members.get("$d") {
                return double.as_str().unwrap().parse::<f64>().unwrap().into();
            }
            let plain = |name: &String| name.strip_prefix('$').unwrap_or(name).to_owned();
            members.iter().map(|(name, value)| (plain(name), unwrapped(value, large))).collect()
        }
        other => other.clone(),
    }
}
