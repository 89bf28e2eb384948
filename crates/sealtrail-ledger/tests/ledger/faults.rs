//! Power failures at any moment, disks that fail and fill up (T28, T29).

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sealtrail_core::entry::LedgerPart;
use sealtrail_core::name::TrailId;
use sealtrail_ledger::env::Environment;
use sealtrail_ledger::{Config, InitOptions, Ledger};
use sealtrail_testkit::disk::{Op, SimDisk};
use sealtrail_verify::{Directory, Options, verify};

use crate::agent::{Agent, Attester, Batch, Batched, Challenged, name};
use crate::harness::{Home, Running, fast, serve};

fn environment(disk: &SimDisk) -> Environment {
    Environment { disk: Arc::new(disk.clone()), ..Environment::system() }
}

/// A ledger on a simulated disk. Its key and lock are real files.
fn home_on(disk: &SimDisk) -> Home {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("ledger");
    std::fs::create_dir_all(path.join("private")).unwrap();
    let ledger = sealtrail_core::name::LedgerName::new("localhost/test").unwrap();
    let initialised = Ledger::init_with(&path, &InitOptions { name: ledger }, environment(disk)).unwrap();
    Home { dir, initialised, attester: Attester::new() }
}

fn small() -> Config {
    let mut config = fast();
    config.storage.segment_bytes = 64 << 10;
    config.storage.control_segment_bytes = 64 << 10;
    config
}

async fn start(home: &Home, disk: &SimDisk, config: Config) -> Option<Running> {
    let (path, env) = (home.path(), environment(disk));
    let opened = tokio::task::spawn_blocking(move || Ledger::open_with(&path, config, env)).await.unwrap();
    match opened {
        Ok(ledger) => Some(serve(ledger).await),
        Err(_) => None,
    }
}

/// What the ledger acknowledged.
#[derive(Default)]
struct Acknowledged {
    batches: Vec<(Batch, u64, LedgerPart)>,
    trail: Option<TrailId>,
}

/// Adds a trail, begins an epoch, sends batches, until something fails. `sent` is everything that was ever sent.
async fn work(
    home: &Home,
    running: &Running,
    agent: &mut Option<Agent>,
    sent: &mut Vec<Batch>,
    acknowledged: &mut Acknowledged,
) -> Option<()> {
    let ledger = running.ledger.clone();
    let accept = home.attester.accept();
    let trail = tokio::task::spawn_blocking(move || {
        let trail = match ledger.trails().first() {
            Some((trail, _)) => *trail,
            None => ledger.add_trail(&name("payments"), &name("default")).ok()?,
        };
        if !ledger.has_stream(&name("web"), trail) {
            ledger.add_stream(&name("web"), trail, vec![accept]).ok()?;
        }
        Some(trail)
    });
    let trail = trail.await.unwrap()?;
    acknowledged.trail = Some(trail);
    if agent.is_none() {
        let mut fresh = Agent::new(&home.initialised.name, trail, "web", "a");
        let answer = fresh.ask_challenge(&running.client).await;
        if answer.status != 200 {
            return None;
        }
        let challenged = Challenged::decode(&answer.body);
        let last = challenged.last.map(|(epoch, sequence, identity)| {
            let known = sealtrail_core::statement::Known::Ledger;
            sealtrail_core::statement::Predecessor { epoch, sequence, identity, known }
        });
        let (open, evidence) = fresh.open(&home.attester, fresh.open_claims(challenged.challenge, last));
        let answer = fresh.post_open(&running.client, &open.bytes, &evidence).await;
        if answer.status != 201 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            return None;
        }
        fresh.enter(open.identity);
        *agent = Some(fresh);
    }
    let agent = agent.as_mut()?;
    while sent.len() < 14 {
        let records = if sent.len().is_multiple_of(3) { 0 } else { 600 };
        sent.push(agent.batch(records));
    }
    for batch in &sent[acknowledged.batches.len()..] {
        let answer = agent.post(&running.client, 0, std::slice::from_ref(batch)).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            return None;
        }
        let batched = Batched::decode(&answer.body);
        let receipt = batched.results[0].as_ref().unwrap();
        acknowledged.batches.push((batch.clone(), receipt.trail.index.0, receipt.ledger_part));
    }
    Some(())
}

/// Everything acknowledged stands where it was.
async fn check(running: &Running, agent: &Agent, acknowledged: &Acknowledged) {
    for (batch, index, part) in &acknowledged.batches {
        let batched = agent.send(&running.client, 0, std::slice::from_ref(batch)).await;
        let receipt = batched.results[0].as_ref().unwrap();
        assert_eq!((receipt.trail.index.0, &receipt.ledger_part), (*index, part));
    }
}

fn verified(home: &Home, disk: &SimDisk) {
    let dump = tempfile::TempDir::new().unwrap();
    disk.dump(&home.path(), dump.path());
    let verdict =
        verify(&Directory(dump.path().to_owned()), Some(home.policy().as_bytes()), Options::default());
    assert!(verdict.error_classes().is_empty(), "{:#?}", verdict.findings);
}

/// T28: switched off at every so many-th operation on the disk, then switched on again.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_failure_at_any_moment_loses_nothing_acknowledged() {
    let base = SimDisk::new();
    let home = home_on(&base);
    // How many operations a run without failures takes.
    let whole = base.snapshot();
    let running = start(&home, &whole, small()).await.unwrap();
    let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
    work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
    running.published().await;
    running.close().await;
    verified(&home, &whole);
    let total = whole.operations();
    let (mut runs, mut before_start, mut acknowledged_total) = (0, 0, 0);
    let mut at = 1;
    while at < total {
        let disk = base.snapshot();
        disk.die_at(at);
        let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
        match start(&home, &disk, small()).await {
            None => before_start += 1,
            Some(running) => {
                work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await;
                running.abandon().await;
            }
        }
        acknowledged_total += acknowledged.batches.len();
        let disk = disk.crashed(at);
        let running = start(&home, &disk, small()).await.expect("a ledger starts after a power failure");
        if let Some(agent) = &agent {
            check(&running, agent, &acknowledged).await;
        }
        work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
        check(&running, agent.as_ref().unwrap(), &acknowledged).await;
        // 14 batches, an open, and perhaps one more that nobody was told of.
        let size = running.size(acknowledged.trail.unwrap());
        assert!((15..=16).contains(&size), "{size} at {at}");
        running.close().await;
        verified(&home, &disk);
        runs += 1;
        at += 1 + total / 80;
    }
    println!(
        "{runs} power failures over {total} operations, {before_start} before the start was over, {acknowledged_total} batches acknowledged before"
    );
    assert!(acknowledged_total > 50);
}

/// T29: a sync that fails stops all writing for good; a new process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_stops_writing() {
    for (op, kind) in [
        (Op::Sync, ErrorKind::Other),
        (Op::Write, ErrorKind::Other),
        (Op::Write, ErrorKind::StorageFull),
        (Op::Sync, ErrorKind::StorageFull),
    ] {
        let disk = SimDisk::new();
        let home = home_on(&disk);
        let running = start(&home, &disk, small()).await.unwrap();
        let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
        work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
        running.published().await;
        let trail = acknowledged.trail.unwrap();
        let segments = format!("trails/{trail}/segments/");
        let hit = segments.clone();
        disk.set_fault(move |found, path: &Path, _| {
            // A segment is written under its scratch name first and keeps it as far as this disk is concerned.
            let segment =
                path.to_string_lossy().contains(&hit) || path.extension().is_some_and(|e| e == "tmp");
            (found == op && segment).then_some(kind)
        });
        let agent = agent.as_mut().unwrap();
        let batch = agent.batch(10);
        let answer = agent.post(&running.client, 0, std::slice::from_ref(&batch)).await;
        assert_eq!((answer.status.as_u16(), answer.class().as_str()), (503, "unavailable"));
        assert_eq!(answer.headers["retry-after"], "1");
        // Asking again helps nobody, even when the disk says it is well.
        disk.heal();
        let answer = agent.post(&running.client, 0, std::slice::from_ref(&batch)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(running.client.get("/readyz").await.status, 503);
        assert_eq!(running.client.get("/healthz").await.status, 200);
        let status = running.ledger.status();
        assert!(!status.ready && status.failure.is_some(), "{status:?}");
        assert_eq!(running.size(trail), 15);
        running.abandon().await;
        // Unsynced writes are lost or not; either way the ledger starts and what was acknowledged is there.
        let disk = disk.crashed(7);
        let running = start(&home, &disk, small()).await.unwrap();
        check(&running, agent, &acknowledged).await;
        agent.send(&running.client, 0, &[batch]).await;
        assert_eq!(running.size(trail), 16);
        running.close().await;
        verified(&home, &disk);
    }
}

/// T29: the same for files that are derived, like checkpoints; there a full disk is waited out.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_stops_writing_unless_the_disk_is_full() {
    for (kind, stops) in [(ErrorKind::Other, true), (ErrorKind::StorageFull, false)] {
        let disk = SimDisk::new();
        let home = home_on(&disk);
        let running = start(&home, &disk, small()).await.unwrap();
        let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
        work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
        running.published().await;
        let published = format!("trails/{}", acknowledged.trail.unwrap());
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = hits.clone();
        disk.set_fault(move |op, path: &Path, _| {
            let hit = op == Op::SyncDir && path.ends_with(&published);
            counted.fetch_add(usize::from(hit), Ordering::Relaxed);
            hit.then_some(kind)
        });
        let agent = agent.as_mut().unwrap();
        let batch = agent.batch(10);
        agent.send(&running.client, 0, &[batch]).await;
        while hits.load(Ordering::Relaxed) < if stops { 1 } else { 3 } {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ready = running.client.get("/readyz").await.status;
        disk.heal();
        if stops {
            assert_eq!((ready.as_u16(), hits.load(Ordering::Relaxed)), (503, 1));
            assert_eq!(running.client.get("/readyz").await.status, 503);
            running.abandon().await;
        } else {
            assert_eq!(ready, 200);
            running.published().await;
            running.close().await;
            verified(&home, &disk);
        }
    }
}

/// T29: what the last checkpoint does not cover no verifier sees, so a stop that leaves something behind it says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_cannot_publish_everything_fails() {
    let disk = SimDisk::new();
    let home = home_on(&disk);
    let running = start(&home, &disk, small()).await.unwrap();
    let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
    work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
    running.published().await;
    let trail = acknowledged.trail.unwrap();
    let published = format!("trails/{trail}");
    disk.set_fault(move |op, path: &Path, _| {
        (op == Op::SyncDir && path.ends_with(&published)).then_some(ErrorKind::StorageFull)
    });
    let agent = agent.as_mut().unwrap();
    let batch = agent.batch(10);
    agent.send(&running.client, 0, &[batch]).await;
    let told = running.try_close().await.unwrap_err().to_string();
    assert!(told.contains("stopped before every trail was published"), "{told}");
    disk.heal();
    let running = start(&home, &disk, small()).await.unwrap();
    assert_eq!(running.size(trail), 16);
    running.published().await;
    running.close().await;
    verified(&home, &disk);
}

/// T29: a full disk is told to the client, and when there is room again the ledger goes on without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_out() {
    let disk = SimDisk::new();
    let home = home_on(&disk);
    let running = start(&home, &disk, small()).await.unwrap();
    let (mut agent, mut sent, mut acknowledged) = (None, Vec::new(), Acknowledged::default());
    work(&home, &running, &mut agent, &mut sent, &mut acknowledged).await.unwrap();
    running.published().await;
    let agent = agent.as_mut().unwrap();
    disk.set_capacity(Some(disk.used() + 2000));
    let mut refused = 0;
    let mut pending = Vec::new();
    for _ in 0..60 {
        let batch = agent.batch(200);
        let answer = agent.post(&running.client, 0, std::slice::from_ref(&batch)).await;
        if answer.status == 200 {
            continue;
        }
        // Publishing may free a little space meanwhile; then what follows a refused batch is ahead of it.
        let ahead = refused > 0 && answer.class() == "sequence-ahead";
        assert!(ahead || (answer.status == 503 && answer.class() == "unavailable"), "{}", answer.class());
        pending.push(batch);
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk never filled up");
    assert_eq!(running.client.get("/readyz").await.status, 200);
    check(&running, agent, &acknowledged).await;
    disk.set_capacity(None);
    agent.send(&running.client, 0, &pending).await;
    running.published().await;
    running.close().await;
    verified(&home, &disk);
}
