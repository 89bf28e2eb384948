//! Opens: challenges, evidence, predecessors.

use sealtrail_attest::software;
use sealtrail_core::cbor::Encoder;
use sealtrail_core::hash::sha256;
use sealtrail_core::key::{Algorithm, Signer as _};
use sealtrail_core::name::Identity;
use sealtrail_core::statement::{Kind, Known, OpenClaims, Predecessor};
use sealtrail_keys::EcdsaKey;

use crate::agent::{Agent, Attester, name, opened};
use crate::harness::{Home, Running};
use crate::refusals::{envelope, with_claim};

async fn posted(running: &Running, agent: &Agent, statement: &[u8], evidence: &[u8]) -> String {
    agent.post_open(&running.client, statement, evidence).await.class()
}

/// T17: evidence is good for one key, one challenge, once.
#[tokio::test(flavor = "multi_thread")]
async fn challenges_and_evidence_are_used_once() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = Agent::new(&home.initialised.name, trail, "web", "a");
    let challenged = agent.challenge(&running.client).await;
    assert_eq!(challenged.challenge[..32], sha256(&[&challenged.note]));
    assert_eq!(challenged.last, None);
    let claims = agent.open_claims(challenged.challenge, None);
    let (open, evidence) = agent.open(&home.attester, claims.clone());
    let answer = agent.post_open(&running.client, &open.bytes, &evidence).await;
    assert_eq!(answer.status, 201);
    let first = opened(&answer.body);
    // Again, the same: the same place.
    let answer = agent.post_open(&running.client, &open.bytes, &evidence).await;
    assert_eq!(answer.status, 200);
    let again = opened(&answer.body);
    assert_eq!((again.trail.index, again.ledger_part), (first.trail.index, first.ledger_part));
    // Signed again it is still the same statement.
    let twin = agent.sign_open(OpenClaims { evidence: sha256(&[&evidence]), ..claims.clone() });
    assert_ne!(twin.bytes, open.bytes);
    assert_eq!(twin.identity, open.identity);
    assert_eq!(agent.post_open(&running.client, &twin.bytes, &evidence).await.status, 200);
    assert_eq!(running.size(trail), 1);

    // The used challenge with new evidence for a new key.
    agent.key = EcdsaKey::generate(Algorithm::Es256).unwrap();
    let (reused, fresh) = agent.open(&home.attester, agent.open_claims(challenged.challenge, None));
    assert_eq!(posted(&running, &agent, &reused.bytes, &fresh).await, "challenge-stale");
    // The old evidence with a new key, under the old and under a new challenge.
    for challenge in [challenged.challenge, agent.challenge(&running.client).await.challenge] {
        let mut claims = agent.open_claims(challenge, None);
        claims.evidence = sha256(&[&evidence]);
        let replayed = agent.sign_open(claims);
        assert_eq!(posted(&running, &agent, &replayed.bytes, &evidence).await, "binding-mismatch");
    }
    // A challenge of another instance, and one nobody gave.
    let other = Agent::new(&home.initialised.name, trail, "web", "b");
    let theirs = other.challenge(&running.client).await.challenge;
    for challenge in [theirs, [7; 64]] {
        let (open, evidence) = agent.open(&home.attester, agent.open_claims(challenge, None));
        assert_eq!(posted(&running, &agent, &open.bytes, &evidence).await, "challenge-stale");
    }
    assert_eq!(running.size(trail), 1);
    running.close().await;
    // A restart forgets challenges; asking again helps.
    let running = home.start().await;
    let (open, evidence) = other.open(&home.attester, other.open_claims(theirs, None));
    assert_eq!(posted(&running, &other, &open.bytes, &evidence).await, "challenge-stale");
    running.close().await;
    home.assert_verified(&[]);
}

struct Case {
    class: &'static str,
    statement: Vec<u8>,
    evidence: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_of_open_is_refused() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let other = running.add(&home, "other", "elsewhere").await;
    let agent = Agent::new(&home.initialised.name, trail, "web", "a");
    let challenge = agent.challenge(&running.client).await.challenge;
    let claims = agent.open_claims(challenge, None);
    let attester = &home.attester;
    let (open, evidence) = agent.open(attester, claims.clone());
    let sealed = |claims: &software::Claims, attester: &Attester| {
        let evidence = attester.evidence(claims);
        let open = OpenClaims { evidence: sha256(&[&evidence]), ..agent.open_claims(challenge, None) };
        (agent.sign_open(open).bytes, evidence)
    };
    let mut cases = Vec::new();
    let mut put = |class, (statement, evidence): (Vec<u8>, Vec<u8>)| {
        cases.push(Case { class, statement, evidence });
    };
    put("statement-malformed", (vec![0x80], evidence.clone()));
    let payload = OpenClaims { evidence: sha256(&[&evidence]), ..claims.clone() }.encode();
    let claim = |number, value| envelope(Kind::Open, &with_claim(&payload, number, value), &agent.key);
    put("statement-malformed", (claim(38, None), evidence.clone()));
    put("unknown-claim", (claim(50, Some(vec![0])), evidence.clone()));
    put("unknown-claim", (claim(6, Some(vec![0])), evidence.clone()));
    let place = |change: &dyn Fn(&mut OpenClaims)| {
        let mut claims = claims.clone();
        change(&mut claims);
        let (open, evidence) = agent.open(attester, claims);
        (open.bytes, evidence)
    };
    put("wrong-trail", place(&|c| c.place.trail = other));
    put("unknown-stream", place(&|c| c.place.stream = name("elsewhere")));
    let stranger = EcdsaKey::generate(Algorithm::Es256).unwrap();
    put("foreign-key", (envelope(Kind::Open, &payload, &stranger), evidence.clone()));
    let mut flipped = open.bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    put("bad-signature", (flipped, evidence.clone()));
    put("evidence-missing", (open.bytes.clone(), Vec::new()));
    put("evidence-missing", (open.bytes.clone(), [&evidence[..], &[0]].concat()));
    let garbage = b"no evidence".to_vec();
    let bound = OpenClaims { evidence: sha256(&[&garbage]), ..claims.clone() };
    put("evidence-malformed", (agent.sign_open(bound).bytes, garbage));
    let good = agent.evidence_claims(&claims);
    put("untrusted-root", sealed(&good, &Attester::new()));
    let old = good.issued_at_ms - 11 * 60 * 1000;
    put("evidence-refused", sealed(&software::Claims { issued_at_ms: old, ..good.clone() }, attester));
    put("binding-mismatch", sealed(&software::Claims { binding: [1; 64], ..good.clone() }, attester));
    let other_challenge = software::Claims { challenge: [1; 64], ..agent.evidence_claims(&claims) };
    // The binding covers opened-at, so evidence and open have to be of the same claims.
    let evidence_for = attester.evidence(&other_challenge);
    let bound = OpenClaims { evidence: sha256(&[&evidence_for]), ..claims.clone() };
    put("challenge-mismatch", (agent.sign_open(bound).bytes, evidence_for));
    let mut none = claims.clone();
    none.challenge = None;
    let (statement, bound) = agent.open(attester, none);
    put("challenge-mismatch", (statement.bytes, bound));
    let code = software::Claims { measurement: [1; 32], ..agent.evidence_claims(&claims) };
    let evidence_for = attester.evidence(&code);
    let bound = OpenClaims { evidence: sha256(&[&evidence_for]), ..claims.clone() };
    put("unexpected-code", (agent.sign_open(bound).bytes, evidence_for));
    // What only the ledger's own trail takes.
    let ledger = sealtrail_attest::ledger::seal([0; 64]).encode();
    let bound = OpenClaims { evidence: sha256(&[&ledger]), ..claims.clone() };
    put("untrusted-root", (agent.sign_open(bound).bytes, ledger));
    put(
        "predecessor-unknown",
        place(&|c| {
            let epoch = Identity([3; 32]);
            c.predecessor =
                Some(Predecessor { epoch, sequence: None, identity: epoch, known: Known::Ledger });
        }),
    );
    for case in &cases {
        let answer = agent.post_open(&running.client, &case.statement, &case.evidence).await;
        assert_eq!(answer.class(), case.class, "{}", answer.text());
        assert_eq!(answer.status, 422);
    }
    println!("{} opens refused", cases.len());
    assert_eq!(running.size(trail), 0);
    // None of them used the challenge up.
    assert_eq!(agent.post_open(&running.client, &open.bytes, &evidence).await.status, 201);

    let stranger = Agent::new(&home.initialised.name, trail, "unheard-of", "a");
    assert_eq!(stranger.ask_challenge(&running.client).await.class(), "unknown-stream");
    let nowhere = Agent::new(&home.initialised.name, sealtrail_core::name::TrailId([0; 16]), "web", "a");
    let answer = nowhere.ask_challenge(&running.client).await;
    assert_eq!((answer.class().as_str(), answer.status.as_u16()), ("unknown-trail", 404));
    running.close().await;
    home.assert_verified(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_has_one_successor_that_knows_its_end() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let first = agent.epoch;
    let batches: Vec<_> = (0..3).map(|_| agent.batch(1)).collect();
    agent.send(&running.client, 0, &batches).await;
    let (known, last) = (Known::Ledger, batches[2].identity);
    let challenged = agent.challenge(&running.client).await;
    assert_eq!(challenged.last, Some((first, Some(2), last)));
    for (class, epoch, sequence, identity) in [
        ("predecessor-unknown", Identity([1; 32]), Some(2), last),
        ("predecessor-mismatch", first, None, Identity([1; 32])),
        ("predecessor-mismatch", first, Some(2), Identity([1; 32])),
        ("stale-predecessor", first, Some(1), batches[1].identity),
        ("stale-predecessor", first, None, first),
    ] {
        let predecessor = Predecessor { epoch, sequence, identity, known };
        let claims = agent.open_claims(challenged.challenge, Some(predecessor));
        let (open, evidence) = agent.open(&home.attester, claims);
        assert_eq!(posted(&running, &agent, &open.bytes, &evidence).await, class);
    }
    // Of another instance.
    let other = Agent::new(&home.initialised.name, trail, "web", "b");
    let challenge = other.challenge(&running.client).await.challenge;
    let predecessor = Predecessor { epoch: first, sequence: Some(2), identity: last, known };
    let (open, evidence) = other.open(&home.attester, other.open_claims(challenge, Some(predecessor)));
    assert_eq!(posted(&running, &other, &open.bytes, &evidence).await, "predecessor-mismatch");
    // One successor, after which there is no other.
    agent.begin(&running.client, &home.attester).await;
    let second = agent.epoch;
    let challenge = agent.challenge(&running.client).await;
    assert_eq!(challenge.last, Some((second, None, second)));
    let (open, evidence) =
        agent.open(&home.attester, agent.open_claims(challenge.challenge, Some(predecessor)));
    assert_eq!(posted(&running, &agent, &open.bytes, &evidence).await, "predecessor-conflict");
    let batch = agent.batch(1);
    agent.send(&running.client, 0, &[batch]).await;
    running.close().await;
    home.assert_verified(&["dirty-end"]);

    let running = home.start().await;
    let challenge = agent.challenge(&running.client).await;
    assert_eq!(challenge.last.map(|(epoch, ..)| epoch), Some(second));
    running.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_as_the_interface_says() {
    let home = Home::new();
    let running = home.start().await;
    let trail = running.add(&home, "payments", "web").await;
    let mut agent = home.agent(&running, trail, "web", "a").await;
    let (client, batch) = (&running.client, agent.batch(1));
    let batches = agent.path();
    let epochs = format!("/v1/trails/{trail}/epochs");
    let mut wrong = vec![
        (batches.clone(), vec![]),
        (batches.clone(), vec![0x80]),
        (batches.clone(), crate::agent::request(0, &[])),
        (batches.clone(), crate::agent::request(9, std::slice::from_ref(&batch))),
        (batches.clone(), crate::agent::request(0, &vec![batch.clone(); 65])),
        (batches.clone(), [crate::agent::request(0, std::slice::from_ref(&batch)), vec![0]].concat()),
        (epochs.clone(), vec![0xf6]),
        ("/v1/challenges".to_owned(), vec![0x84, 1]),
    ];
    let mut e = Encoder::new();
    e.array(3).uint(1).bytes(&batch.statement).bytes(b"");
    wrong.push((epochs.clone(), e.into_bytes()));
    let mut e = Encoder::new();
    e.array(3).uint(2).uint(0).array(0);
    wrong.push((batches.clone(), e.into_bytes()));
    for (path, body) in wrong {
        let answer = client.post(&path, body).await;
        assert_eq!((answer.class().as_str(), answer.status.as_u16()), ("malformed-request", 400), "{path}");
    }
    // An open where batches are taken.
    let claims = agent.open_claims([1; 64], None);
    let (open, _) = agent.open(&home.attester, claims);
    let misplaced = crate::agent::Batch { statement: open.bytes, body: Vec::new(), ..batch.clone() };
    assert_eq!(agent.post(client, 0, &[misplaced]).await.class(), "malformed-request");
    for path in ["/v1/trails/zz/batches", "/v1/trails/00000000000000000000000000000000/batches"] {
        assert_eq!(client.post(path, Vec::new()).await.class(), "unknown-trail");
    }
    let control = home.initialised.control;
    let answer = client.post(&format!("/v1/trails/{control}/batches"), Vec::new()).await;
    assert_eq!(answer.class(), "unknown-trail", "nobody writes to the control trail from outside");
    assert_eq!(agent.key.public_key().raw().len(), 65);
    agent.send(client, 0, &[batch]).await;
    running.close().await;
}
