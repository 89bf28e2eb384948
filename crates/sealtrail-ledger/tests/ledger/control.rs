//! The control trail: what the ledger says of itself.

use sealtrail_core::body::{Decompressor, check_stored, open, split_lines};
use sealtrail_core::entry::Entry;
use sealtrail_core::name::TrailId;
use sealtrail_core::segment::{ITEM_HEAD_BYTES, ItemHead, ItemKind, MAGIC};
use sealtrail_core::statement::{Claims, UnverifiedStatement};
use serde_json::Value;

use crate::harness::{Home, fast};

/// Every entry of a trail with its body, read from the segments as a stranger would.
pub fn entries(home: &Home, trail: TrailId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let directory = home.path().join(format!("trails/{trail}/segments"));
    for number in 0.. {
        let Ok(bytes) = std::fs::read(directory.join(format!("{number:010}.seg"))) else { break };
        assert_eq!(&bytes[..21], MAGIC);
        let (mut at, mut body) = (21, Vec::new());
        while at + ITEM_HEAD_BYTES <= bytes.len() {
            let head: [u8; ITEM_HEAD_BYTES] = bytes[at..at + ITEM_HEAD_BYTES].try_into().unwrap();
            let Some(head) = ItemHead::decode(head).unwrap() else { break };
            let payload = &bytes[at + ITEM_HEAD_BYTES..at + ITEM_HEAD_BYTES + head.length as usize];
            assert!(head.crc_matches(payload));
            at += ITEM_HEAD_BYTES + head.length as usize;
            match head.kind {
                ItemKind::Body => body = payload.to_vec(),
                ItemKind::Entry => entries.push((payload.to_vec(), std::mem::take(&mut body))),
                ItemKind::Header => {}
                ItemKind::Index => break,
            }
        }
    }
    entries
}

/// The control records with a name, in order.
pub fn records(home: &Home, event: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut decompressor = Decompressor::new().unwrap();
    for (entry, body) in entries(home, home.initialised.control) {
        let statement = UnverifiedStatement::decode(Entry::decode(&entry).unwrap().statement).unwrap();
        let Claims::Batch(claims) = statement.claims() else { continue };
        check_stored(claims, &body).unwrap();
        if claims.stored_length == 0 {
            continue;
        }
        let opened = open(claims, &body, None, &mut decompressor).unwrap();
        for line in split_lines(opened.plain).skip(1 + claims.context_count as usize) {
            records.push(serde_json::from_slice::<Value>(line).unwrap());
        }
    }
    records.retain(|record| record["eventName"] == event);
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_records_what_it_does() {
    let home = Home::new();
    for _ in 0..2 {
        home.start().await.close().await;
    }
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    running.close().await;
    assert_eq!(records(&home, "sealtrail.ledger.created").len(), 1);
    assert_eq!(records(&home, "sealtrail.ledger.started").len(), 3);
    assert_eq!(records(&home, "sealtrail.ledger.stopped").len(), 3);
    let started = &records(&home, "sealtrail.ledger.started")[2];
    assert_eq!(started["attributes"]["recovered.bytes"], 0);
    let created = &records(&home, "sealtrail.trail.created")[0];
    assert_eq!(created["attributes"]["trail.id"], trail.to_string());
    assert_eq!(created["attributes"]["trail.name"], "payments");
    let added = &records(&home, "sealtrail.stream.added")[0];
    assert_eq!(added["attributes"]["accept"][0]["kind"], "software");
    // A trail nobody wrote to verifies as well.
    let verdict = home.assert_verified(&[]);
    assert_eq!(verdict.covered.epochs, 4);
    assert!(
        verdict.epochs.iter().all(|epoch| format!("{:?}", epoch.state) == "Closed"),
        "{:?}",
        verdict.epochs
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_epochs_follow_each_other_by_age() {
    let home = Home::new();
    let config = sealtrail_ledger::Config { epoch_age_ms: 1000, heartbeat_ms: 200, ..fast() };
    let running = home.start_with(config).await;
    tokio::time::sleep(std::time::Duration::from_millis(2600)).await;
    running.close().await;
    let verdict = home.assert_verified(&[]);
    assert!(verdict.covered.epochs >= 4, "{}", verdict.covered.epochs);
    let running = home.start().await;
    running.close().await;
    home.assert_verified(&[]);
}

/// A ledger that is killed leaves an epoch without close; the next one names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_control_epoch_without_close_is_named() {
    let home = Home::new();
    home.start().await.abandon().await;
    home.start().await.close().await;
    home.assert_verified(&["dirty-end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trails_have_distinct_names_and_streams_accept_something() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let ledger = running.ledger.clone();
    tokio::task::spawn_blocking(move || {
        let name = crate::agent::name;
        let error = ledger.add_trail(&name("payments"), &name("default")).unwrap_err();
        assert_eq!(error.to_string(), "ledger has a trail named `payments` already");
        let error = ledger.add_stream(&name("web"), trail, Vec::new()).unwrap_err();
        assert!(error.to_string().contains("accepts no evidence"), "{error}");
        let error = ledger.add_stream(&name("web"), TrailId([0; 16]), Vec::new()).unwrap_err();
        assert!(error.to_string().contains("no trail"), "{error}");
        assert_eq!(ledger.trails(), [(trail, name("payments"))]);
        assert!(ledger.has_stream(&name("web"), trail) && !ledger.has_stream(&name("api"), trail));
    })
    .await
    .unwrap();
    running.close().await;
}
