//! Epochs: heartbeats, age, another configuration, challenges, clocks.

use std::time::Duration;

use http::StatusCode;
use sealtrail_agent::{Acknowledge, Phase, ReconfigureError};
use sealtrail_core::key::{Algorithm, Verifier as _};
use sealtrail_core::statement::{CloseReason, Known};

use crate::harness::{World, eventually};
use crate::ledger::Mode;
use crate::otlp::{PROTOBUF, one, post, send};

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    let world = World::with("heartbeat_ms = 100");
    let agent = world.start();
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let batches = state.batches(state.epoch_order[0]);
    println!("{} heartbeats in 1.05 s", batches.len() - 1);
    assert!((6..=11).contains(&batches.len()), "{}", batches.len());
    assert!(batches.iter().all(|b| b.record_count == 0 && b.stored_length == 0));
    assert!(state.epochs[&state.epoch_order[0]].open.heartbeat_ms == 100);
}

#[tokio::test]
async fn an_old_epoch_gives_way_to_its_successor_without_losing_a_request() {
    let world = World::with("age_max_ms = 1000");
    let agent = world.start();
    let mut events = Vec::new();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let event = events.len().to_string();
        assert_eq!(post(agent.http_address(), one(&event)).await.status, StatusCode::OK);
        events.push(event);
    }
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), events);
    println!("{} epochs, {} events", state.epoch_order.len(), events.len());
    assert!((3..=5).contains(&state.epoch_order.len()));
    for pair in state.epoch_order.windows(2) {
        let (before, after) = (&state.epochs[&pair[0]], &state.epochs[&pair[1]]);
        let last = state.batches(pair[0]).pop().unwrap().clone();
        let close = last.close.unwrap();
        assert_eq!(close.reason, CloseReason::Age);
        assert_eq!(close.successor, Some(after.open.public_key.key_id()));
        let predecessor = after.open.predecessor.unwrap();
        assert_eq!((predecessor.epoch, predecessor.known), (pair[0], Known::Itself));
        assert_eq!(predecessor.sequence, Some(last.sequence));
        assert_ne!(before.open.public_key, after.open.public_key);
        let life = after.open.opened_at_ns - before.open.opened_at_ns;
        assert!((800_000_000..1_200_000_000).contains(&life), "{life}");
    }
}

/// The ledger has the epoch although nobody heard of it: the next one follows that, and not the one before it.
#[tokio::test]
async fn an_open_whose_answer_was_lost_is_followed() {
    let world = World::with("age_max_ms = 1000");
    let agent = world.start();
    world.ledger.set(Mode::LostOpen);
    eventually("followed", || world.ledger.state().epoch_order.len() >= 3);
    eventually("ready", || agent.status().phase == Phase::Ready);
    assert_eq!(post(agent.http_address(), one("after")).await.status, StatusCode::OK);
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let predecessors: Vec<_> =
        state.epoch_order[1..3].iter().map(|id| state.epochs[id].open.predecessor.unwrap()).collect();
    assert_eq!((predecessors[0].epoch, predecessors[0].known), (state.epoch_order[0], Known::Itself));
    assert_eq!((predecessors[1].epoch, predecessors[1].known), (state.epoch_order[1], Known::Ledger));
    assert_eq!(predecessors[1].sequence, None);
}

#[tokio::test]
async fn an_epoch_that_cannot_be_followed_ends_at_its_age() {
    let world = World::with("age_max_ms = 1000");
    let agent = world.start();
    world.ledger.set(Mode::Away);
    assert_eq!(post(agent.http_address(), one("young")).await.status, StatusCode::OK);
    eventually("out of epochs", || agent.status().phase == Phase::Opening);
    let late = post(agent.http_address(), one("old")).await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    world.ledger.set(Mode::Good);
    eventually("ready", || agent.status().phase == Phase::Ready);
    assert_eq!(post(agent.http_address(), one("new")).await.status, StatusCode::OK);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), ["young", "new"]);
}

/// T05, found in a review: of the requests that were refused between two epochs, those beyond the first 128 were on no record.
#[tokio::test]
async fn what_is_refused_between_two_epochs_is_counted() {
    let world = World::new();
    let agent = world.start();
    post(agent.http_address(), one("before")).await;
    world.ledger.set(Mode::Between);
    let mut config = world.config();
    config.heartbeat_ms = 5_000;
    agent.reconfigure(config).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let mut refused = 0;
    while refused < 300 {
        let body = b"no gzip".to_vec();
        let answer = send(agent.http_address(), "POST", "/v1/logs", &headers, body).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "it does not say so for good any more");
        refused += 1;
    }
    world.ledger.set(Mode::Good);
    // It waits for the next epoch.
    assert_eq!(post(agent.http_address(), one("after")).await.status, StatusCode::OK);
    agent.shutdown();
    world.assert_no_violations();
    let totals = world.ledger.state().totals();
    assert_eq!((totals.received, totals.sealed + totals.dropped), (2 + refused, 2 + refused));
    assert!(totals.dropped > 0);
}

#[tokio::test]
async fn another_configuration_is_another_epoch() {
    let world = World::new();
    let agent = world.start();
    post(agent.http_address(), one("before")).await;
    let mut config = world.config();
    config.heartbeat_ms = 5_000;
    config.acknowledge = Acknowledge::Committed;
    config.redaction.enabled = false;
    agent.reconfigure(config).unwrap();
    eventually("two epochs", || world.ledger.state().epoch_order.len() == 2);
    eventually("ready", || agent.status().phase == Phase::Ready);
    post(agent.http_address(), one("after")).await;
    assert_eq!(world.ledger.state().bodies(), ["before", "after"], "committed is in force");
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let [first, second] = state.epoch_order[..] else { panic!() };
    let close = state.batches(first).pop().unwrap().close.unwrap();
    let open = &state.epochs[&second].open;
    assert_eq!((close.reason, close.successor), (CloseReason::Configuration, Some(open.public_key.key_id())));
    assert_eq!(open.predecessor.unwrap().known, Known::Itself);
    let before = &state.epochs[&first].open;
    assert_ne!(before.configuration, open.configuration);
    assert_ne!(before.redaction, open.redaction);
    assert_eq!(open.heartbeat_ms, 5_000);
}

#[tokio::test]
async fn what_only_a_restart_can_change_is_refused() {
    let world = World::new();
    let agent = world.start();
    let refused = |change: &dyn Fn(&mut sealtrail_agent::Config)| {
        let mut config = world.config();
        change(&mut config);
        match agent.reconfigure(config) {
            Err(ReconfigureError::Fixed(key)) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|c| c.stream = "other".to_owned()), "stream");
    assert_eq!(refused(&|c| c.ledger.trail = "00".repeat(16)), "ledger.trail");
    assert_eq!(refused(&|c| c.outbox.bytes_max += 1), "outbox");
    let mut bad = world.config();
    bad.heartbeat_ms = 1;
    assert!(matches!(agent.reconfigure(bad), Err(ReconfigureError::Config(_))));
}

#[tokio::test]
async fn a_stale_challenge_is_replaced() {
    let world = World::new();
    world.ledger.set(Mode::StaleChallenge);
    let agent = world.start();
    assert_eq!(post(agent.http_address(), one("a")).await.status, StatusCode::OK);
    agent.shutdown();
    world.assert_no_violations();
}

#[tokio::test]
async fn every_algorithm_seals() {
    let algorithms =
        [("es256", Algorithm::Es256), ("es384", Algorithm::Es384), ("ed25519", Algorithm::Ed25519)];
    for (name, algorithm) in algorithms {
        let world = World::with(&format!("algorithm = \"{name}\""));
        let agent = world.start();
        assert_eq!(post(agent.http_address(), one("a")).await.status, StatusCode::OK);
        agent.shutdown();
        world.assert_no_violations();
        let state = world.ledger.state();
        assert_eq!(state.epochs[&state.epoch_order[0]].open.public_key.algorithm(), algorithm);
        assert_eq!(state.bodies(), ["a"]);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_changes_the_time_and_nothing_else() {
    const DAY: i64 = 86_400_000_000_000;
    let world = World::new();
    let agent = world.start();
    let mut walls = Vec::new();
    for (n, step) in [0, DAY, -2 * DAY, 0, DAY].into_iter().enumerate() {
        world.clock.step(step);
        assert_eq!(post(agent.http_address(), one(&n.to_string())).await.status, StatusCode::OK);
        // Resends are recognised by a clock that is not set.
        assert_eq!(post(agent.http_address(), one("0")).await.status, StatusCode::OK);
    }
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), ["0", "1", "2", "3", "4"]);
    assert_eq!(state.totals().resent, 5);
    let batches = state.batches(state.epoch_order[0]);
    for batch in batches.iter().filter(|b| b.record_count > 0) {
        walls.push((batch.wall_clock_ns.1 / 1_000_000_000) as i64);
    }
    let day = DAY / 1_000_000_000;
    let steps: Vec<i64> = walls.windows(2).map(|w| (w[1] - w[0] + day / 2).div_euclid(day)).collect();
    assert_eq!(steps, [1, -2, 0, 1]);
    assert!(batches.windows(2).all(|w| w[0].monotonic_ns < w[1].monotonic_ns));
}

#[tokio::test]
async fn an_instance_without_a_name_gets_one_that_lasts() {
    let world = World::new();
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut config = world.config();
        config.instance = None;
        let agent = world.start_with(config);
        eventually("ready", || agent.status().phase == Phase::Ready);
        agent.shutdown();
        let state = world.ledger.state();
        let open = &state.epochs[state.epoch_order.last().unwrap()].open;
        names.push(open.place.instance.as_str().to_owned());
    }
    assert_eq!(names[0], names[1]);
    assert_eq!(names[0].len(), 16);
    world.assert_no_violations();
}

#[tokio::test]
async fn what_the_agent_was_shown_is_compared_with_what_is_published() {
    // Sizes on both sides of a full tile.
    for grown in [0, 3, 250, 600, 70_000] {
        let world = World::with("heartbeat_ms = 100");
        world.ledger.grow_control(grown);
        let agent = world.start();
        eventually("compared", || world.ledger.state().tiles_read >= 4);
        assert!(agent.status().troubles.is_empty(), "{:?}", agent.status());
        agent.shutdown();
        world.assert_no_violations();
    }
}

#[tokio::test]
async fn a_ledger_with_two_histories_is_found_out() {
    for grown in [0, 300] {
        let world = World::with("heartbeat_ms = 100");
        world.ledger.grow_control(grown);
        world.ledger.set(Mode::OtherHistory);
        let agent = world.start();
        eventually("found out", || agent.status().troubles.contains_key("history"));
        let said = agent.status().troubles["history"].clone();
        assert!(said.starts_with("two histories of trail `0909"), "{said}");
        // It does not heal, and records go on being sealed.
        world.ledger.set(Mode::Good);
        assert_eq!(post(agent.http_address(), one("a")).await.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(agent.status().troubles.contains_key("history"));
        agent.shutdown();
        world.assert_no_violations();
    }
}
