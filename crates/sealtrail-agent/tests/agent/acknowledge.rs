//! What success promises, and that it is kept.

use http::StatusCode;
use sealtrail_agent::Phase;
use sealtrail_core::receipt::ReceiptFile;
use sealtrail_core::statement::{CloseReason, Known};

use crate::harness::{World, eventually};
use crate::otlp::{one, post, request};

#[tokio::test]
async fn records_are_sealed_committed_and_closed() {
    let world = World::new();
    let agent = world.start();
    for n in 0..5 {
        let answer = post(agent.http_address(), request((0..100).map(|i| format!("event {n}-{i}")))).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.is_empty(), "{:?}", answer.body);
    }
    let end = agent.shutdown();
    assert_eq!((end.phase, end.outbox_pending_bytes), (Phase::Stopped, 0), "{end:?}");
    world.assert_no_violations();
    let state = world.ledger.state();
    let bodies: Vec<String> = (0..5).flat_map(|n| (0..100).map(move |i| format!("event {n}-{i}"))).collect();
    assert_eq!(state.bodies(), bodies);
    let last = *state.batches(state.epoch_order[0]).last().unwrap();
    assert_eq!(last.close.map(|close| (close.reason, close.successor)), Some((CloseReason::Stop, None)));
    assert_eq!((last.totals.received, last.totals.sealed), (500, 500));
}

#[tokio::test]
async fn the_newest_receipt_is_kept_for_an_auditor() {
    let world = World::new();
    let agent = world.start();
    post(agent.http_address(), one("kept")).await;
    agent.shutdown();
    let files: Vec<_> = std::fs::read_dir(world.state_dir().join("receipts")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let file = ReceiptFile::decode(&std::fs::read(files[0].path()).unwrap()).unwrap();
    let key = world.ledger.ledger_key();
    let included =
        file.receipt.verify(&file.statement, world.ledger.trail, &key, world.ledger.control).unwrap();
    // The open, the batch, the close.
    assert_eq!(included.index.0, 2);
}

#[tokio::test]
async fn a_process_that_dies_loses_nothing_it_acknowledged() {
    let world = World::new();
    let mut acknowledged = Vec::new();
    for life in 0..5 {
        let agent = world.start();
        for n in 0..10 {
            let event = format!("{life}-{n}");
            if n == 5 && life % 2 == 0 {
                world.ledger.set(crate::ledger::Mode::Away);
            }
            let answer = post(agent.http_address(), one(&event)).await;
            assert_eq!(answer.status, StatusCode::OK);
            acknowledged.push(event);
        }
        // No close, no last words.
        drop(agent);
        world.ledger.set(crate::ledger::Mode::Good);
    }
    world.start().shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), acknowledged);
    assert_eq!(state.epoch_order.len(), 6);
    for (n, epoch) in state.epoch_order.iter().enumerate() {
        let predecessor = state.epochs[epoch].open.predecessor;
        assert_eq!(
            predecessor.map(|p| (p.epoch, p.known)),
            n.checked_sub(1).map(|b| (state.epoch_order[b], Known::Ledger))
        );
    }
}

#[tokio::test]
async fn committed_waits_for_the_receipt() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    for n in 0..20 {
        let event = format!("event {n}");
        assert_eq!(post(agent.http_address(), one(&event)).await.status, StatusCode::OK);
        assert_eq!(world.ledger.state().bodies().last(), Some(&event));
    }
    eventually("drained", || agent.status().outbox_pending_bytes == 0);
    agent.shutdown();
    world.assert_no_violations();
}
