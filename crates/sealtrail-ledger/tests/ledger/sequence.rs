//! Numbers: holes, late batches, forks, floods, closes.

use std::time::Duration;

use sealtrail_core::key::KeyId;
use sealtrail_core::name::Identity;
use sealtrail_core::statement::{Close, CloseReason};
use sealtrail_verify::Outcome;

use crate::agent::{Agent, Batch, name};
use crate::harness::{Home, Running};

async fn class(running: &Running, agent: &Agent, batch: &Batch) -> String {
    agent.post(&running.client, 0, std::slice::from_ref(batch)).await.class()
}

/// Posts until the hole's window is over.
async fn insist(running: &Running, agent: &Agent, batch: &Batch) {
    for _ in 0..200 {
        let answer = agent.post(&running.client, 0, std::slice::from_ref(batch)).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.class(), "sequence-ahead");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the window never ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_waited_for_then_accepted_and_recorded() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<Batch> = (0..12).map(|_| agent.batch(1)).collect();
    agent.send(&running.client, 0, &batches[..2]).await;

    let answer = agent.post(&running.client, 0, &batches[4..5]).await;
    assert_eq!((answer.class().as_str(), answer.status.as_u16()), ("sequence-ahead", 409));
    assert_eq!(answer.problem()["expected"], 2);
    // Filled in time: no hole.
    agent.send(&running.client, 0, &batches[2..5]).await;

    // 5 to 8 are missing; 9 insists.
    assert_eq!(class(&running, &agent, &batches[9]).await, "sequence-ahead");
    insist(&running, &agent, &batches[9]).await;
    assert_eq!(running.size(trail), 1 + 6);
    // A late batch has to be the one its successor was signed after.
    let state = agent.state();
    agent.set_state((8, batches[7].identity, state.2));
    let other = agent.batch(1);
    assert_eq!(class(&running, &agent, &other).await, "chain-broken");
    agent.set_state((5, Identity([1; 32]), state.2));
    let other = agent.batch(1);
    assert_eq!(class(&running, &agent, &other).await, "chain-broken");
    agent.set_state(state);
    // 7 in the middle of the hole fits whatever; then both sides of it are held to it.
    agent.send(&running.client, 0, &batches[7..8]).await;
    agent.set_state((6, batches[5].identity, state.2));
    let other = agent.batch(2);
    assert_eq!(class(&running, &agent, &other).await, "chain-broken");
    agent.set_state(state);
    agent.send(&running.client, 0, &batches[8..9]).await;
    agent.send(&running.client, 0, &batches[6..7]).await;
    agent.send(&running.client, 0, &batches[10..]).await;
    assert_eq!(running.size(trail), 1 + 11);
    // Everything again: nothing new.
    for batch in batches[..5].iter().chain(&batches[6..]) {
        agent.send(&running.client, 0, std::slice::from_ref(batch)).await;
    }
    assert_eq!(running.size(trail), 1 + 11);
    running.settled().await;
    running.close().await;

    let holes = crate::control::records(&home, "sealtrail.hole.accepted");
    assert_eq!(holes.len(), 1);
    let attributes = &holes[0]["attributes"];
    assert_eq!((attributes["from"].as_u64(), attributes["to"].as_u64()), (Some(5), Some(8)));
    assert_eq!(attributes["epoch"], agent.epoch.to_string());
    let verdict = home.verify();
    assert_eq!(verdict.outcome, Outcome::Rejected);
    assert_eq!(verdict.error_classes(), ["sequence-gap"], "{:#?}", verdict.findings);
    let gap = verdict.findings.iter().find(|f| f.class == "sequence-gap").unwrap();
    assert_eq!((gap.sequence, gap.last_sequence.unwrap_or(5)), (Some(5), 5));
    assert_eq!(verdict.finding_counts["late"], 3);
}

/// T11: two that go on from one state are both kept, as proof; what follows either is taken; a third is a flood.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_kept_and_a_flood_is_not() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let first = agent.batch(1);
    agent.send(&running.client, 0, &[first]).await;
    let state = agent.state();
    let left: Vec<Batch> = (0..2).map(|_| agent.batch(1)).collect();
    agent.set_state(state);
    let right: Vec<Batch> = (0..3).map(|_| agent.batch(2)).collect();
    agent.set_state(state);
    let third = agent.batch(3);
    agent.send(&running.client, 0, &left[..1]).await;
    agent.send(&running.client, 0, &right).await;
    agent.send(&running.client, 0, &left[1..]).await;
    assert_eq!(running.size(trail), 1 + 1 + 2 + 3);
    assert_eq!(class(&running, &agent, &third).await, "flood");
    // Each of both is known again.
    agent.send(&running.client, 0, &left).await;
    agent.send(&running.client, 0, &right).await;
    assert_eq!(running.size(trail), 1 + 1 + 2 + 3);
    running.close().await;
    let verdict = home.verify();
    assert_eq!(verdict.reason.as_deref(), Some("fork"), "{:#?}", verdict.findings);
    assert_eq!(verdict.finding_counts["fork"], 2);

    // A restart knows both as well.
    let running = home.start().await;
    agent.send(&running.client, 0, &left).await;
    agent.send(&running.client, 0, &right).await;
    assert_eq!(class(&running, &agent, &third).await, "flood");
    assert_eq!(running.size(trail), 1 + 1 + 2 + 3);
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_a_close() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<Batch> = (0..3).map(|_| agent.batch(1)).collect();
    agent.send(&running.client, 0, &batches).await;
    let state = agent.state();
    let close = agent.close(Close { reason: CloseReason::Age, successor: Some(KeyId([1; 32])) });
    agent.send(&running.client, 0, &[close]).await;
    let after = agent.batch(1);
    assert_eq!(class(&running, &agent, &after).await, "after-close");
    let far = {
        agent.set_state((9, Identity([1; 32]), state.2));
        agent.batch(1)
    };
    assert_eq!(class(&running, &agent, &far).await, "after-close");
    running.close().await;
    home.assert_verified(&[]);

    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<Batch> = (0..4).map(|_| agent.batch(1)).collect();
    agent.send(&running.client, 0, &batches[..1]).await;
    insist(&running, &agent, &batches[3]).await;
    agent.set_state((2, batches[1].identity, agent.totals));
    let close = agent.close(Close { reason: CloseReason::Stop, successor: None });
    assert_eq!(class(&running, &agent, &close).await, "after-close");
    running.close().await;
}

/// Segments hold one retention class each; a change of class begins another.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_retention_class_begins_a_segment() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let mut batches = Vec::new();
    for class in ["default", "default", "long", "long", "default"] {
        let (mut claims, body) = agent.claims(2);
        claims.retention_class = name(class);
        let batch = agent.sign(claims, body);
        agent.set_state((batch.claims.sequence + 1, batch.identity, batch.claims.totals));
        batches.push(batch);
    }
    // In one request, so in one group.
    let batched = agent.send(&running.client, 0, &batches).await;
    let notes: std::collections::BTreeSet<_> =
        batched.results.iter().map(|r| r.as_ref().unwrap().trail.checkpoint.clone()).collect();
    assert_eq!(notes.len(), 1, "one checkpoint for all receipts of a request");
    running.close().await;
    let segments = std::fs::read_dir(home.path().join(format!("trails/{trail}/segments"))).unwrap().count();
    assert_eq!(segments, 3);
    home.assert_verified(&[]);
    let running = home.start().await;
    assert_eq!(running.size(trail), 6);
    agent.send(&running.client, 0, &batches).await;
    running.close().await;
}
