//! What is published: tiles, checkpoints, segments, artefacts, and nothing private.

use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::merkle::{Tree, leaf_hash};
use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::tile::{Tile, push_entry, split_bundle};

use crate::harness::{Home, Running};

async fn checkpoint(home: &Home, running: &Running, trail: TrailId) -> (TreeSize, [u8; 32]) {
    let answer = running.client.get(&format!("/v1/trails/{trail}/checkpoint")).await;
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let note = UnverifiedCheckpoint::decode(&answer.body).unwrap();
    let checkpoint = note.verify(&home.key(), trail).unwrap();
    (checkpoint.size(), checkpoint.root())
}

/// All tiles of a tree, as anybody can compute them from the entries.
fn expected_tiles(entries: &[Vec<u8>]) -> Vec<(Tile, Vec<u8>)> {
    let mut tree = Tree::default();
    entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
    let mut tiles = Vec::new();
    for (number, chunk) in entries.chunks(256).enumerate() {
        let mut bundle = Vec::new();
        chunk.iter().for_each(|entry| push_entry(&mut bundle, entry));
        tiles.push((Tile { level: None, number: number as u64, width: chunk.len() as u16 }, bundle));
    }
    for level in 0..3_u8 {
        for (number, chunk) in tree.level(8 * u32::from(level)).chunks(256).enumerate() {
            let tile = Tile { level: Some(level), number: number as u64, width: chunk.len() as u16 };
            tiles.push((tile, chunk.concat()));
        }
    }
    tiles
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_those_of_the_entries() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let mut sizes = Vec::new();
    for count in [1, 5, 60, 64, 64, 61, 1, 64, 64, 64, 64, 11] {
        let batches: Vec<_> = (0..count).map(|_| agent.batch(0)).collect();
        agent.send(&running.client, 0, &batches).await;
        running.published().await;
        let (size, root) = checkpoint(&home, &running, trail).await;
        assert_eq!(size.0, running.size(trail));
        let entries: Vec<Vec<u8>> =
            crate::control::entries(&home, trail).into_iter().map(|(entry, _)| entry).collect();
        let mut tree = Tree::default();
        entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
        assert_eq!(tree.root_at(size).unwrap(), root);
        for (tile, bytes) in expected_tiles(&entries[..size.0 as usize]) {
            let answer = running.client.get(&format!("/v1/trails/{trail}/{}", tile.path())).await;
            assert_eq!(answer.status, 200, "{}", tile.path());
            assert_eq!(answer.body, bytes, "{}", tile.path());
            let full = tile.width == 256;
            assert_eq!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"), full);
            if tile.level.is_none() {
                assert_eq!(split_bundle(&bytes).unwrap().len(), usize::from(tile.width));
            }
        }
        sizes.push(size.0);
    }
    assert!(sizes.contains(&256) && sizes.contains(&257) && *sizes.last().unwrap() > 512, "{sizes:?}");
    running.close().await;
    home.assert_verified(&[]);

    // Tiles are derived: without them, the next start makes them again.
    let trails = home.path().join("trails");
    std::fs::remove_dir_all(trails.join(trail.to_string()).join("tile")).unwrap();
    let control_tiles = trails.join(home.initialised.control.to_string()).join("tile/0/000.p");
    std::fs::remove_dir_all(control_tiles).unwrap();
    let running = home.start().await;
    let entries: Vec<Vec<u8>> =
        crate::control::entries(&home, trail).into_iter().map(|(entry, _)| entry).collect();
    for (tile, bytes) in expected_tiles(&entries) {
        let answer = running.client.get(&format!("/v1/trails/{trail}/{}", tile.path())).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &bytes[..]), "{}", tile.path());
    }
    running.close().await;
    home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_are_served_up_to_what_is_committed() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<_> = (0..5).map(|_| agent.batch(200)).collect();
    agent.send(&running.client, 0, &batches).await;
    let path = format!("/v1/trails/{trail}/segments/0000000000.seg");
    let answer = running.client.get(&path).await;
    assert_eq!(answer.status, 200);
    let on_disk = std::fs::read(home.path().join(&path[4..])).unwrap();
    assert!(on_disk.len() > answer.body.len(), "preallocated");
    assert_eq!(answer.body, on_disk[..answer.body.len()]);
    assert!(on_disk[answer.body.len()..].iter().all(|byte| *byte == 0));
    let length = answer.body.len();
    for (range, from, to) in [
        ("bytes=0-20", 0, 21),
        ("bytes=21-", 21, length),
        ("bytes=-100", length - 100, length),
        ("bytes=100-99999999", 100, length),
    ] {
        let part = running.client.request(http::Method::GET, &path, &[("range", range)], Vec::new()).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.headers["content-range"], format!("bytes {from}-{}/{length}", to - 1));
        assert_eq!(part.body, answer.body[from..to]);
    }
    let beyond = format!("bytes={length}-");
    let outside = running.client.request(http::Method::GET, &path, &[("range", &beyond)], Vec::new()).await;
    assert_eq!((outside.status.as_u16(), outside.class().as_str()), (416, "range-not-satisfiable"));
    let head = running.client.request(http::Method::HEAD, &path, &[], Vec::new()).await;
    assert_eq!(head.headers["content-length"], length.to_string());
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_ledgers_public_paths_lead_anywhere() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let client = &running.client;
    let hint = client.get("/v1/ledger.json").await;
    let hint: serde_json::Value = serde_json::from_slice(&hint.body).unwrap();
    assert_eq!(hint["control"], home.initialised.control.to_string());
    assert_eq!(hint["vkey"], home.initialised.vkey);
    for path in [
        "/v1/private/checkpoint.key".to_owned(),
        "/private/checkpoint.key".to_owned(),
        "/v1/../private/checkpoint.key".to_owned(),
        "/v1/%2e%2e/private/checkpoint.key".to_owned(),
        "/v1/trails/%2e%2e/private/checkpoint.key".to_owned(),
        format!("/v1/trails/{trail}/tile/../../../private/checkpoint.key"),
        format!("/v1/trails/{trail}/tile/..%2f..%2f..%2fprivate%2fcheckpoint.key"),
        format!("/v1/trails/{trail}/tile/0/0"),
        format!("/v1/trails/{trail}/tile/0/000.p/256"),
        format!("/v1/trails/{trail}/segments/0.seg"),
        format!("/v1/trails/{trail}/segments/..%2fcheckpoint"),
        format!("/v1/trails/{trail}/segments/0000000007.seg"),
        "/v1/artefacts/ab/..%2f..%2fprivate%2flock".to_owned(),
        format!("/v1/artefacts/ab/{}", "cd".repeat(32)),
        format!("/v1/artefacts/cd/{}", "cd".repeat(32)),
        format!("/v1/artefacts/CD/{}", "CD".repeat(32)),
        format!("/v1/trails/{}/checkpoint", trail.to_string().to_uppercase()),
        format!("/v1/trails/{trail}/receipts/{}/0", "ab".repeat(32)),
        format!("/v1/trails/{trail}/receipts/{}/00", "ab".repeat(32)),
        "/nothing".to_owned(),
    ] {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        answer.class();
    }
    let answer = client.get("/v1/challenges").await;
    assert_eq!((answer.status.as_u16(), answer.class().as_str()), (405, "method-not-allowed"));
    assert_eq!(client.get("/healthz").await.text(), "ok\n");
    assert_eq!(client.get("/readyz").await.text(), "ok\n");
    let openapi: serde_json::Value =
        serde_json::from_slice(&client.get("/v1/openapi.json").await.body).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    let status: serde_json::Value = serde_json::from_slice(&client.get("/v1/status").await.body).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["refused"]["not-found"], 19);
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("sealtrail_refused_total{class=\"not-found\"} 19"), "{metrics}");
    running.close().await;
}
