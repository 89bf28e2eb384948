//! Many at once: replays, parallel agents, two processes.

use std::collections::BTreeSet;

use sealtrail_ledger::Ledger;

use crate::agent::{Batched, request};
use crate::harness::{Home, fast};

/// T10: the same batch a thousand times at once makes the tree grow by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_batch_is_entered_once() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let before = running.size(trail);
    let batch = agent.batch(50);
    let body = request(0, std::slice::from_ref(&batch));
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (client, path, body) = (running.client.clone(), agent.path(), body.clone());
        posts.spawn(async move {
            loop {
                let answer = client.post(&path, body.clone()).await;
                // More than the ledger has connections or memory for: what a client then does is come back.
                if answer.status != 503 {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
    }
    let (key, control) = (home.key(), home.initialised.control);
    let mut leaves = BTreeSet::new();
    let mut parts = Vec::new();
    while let Some(answer) = posts.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let batched = Batched::decode(&answer.body);
        let receipt = batched.results[0].as_ref().unwrap();
        leaves.insert(receipt.verify(&batch.statement, trail, &key, control).unwrap().index);
        parts.push(receipt.ledger_part);
    }
    assert_eq!(parts.len(), 1000);
    assert_eq!(leaves.len(), 1);
    assert!(parts.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(running.size(trail), before + 1);
    let status = running.ledger.status();
    assert_eq!((status.admitted, status.repeated), (2, 999));
    running.close().await;
    home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_several_trails_write_at_once() {
    let home = Home::new();
    let running = home.start().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let stream = format!("stream-{number}");
        let trail = running.add(&home, &format!("trail-{number}"), &stream).await;
        for instance in ["a", "b", "c"] {
            let mut agent = home.agent(&running, trail, &stream, instance).await;
            let client = running.client.clone();
            tasks.spawn(async move {
                let mut held = 0;
                for _ in 0..15 {
                    let batches: Vec<_> = (0..4).map(|n| agent.batch(n)).collect();
                    let batched = agent.send(&client, held, &batches).await;
                    held = batched.results[3].as_ref().unwrap().trail.index.0 + 1;
                }
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let sizes: Vec<u64> = running.ledger.status().trails.iter().skip(1).map(|t| t.size).collect();
    assert_eq!(sizes, [3 * 61; 4]);
    running.close().await;
    let verdict = home.assert_verified(&[]);
    assert_eq!(verdict.trails.iter().skip(1).map(|t| t.records).sum::<u64>(), 12 * 15 * 6);
}

/// T30: one process writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_told_who_writes() {
    let home = Home::new();
    let running = home.start().await;
    let error = Ledger::open(&home.path(), fast()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("in use by process `{}`", std::process::id())), "{text}");
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batch = agent.batch(3);
    agent.send(&running.client, 0, &[batch]).await;
    running.close().await;
    // Afterwards the directory is free.
    let running = home.start().await;
    running.close().await;
    home.assert_verified(&[]);
}
