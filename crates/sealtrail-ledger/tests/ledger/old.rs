//! What is not in memory any more is read back, and is not made up where it cannot be.

use std::path::PathBuf;

use sealtrail_core::hash::Hash;
use sealtrail_core::merkle::{Tree, leaf_hash, verify_consistency};
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::receipt::ReceiptFile;
use sealtrail_core::tile::Tile;

use crate::agent::{Agent, Batch};
use crate::client::Answer;
use crate::harness::{Home, Running, fast};

/// Entries of each of two agents: together more than twenty tiles, of which sixteen stay in memory.
const EACH: u64 = 42 * 64;

struct World {
    home: Home,
    running: Running,
    trail: TrailId,
    agents: [Agent; 2],
    batches: [Vec<Batch>; 2],
}

impl World {
    /// A trail in many segments, in which two agents take turns.
    async fn new() -> Self {
        let home = Home::new();
        let running = start(&home).await;
        let trail = running.add(&home, "payments", "web").await;
        let mut agents =
            [home.agent(&running, trail, "web", "a").await, home.agent(&running, trail, "web", "b").await];
        let mut batches = [Vec::new(), Vec::new()];
        for _ in 0..EACH / 64 {
            for (agent, batches) in agents.iter_mut().zip(&mut batches) {
                let new: Vec<_> = (0..64).map(|_| agent.batch(0)).collect();
                agent.send(&running.client, 0, &new).await;
                batches.extend(new);
            }
        }
        running.published().await;
        Self { home, running, trail, agents, batches }
    }

    fn tile(&self, number: u64) -> PathBuf {
        let tile = Tile { level: Some(0), number, width: 256 };
        self.home.path().join("trails").join(self.trail.to_string()).join(tile.path())
    }

    fn segment(&self, number: u64) -> PathBuf {
        let name = sealtrail_core::segment::file_name(number);
        self.home.path().join("trails").join(self.trail.to_string()).join("segments").join(name)
    }

    async fn receipt(&self, agent: usize, sequence: u64) -> Answer {
        let epoch = self.agents[agent].epoch;
        self.running.client.get(&format!("/v1/trails/{}/receipts/{epoch}/{sequence}", self.trail)).await
    }

    async fn assert_receipt(&self, agent: usize, sequence: u64) {
        let answer = self.receipt(agent, sequence).await;
        assert_eq!(answer.status, 200, "{sequence}: {}", answer.text());
        let file = ReceiptFile::decode(&answer.body).unwrap();
        assert_eq!(file.statement, self.batches[agent][sequence as usize].statement, "{sequence}");
        let (key, control) = (self.home.key(), self.home.initialised.control);
        file.receipt.verify(&file.statement, self.trail, &key, control).unwrap();
    }
}

/// The root at a size, from the entries themselves.
fn root_at(home: &Home, trail: TrailId, size: u64) -> Hash {
    let mut tree = Tree::default();
    let entries = crate::control::entries(home, trail);
    entries.iter().take(size as usize).for_each(|(entry, _)| tree.push(leaf_hash(entry)));
    tree.root()
}

async fn start(home: &Home) -> Running {
    let mut config = fast();
    config.storage.segment_bytes = 64 << 10;
    home.start_with(config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_batches_are_found_again_and_come_only_once() {
    let mut world = World::new().await;
    assert!(world.segment(9).exists(), "few segments");
    for sequence in (0..EACH).step_by(97) {
        world.assert_receipt(0, sequence).await;
        world.assert_receipt(1, sequence).await;
    }
    // An agent set back to its beginning sends everything again, and says that it holds an old head.
    let (key, size) = (world.home.key(), world.running.size(world.trail));
    for (held, at) in [(2, 0), (700, 5), (size - 3, 1900)] {
        let batches = &world.batches[1][at..at + 3];
        let batched = world.agents[1].send(&world.running.client, held, batches).await;
        let verified: Vec<_> = (batches.iter().zip(&batched.results))
            .map(|(batch, result)| {
                let receipt = result.as_ref().unwrap();
                let control = world.home.initialised.control;
                receipt.verify(&batch.statement, world.trail, &key, control).unwrap().checkpoint
            })
            .collect();
        let last = &verified[2];
        assert_eq!(last.size().0, size, "a batch was taken twice");
        let old = root_at(&world.home, world.trail, held);
        verify_consistency(TreeSize(held), last.size(), &batched.proof, &old, &last.root()).unwrap();
    }
    // And goes on where it was, in the memory of another process too.
    world.running.close().await;
    world.running = start(&world.home).await;
    for sequence in (0..EACH).step_by(131) {
        world.assert_receipt(1, sequence).await;
    }
    let next = world.agents[1].batch(0);
    world.agents[1].send(&world.running.client, 0, std::slice::from_ref(&next)).await.results[0]
        .as_ref()
        .unwrap();
    world.running.close().await;
    world.home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_tile_makes_no_wrong_proof_and_is_written_anew_at_the_next_start() {
    let mut world = World::new().await;
    let tile = world.tile(0);
    let good = std::fs::read(&tile).unwrap();
    let mut rotten = good.clone();
    rotten[5 * 32] ^= 1;
    std::fs::write(&tile, &rotten).unwrap();
    world.assert_receipt(0, 7).await;
    std::fs::remove_file(&tile).unwrap();
    world.assert_receipt(0, 8).await;
    world.running.close().await;

    std::fs::write(&tile, &rotten).unwrap();
    world.running = start(&world.home).await;
    assert_eq!(std::fs::read(&tile).unwrap(), good);
    world.running.close().await;
    world.home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_cannot_be_read_back_is_unavailable_and_nothing_else() {
    let world = World::new().await;
    std::fs::remove_file(world.tile(0)).unwrap();
    let segment = std::fs::read(world.segment(0)).unwrap();
    let mut rotten = segment.clone();
    rotten[2000..3000].fill(0);
    std::fs::write(world.segment(0), &rotten).unwrap();
    let answer = world.receipt(0, 1).await;
    assert_eq!((answer.status.as_u16(), answer.class().as_str()), (503, "unavailable"));
    let again = world.batches[0][1].clone();
    let refused = world.agents[0].post(&world.running.client, 0, std::slice::from_ref(&again)).await;
    assert_eq!(refused.class(), "unavailable");
    // What is recent needs nothing of it.
    world.assert_receipt(0, EACH - 1).await;
    std::fs::write(world.segment(0), &segment).unwrap();
    world.assert_receipt(0, 1).await;
    world.running.close().await;
    world.home.assert_verified(&[]);
}

/// T27, found in a review: a damaged note made batches that had seen it *refused*, and agents gave them up for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_note_is_unavailable_and_no_refusal() {
    let home = Home::new();
    let running = start(&home).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batch = agent.batch(3);
    running.published().await;
    running.close().await;
    let note = home.path().join(sealtrail_core::artefact::path(&agent.seen.unwrap()));
    let good = std::fs::read(&note).unwrap();
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    std::fs::write(&note, &damaged).unwrap();
    let running = start(&home).await;
    let answer = agent.post(&running.client, 0, std::slice::from_ref(&batch)).await;
    assert_eq!((answer.status.as_u16(), answer.class().as_str()), (503, "unavailable"));
    std::fs::write(&note, &good).unwrap();
    agent.send(&running.client, 0, &[batch]).await.results[0].as_ref().unwrap();
    running.close().await;
    home.assert_verified(&[]);
}
