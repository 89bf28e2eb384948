//! The same bytes again: the first outcome, counted, sealed once.

use std::path::Path;

use http::StatusCode;
use sealtrail_agent::Counter;

use crate::harness::{World, eventually};
use crate::ledger::Mode;
use crate::otlp::{Answer, one, post, request};

async fn expect(
    world: &World,
    agent: &sealtrail_agent::AgentHandle,
    body: &[u8],
    status: StatusCode,
) -> Answer {
    let answer = post(agent.http_address(), body.to_vec()).await;
    assert_eq!(answer.status, status, "{:?}", world.ledger.state().violations);
    answer
}

#[tokio::test]
async fn a_resend_is_counted_and_not_sealed_again() {
    let world = World::new();
    let agent = world.start();
    let body = request((0..7).map(|n| format!("event {n}")));
    for _ in 0..3 {
        expect(&world, &agent, &body, StatusCode::OK).await;
    }
    expect(&world, &agent, &one("another"), StatusCode::OK).await;
    agent.shutdown();
    world.assert_no_violations();
    let state = world.ledger.state();
    let totals = state.totals();
    assert_eq!((totals.received, totals.sealed, totals.resent), (22, 8, 14));
    assert_eq!(state.requests, [world.request_digest(&body), world.request_digest(&one("another"))]);
}

#[tokio::test]
async fn resends_that_come_together_with_the_first_wait_for_it() {
    let world = World::with("batch.delay_ms = 300");
    let agent = world.start();
    let to = agent.http_address();
    let all: Vec<_> = (0..20).map(|_| tokio::spawn(post(to, one("once")))).collect();
    for answer in all {
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }
    agent.shutdown();
    world.assert_no_violations();
    let totals = world.ledger.state().totals();
    assert_eq!((totals.sealed, totals.resent), (1, 19));
}

/// OTLP asks for no time. Two events without one can be the same bytes, and both have been answered with success.
#[tokio::test]
async fn events_without_any_time_are_all_recorded_although_their_bytes_are_the_same() {
    let record = |members: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{members}]}}]}}]}}"#).into_bytes()
    };
    let login = |time: &str| format!(r#"{{"body":{{"stringValue":"login"}}{time}}}"#);
    let (timed, observed) = (login(r#","timeUnixNano":"7""#), login(r#","observedTimeUnixNano":"7""#));
    // Its body is no AnyValue, so the record is not read to where its time is.
    let unreadable = r#"{"timeUnixNano":"7","body":7}"#.to_owned();
    for (members, resent) in [
        (login(""), 0),
        (login(r#","timeUnixNano":"0""#), 0),
        (format!("{timed},{}", login("")), 0),
        (format!("{timed},{unreadable}"), 0),
        (timed.clone(), 1),
        (observed.clone(), 1),
        (format!("{timed},{observed}"), 2),
    ] {
        let world = World::new();
        let agent = world.start();
        let body = record(&members);
        for _ in 0..2 {
            let answer = crate::otlp::post_as(agent.http_address(), "application/json", body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{members}");
        }
        agent.shutdown();
        world.assert_no_violations();
        let state = world.ledger.state();
        let totals = state.totals();
        assert_eq!((totals.resent, totals.sealed + totals.resent), (resent, totals.received), "{members}");
        assert_eq!(state.requests.len(), usize::from(resent > 0), "{members}");
    }
}

/// Nor is it taken for a resend by the next process.
#[tokio::test]
async fn events_without_any_time_are_all_recorded_across_a_crash() {
    let world = World::new();
    // A LogRecord whose body is "x".
    let body = [0x0a, 9, 0x12, 7, 0x12, 5, 0x2a, 3, 0x0a, 1, b'x'];
    for _ in 0..2 {
        let agent = world.start();
        expect(&world, &agent, &body, StatusCode::OK).await;
        drop(agent);
    }
    world.start().shutdown();
    assert_eq!(world.ledger.state().bodies(), ["x", "x"]);
}

#[tokio::test]
async fn a_refused_request_is_refused_again_and_counted() {
    let world = World::new();
    let agent = world.start();
    for _ in 0..3 {
        expect(&world, &agent, b"\xff\xff", StatusCode::BAD_REQUEST).await;
    }
    agent.shutdown();
    world.assert_no_violations();
    let totals = world.ledger.state().totals();
    assert_eq!((totals.received, totals.sealed, totals.resent, totals.stubbed), (3, 1, 2, 1));
}

#[tokio::test]
async fn a_resend_is_recognised_after_a_crash() {
    for away in [false, true] {
        let world = World::new();
        let agent = world.start();
        expect(&world, &agent, &one("first"), StatusCode::OK).await;
        eventually("committed", || agent.status().outbox_pending_bytes == 0);
        if away {
            world.ledger.set(Mode::Away);
        }
        expect(&world, &agent, &one("second"), StatusCode::OK).await;
        drop(agent);
        world.ledger.set(Mode::Good);
        let agent = world.start();
        expect(&world, &agent, &one("first"), StatusCode::OK).await;
        expect(&world, &agent, &one("second"), StatusCode::OK).await;
        expect(&world, &agent, &one("third"), StatusCode::OK).await;
        agent.shutdown();
        world.assert_no_violations();
        let state = world.ledger.state();
        assert_eq!(state.bodies(), ["first", "second", "third"]);
        assert_eq!((state.totals().resent, state.totals().sealed), (2, 3));
    }
}

#[tokio::test]
async fn a_resend_is_recognised_although_its_outbox_file_is_gone() {
    // Outbox files of 16 KiB, given up as soon as they are committed.
    let world = World::with("outbox.bytes_max = 65536");
    let agent = world.start();
    for n in 0..60 {
        expect(&world, &agent, &one(&format!("{n}{}", "x".repeat(1000))), StatusCode::OK).await;
        eventually("committed", || agent.status().outbox_pending_bytes == 0);
    }
    let files = |dir| std::fs::read_dir(world.state_dir().join(dir)).unwrap().count();
    eventually("released", || files("recent") > 0);
    drop(agent);
    println!("{} outbox files, {} files of digests", files("outbox"), files("recent"));
    let agent = world.start();
    for n in 0..60 {
        expect(&world, &agent, &one(&format!("{n}{}", "x".repeat(1000))), StatusCode::OK).await;
    }
    agent.shutdown();
    world.assert_no_violations();
    let totals = world.ledger.state().totals();
    assert_eq!((totals.sealed, totals.resent), (60, 60));
}

#[tokio::test]
async fn after_ten_minutes_the_same_bytes_are_a_new_request() {
    let world = World::new();
    let agent = world.start();
    expect(&world, &agent, &one("again"), StatusCode::OK).await;
    drop(agent);
    world.clock.step(601_000_000_000);
    let agent = world.start();
    expect(&world, &agent, &one("again"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["again", "again"]);
}

#[tokio::test]
async fn a_batch_that_was_refused_does_not_make_resends() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    world.ledger.set(Mode::Refuse);
    expect(&world, &agent, &one("again"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(agent.status().counter(Counter::BatchesRefused), 1);
    let kept = std::fs::read_dir(world.state_dir().join("refused")).unwrap().count();
    assert_eq!(kept, 1, "the bytes are kept");
    world.ledger.set(Mode::Good);
    expect(&world, &agent, &one("again"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["again"]);
}

/// Found in a review: the next process took the digests of a batch that was refused for those of a committed one.
#[tokio::test]
async fn a_batch_that_was_refused_makes_no_resends_of_another_process() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    world.ledger.set(Mode::Refuse);
    expect(&world, &agent, &one("again"), StatusCode::SERVICE_UNAVAILABLE).await;
    // With the close of the epoch comes a note that it was refused.
    agent.shutdown();
    world.ledger.set(Mode::Good);
    let agent = world.start();
    expect(&world, &agent, &one("again"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["again"]);
}

/// What was refused and kept, and of which the process that died had no time to note it, may be taken when it comes again.
#[tokio::test]
async fn a_refused_batch_that_is_taken_after_all_makes_resends() {
    let world = World::with("acknowledge = \"committed\"");
    let agent = world.start();
    world.ledger.set(Mode::Refuse);
    expect(&world, &agent, &one("again"), StatusCode::SERVICE_UNAVAILABLE).await;
    agent.shutdown();
    // As a power failure leaves it: the first note of a settled batch and all behind it are gone.
    let cut = cut_behind_batch(&world.state_dir());
    assert!(cut > 0);
    world.ledger.set(Mode::Good);
    let agent = world.start();
    expect(&world, &agent, &one("again"), StatusCode::OK).await;
    agent.shutdown();
    let state = world.ledger.state();
    assert_eq!((state.bodies(), state.totals().resent), (vec!["again".to_owned()], 1));
    // The close was refused too, and is nowhere else.
    let kept = std::fs::read_dir(world.state_dir().join("refused")).unwrap();
    let kept: Vec<_> = kept.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.len() == 1 && kept[0].ends_with("-1.out"), "{kept:?}");
}

/// The host writes outbox files as it likes: it takes those of an agent with a key and ledger of its own.
#[tokio::test]
async fn digests_that_the_host_made_up_are_not_believed() {
    let forger = World::new();
    let agent = forger.start();
    expect(&forger, &agent, &one("suppress me"), StatusCode::OK).await;
    agent.shutdown();
    let world = World::new();
    world.start().shutdown();
    // As a kept outbox file, and as a file of digests.
    let forged = forger.state_dir().join("outbox/0000000000.out");
    let copies = [("outbox", "0000000007.out"), ("recent", "0000000007.rec")];
    for (dir, name) in copies {
        std::fs::copy(&forged, world.state_dir().join(dir).join(name)).unwrap();
    }
    let agent = world.start();
    expect(&world, &agent, &one("suppress me"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["suppress me"]);
    assert_eq!(world.ledger.state().totals().resent, 0);
}

/// A true batch whose header line the host replaced.
#[tokio::test]
async fn a_digest_that_is_not_in_the_signed_body_is_not_believed() {
    let world = World::new();
    let agent = world.start();
    expect(&world, &agent, &one("true"), StatusCode::OK).await;
    agent.shutdown();
    let (signed, forged) = (world.request_digest(&one("true")), world.request_digest(&one("suppress me")));
    let replaced = replace_in_outbox(&world.state_dir(), &hex::encode(signed), &hex::encode(forged));
    assert_eq!(replaced, 1);
    let agent = world.start();
    expect(&world, &agent, &one("suppress me"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["true", "suppress me"]);
}

/// Replaces text of the same length in all outbox files and makes the CRCs right again; says how often.
fn replace_in_outbox(state: &Path, from: &str, to: &str) -> usize {
    let mut replaced = 0;
    for entry in std::fs::read_dir(state.join("outbox")).unwrap().flatten() {
        let mut bytes = std::fs::read(entry.path()).unwrap();
        let mut at = 20;
        while at + 9 <= bytes.len() {
            let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            if length == 0 {
                break;
            }
            let item = &mut bytes[at + 9..at + 9 + length];
            if let Some(found) = item.windows(from.len()).position(|w| w == from.as_bytes()) {
                item[found..found + to.len()].copy_from_slice(to.as_bytes());
                replaced += 1;
            }
            let mut crc = crc32fast::Hasher::new();
            crc.update(&[bytes[at + 4]]);
            crc.update(&bytes[at + 9..at + 9 + length]);
            let crc = crc.finalize().to_be_bytes();
            bytes[at + 5..at + 9].copy_from_slice(&crc);
            at += 9 + length;
        }
        std::fs::write(entry.path(), bytes).unwrap();
    }
    replaced
}

/// The same bytes under the wrong content type first: what is right afterwards is not taken for a resend of it.
#[tokio::test]
async fn a_request_under_another_content_type_is_another_request() {
    let world = World::new();
    let agent = world.start();
    let wrong = crate::otlp::post_as(agent.http_address(), "application/json", one("kept")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    expect(&world, &agent, &one("kept"), StatusCode::OK).await;
    agent.shutdown();
    assert_eq!(world.ledger.state().bodies(), ["kept"]);
    assert_eq!(world.ledger.state().totals().resent, 0);
}

/// Whoever reads a signed body cannot try out what redaction removed against the digest of the request.
#[tokio::test]
async fn a_signed_body_holds_no_plain_digest_of_a_request() {
    let world = World::new();
    let agent = world.start();
    let body = one("pay with 4111 1111 1111 1111");
    expect(&world, &agent, &body, StatusCode::OK).await;
    agent.shutdown();
    let requests = world.ledger.state().requests.clone();
    assert_eq!(requests, [world.request_digest(&body)]);
    assert_ne!(requests, [sealtrail_core::hash::sha256(&[&body])]);
}

/// Cuts off what stands behind the first batch of the only outbox file; how many bytes.
fn cut_behind_batch(state: &Path) -> usize {
    let files: Vec<_> =
        std::fs::read_dir(state.join("outbox")).unwrap().map(|file| file.unwrap().path()).collect();
    let [path] = files.as_slice() else { panic!("{files:?}") };
    let bytes = std::fs::read(path).unwrap();
    let mut at = 20;
    loop {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let is_batch = bytes[at + 4] == 3;
        at += 9 + length;
        if is_batch {
            std::fs::write(path, &bytes[..at]).unwrap();
            return bytes.len() - at;
        }
    }
}
