//! Starting again after a stop of any kind.

use std::path::Path;

use sealtrail_core::name::{TrailId, TreeSize};
use sealtrail_core::receipt::Receipt;
use sealtrail_core::segment::{ITEM_HEAD_BYTES, IndexPair, ItemHead, ItemKind, MAGIC, file_end};
use sealtrail_ledger::{Ledger, LedgerError, StartError};

use crate::agent::Batch;
use crate::harness::{Home, fast};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_stopped() {
    let home = Home::new();
    let mut config = fast();
    config.storage.segment_bytes = 64 << 10;
    let running = home.start_with(config.clone()).await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let mut all: Vec<(Batch, Receipt)> = Vec::new();
    running.close().await;
    for round in 0..7 {
        let running = home.start_with(config.clone()).await;
        for _ in 0..6 {
            let batch = agent.batch(200);
            let batched = agent.send(&running.client, 0, std::slice::from_ref(&batch)).await;
            all.push((batch, batched.results[0].clone().unwrap()));
        }
        let sent: Vec<Batch> = all.iter().map(|(batch, _)| batch.clone()).collect();
        // Everything acknowledged is still in its place.
        let again = agent.send(&running.client, 0, &sent).await;
        for ((batch, receipt), again) in all.iter().zip(&again.results) {
            let again = again.as_ref().unwrap();
            assert_eq!((again.trail.index, again.ledger_part), (receipt.trail.index, receipt.ledger_part));
            again.verify(&batch.statement, trail, &home.key(), home.initialised.control).unwrap();
        }
        if round % 2 == 0 { running.close().await } else { running.abandon().await }
    }
    let segments = std::fs::read_dir(home.path().join(format!("trails/{trail}/segments"))).unwrap().count();
    assert!(segments >= 3, "{segments}");
    home.assert_verified(&["dirty-end"]);
}

/// T28: whatever a crash leaves after the last durable entry, nothing acknowledged is lost and the tree stays linear.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_off() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let kept: Vec<Batch> = (0..3).map(|n| agent.batch(n * 20)).collect();
    agent.send(&running.client, 0, &kept).await;
    running.published().await;
    let path = format!("trails/{trail}/segments/0000000000.seg");
    let committed = running.client.get(&format!("/v1/{path}")).await.body.len();
    // As on a disk after a crash: published up to here, one more group on its way.
    let before = home.dir.path().join("before");
    copy(&home.path(), &before);
    let last = agent.batch(90);
    agent.send(&running.client, 0, std::slice::from_ref(&last)).await;
    let end = running.client.get(&format!("/v1/{path}")).await.body.len();
    running.abandon().await;
    let whole = std::fs::read(home.path().join(&path)).unwrap();
    assert!(whole.len() >= end, "{} {end}", whole.len());

    let mut offsets: Vec<usize> = (committed..end).step_by(211).collect();
    offsets.extend([committed, committed + 1, committed + 4, committed + 9, end - 1, end]);
    let mut cases = 0;
    for (number, offset) in offsets.into_iter().enumerate() {
        for garble in [false, true] {
            let copied = home.dir.path().join(format!("torn-{number}-{garble}"));
            copy(&before, &copied);
            let mut bytes = whole[..end].to_vec();
            if garble {
                // Sectors reached the disk in another order: a hole of zeros inside the group.
                let sector = offset.next_multiple_of(512).min(end / 512 * 512)..end;
                bytes[sector].iter_mut().take(512).for_each(|byte| *byte = 0);
            } else {
                bytes.truncate(offset);
            }
            let torn = (offset < end || garble) && bytes[committed..].iter().any(|byte| *byte != 0);
            bytes.resize(1 << 20, 0);
            std::fs::write(copied.join(&path), &bytes).unwrap();
            let running = home.start_in(&copied, fast(), sealtrail_ledger::env::Environment::system()).await;
            let size = running.size(trail);
            let intact = offset >= end && !garble;
            assert_eq!(size, if intact { 5 } else { 4 }, "offset {offset} of {committed}..{end}, {garble}");
            agent.send(&running.client, 0, &kept).await;
            assert_eq!(running.size(trail), size, "nothing acknowledged was lost");
            agent.send(&running.client, 0, std::slice::from_ref(&last)).await;
            assert_eq!(running.size(trail), 5);
            running.close().await;
            let moved = Home { dir: tempfile::TempDir::new().unwrap(), ..home_of(&home) };
            copy(&copied, &moved.path());
            // The agent's epoch goes on, the control epoch before this one was cut short.
            let verdict = moved.verify();
            assert!(verdict.error_classes().is_empty(), "{:#?}", verdict.findings);
            let started = crate::control::records(&moved, "sealtrail.ledger.started");
            let recovered = started.last().unwrap()["attributes"]["recovered.bytes"].as_u64().unwrap();
            assert_eq!(recovered > 0, torn, "{recovered} at {offset}, {garble}");
            std::fs::remove_dir_all(copied).unwrap();
            cases += 1;
        }
    }
    println!("{cases} torn tails recovered");
}

fn home_of(home: &Home) -> Home {
    Home {
        dir: tempfile::TempDir::new().unwrap(),
        initialised: home.initialised.clone(),
        attester: home.attester.clone(),
    }
}

/// T27, found in a review: a start cut off all that stood behind one damaged entry, published and acknowledged, before it
/// saw that this was too little and refused to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_refused_changes_nothing() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    for _ in 0..2 {
        let batches: Vec<Batch> = (0..6).map(|n| agent.batch(n * 5)).collect();
        agent.send(&running.client, 0, &batches).await;
    }
    running.published().await;
    let last: Vec<Batch> = (0..3).map(|n| agent.batch(n * 5)).collect();
    agent.send(&running.client, 0, &last).await;
    running.abandon().await;
    // What is published of a body is for verifiers to judge, and the last entry may be an unfinished write.
    let [refused, started, shorter] = flip_segments(&home, trail);
    println!(
        "killed: {refused} starts refused, nothing changed; {started} went on, {shorter} without the last entry"
    );
    assert!(refused > started);
    home.start().await.close().await;
    let [refused, started, shorter] = flip_segments(&home, trail);
    println!(
        "stopped: {refused} starts refused, nothing changed; {started} went on, {shorter} without the last entry"
    );
    assert!(refused > started && shorter == 0);
}

/// Flips bits in the last segments of two trails, one at a time, and opens the ledger: how many starts were refused, how many
/// went on, and how many of these with less than there was.
fn flip_segments(home: &Home, trail: TrailId) -> [usize; 3] {
    let all = contents(&home.path());
    let (mut refused, mut started, mut shorter) = (0, 0, 0);
    for id in [trail, home.initialised.control] {
        let path = format!("trails/{id}/segments/0000000000.seg");
        let whole = std::fs::read(home.path().join(&path)).unwrap();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for at in (0..used).step_by(197).chain((used - 300..used).step_by(23)) {
            let damaged = home_of(home);
            copy(&home.path(), &damaged.path());
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(damaged.path().join(&path), &bytes).unwrap();
            match Ledger::open(&damaged.path(), fast()) {
                Err(_) => {
                    let mut expected = all.clone();
                    expected.insert(path.clone().into(), bytes);
                    assert!(
                        contents(&damaged.path()) == expected,
                        "byte {at} of `{path}` was refused too late"
                    );
                    refused += 1;
                }
                Ok(ledger) => {
                    ledger.close().unwrap();
                    let after = std::fs::read(damaged.path().join(&path)).unwrap();
                    shorter += usize::from(!after.starts_with(&bytes[..used]));
                    started += 1;
                }
            }
        }
    }
    [refused, started, shorter]
}

/// Every file below a directory but the lock, with what it holds.
fn contents(directory: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().to_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// What was cut off does not come back when what stood before it is written again.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_tail_stays_cut() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    running.published().await;
    let path = format!("trails/{trail}/segments/0000000000.seg");
    let committed = running.client.get(&format!("/v1/{path}")).await.body.len();
    let before = home_of(&home);
    copy(&home.path(), &before.path());
    let group: Vec<Batch> = (0..2).map(|_| agent.batch(40)).collect();
    agent.send(&running.client, 0, &group).await;
    running.abandon().await;
    // Of a group of two the first did not reach the disk whole, the second did.
    let mut bytes = std::fs::read(home.path().join(&path)).unwrap();
    let sector = committed.next_multiple_of(512);
    bytes[sector..sector + 512].fill(0);
    bytes.resize(1 << 20, 0);
    std::fs::write(before.path().join(&path), bytes).unwrap();
    let running = before.start().await;
    assert_eq!(running.size(trail), 1);
    agent.send(&running.client, 0, &group[..1]).await;
    running.published().await;
    // The machine is switched off again: nothing is given back, nothing closed.
    let after = home_of(&home);
    copy(&before.path(), &after.path());
    running.abandon().await;
    let running = after.start().await;
    assert_eq!(running.size(trail), 2, "the second was never acknowledged");
    agent.send(&running.client, 0, &group).await;
    assert_eq!(running.size(trail), 3);
    running.close().await;
    after.assert_verified(&["dirty-end"]);
}

/// An index that was not written to its end is cut off, and the segment goes on being written; a whole one ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_index_is_cut_off() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<Batch> = (0..4).map(|n| agent.batch(n)).collect();
    agent.send(&running.client, 0, &batches).await;
    running.close().await;
    let segments = format!("trails/{trail}/segments");
    let written = std::fs::read(home.path().join(&segments).join("0000000000.seg")).unwrap();
    // What finishing the segment would append.
    let (mut at, mut body, mut pairs) = (MAGIC.len(), 0, Vec::new());
    while at < written.len() {
        let head = written[at..at + ITEM_HEAD_BYTES].try_into().unwrap();
        let head = ItemHead::decode(head).unwrap().unwrap();
        match head.kind {
            ItemKind::Body => body = at as u64,
            ItemKind::Entry => {
                pairs.push(IndexPair { body: std::mem::take(&mut body), entry: at as u64 });
            }
            ItemKind::Header | ItemKind::Index => {}
        }
        at += ITEM_HEAD_BYTES + head.length as usize;
    }
    assert_eq!(pairs.len(), 5);
    let end = file_end(&pairs, written.len() as u64);
    let next = agent.batch(3);
    for cut in [1, 4, 5, 9, 30, end.len() - 17, end.len() - 16, end.len() - 8, end.len() - 1, end.len()] {
        let copied = home_of(&home);
        copy(&home.path(), &copied.path());
        let path = copied.path().join(&segments);
        let mut bytes = [&written[..], &end[..cut]].concat();
        if cut < end.len() {
            // The file has its final length before the index is written.
            bytes.resize(written.len() + end.len(), 0);
        }
        std::fs::write(path.join("0000000000.seg"), bytes).unwrap();
        let running = copied.start().await;
        assert_eq!(running.size(trail), 5, "cut at {cut}");
        agent.send(&running.client, 0, &batches).await;
        agent.send(&running.client, 0, std::slice::from_ref(&next)).await;
        running.close().await;
        assert_eq!(std::fs::read_dir(path).unwrap().count(), if cut < end.len() { 1 } else { 2 });
        copied.assert_verified(&[]);
    }
}

/// Without its checkpoint nobody can tell whether a trail was rolled back.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_foreign_checkpoint_does_not_start() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    running.close().await;
    let path = home.path().join(format!("trails/{trail}/checkpoint"));
    let note = std::fs::read(&path).unwrap();
    let control = home.path().join(format!("trails/{}/checkpoint", home.initialised.control));
    let foreign = std::fs::read(control).unwrap();
    for bad in [None, Some(Vec::new()), Some(note[..note.len() - 3].to_vec()), Some(foreign)] {
        match bad {
            None => std::fs::remove_file(&path).unwrap(),
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        }
        let error = Ledger::open(&home.path(), fast()).unwrap_err();
        assert!(matches!(error, LedgerError::Start(StartError::Checkpoint { .. })), "{error}");
    }
    std::fs::write(&path, note).unwrap();
    home.start().await.close().await;
    home.assert_verified(&[]);
}

/// T07: an older copy under a newer checkpoint, or under a newer control trail, does not start.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_does_not_start() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let batches: Vec<Batch> = (0..3).map(|_| agent.batch(5)).collect();
    agent.send(&running.client, 0, &batches).await;
    running.published().await;
    let old = home.dir.path().join("old");
    copy(&home.path(), &old);
    let more: Vec<Batch> = (0..4).map(|_| agent.batch(5)).collect();
    agent.send(&running.client, 0, &more).await;
    running.published().await;
    running.close().await;

    let segments = format!("trails/{trail}/segments");
    let restored = home.dir.path().join("restored");
    let restore = |what: &[String]| {
        let _ = std::fs::remove_dir_all(&restored);
        copy(&home.path(), &restored);
        for path in what {
            let (from, to) = (old.join(path), restored.join(path));
            if from.is_dir() {
                std::fs::remove_dir_all(&to).unwrap();
                copy(&from, &to);
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
        Ledger::open(&restored, fast()).unwrap_err()
    };
    let error = restore(std::slice::from_ref(&segments));
    assert_eq!(
        error.to_string(),
        format!("trail `{trail}` has `4` entries, and `8` were published: rolled back or damaged")
    );
    // With its checkpoint as well: the control trail still knows better.
    let error = restore(&[segments.clone(), format!("trails/{trail}/checkpoint")]);
    let rolled_back =
        LedgerError::Start(StartError::RolledBack { trail, found: TreeSize(4), published: TreeSize(8) });
    assert_eq!(error.to_string(), rolled_back.to_string());
    // The control trail itself.
    let control = home.initialised.control;
    let error = restore(&[format!("trails/{control}/segments")]);
    assert!(matches!(error, LedgerError::Start(StartError::RolledBack { .. })), "{error}");
    // Entries that are not those that were published.
    let path = restored.join(&segments).join("0000000000.seg");
    copy(&home.path(), &restored);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(4).rposition(|w| w == b"web\x05" || w == [0x63, b'w', b'e', b'b']).unwrap();
    bytes[at + 3] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = Ledger::open(&restored, fast()).unwrap_err();
    assert!(matches!(error, LedgerError::Start(_)), "{error}");

    // The real one is none the worse.
    let running = home.start().await;
    assert_eq!(running.size(trail), 8);
    running.close().await;
    home.assert_verified(&[]);
}

#[test]
fn what_is_no_ledger_is_not_opened() {
    let dir = tempfile::TempDir::new().unwrap();
    let error = Ledger::open(dir.path(), fast()).unwrap_err();
    assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
    let home = Home::new();
    let options = sealtrail_ledger::InitOptions { name: home.initialised.name.clone() };
    let error = Ledger::init(&home.path(), &options).unwrap_err();
    assert!(matches!(error, LedgerError::NotEmpty(_)), "{error}");
    let config = sealtrail_ledger::Config { listen: ([0, 0, 0, 0], 80).into(), ..fast() };
    let error = Ledger::open(&home.path(), config).unwrap_err();
    assert!(error.to_string().contains("cannot listen on `0.0.0.0:80`: only loopback"), "{error}");
    let config: Result<sealtrail_ledger::Config, _> =
        toml::from_str("listen = \"127.0.0.1:1\"\nsurprise = 1");
    assert!(config.is_err());
    let config: sealtrail_ledger::Config = toml::from_str("[storage]\nsegment_bytes = 65536").unwrap();
    assert_eq!(config.storage.segment_bytes, 65536);
    assert_eq!(config.http, sealtrail_ledger::Config::default().http);
    // Somebody else could read the key.
    let key = home.path().join("private/checkpoint.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = Ledger::open(&home.path(), fast()).unwrap_err();
    assert!(matches!(error, LedgerError::KeyFile(_)), "{error}");
}
