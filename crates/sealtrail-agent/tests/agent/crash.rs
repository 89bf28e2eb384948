//! Deaths, torn files, full disks, two agents in one directory.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::StatusCode;
use sealtrail_agent::{Agent, OutboxError, Phase, StartError};
use sealtrail_attester::Software;

use crate::away::{drained, numbers};
use crate::harness::{World, eventually};
use crate::ledger::Mode;
use crate::otlp::{one, post, send};

fn outbox_files(state: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(state.join("outbox")).unwrap().flatten().map(|e| e.path()).collect();
    files.sort();
    files
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The outbox as it stands after every possible moment of death: each prefix of its file, with zeros or old bytes behind.
#[tokio::test]
async fn an_outbox_cut_anywhere_gives_a_prefix_of_what_was_sealed() {
    let world = World::new();
    let agent = world.start();
    eventually("open", || !world.ledger.state().epoch_order.is_empty());
    world.ledger.set(Mode::Away);
    for n in 0..4 {
        post(agent.http_address(), one(&n.to_string())).await;
    }
    drop(agent);
    let whole = outbox_files(&world.state_dir()).pop().unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let before = tempfile::TempDir::new().unwrap();
    copy_dir(&world.state_dir(), before.path());
    world.ledger.set(Mode::Good);
    // One byte in 37, so that cuts fall into every part of every item.
    let mut seen = std::collections::BTreeMap::<usize, u32>::new();
    for (n, cut) in (0..bytes.len()).step_by(37).chain([bytes.len()]).enumerate() {
        let state = tempfile::TempDir::new().unwrap();
        copy_dir(before.path(), state.path());
        let mut torn = bytes[..cut].to_vec();
        match n % 3 {
            0 => {}
            1 => torn.resize(bytes.len() + 1000, 0),
            _ => torn.extend(bytes.iter().take(bytes.len() - cut).map(|b| !b)),
        }
        let name = whole.file_name().unwrap();
        std::fs::write(state.path().join("outbox").join(name), torn).unwrap();
        let found = recovered_batches(state.path());
        *seen.entry(found).or_default() += 1;
    }
    println!("batches found, and after how many cuts: {seen:?}");
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    // What is found is sent and taken as it is.
    world.start().shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), ["0", "1", "2", "3"]);
}

/// T27: the first batch rots while the ledger is away. Those behind it were acknowledged too, and they come.
#[tokio::test]
async fn a_rotten_batch_does_not_take_the_ones_behind_it_along() {
    let world = World::new();
    let agent = world.start();
    eventually("open", || !world.ledger.state().epoch_order.is_empty());
    world.ledger.set(Mode::Away);
    for n in 0..4 {
        post(agent.http_address(), one(&n.to_string())).await;
    }
    drop(agent);
    let file = outbox_files(&world.state_dir()).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    // One synced item stands before each of the four batches, and one behind.
    let marks: Vec<_> = memchr::memmem::find_iter(&bytes, b"sealtrail/synced").collect();
    let [.., first, _, _, _, _, _, _, _] = marks[..] else { panic!("{marks:?}") };
    bytes[first + 100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    world.ledger.set(Mode::Good);
    let agent = world.start();
    let notices = agent.take_notices();
    agent.shutdown();
    assert!(notices.iter().any(|n| n.text.contains("DAMAGED")), "{notices:?}");
    assert_eq!(world.ledger.state().bodies(), ["1", "2", "3"]);
}

/// T27: the last of many batches rots under an agent that runs, while the ledger is away. The next epoch does not wait for it.
#[tokio::test]
async fn a_batch_that_rots_under_a_running_agent_does_not_end_its_epochs() {
    let world = World::new();
    let agent = world.start();
    eventually("open", || !world.ledger.state().epoch_order.is_empty());
    world.ledger.set(Mode::Away);
    // More than one request's worth: those of the first are in memory already.
    for n in 0..70 {
        post(agent.http_address(), one(&n.to_string())).await;
    }
    let file = outbox_files(&world.state_dir()).pop().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    // One synced item stands before it, and one behind.
    let behind = memchr::memmem::rfind(&bytes, b"sealtrail/synced").unwrap();
    let last = memchr::memmem::rfind(&bytes[..behind], b"sealtrail/synced").unwrap();
    let damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    damaged.write_all_at(&[bytes[last + 100] ^ 1], last as u64 + 100).unwrap();
    world.ledger.set(Mode::Good);
    drained(&agent);
    assert_eq!(world.ledger.state().bodies(), numbers(0..69));
    let mut config = world.config();
    config.heartbeat_ms = 5_000;
    agent.reconfigure(config).unwrap();
    eventually("two epochs", || world.ledger.state().epoch_order.len() == 2);
    eventually("ready", || agent.status().phase == Phase::Ready);
    assert_eq!(post(agent.http_address(), one("after")).await.status, StatusCode::OK);
    agent.shutdown();
}

/// Batches that an agent on this directory says are waiting.
fn recovered_batches(state: &Path) -> usize {
    let world = World::new();
    world.ledger.set(Mode::Away);
    let mut config = world.config();
    config.outbox.dir = state.to_owned();
    // The trail is the one of every test ledger, so the batches are this agent's to send.
    let agent = world.start_with(config);
    let notices = agent.take_notices();
    drop(agent);
    notices
        .iter()
        .find_map(|n| {
            n.text.strip_suffix("` batches of an earlier process wait for the ledger")?.strip_prefix('`')
        })
        .map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn one_directory_is_for_one_agent() {
    let world = World::new();
    let agent = world.start();
    let root = world.state_dir().join("other.key");
    let attester = Software::open(&root, Path::new("/proc/self/cmdline")).unwrap();
    match Agent::start(world.config(), Box::new(attester)) {
        Err(StartError::Outbox(OutboxError::Locked(_))) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(post(agent.http_address(), one("first")).await.status, StatusCode::OK);
    agent.shutdown();
    world.start().shutdown();
    world.assert_no_violations();
}

#[tokio::test]
async fn batches_for_another_trail_are_not_lost() {
    let world = World::new();
    let agent = world.start();
    world.ledger.set(Mode::Away);
    post(agent.http_address(), one("for this trail")).await;
    drop(agent);
    let mut config = world.config();
    config.ledger.trail = "00".repeat(16);
    let attester =
        || Box::new(Software::open(&world.state_dir().join("k"), Path::new("/proc/self/cmdline")).unwrap());
    match Agent::start(config.clone(), attester()) {
        Err(StartError::Outbox(OutboxError::Foreign(_))) => {}
        other => panic!("{other:?}"),
    }
    world.ledger.set(Mode::Good);
    world.start().shutdown();
    assert_eq!(world.ledger.state().bodies(), ["for this trail"]);
    // Nothing waits any more, so another trail may have the directory.
    drop(Agent::start(config, attester()).unwrap());
}

/// A real process on the world's directory, perhaps with system calls that fail.
struct Process {
    child: std::process::Child,
    address: std::net::SocketAddr,
}

impl Process {
    fn start(world: &World, faults: &[&str]) -> Self {
        let file = world.state_dir().with_extension("toml");
        std::fs::write(&file, toml::to_string(&world.config()).unwrap()).unwrap();
        let this = std::env::current_exe().unwrap();
        let mut command = match faults {
            [] => Command::new(this),
            faults => {
                let mut strace = Command::new("strace");
                // With -D the agent is this process's child, so that it is what gets killed.
                strace.args(["-D", "-f", "-qq", "-o", "/dev/null"]).args(faults).arg(this);
                strace
            }
        };
        let child = command
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env("SEALTRAIL_TEST_CHILD", &file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address_file = file.with_extension("address");
        let mut address = None;
        eventually("listening", || {
            address = std::fs::read_to_string(&address_file).ok().and_then(|text| text.parse().ok());
            address.is_some()
        });
        std::fs::remove_file(&address_file).unwrap();
        Self { child, address: address.unwrap() }
    }

    /// Sends one record; `None` where no answer came.
    async fn log(&self, event: &str) -> Option<StatusCode> {
        log_to(self.address, event.to_owned()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn log_to(address: std::net::SocketAddr, event: String) -> Option<StatusCode> {
    let headers = [("content-type", crate::otlp::PROTOBUF)];
    send(address, "POST", "/v1/logs", &headers, one(&event)).await.ok().map(|answer| answer.status)
}

/// A real process, killed while it is being written to, again and again.
#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let world = World::new();
    let mut acknowledged = Vec::new();
    let mut unanswered = 0;
    for life in 0..6_u64 {
        let mut process = Process::start(&world, &[]);
        let address = process.address;
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(60 + 37 * life));
            process.child.kill().unwrap();
        });
        for n in 0.. {
            let event = format!("{life}-{n}");
            match log_to(address, event.clone()).await {
                Some(StatusCode::OK) => acknowledged.push(event),
                Some(other) => panic!("{other}"),
                None => break,
            }
        }
        unanswered += 1;
        killer.await.unwrap();
    }
    world.start().shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let bodies = state.bodies();
    println!(
        "6 kills, {} acknowledged, {unanswered} unanswered, {} in the ledger",
        acknowledged.len(),
        bodies.len()
    );
    assert!(acknowledged.iter().all(|event| bodies.contains(event)));
    assert!(bodies.len() <= acknowledged.len() + unanswered);
    assert_eq!(state.epoch_order.len(), 7);
}

/// Whether system calls can be made to fail here; says so where not.
fn can_inject() -> bool {
    let tried = Command::new("strace").args(["-D", "-f", "-qq", "-o", "/dev/null", "true"]).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: strace cannot trace here");
    }
    can
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged() {
    if !can_inject() {
        return;
    }
    let world = World::new();
    // One sync for the open, then one for each request.
    let process = Process::start(&world, &["-e", "inject=fdatasync:error=EIO:when=7+"]);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..12 {
        match process.log(&n.to_string()).await {
            Some(StatusCode::OK) => acknowledged.push(n.to_string()),
            Some(StatusCode::SERVICE_UNAVAILABLE) | None => refused += 1,
            Some(other) => panic!("{other}"),
        }
    }
    println!("{} acknowledged before the sync failed, {refused} refused after", acknowledged.len());
    assert!(refused >= 6 && !acknowledged.is_empty(), "no fault landed");
    drop(process);
    world.start().shutdown();
    world.assert_no_violations();
    let bodies = world.ledger.state().bodies();
    assert!(acknowledged.iter().all(|event| bodies.contains(event)), "{bodies:?}");
}

#[tokio::test]
async fn a_full_disk_pushes_back_until_there_is_room() {
    if !can_inject() {
        return;
    }
    fill_up("3..12").await;
}

/// Receipts can be fetched again; but a disk that fails under one is not to be trusted with batches either.
#[tokio::test]
async fn a_disk_that_fails_under_a_receipt_stops_the_agent() {
    let world = World::new();
    let agent = world.start();
    let receipts = world.state_dir().join("receipts");
    std::fs::remove_dir_all(&receipts).unwrap();
    std::fs::write(&receipts, "no directory").unwrap();
    // The end may be faster than the answer.
    log_to(agent.http_address(), "first".to_owned()).await;
    eventually("the end", || agent.is_finished());
    assert!(agent.has_failed());
    let notices = agent.take_notices();
    assert!(notices.iter().any(|notice| notice.text.contains("cannot keep a receipt, the agent stops")));
    drop(agent);
    std::fs::remove_file(&receipts).unwrap();
    let agent = world.start();
    eventually("ready", || agent.status().phase == sealtrail_agent::Phase::Ready);
    assert_eq!(log_to(agent.http_address(), "first".to_owned()).await, Some(StatusCode::OK));
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), ["first"]);
}

/// The second of these calls of the outbox's thread is for a new file.
#[tokio::test]
async fn a_disk_that_is_full_when_an_outbox_file_is_begun_loses_nothing() {
    if can_inject() {
        fill_up("2..12").await;
    }
}

/// Lets some of the calls that ask for room fail; what is acknowledged must come through, in order.
async fn fill_up(when: &str) {
    // Files of 16 KiB, so that room is asked for often.
    let world = World::with("outbox.bytes_max = 65536");
    let inject = format!("inject=fallocate:error=ENOSPC:when={when}");
    let faults = ["-e", inject.as_str(), "-e", "trace=fallocate"];
    let process = Process::start(&world, &faults);
    let address = process.address;
    // Who asks meanwhile is told.
    let probe = tokio::spawn(async move {
        let mut pushed_back = 0_u32;
        loop {
            let answer = send(address, "GET", "/readyz", &[], Vec::new()).await;
            pushed_back += u32::from(answer.is_ok_and(|a| a.status == StatusCode::SERVICE_UNAVAILABLE));
            tokio::time::sleep(Duration::from_millis(20)).await;
            if pushed_back > 20 {
                return pushed_back;
            }
        }
    });
    let mut acknowledged = Vec::new();
    for n in 0..200_u8 {
        let event = format!("{n} {}", hex::encode(sealtrail_core::hash::sha256(&[&[n]])).repeat(8));
        while log_to(address, event.clone()).await != Some(StatusCode::OK) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        acknowledged.push(event);
    }
    assert!(probe.is_finished(), "no fault landed");
    println!("{} acknowledged, pushed back {} times", acknowledged.len(), probe.await.unwrap());
    drop(process);
    world.start().shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), acknowledged);
}

/// Not a test: the process that tests above kill.
#[test]
#[ignore = "run by other tests"]
fn child() {
    let Some(file) = std::env::var_os("SEALTRAIL_TEST_CHILD") else { return };
    let file = PathBuf::from(file);
    let config = sealtrail_agent::Config::from_toml(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let attester = Software::open(&file.with_extension("key"), Path::new("/proc/self/cmdline")).unwrap();
    let agent = Agent::start(config, Box::new(attester)).unwrap();
    eventually("ready", || agent.status().phase == sealtrail_agent::Phase::Ready);
    let address = file.with_extension("address");
    std::fs::write(address.with_extension("new"), agent.http_address().to_string()).unwrap();
    std::fs::rename(address.with_extension("new"), address).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}
