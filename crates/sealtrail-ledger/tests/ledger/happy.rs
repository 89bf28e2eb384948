//! What goes right.

use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::hash::sha256;
use sealtrail_core::merkle::verify_consistency;
use sealtrail_core::name::TreeSize;
use sealtrail_core::receipt::ReceiptFile;

use sealtrail_core::statement::{Close, CloseReason};

use crate::harness::Home;

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_from_open_to_receipt() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = crate::agent::Agent::new(&home.initialised.name, trail, "web", "a");
    let (open, receipt) = agent.begin(&running.client, &home.attester).await;
    let (key, control) = (home.key(), home.initialised.control);
    let included = receipt.verify(&open.bytes, trail, &key, control).unwrap();
    assert_eq!(included.index.0, 0);

    let mut held = included.checkpoint;
    for round in 0..5 {
        let batches: Vec<_> = (0..3).map(|n| agent.batch(n * 10)).collect();
        let batched = agent.send(&running.client, held.size().0, &batches).await;
        for (batch, result) in batches.iter().zip(&batched.results) {
            let receipt = result.as_ref().unwrap();
            let included = receipt.verify(&batch.statement, trail, &key, control).unwrap();
            assert_eq!(included.index.0, 1 + batch.claims.sequence);
            let new = &included.checkpoint;
            assert_eq!(new.size().0, 1 + (round + 1) * 3);
            verify_consistency(held.size(), new.size(), &batched.proof, &held.root(), &new.root()).unwrap();
        }
        let last = batched.results.last().unwrap().as_ref().unwrap();
        held = UnverifiedCheckpoint::decode(&last.trail.checkpoint).unwrap().verify(&key, trail).unwrap();
        let note = UnverifiedCheckpoint::decode(&batched.note).unwrap().verify(&key, control).unwrap();
        assert!(note.size() > TreeSize(0));
        agent.seen = Some(sha256(&[&batched.note]));
        let artefact = sealtrail_core::artefact::path(&sha256(&[&batched.note]));
        let answer = running.client.get(&format!("/v1/{artefact}")).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &batched.note[..]));
    }

    running.published().await;
    let path = format!("/v1/trails/{trail}/receipts/{}/7", agent.epoch);
    let answer = running.client.get(&path).await;
    assert_eq!(answer.status, 200);
    let file = ReceiptFile::decode(&answer.body).unwrap();
    assert!(file.receipt.control.is_some());
    file.receipt.verify(&file.statement, trail, &key, control).unwrap();
    let close = agent.close(Close { reason: CloseReason::Stop, successor: None });
    agent.send(&running.client, 0, &[close]).await;
    running.close().await;
    let verdict = home.assert_verified(&[]);
    assert_eq!((verdict.covered.trails, verdict.covered.epochs), (2, 3));
    assert_eq!(verdict.trails[1].records, 5 * 30);
}
