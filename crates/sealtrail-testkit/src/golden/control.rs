//! Control records, judged by a verifier in a control trail that has one trail already.

use std::collections::BTreeMap;

use sealtrail_core::artefact;
use sealtrail_core::body::record_root;
use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::entry::Entry;
use sealtrail_core::hash::sha256;
use sealtrail_core::merkle::{Tree, leaf_hash};
use sealtrail_core::segment::{ItemKind, SegmentHeader, file_name, push_item};
use sealtrail_core::statement::{Claims, UnverifiedStatement, seal};
use sealtrail_verify::{Options, verify};
use serde_json::{Value, json};

use super::json::{Input, hex};
use super::ledger::Files;
use super::world::{
    self, CONTEXTS, control_id, control_signer, data_id, ledger_name, ledger_signer, name, plain_body,
    raw_frame,
};
use super::{Set, World};
use crate::image::Logged;

const MALFORMED: &str = "control-malformed";

/// Logs a batch with that record after the beginning of the world's control trail and asks a verifier.
pub(super) fn judge(input: &Value) -> Result<Value, String> {
    let line = String::from_utf8(input.bytes("line")).unwrap();
    let mut trail = world::beginning().trails[&control_id()].clone();
    let (first, _) = trail[0].parts();
    let (before, ledger_part) = trail[1].parts();
    let genesis = UnverifiedStatement::decode(&first).unwrap().identity();
    let (statement, body) = next_batch(&before, &line);
    trail.push(Logged { entry: Entry { statement: &statement, ledger_part }.encode(), body: Some(body) });

    let header =
        SegmentHeader { trail: control_id(), number: 0, first_index: 0, retention_class: name("standard") };
    let mut segment = header.file_start();
    let mut tree = Tree::default();
    for logged in &trail {
        tree.push(leaf_hash(&logged.entry));
        if let Some(body) = &logged.body {
            push_item(&mut segment, ItemKind::Body, body);
        }
        push_item(&mut segment, ItemKind::Entry, &logged.entry);
    }
    let body =
        CheckpointBody { origin: ledger_name().origin(control_id()), size: tree.size(), root: tree.root() };
    let directory = format!("trails/{}", control_id());
    let mut files = BTreeMap::from([
        (format!("{directory}/checkpoint"), body.sign(&ledger_signer()).unwrap()),
        (format!("{directory}/segments/{}", file_name(0)), segment),
    ]);
    let artefacts = world::beginning().artefacts;
    files.extend(artefacts.into_iter().map(|(hash, bytes)| (artefact::path(&hash), bytes)));
    let verdict = verify(&Files(files), Some(world::policy(genesis).as_bytes()), Options::default());
    match verdict.error_classes().as_slice() {
        [] => Ok(json!({})),
        [class] => Err((*class).to_owned()),
        several => panic!("several findings: {several:?}"),
    }
}

/// The batch after that one, with one record: statement and stored body.
fn next_batch(before: &[u8], line: &str) -> (Vec<u8>, Vec<u8>) {
    let before = UnverifiedStatement::decode(before).unwrap();
    let Claims::Batch(claims) = before.claims() else { panic!("no batch") };
    let seed = [0x5e; 32];
    let plain = plain_body(&seed, &CONTEXTS, &[line]);
    let stored = raw_frame(&plain);
    let mut claims = (**claims).clone();
    claims.sequence += 1;
    claims.prev = before.identity();
    claims.record_root = record_root(&seed, &plain);
    claims.record_count = 1;
    claims.stored_hash = sha256(&[&stored]);
    claims.stored_length = stored.len() as u32;
    claims.totals.received += 1;
    claims.totals.sealed += 1;
    (seal(&Claims::Batch(Box::new(claims)), &control_signer()).unwrap().bytes, stored)
}

pub(super) fn control(world: &World) -> Set {
    let mut set = Set::new("control-record", "07-control.md; 06-verification.md 6.8");
    let vkey = world.vkey(control_id());
    let context = |line: &str| {
        json!({
            "control": control_id().to_string(),
            "ledger": ledger_name().as_str(),
            "line": hex(line),
            "trails": [data_id().to_string()],
            "vkey": vkey,
        })
    };
    let record = |event: &str, attributes: &str| {
        format!(r#"{{"attributes":{{{attributes}}},"eventName":"sealtrail.{event}","resource":1,"scope":2}}"#)
    };
    let new = "00112233445566778899aabbccddeeff";
    let trail = |class: &str, id: &str, name: &str| {
        record(
            "trail.created",
            &format!(r#""retention.class":"{class}","trail.id":"{id}","trail.name":"{name}""#),
        )
    };
    let stream = |accept: &str, stream: &str, id: &str| {
        record("stream.added", &format!(r#""accept":{accept},"stream.name":"{stream}","trail.id":"{id}""#))
    };
    let ledger = |name: &str, key: &str| {
        record("ledger.created", &format!(r#""ledger.name":"{name}","ledger.vkey":"{key}""#))
    };
    let data = data_id().to_string();
    let value = r#"[{"kind":"software","measurements":[],"root":""}]"#;
    for (name, about, line) in [
        ("trail-created", "a new trail", trail("standard", new, "audit")),
        ("stream-added", "a stream for a known trail", stream("[]", "web-1", &data)),
        (
            "stream-added-values",
            "with reference values, whose inside is not judged",
            stream(value, "web-1", &data),
        ),
        ("ledger-created", "the ledger that the trust policy names", ledger(ledger_name().as_str(), &vkey)),
        (
            "more-attributes",
            "attributes beside those that are named",
            record(
                "trail.created",
                &format!(r#""a":1,"retention.class":"standard","trail.id":"{new}","trail.name":"audit""#),
            ),
        ),
        (
            "ledger-started",
            "a record of the table that a verifier does not read",
            record("ledger.started", r#""recovered.bytes":0,"software.version":"1""#),
        ),
        ("unknown", "an event name that is not in the table", record("something.else", r#""a":1"#)),
        (
            "no-event",
            "a record without an event name",
            r#"{"body":"note","resource":1,"scope":2}"#.to_owned(),
        ),
    ] {
        set.accept(name, about, context(&line));
    }
    for (name, about, line) in [
        ("trail-again", "a trail that exists", trail("standard", &data, "audit")),
        ("trail-control", "the control trail's id", trail("standard", &control_id().to_string(), "audit")),
        ("trail-id-upper-case", "an id in upper case", trail("standard", &new.to_uppercase(), "audit")),
        ("trail-id-short", "an id of 30 digits", trail("standard", &new[2..], "audit")),
        ("trail-name", "a name that is none", trail("standard", new, "Audit log")),
        ("trail-class", "a retention class that is none", trail("", new, "audit")),
        (
            "trail-no-class",
            "no retention class",
            record("trail.created", &format!(r#""trail.id":"{new}","trail.name":"audit""#)),
        ),
        (
            "trail-no-attributes",
            "no attributes",
            r#"{"eventName":"sealtrail.trail.created","resource":1,"scope":2}"#.to_owned(),
        ),
        (
            "trail-kv",
            "attributes written as pairs lack everything",
            format!(
                r#"{{"attributes":{{"$kv":[["retention.class","standard"],["trail.id","{new}"],["trail.name","audit"],["trail.name","audit"]]}},"eventName":"sealtrail.trail.created","resource":1,"scope":2}}"#
            ),
        ),
        ("stream-trail", "a stream for a trail that does not exist", stream("[]", "web-1", new)),
        (
            "stream-control",
            "a stream for the control trail",
            stream("[]", "web-1", &control_id().to_string()),
        ),
        ("stream-name", "a name that is none", stream("[]", "web 1", &data)),
        ("stream-accept", "reference values that are no array", stream("{}", "web-1", &data)),
        (
            "stream-no-accept",
            "no reference values",
            record("stream.added", &format!(r#""stream.name":"web-1","trail.id":"{data}""#)),
        ),
        ("ledger-name", "another ledger's name", ledger("ledger.example/other", &vkey)),
        ("ledger-key", "another key", ledger(ledger_name().as_str(), "k")),
        (
            "ledger-no-key",
            "no key",
            record("ledger.created", &format!(r#""ledger.name":"{}""#, ledger_name())),
        ),
        ("name-number", "a name that is a number", trail("standard", new, "audit").replace("\"audit\"", "1")),
    ] {
        set.reject(name, MALFORMED, about, context(&line));
    }
    set
}
