//! Deaths, torn files, full disks, two agents in one directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::StatusCode;
use sealtrail_agent::{Agent, OutboxError, StartError};
use sealtrail_attester::Software;

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

/// A real process, killed while it is being written to, again and again.
#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let world = World::new();
    let file = world.state_dir().with_extension("toml");
    let mut acknowledged = Vec::new();
    let mut unanswered = 0;
    for life in 0..6_u64 {
        std::fs::write(&file, toml::to_string(&world.config()).unwrap()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
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
        let address = address.unwrap();
        let killer = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(60 + 37 * life));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for n in 0.. {
            let event = format!("{life}-{n}");
            let headers = [("content-type", crate::otlp::PROTOBUF)];
            let sent = tokio::spawn(async move {
                let body = one(&event);
                (event, send(address, "POST", "/v1/logs", &headers, body).await)
            });
            match sent.await {
                Ok((event, Ok(answer))) if answer.status == StatusCode::OK => acknowledged.push(event),
                Ok((_, Ok(answer))) => panic!("{answer:?}"),
                Ok((_, Err(_))) | Err(_) => {
                    unanswered += 1;
                    break;
                }
            }
        }
        killer.await.unwrap();
        std::fs::remove_file(&address_file).unwrap();
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

/// Not a test: the process that the test above kills.
#[test]
#[ignore = "run by a_killed_process_loses_nothing_it_acknowledged"]
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
