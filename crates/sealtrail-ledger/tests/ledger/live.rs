//! A ledger that is being written to, seen by an auditor; bodies the ledger cannot read; time that passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sealtrail_core::body::BodyKey;
use sealtrail_core::hash::sha256;
use sealtrail_core::statement::{Close, CloseReason};
use sealtrail_ledger::env::{Clock, Environment, SystemClock};
use sealtrail_verify::{Directory, Options, Outcome, verify};

use crate::agent::{Batched, request};
use crate::harness::{Home, Running, fast};

/// An auditor who reads the directory while it changes finds nothing wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_verifies_at_any_moment() {
    let home = Arc::new(Home::new());
    let mut config = fast();
    config.storage.segment_bytes = 128 << 10;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let client = running.client.clone();
    let writer = tokio::spawn(async move {
        let mut sent = 0;
        let began = std::time::Instant::now();
        while began.elapsed() < std::time::Duration::from_secs(3) {
            let batches: Vec<_> = (0..8).map(|n| agent.batch(n * 9)).collect();
            let batched = agent.send(&client, 0, &batches).await;
            agent.seen = Some(sha256(&[&batched.note]));
            sent += 8;
        }
        sent
    });
    let mut verdicts = 0;
    let mut records = 0;
    while !writer.is_finished() {
        let auditor = home.clone();
        let verdict = tokio::task::spawn_blocking(move || auditor.verify()).await.unwrap();
        assert_eq!(verdict.outcome, Outcome::Verified, "{:#?}", verdict.findings);
        assert!(verdict.covered.records >= records, "an auditor never sees less than before");
        records = verdict.covered.records;
        verdicts += 1;
    }
    println!("{verdicts} verdicts while {} batches were written", writer.await.unwrap());
    assert!(verdicts >= 2 && records > 0);
    running.close().await;
    home.assert_verified(&[]);
}

/// What is encrypted is kept as it is: its hash is checked, its lines are the agent's secret.
#[tokio::test(flavor = "multi_thread")]
async fn encrypted_bodies_are_kept() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let key = BodyKey::new(&[3; 32]).unwrap();
    let (mut claims, frame) = agent.claims(20);
    let (stored, encryption) =
        key.encrypt(&frame, [1; 12], &claims.place, claims.epoch, claims.sequence).unwrap();
    claims.encryption = Some(encryption);
    claims.stored_length = stored.len() as u32;
    claims.stored_hash = sha256(&[&stored]);
    let batch = agent.sign(claims, stored.clone());
    agent.send(&running.client, 0, std::slice::from_ref(&batch)).await;
    let mut flipped = stored;
    flipped[0] ^= 1;
    let bad = crate::agent::Batch { body: flipped, ..batch };
    assert_eq!(agent.post(&running.client, 0, &[bad]).await.class(), "stored-hash-mismatch");
    running.close().await;
    let options = Options { body_keys: vec![key], ..Options::default() };
    let verdict = verify(&Directory(home.path()), Some(home.policy().as_bytes()), options);
    assert_eq!(verdict.outcome, Outcome::Verified, "{:#?}", verdict.findings);
    assert_eq!(verdict.trails[1].records, 20);
}

/// A clock that is set by hand.
struct HandClock {
    system: SystemClock,
    ahead_ns: AtomicU64,
}

impl Clock for HandClock {
    fn wall_ns(&self) -> u64 {
        self.system.wall_ns() + self.ahead_ns.load(Ordering::Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        self.system.monotonic_ns() + self.ahead_ns.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_ends_challenges_and_segments() {
    const MINUTE_NS: u64 = 60_000_000_000;
    let clock = Arc::new(HandClock { system: SystemClock::default(), ahead_ns: AtomicU64::new(0) });
    let env = Environment { clock: clock.clone(), ..Environment::system() };
    let home = Home::new();
    let mut config = fast();
    config.storage.segment_window_ms = 60 * 60 * 1000;
    config.hole_window_ms = 60_000;
    let running = home.start_in(&home.path(), config.clone(), env.clone()).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let segments = home.path().join(format!("trails/{trail}/segments"));
    let count = || std::fs::read_dir(&segments).unwrap().count();

    // A challenge lives for 300 s.
    let stale = crate::agent::Agent::new(&home.initialised.name, trail, "web", "late");
    let challenge = stale.challenge(&running.client).await.challenge;
    clock.ahead_ns.fetch_add(5 * MINUTE_NS + 1, Ordering::Relaxed);
    let (open, evidence) = stale.open(&home.attester, stale.open_claims(challenge, None));
    let answer = stale.post_open(&running.client, &open.bytes, &evidence).await;
    assert_eq!(answer.class(), "challenge-stale");
    // A hole is waited for exactly as long as configured.
    let batches: Vec<_> = (0..3).map(|_| agent.batch(1)).collect();
    for (forward, status) in [(0, 409), (MINUTE_NS - 1_000_000_000, 409), (2_000_000_000, 200)] {
        clock.ahead_ns.fetch_add(forward, Ordering::Relaxed);
        let answer = running.client.post(&agent.path(), request(0, &batches[2..])).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(count(), 1);
    // An hour after its first entry a segment is finished.
    clock.ahead_ns.fetch_add(56 * MINUTE_NS, Ordering::Relaxed);
    agent.send(&running.client, 0, &batches[..1]).await;
    assert_eq!(count(), 2);
    agent.send(&running.client, 0, &batches[1..2]).await;
    assert_eq!(count(), 2);
    running.close().await;
    // Also across a restart.
    clock.ahead_ns.fetch_add(61 * MINUTE_NS, Ordering::Relaxed);
    let running = home.start_in(&home.path(), config, env).await;
    let batch = agent.batch(1);
    let answer = running.client.post(&agent.path(), request(0, &[batch])).await;
    assert!(Batched::decode(&answer.body).results[0].is_ok());
    assert_eq!(count(), 3);
    running.close().await;
    let verdict = home.verify();
    assert!(verdict.error_classes().is_empty(), "{:#?}", verdict.findings);
}

/// T03: an enclave that is cut off is silent, and the ledger says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_falls_silent_is_named_until_it_comes_again() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let clock = Arc::new(HandClock { system: SystemClock::default(), ahead_ns: AtomicU64::new(0) });
    let env = Environment { clock: clock.clone(), ..Environment::system() };
    let home = Home::new();
    let mut running = home.start_in(&home.path(), fast(), env.clone()).await;
    let trail = running.add(&home, "payments", "web").await;
    // Heartbeats are due every hour.
    let mut agents = Vec::new();
    for name in ["cut-off", "well", "closed"] {
        agents.push(home.agent(&running, trail, "web", name).await);
    }
    let close = agents[2].close(Close { reason: CloseReason::Stop, successor: None });
    agents[2].send(&running.client, 0, &[close]).await;
    let forward = |hours: u64| clock.ahead_ns.fetch_add(hours * HOUR_NS, Ordering::Relaxed);
    forward(2);
    for agent in &mut agents[..2] {
        let batch = agent.batch(1);
        agent.send(&running.client, 0, &[batch]).await;
    }
    forward(2);
    let batch = agents[1].batch(1);
    agents[1].send(&running.client, 0, &[batch]).await;
    assert_eq!(silent(&running).await, Vec::<String>::new());
    forward(2);
    assert_eq!(silent(&running).await, ["cut-off"]);
    // An agent cannot be heard by a ledger that is not there: the time begins anew.
    running.close().await;
    forward(1);
    running = home.start_in(&home.path(), fast(), env).await;
    assert_eq!(silent(&running).await, Vec::<String>::new());
    forward(4);
    assert_eq!(silent(&running).await, ["cut-off", "well"]);
    let batch = agents[0].batch(1);
    agents[0].send(&running.client, 0, &[batch]).await;
    assert_eq!(silent(&running).await, ["well"]);
    let close = agents[1].close(Close { reason: CloseReason::Stop, successor: None });
    agents[1].send(&running.client, 0, &[close]).await;
    assert_eq!(silent(&running).await, Vec::<String>::new());
    running.close().await;
}

/// The instances that the ledger calls silent; its metric counts as many.
async fn silent(running: &Running) -> Vec<String> {
    let status: serde_json::Value =
        serde_json::from_slice(&running.client.get("/v1/status").await.body).unwrap();
    let trail = &status["trails"][1];
    let names: Vec<String> = trail["silent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|silent| {
            assert!(silent["seconds"].as_u64().unwrap() > 3 * 3600 && silent["stream"] == "web");
            silent["instance"].as_str().unwrap().to_owned()
        })
        .collect();
    let metrics = running.client.get("/metrics").await.text();
    assert!(metrics.contains(&format!("\nsealtrail_silent_instances {}\n", names.len())), "{metrics}");
    names
}
