//! A ledger that is away, that answers nonsense, that forgets, that refuses.

use std::time::Duration;

use http::StatusCode;
use sealtrail_agent::{AgentHandle, Counter, Snapshot};

use crate::harness::{World, eventually};
use crate::ledger::Mode;
use crate::otlp::{one, post};

async fn log(agent: &AgentHandle, range: std::ops::Range<u32>) {
    for n in range {
        assert_eq!(post(agent.http_address(), one(&n.to_string())).await.status, StatusCode::OK);
    }
}

pub fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

pub fn drained(agent: &AgentHandle) {
    eventually("drained", || agent.status().outbox_pending_bytes == 0);
}

#[tokio::test]
async fn what_was_sealed_while_the_ledger_was_away_comes_when_it_is_back() {
    for mode in [Mode::Away, Mode::Unavailable] {
        let world = World::new();
        let agent = world.start();
        log(&agent, 0..3).await;
        world.ledger.set(mode);
        log(&agent, 3..30).await;
        eventually("in trouble", || agent.status().troubles.contains_key("ledger"));
        assert!(agent.status().outbox_pending_bytes > 0);
        world.ledger.set(Mode::Good);
        drained(&agent);
        eventually("well again", || agent.status().troubles.is_empty());
        agent.shutdown();
        world.assert_no_violations();
        let state = world.ledger.state();
        assert_eq!(state.bodies(), numbers(0..30));
        // Behind a 503 it took the batches all the same.
        assert_eq!(state.resubmitted > 0, mode == Mode::Unavailable);
    }
}

#[tokio::test]
async fn answers_that_do_not_hold_free_nothing() {
    let modes = [
        Mode::Nonsense,
        Mode::WrongKey,
        Mode::WrongStatement,
        Mode::Inconsistent,
        Mode::SmallerControl,
        Mode::Endless,
    ];
    for mode in modes {
        let world = World::new();
        let agent = world.start();
        log(&agent, 0..2).await;
        drained(&agent);
        let committed = agent.status().counter(Counter::BatchesCommitted);
        world.ledger.set(mode);
        log(&agent, 2..5).await;
        eventually("invalid", || agent.status().counter(Counter::LedgerAnswersInvalid) >= 2);
        let status = agent.status();
        println!("{mode:?}: {:?}", status.troubles);
        assert!(status.troubles.contains_key("receipt"), "{mode:?} {status:?}");
        assert!(status.outbox_pending_bytes > 0);
        assert_eq!(status.counter(Counter::BatchesCommitted), committed);
        world.ledger.set(Mode::Good);
        drained(&agent);
        eventually("well again", || agent.status().troubles.is_empty());
        agent.shutdown();
        world.assert_no_violations();
        assert_eq!(world.ledger.state().bodies(), numbers(0..5));
    }
    println!("{} kinds of invalid answers", modes.len());
}

/// T06: a ledger that answers, away or not, and gives no receipt.
#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_receipt_is_said_aloud_until_one_comes() {
    for mode in [Mode::WrongKey, Mode::Away, Mode::Unavailable] {
        let world = World::with("heartbeat_ms = 300");
        let agent = world.start();
        log(&agent, 0..2).await;
        drained(&agent);
        assert!(!agent.status().troubles.contains_key("overdue"), "{mode:?}");
        world.ledger.set(mode);
        log(&agent, 2..5).await;
        eventually("overdue", || agent.status().troubles.contains_key("overdue"));
        assert!(agent.status().prometheus().contains("sealtrail_agent_trouble{part=\"overdue\"} 1"));
        let said = agent.take_notices().into_iter().filter(|n| n.text.starts_with("overdue: ")).count();
        assert_eq!(said, 1, "{mode:?}");
        world.ledger.set(Mode::Good);
        drained(&agent);
        eventually("well again", || agent.status().troubles.is_empty());
        agent.shutdown();
        world.assert_no_violations();
        assert_eq!(world.ledger.state().bodies(), numbers(0..5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_is_not_answered_on_invalid_receipts() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    world.ledger.set(Mode::WrongKey);
    let to = agent.http_address();
    let waiting = tokio::spawn(post(to, one("wait")));
    eventually("invalid", || agent.status().counter(Counter::LedgerAnswersInvalid) >= 1);
    assert!(!waiting.is_finished());
    world.ledger.set(Mode::Good);
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_comes_within_eight_seconds() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    world.ledger.set(Mode::Away);
    let start = std::time::Instant::now();
    let answer = post(agent.http_address(), one("late")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert!((7..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    world.ledger.set(Mode::Good);
    // The client comes again, as often as it is told to: the first outcome, once. The agent tries a ledger that was away
    // only every few seconds.
    let mut resent = 1;
    while post(agent.http_address(), one("late")).await.status != StatusCode::OK {
        resent += 1;
        assert!(resent < 10, "not committed although the ledger is back");
    }
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(
        (state.bodies(), state.totals().resent),
        (numbers(0..0).into_iter().chain(["late".to_owned()]).collect(), resent)
    );
}

#[tokio::test]
async fn a_ledger_that_forgot_gets_what_it_asks_for() {
    let world = World::new();
    let agent = world.start();
    log(&agent, 0..5).await;
    drained(&agent);
    world.ledger.set(Mode::Forgetful);
    log(&agent, 5..8).await;
    drained(&agent);
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert!(state.resubmitted >= 5, "{}", state.resubmitted);
    assert_eq!(state.bodies(), numbers(0..8));
}

#[tokio::test]
async fn a_refused_batch_is_kept_and_said_aloud() {
    let world = World::new();
    let agent = world.start();
    log(&agent, 0..1).await;
    drained(&agent);
    world.ledger.set(Mode::Refuse);
    log(&agent, 1..2).await;
    eventually("refused", || agent.status().counter(Counter::BatchesRefused) == 1);
    assert!(agent.status().troubles["refused"].contains("flood"));
    let notices: Vec<_> = agent.take_notices();
    assert!(notices.iter().any(|n| n.text.contains("ledger refused batch `1`")), "{notices:?}");
    let files: Vec<_> = std::fs::read_dir(world.state_dir().join("refused")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    assert!(std::fs::metadata(files[0].path()).unwrap().len() > 500);
}

/// Found in a review: a ledger restored from a backup did not know the epochs since, and what they had sealed was given up.
#[tokio::test]
async fn a_ledger_that_was_set_back_makes_nobody_give_up_a_batch() {
    let world = World::new();
    let mut agent = world.start();
    log(&agent, 0..1).await;
    drained(&agent);
    world.ledger.set(Mode::SetBack("unknown-epoch"));
    log(&agent, 1..3).await;
    // The process that began the epoch, and one that finds its batches.
    for class in ["unknown-epoch", "seen-unknown"] {
        world.ledger.set(Mode::SetBack(class));
        let said = |status: &Snapshot| {
            status
                .troubles
                .get("ledger")
                .is_some_and(|said| said.contains("set back") && said.contains(class))
        };
        let given_up = |status: &Snapshot| status.counter(Counter::BatchesRefused) > 0;
        eventually("told", || said(&agent.status()) || given_up(&agent.status()));
        assert!(!given_up(&agent.status()));
        drop(agent);
        agent = world.start_anyhow();
    }
    world.ledger.set(Mode::Good);
    drained(&agent);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), numbers(0..3));
}

/// A refusal is for good, so nothing but the ledger's own word is one.
#[tokio::test]
async fn a_422_without_a_reason_class_is_no_refusal() {
    let world = World::new();
    let agent = world.start();
    world.ledger.set(Mode::Between);
    log(&agent, 0..3).await;
    let count = |counter| agent.status().counter(counter);
    eventually("asked", || count(Counter::LedgerCallsFailed) >= 2 || count(Counter::BatchesRefused) > 0);
    let status = agent.status();
    assert_eq!(status.counter(Counter::BatchesRefused), 0, "given up for the word of something in between");
    assert!(status.troubles["ledger"].contains("422 unknown"), "{status:?}");
    world.ledger.set(Mode::Good);
    drained(&agent);
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), numbers(0..3));
}

#[tokio::test]
async fn a_full_outbox_pushes_back_and_forgets_nothing() {
    let world = World::with("outbox.bytes_max = 65536\nheartbeat_ms = 100");
    let agent = world.start();
    world.ledger.set(Mode::Away);
    let mut sealed = Vec::new();
    let mut pushed_back = 0;
    for n in 0_u32.. {
        // Hex of a hash does not compress much.
        let event = hex::encode(sealtrail_core::hash::sha256(&[&n.to_be_bytes()])).repeat(20);
        let answer = post(agent.http_address(), one(&event)).await;
        match answer.status {
            StatusCode::OK => sealed.push(event),
            StatusCode::SERVICE_UNAVAILABLE => pushed_back += 1,
            other => panic!("{other}"),
        }
        if pushed_back == 5 {
            break;
        }
    }
    println!("{} sealed before the outbox was full", sealed.len());
    assert!(sealed.len() > 10);
    // Heartbeats go on in the reserve, and end there.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let full = agent.status().outbox_pending_bytes;
    assert!((65_536..90_000).contains(&full), "{full}");
    world.ledger.set(Mode::Good);
    drained(&agent);
    assert_eq!(post(agent.http_address(), one("room again")).await.status, StatusCode::OK);
    sealed.push("room again".to_owned());
    agent.shutdown();
    world.assert_no_violations();
    assert_eq!(world.ledger.state().bodies(), sealed);
}

#[tokio::test]
async fn a_start_without_the_ledger_waits_and_takes_nothing() {
    let world = World::new();
    let agent = world.start();
    world.ledger.set(Mode::Away);
    log(&agent, 0..3).await;
    drop(agent);
    let agent = world.start_anyhow();
    for _ in 0..3 {
        assert_eq!(post(agent.http_address(), one("early")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    // What an earlier process left behind comes first.
    world.ledger.set(Mode::Good);
    eventually("ready", || agent.status().phase == sealtrail_agent::Phase::Ready);
    assert_eq!(world.ledger.state().bodies(), numbers(0..3));
    agent.shutdown();
    world.assert_no_violations();
}

#[tokio::test]
async fn a_stop_without_the_ledger_is_bounded_and_loses_nothing() {
    let world = World::with("drain_ms = 300");
    let agent = world.start();
    world.ledger.set(Mode::Away);
    log(&agent, 0..3).await;
    let start = std::time::Instant::now();
    let end = agent.shutdown();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(end.outbox_pending_bytes > 0);
    world.ledger.set(Mode::Good);
    world.start().shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    assert_eq!(state.bodies(), numbers(0..3));
    let first = state.batches(state.epoch_order[0]);
    assert!(first.last().unwrap().close.is_some(), "the close came too");
}

#[tokio::test]
async fn after_a_refused_batch_the_next_ones_come_with_the_hole() {
    let world = World::new();
    let agent = world.start();
    log(&agent, 0..1).await;
    drained(&agent);
    world.ledger.set(Mode::RefuseOnce);
    log(&agent, 1..4).await;
    drained(&agent);
    let status = agent.status();
    assert_eq!(status.counter(Counter::BatchesRefused), 1);
    assert!(status.troubles.contains_key("refused"), "it is not forgotten");
    assert!(world.ledger.state().calls < 60, "no hot loop");
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let bodies = state.bodies();
    assert!(bodies.len() < 4 && bodies[0] == "0" && bodies.last().unwrap() == "3", "{bodies:?}");
    let kept = std::fs::read_dir(world.state_dir().join("refused")).unwrap().count();
    assert_eq!((kept, state.ahead >= 3), (1, true));
}

#[tokio::test]
async fn a_refused_open_keeps_the_agent_from_taking_records() {
    let world = World::new();
    world.ledger.set(Mode::RefuseOpen);
    let agent = world.start_anyhow();
    eventually("refused", || agent.status().troubles.contains_key("refused"));
    assert!(agent.status().troubles["refused"].contains("unexpected-code"), "{:?}", agent.status());
    assert_eq!(post(agent.http_address(), one("early")).await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.ledger.set(Mode::Good);
    eventually("ready", || agent.status().phase == sealtrail_agent::Phase::Ready);
    assert!(agent.status().troubles.is_empty());
    agent.shutdown();
    world.assert_no_violations();
}
