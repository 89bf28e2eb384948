//! Every class of refusal, and that nothing of it enters the trail.

use sealtrail_core::body::{Compressor, seal as seal_body};
use sealtrail_core::cbor::{Decoder, Encoder, MapKeys};
use sealtrail_core::hash::{EMPTY, Hash, sha256};
use sealtrail_core::key::{Algorithm, Signer, Verifier as _};
use sealtrail_core::name::{Identity, LedgerName, TrailId, TreeSize};
use sealtrail_core::statement::{BatchClaims, Codec, Encryption, Kind, Published};
use sealtrail_keys::EcdsaKey;

use crate::agent::{Agent, Batch, name};
use crate::harness::{Home, Running};

/// Wraps a payload in an envelope, whatever the payload is.
pub fn envelope(kind: Kind, payload: &[u8], key: &dyn Signer) -> Vec<u8> {
    let mut protected = Encoder::new();
    protected.map(3).uint(1).int(key.public_key().algorithm().cose());
    protected.uint(4).bytes(&key.public_key().key_id().0).uint(16).text(kind.typ());
    let protected = protected.into_bytes();
    let mut signed = Encoder::new();
    signed.array(4).text("Signature1").bytes(&protected).bytes(b"sealtrail/statement/v1").bytes(payload);
    let signature = key.sign(&signed.into_bytes()).unwrap();
    let mut statement = Encoder::new();
    statement.tag(18).array(4).bytes(&protected).map(0).bytes(payload).bytes(&signature);
    statement.into_bytes()
}

/// A claims map with one pair added, replaced or (with `None`) taken out.
pub fn with_claim(payload: &[u8], key: u64, value: Option<Vec<u8>>) -> Vec<u8> {
    let mut pairs = std::collections::BTreeMap::new();
    let mut d = Decoder::new(payload);
    let mut keys = MapKeys::begin(&mut d, 100).unwrap();
    while let Some(key) = keys.next(&mut d).unwrap() {
        let start = d.position();
        d.skip().unwrap();
        pairs.insert(key, d.since(start).to_vec());
    }
    match value {
        Some(value) => drop(pairs.insert(key, value)),
        None => drop(pairs.remove(&key)),
    }
    let mut e = Encoder::new();
    e.map(pairs.len());
    for (key, value) in pairs {
        e.uint(key).raw(&value);
    }
    e.into_bytes()
}

fn uint(value: u64) -> Vec<u8> {
    let mut e = Encoder::new();
    e.uint(value);
    e.into_bytes()
}

async fn refused(running: &Running, agent: &Agent, batch: &Batch, class: &str) {
    let answer = agent.post(&running.client, 0, std::slice::from_ref(batch)).await;
    assert_eq!(answer.class(), class, "{}", answer.text());
    assert_eq!(answer.status, 422);
}

struct Case {
    class: &'static str,
    batch: Batch,
}

/// A batch whose body has these lines, its claims changed by `change`.
fn with_body(agent: &Agent, plain: &[u8], change: impl FnOnce(&mut BatchClaims, &mut Vec<u8>)) -> Batch {
    let seed = [9; 32];
    let sealed = seal_body(plain, &seed, &mut Compressor::new().unwrap()).unwrap();
    let mut claims = agent.heartbeat_claims();
    claims.record_root = sealed.record_root;
    claims.context_count = 2;
    claims.record_count = 2;
    claims.codec = Codec::Zstd;
    let mut stored = sealed.stored;
    change(&mut claims, &mut stored);
    claims.stored_length = stored.len() as u32;
    claims.stored_hash = sha256(&[&stored]);
    agent.sign(claims, stored)
}

fn form_cases(agent: &mut Agent, ok: &Batch) -> Vec<Case> {
    let key = &agent.key;
    let payload = sealtrail_core::statement::BatchClaims::encode(&ok.claims);
    let raw = |class, statement| Case { class, batch: Batch { statement, ..ok.clone() } };
    let claims = |class, key_number, value| {
        raw(class, envelope(Kind::Batch, &with_claim(&payload, key_number, value), key))
    };
    let mut flipped = ok.statement.clone();
    *flipped.last_mut().unwrap() ^= 1;
    vec![
        raw("statement-malformed", b"not a statement".to_vec()),
        raw("statement-malformed", Vec::new()),
        raw("statement-malformed", ok.statement[..ok.statement.len() - 1].to_vec()),
        raw("statement-malformed", [&ok.statement[..], &[0]].concat()),
        raw("statement-malformed", ok.statement[1..].to_vec()),
        claims("statement-malformed", 9, None),
        claims("statement-malformed", 14, Some(uint(2))),
        claims("statement-malformed", 7, Some(uint(1 << 53))),
        claims("unknown-claim", 23, Some(uint(1))),
        claims("unknown-claim", 32, Some(uint(1))),
        raw("bad-signature", flipped),
    ]
}

fn place_cases(agent: &mut Agent, other_trail: TrailId) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut push = |class, agent: &Agent, change: &dyn Fn(&mut BatchClaims)| {
        let mut claims = agent.heartbeat_claims();
        change(&mut claims);
        cases.push(Case { class, batch: agent.sign(claims, Vec::new()) });
    };
    push("wrong-trail", agent, &|c| c.place.ledger = LedgerName::new("localhost/other").unwrap());
    push("wrong-trail", agent, &|c| c.place.trail = other_trail);
    push("unknown-epoch", agent, &|c| c.epoch = Identity([5; 32]));
    push("wrong-stream", agent, &|c| c.place.stream = name("other"));
    push("wrong-stream", agent, &|c| c.place.instance = name("other"));
    push("chain-broken", agent, &|c| c.prev = Identity([5; 32]));
    push("seen-unknown", agent, &|c| c.seen = Some([5; 32]));
    let published = Published { trail: other_trail, size: TreeSize(1), root: [0; 32] };
    push("unknown-claim", agent, &|c| c.published = vec![published]);
    let own = std::mem::replace(&mut agent.key, EcdsaKey::generate(Algorithm::Es256).unwrap());
    push("foreign-key", agent, &|_| {});
    agent.key = EcdsaKey::generate(Algorithm::Es384).unwrap();
    push("foreign-key", agent, &|_| {});
    agent.key = own;
    cases
}

fn body_cases(agent: &mut Agent) -> Vec<Case> {
    let mut cases = Vec::new();
    let (claims, body) = agent.claims(3);
    let good = agent.sign(claims.clone(), body.clone());
    let mut put = |class, batch| cases.push(Case { class, batch });
    put("body-missing", Batch { body: Vec::new(), ..good.clone() });
    let mut flipped = body.clone();
    *flipped.last_mut().unwrap() ^= 1;
    put("stored-hash-mismatch", Batch { body: flipped, ..good.clone() });
    put("stored-hash-mismatch", Batch { body: body[..body.len() - 1].to_vec(), ..good.clone() });
    put("stored-hash-mismatch", Batch { body: [&body[..], &[0]].concat(), ..good });
    let heartbeat = agent.heartbeat_claims();
    put("stored-hash-mismatch", agent.sign(heartbeat.clone(), vec![1]));
    for change in [
        |c: &mut BatchClaims| c.record_root = [0; 32],
        |c: &mut BatchClaims| c.context_count = 1,
        |c: &mut BatchClaims| c.record_count = 1,
        |c: &mut BatchClaims| c.codec = Codec::Zstd,
        |c: &mut BatchClaims| c.encryption = Some(Encryption { key_id: EMPTY, nonce: [0; 12] }),
    ] {
        let mut claims = heartbeat.clone();
        change(&mut claims);
        put("stored-hash-mismatch", agent.sign(claims, Vec::new()));
    }
    let seed = [9; 32];
    let plain = Agent::plain(&seed, &["one".into(), "two".into()]);
    let plain = plain.as_bytes();
    put("body-malformed", with_body(agent, plain, |_, stored| *stored = b"no frame".to_vec()));
    put("body-malformed", with_body(agent, plain, |_, stored| stored.push(0)));
    put("body-malformed", with_body(agent, plain, |_, stored| stored.extend(stored.clone())));
    put("body-malformed", with_body(agent, &plain[..plain.len() - 1], |_, _| {}));
    put("body-malformed", with_body(agent, b"", |_, _| {}));
    put("count-mismatch", with_body(agent, plain, |claims, _| claims.record_count = 3));
    put("count-mismatch", with_body(agent, plain, |claims, _| claims.context_count = 1));
    put("record-root-mismatch", with_body(agent, plain, |claims, _| claims.record_root = [1; 32]));
    let other_seed = Agent::plain(&[8; 32], &["one".into(), "two".into()]);
    put("record-root-mismatch", with_body(agent, other_seed.as_bytes(), |_, _| {}));
    let no_header = String::from_utf8(plain.to_vec()).unwrap().replace("\"v\":1", "\"v\":2");
    put("line-form", with_body(agent, no_header.as_bytes(), |_, _| {}));
    let wrong_length = String::from_utf8(plain.to_vec()).unwrap().replace("\"length\":", "\"length\":1");
    put("line-form", with_body(agent, wrong_length.as_bytes(), |_, _| {}));
    // A frame that says it holds more than 8 MiB: refused before anything is allocated.
    let bomb = zstd::bulk::compress(&vec![b'\n'; (8 << 20) + 1], 1).unwrap();
    assert!(bomb.len() < 2000);
    put("body-malformed", with_body(agent, plain, |_, stored| *stored = bomb));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_batch_is_refused_and_recorded() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let other = running.add(&home, "other", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let first = agent.batch(2);
    agent.send(&running.client, 0, &[first]).await;
    let size = running.size(trail);

    let (claims, body) = agent.claims(3);
    let ok = agent.sign(claims, body);
    let mut cases = form_cases(&mut agent, &ok);
    cases.extend(place_cases(&mut agent, other));
    cases.extend(body_cases(&mut agent));
    let count = cases.len();
    let digests: std::collections::BTreeSet<Hash> =
        cases.iter().map(|case| sha256(&[&case.batch.statement])).collect();
    for case in &cases {
        refused(&running, &agent, &case.batch, case.class).await;
    }
    println!("{count} batches refused");
    assert_eq!(running.size(trail), size);
    assert_eq!(running.size(other), 0);
    let status = running.ledger.status();
    assert_eq!(status.refused.values().sum::<u64>(), count as u64);
    running.settled().await;

    // The good one still goes in, and the directory is none the worse.
    agent.send(&running.client, 0, &[ok]).await;
    let quarantine = home.path().join("private/quarantine");
    let kept: std::collections::BTreeSet<String> = std::fs::read_dir(quarantine)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(kept, digests.iter().map(hex::encode).collect());
    running.close().await;
    home.assert_verified(&[]);
    let records = crate::control::records(&home, "sealtrail.statement.refused");
    let total: u64 = records.iter().map(|r| r["attributes"]["count"].as_u64().unwrap()).sum();
    assert_eq!(total, count as u64);
    for record in &records {
        let digest = record["attributes"]["digest"].as_str().unwrap();
        assert!(kept.contains(digest));
        assert_eq!(record["attributes"]["trail.id"], trail.to_string());
    }
}

/// T10: what was signed for one trail, stream or ledger enters no other.
#[tokio::test(flavor = "multi_thread")]
async fn batches_are_taken_nowhere_else() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let other = running.add(&home, "other", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let mut twin = home.agent(&running, other, "web", "a").await;
    let batch = agent.batch(2);
    refused(&running, &twin, &batch, "wrong-trail").await;
    // Signed for the other trail, but of an epoch of this one.
    let mut claims = twin.heartbeat_claims();
    (claims.epoch, claims.prev) = (agent.epoch, agent.epoch);
    refused(&running, &twin, &agent.sign(claims, Vec::new()), "unknown-epoch").await;
    let elsewhere = Home::new();
    let second = elsewhere.start().await;
    let there = second.add(&elsewhere, "payments", "web").await;
    let path = format!("/v1/trails/{there}/batches");
    let answer = second.client.post(&path, crate::agent::request(0, std::slice::from_ref(&batch))).await;
    // Both ledgers have the same name here; the trail's id tells them apart.
    assert_eq!(answer.class(), "wrong-trail");
    agent.send(&running.client, 0, &[batch]).await;
    let own = twin.batch(1);
    twin.send(&running.client, 0, &[own]).await;
    second.close().await;
    running.close().await;
    home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_ends_a_request() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let good: Vec<Batch> = (0..2).map(|_| agent.batch(2)).collect();
    let state = agent.state();
    let bad = Batch { body: vec![1, 2, 3], ..agent.batch(2) };
    let after = agent.batch(2);
    let batches = [good.clone(), vec![bad.clone(), after]].concat();
    let answer = agent.post(&running.client, 0, &batches).await;
    assert_eq!(answer.status, 200);
    let batched = crate::agent::Batched::decode(&answer.body);
    assert_eq!(batched.results.len(), 3);
    assert!(batched.results[0].is_ok() && batched.results[1].is_ok());
    let (status, problem) = batched.results[2].as_ref().unwrap_err();
    assert_eq!((*status, problem["class"].as_str().unwrap()), (422, "stored-hash-mismatch"));
    assert_eq!(running.size(trail), 3);
    refused(&running, &agent, &bad, "stored-hash-mismatch").await;
    // A failure that only the sequencer sees ends the list as well.
    agent.set_state(state);
    let next = agent.batch(1);
    let mut claims = agent.heartbeat_claims();
    claims.prev = Identity([1; 32]);
    let broken = agent.sign(claims, Vec::new());
    let answer = agent.post(&running.client, 0, &[next, broken.clone(), broken]).await;
    let batched = crate::agent::Batched::decode(&answer.body);
    assert_eq!(batched.results.len(), 2);
    assert_eq!(batched.results[1].as_ref().unwrap_err().1["class"], "chain-broken");
    running.close().await;
    home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_has_a_quota() {
    let home = Home::new();
    let mut config = crate::harness::fast();
    config.storage.quarantine_bytes = 10_000;
    let running = home.start_with(config).await;
    let trail = running.add(&home, "payments", "web").await;
    let agent = home.agent(&running, trail, "web", "a").await;
    for number in 0..40_u32 {
        let statement = [vec![0xff; 900], number.to_be_bytes().to_vec()].concat();
        let batch = Batch {
            statement,
            body: Vec::new(),
            identity: Identity([0; 32]),
            claims: agent.heartbeat_claims(),
        };
        refused(&running, &agent, &batch, "statement-malformed").await;
    }
    let sizes: Vec<u64> = std::fs::read_dir(home.path().join("private/quarantine"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(sizes.iter().sum::<u64>() <= 10_000, "{sizes:?}");
    assert_eq!(sizes.len(), 10);
    assert_eq!(running.ledger.status().quarantine_bytes, sizes.iter().sum::<u64>());
    let metrics = running.client.get("/metrics").await.text();
    assert!(metrics.contains("\nsealtrail_quarantine_dropped_total 30\n"), "{metrics}");
    running.settled().await;
    running.close().await;
    let records = crate::control::records(&home, "sealtrail.statement.refused");
    let total: u64 = records.iter().map(|r| r["attributes"]["count"].as_u64().unwrap()).sum();
    assert_eq!(total, 40);
    assert!(records.len() < 40, "refusals are folded");
}
