//! A small agent: real keys, evidence, bodies and statements, sent over HTTP.

use std::sync::Arc;

use sealtrail_attest::software;
use sealtrail_core::body::{self, Compressor};
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::hash::{EMPTY, Hash, sha256};
use sealtrail_core::key::{Algorithm, Signer};
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId};
use sealtrail_core::receipt::Receipt;
use sealtrail_core::statement::{
    BatchClaims, Claims, Close, Codec, OpenClaims, Place, Predecessor, SignedStatement, Totals, binding, seal,
};
use sealtrail_keys::EcdsaKey;

use crate::client::{Answer, Client};

/// SHA-256 of the program that the evidence vouches for.
pub const PROGRAM: [u8; 32] = [0x42; 32];

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The development root that makes evidence.
#[derive(Clone)]
pub struct Attester {
    key: Arc<EcdsaKey>,
}

impl Attester {
    pub fn new() -> Self {
        Self { key: Arc::new(EcdsaKey::generate(Algorithm::Es256).unwrap()) }
    }

    pub fn root(&self) -> Hash {
        sha256(&[self.key.public_key().spki()])
    }

    pub fn accept(&self) -> sealtrail_attest::ReferenceValue {
        sealtrail_attest::ReferenceValue::software(self.root(), vec![PROGRAM])
    }

    pub fn evidence(&self, claims: &software::Claims) -> Vec<u8> {
        let signature = self.key.sign(&claims.to_be_signed()).unwrap();
        let spki = self.key.public_key().spki();
        claims.seal(signature.try_into().unwrap(), spki).unwrap().encode()
    }
}

pub fn now_ns() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// What a challenge answer holds.
#[derive(Clone, Debug)]
pub struct Challenged {
    pub challenge: [u8; 64],
    pub note: Vec<u8>,
    pub last: Option<(Identity, Option<u64>, Identity)>,
}

impl Challenged {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut d = Decoder::new(bytes);
        d.array_of(4).unwrap();
        d.uint(1).unwrap();
        let challenge = d.array_of_bytes().unwrap();
        let note = d.bytes(1 << 16).unwrap().to_vec();
        let last = if d.null() {
            None
        } else {
            d.array_of(3).unwrap();
            let epoch = Identity(d.array_of_bytes().unwrap());
            let sequence = if d.null() { None } else { Some(d.uint(u64::MAX).unwrap()) };
            Some((epoch, sequence, Identity(d.array_of_bytes().unwrap())))
        };
        d.finish().unwrap();
        Self { challenge, note, last }
    }
}

/// What a batches answer holds.
#[derive(Debug)]
pub struct Batched {
    pub results: Vec<Result<Receipt, (u64, serde_json::Value)>>,
    pub proof: Vec<Hash>,
    pub note: Vec<u8>,
}

impl Batched {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut d = Decoder::new(bytes);
        d.array_of(4).unwrap();
        d.uint(1).unwrap();
        let count = d.array(64).unwrap();
        let results = (0..count)
            .map(|_| {
                d.array_of(2).unwrap();
                match d.uint(599).unwrap() {
                    200 => Ok(Receipt::decode(d.bytes(1 << 20).unwrap()).unwrap()),
                    status => Err((status, serde_json::from_str(d.text(1 << 16).unwrap()).unwrap())),
                }
            })
            .collect();
        let hashes = d.array(65).unwrap();
        let proof = (0..hashes).map(|_| d.array_of_bytes().unwrap()).collect();
        let note = d.bytes(1 << 16).unwrap().to_vec();
        d.finish().unwrap();
        Self { results, proof, note }
    }
}

/// One instance of a stream.
pub struct Agent {
    pub place: Place,
    pub key: EcdsaKey,
    pub epoch: Identity,
    pub next: u64,
    pub prev: Identity,
    pub totals: Totals,
    pub seen: Option<Hash>,
    compressor: Compressor,
}

/// A signed batch with its body.
#[derive(Clone, Debug)]
pub struct Batch {
    pub statement: Vec<u8>,
    pub body: Vec<u8>,
    pub identity: Identity,
    pub claims: BatchClaims,
}

impl Agent {
    pub fn new(ledger: &LedgerName, trail: TrailId, stream: &str, instance: &str) -> Self {
        let place = Place { ledger: ledger.clone(), trail, stream: name(stream), instance: name(instance) };
        Self {
            place,
            key: EcdsaKey::generate(Algorithm::Es256).unwrap(),
            epoch: Identity([0; 32]),
            next: 0,
            prev: Identity([0; 32]),
            totals: Totals::default(),
            seen: None,
            compressor: Compressor::new().unwrap(),
        }
    }

    /// Where it stands in its epoch. Set back to an earlier state, it does what a cloned or restored machine does: go on
    /// from there with the same key.
    pub fn state(&self) -> (u64, Identity, Totals) {
        (self.next, self.prev, self.totals)
    }

    pub fn set_state(&mut self, state: (u64, Identity, Totals)) {
        (self.next, self.prev, self.totals) = state;
    }

    pub async fn challenge(&self, client: &Client) -> Challenged {
        let answer = self.ask_challenge(client).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Challenged::decode(&answer.body)
    }

    pub async fn ask_challenge(&self, client: &Client) -> Answer {
        let mut e = Encoder::new();
        e.array(4).uint(1).bytes(&self.place.trail.0);
        e.text(self.place.stream.as_str()).text(self.place.instance.as_str());
        client.post("/v1/challenges", e.into_bytes()).await
    }

    pub fn open_claims(&self, challenge: [u8; 64], predecessor: Option<Predecessor>) -> OpenClaims {
        OpenClaims {
            place: self.place.clone(),
            public_key: self.key.public_key().clone(),
            hpke_key: None,
            evidence: [0; 32],
            software_version: "test-agent/1".into(),
            configuration: [1; 32],
            redaction: EMPTY,
            heartbeat_ms: 3_600_000,
            age_ms_max: 86_400_000,
            challenge: Some(challenge),
            predecessor,
            opened_at_ns: now_ns(),
        }
    }

    /// Signs an open with evidence made for it.
    pub fn open(&self, attester: &Attester, mut claims: OpenClaims) -> (SignedStatement, Vec<u8>) {
        let evidence = attester.evidence(&self.evidence_claims(&claims));
        claims.evidence = sha256(&[&evidence]);
        (self.sign_open(claims), evidence)
    }

    pub fn sign_open(&self, claims: OpenClaims) -> SignedStatement {
        seal(&Claims::Open(Box::new(claims)), &self.key).unwrap()
    }

    pub fn evidence_claims(&self, claims: &OpenClaims) -> software::Claims {
        software::Claims {
            binding: binding(&claims.encode()).unwrap(),
            measurement: PROGRAM,
            issued_at_ms: now_ns() / 1_000_000,
            challenge: claims.challenge.unwrap_or([0; 64]),
        }
    }

    pub async fn post_open(&self, client: &Client, statement: &[u8], evidence: &[u8]) -> Answer {
        let mut e = Encoder::new();
        e.array(3).uint(1).bytes(statement).bytes(evidence);
        client.post(&format!("/v1/trails/{}/epochs", self.place.trail), e.into_bytes()).await
    }

    /// Begins an epoch; returns its open's receipt.
    pub async fn begin(&mut self, client: &Client, attester: &Attester) -> (SignedStatement, Receipt) {
        let challenged = self.challenge(client).await;
        let predecessor = challenged.last.map(|(epoch, sequence, identity)| Predecessor {
            epoch,
            sequence,
            identity,
            known: sealtrail_core::statement::Known::Ledger,
        });
        self.key = EcdsaKey::generate(Algorithm::Es256).unwrap();
        self.seen = Some(sha256(&[&challenged.note]));
        let claims = self.open_claims(challenged.challenge, predecessor);
        let (statement, evidence) = self.open(attester, claims);
        let answer = self.post_open(client, &statement.bytes, &evidence).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.enter(statement.identity);
        let receipt = opened(&answer.body);
        (statement, receipt)
    }

    /// Takes an epoch as begun.
    pub fn enter(&mut self, epoch: Identity) {
        (self.epoch, self.next, self.prev, self.totals) = (epoch, 0, epoch, Totals::default());
    }

    /// The plain body of records with the given texts.
    pub fn plain(seed: &[u8; 32], texts: &[String]) -> String {
        let mut lines = String::from("{\"resource\":{}}\n{\"scope\":{}}\n");
        for text in texts {
            lines.push_str(&format!(
                "{{\"body\":\"{text}\",\"observedTimeUnixNano\":\"{}\",\"resource\":1,\"scope\":2}}\n",
                now_ns()
            ));
        }
        format!(
            "{{\"length\":{},\"requests\":[],\"seed\":\"{}\",\"v\":1}}\n{lines}",
            lines.len(),
            hex::encode(seed)
        )
    }

    /// The claims of the next batch, without a body.
    pub fn heartbeat_claims(&self) -> BatchClaims {
        BatchClaims {
            place: self.place.clone(),
            epoch: self.epoch,
            sequence: self.next,
            prev: self.prev,
            record_root: EMPTY,
            context_count: 0,
            record_count: 0,
            stored_hash: EMPTY,
            stored_length: 0,
            codec: Codec::None,
            encryption: None,
            seen: self.seen,
            wall_clock_ns: (now_ns(), now_ns()),
            monotonic_ns: self.next * 1_000_000,
            totals: self.totals,
            retention_class: name("default"),
            close: None,
            published: Vec::new(),
        }
    }

    /// Claims and stored body of the next batch with so many records.
    pub fn claims(&mut self, records: u32) -> (BatchClaims, Vec<u8>) {
        let mut claims = self.heartbeat_claims();
        if records == 0 {
            return (claims, Vec::new());
        }
        let seed = sha256(&[&now_ns().to_be_bytes(), &self.next.to_be_bytes()]);
        let texts: Vec<String> = (0..records).map(|n| format!("event {n} of batch {}", self.next)).collect();
        let plain = Self::plain(&seed, &texts);
        let sealed = body::seal(plain.as_bytes(), &seed, &mut self.compressor).unwrap();
        claims.record_root = sealed.record_root;
        claims.context_count = 2;
        claims.record_count = records;
        claims.stored_hash = sealed.stored_hash;
        claims.stored_length = sealed.stored.len() as u32;
        claims.codec = Codec::Zstd;
        claims.totals.received += u64::from(records);
        claims.totals.sealed += u64::from(records);
        (claims, sealed.stored)
    }

    pub fn sign(&self, claims: BatchClaims, body: Vec<u8>) -> Batch {
        let signed = seal(&Claims::Batch(Box::new(claims.clone())), &self.key).unwrap();
        Batch { statement: signed.bytes, body, identity: signed.identity, claims }
    }

    /// Signs the next batch with so many records and goes on to the one after it.
    pub fn batch(&mut self, records: u32) -> Batch {
        let (claims, body) = self.claims(records);
        let batch = self.sign(claims, body);
        self.advance(&batch);
        batch
    }

    pub fn close(&mut self, close: Close) -> Batch {
        let mut claims = self.heartbeat_claims();
        claims.close = Some(close);
        let batch = self.sign(claims, Vec::new());
        self.advance(&batch);
        batch
    }

    fn advance(&mut self, batch: &Batch) {
        self.next = batch.claims.sequence + 1;
        self.prev = batch.identity;
        self.totals = batch.claims.totals;
    }

    pub fn path(&self) -> String {
        format!("/v1/trails/{}/batches", self.place.trail)
    }

    pub async fn post(&self, client: &Client, held: u64, batches: &[Batch]) -> Answer {
        client.post(&self.path(), request(held, batches)).await
    }

    /// Posts batches that must all be taken.
    pub async fn send(&self, client: &Client, held: u64, batches: &[Batch]) -> Batched {
        let answer = self.post(client, held, batches).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let batched = Batched::decode(&answer.body);
        assert_eq!(batched.results.len(), batches.len(), "{:?}", batched.results.last());
        assert!(batched.results.iter().all(Result::is_ok), "{:?}", batched.results.last());
        batched
    }
}

/// A batches request.
pub fn request(held: u64, batches: &[Batch]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(3).uint(1).uint(held).array(batches.len());
    for batch in batches {
        e.array(2).bytes(&batch.statement).bytes(&batch.body);
    }
    e.into_bytes()
}

/// The receipt in the answer to an open.
pub fn opened(body: &[u8]) -> Receipt {
    let mut d = Decoder::new(body);
    d.array_of(2).unwrap();
    d.uint(1).unwrap();
    let receipt = Receipt::decode(d.bytes(1 << 20).unwrap()).unwrap();
    d.finish().unwrap();
    receipt
}
