//! The ledger's side of the interface, on loopback, with the real formats: it checks what it is given as strictly as it
//! can, keeps everything, and misbehaves when told to.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sealtrail_core::body::{Decompressor, check_stored, open, split_lines};
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::{PublicKey, Signer as _};
use sealtrail_core::line::check;
use sealtrail_core::merkle::{Tree, leaf_hash};
use sealtrail_core::name::{Identity, LeafIndex, LedgerName, TrailId, TreeSize};
use sealtrail_core::note::VerifierKey;
use sealtrail_core::receipt::{Inclusion, Receipt};
use sealtrail_core::statement::{BatchClaims, Claims, OpenClaims, Totals, UnverifiedStatement, binding};
use sealtrail_core::tile::Tile;
use sealtrail_keys::Ed25519Key;

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Good,
    /// Closes every connection.
    Away,
    /// Takes what it is given and answers 503.
    Unavailable,
    /// Answers 200 with bytes that are no answer, without taking anything.
    Nonsense,
    /// Answers with receipts whose checkpoint another key signed.
    WrongKey,
    /// Answers with receipts for another statement.
    WrongStatement,
    /// Answers with a consistency proof that leads elsewhere.
    Inconsistent,
    /// Answers with a control note smaller than one shown before.
    SmallerControl,
    /// Never stops answering.
    Endless,
    /// Something in between refuses every batch, in words of its own.
    Between,
    /// Refuses every batch for good.
    Refuse,
    /// Was set back to before what it is sent, and says so with this class.
    SetBack(&'static str),
    /// Publishes another history than it shows the agent.
    OtherHistory,
    /// Refuses one batch for good.
    RefuseOnce,
    /// Takes one open and loses the answer.
    LostOpen,
    /// Refuses every open.
    RefuseOpen,
    /// Says once that the sequence is ahead, from the first batch of the epoch.
    Forgetful,
    /// Says that every challenge is stale, once.
    StaleChallenge,
}

pub struct Epoch {
    pub open: OpenClaims,
    key: PublicKey,
    pub batches: BTreeMap<u64, (Identity, BatchClaims)>,
}

#[derive(Default)]
pub struct State {
    pub mode: Option<Mode>,
    pub epochs: HashMap<Identity, Epoch>,
    /// In the order they came.
    pub epoch_order: Vec<Identity>,
    /// Every record line, by epoch, sequence, leaf.
    pub records: Vec<(Identity, u64, String)>,
    pub requests: Vec<Hash>,
    /// Everything that was not as the format asks.
    pub violations: Vec<String>,
    pub resubmitted: u64,
    /// How often a batch came while an earlier one was missing.
    pub ahead: u64,
    pub calls: u64,
    seen: HashMap<Hash, u64>,
    challenges: Vec<[u8; 64]>,
    index: HashMap<Identity, usize>,
    entries: Vec<Vec<u8>>,
    parts: Vec<LedgerPart>,
    tree: Tree,
    control: Tree,
    /// As many leaves as the control trail, but others.
    other: Tree,
    pub tiles_read: u64,
}

pub struct Ledger {
    pub address: SocketAddr,
    pub name: LedgerName,
    pub trail: TrailId,
    pub control: TrailId,
    shared: Arc<Shared>,
}

struct Shared {
    name: LedgerName,
    trail: TrailId,
    control: TrailId,
    key: Ed25519Key,
    other: Ed25519Key,
    state: Mutex<State>,
}

impl Ledger {
    pub fn start() -> Self {
        let name = LedgerName::new("localhost/test").unwrap();
        let (trail, control) = (TrailId([7; 16]), TrailId([9; 16]));
        let (key, other) = (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { name: name.clone(), trail, control, key, other, state });
        shared.lock().grow_control();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, serving));
        });
        Self { address, name, trail, control, shared }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    pub fn set(&self, mode: Mode) {
        self.state().mode = Some(mode);
    }

    /// Makes the control trail longer.
    pub fn grow_control(&self, by: u64) {
        let mut state = self.state();
        (0..by).for_each(|_| state.grow_control());
    }

    pub fn vkey(&self) -> String {
        let raw = self.shared.key.public_key().raw().try_into().unwrap();
        VerifierKey::new(&self.name.origin(self.control), raw).unwrap().to_string()
    }

    /// The one key that the agent's own receipt files verify with.
    pub fn ledger_key(&self) -> sealtrail_core::checkpoint::LedgerKey {
        let raw = self.shared.key.public_key().raw().try_into().unwrap();
        sealtrail_core::checkpoint::LedgerKey::new(self.name.clone(), raw)
    }
}

impl State {
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or(Mode::Good)
    }

    /// All batches of one epoch, in order.
    pub fn batches(&self, epoch: Identity) -> Vec<&BatchClaims> {
        self.epochs[&epoch].batches.values().map(|(_, claims)| claims).collect()
    }

    /// The bodies of all record lines that have a string as body.
    pub fn bodies(&self) -> Vec<String> {
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        self.records.iter().filter_map(|(.., line)| value(line)["body"].as_str().map(str::to_owned)).collect()
    }

    /// The stubs, as JSON.
    pub fn stubs(&self) -> Vec<serde_json::Value> {
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        self.records.iter().map(|(.., line)| value(line)["stub"].clone()).filter(|s| !s.is_null()).collect()
    }

    /// The totals of the newest batch of each epoch, added up.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for epoch in self.epochs.values() {
            if let Some((_, (_, last))) = epoch.batches.last_key_value() {
                sum.received += last.totals.received;
                sum.sealed += last.totals.sealed;
                sum.dropped += last.totals.dropped;
                sum.resent += last.totals.resent;
                sum.stubbed += last.totals.stubbed;
                sum.redacted += last.totals.redacted;
            }
        }
        sum
    }

    fn grow_control(&mut self) {
        let n = self.control.size().0;
        self.control.push(leaf_hash(&n.to_be_bytes()));
        self.other.push(leaf_hash(&(n ^ 1).to_be_bytes()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note(&self, trail: TrailId, size: TreeSize, root: Hash, key: &Ed25519Key) -> Vec<u8> {
        CheckpointBody { origin: self.name.origin(trail), size, root }.sign(key).unwrap()
    }

    fn control_note(&self, state: &mut State) -> Vec<u8> {
        let smaller = state.mode() == Mode::SmallerControl;
        let size = if smaller { TreeSize(1) } else { state.control.size() };
        let note = self.note(self.control, size, state.control.root_at(size).unwrap(), &self.key);
        state.seen.insert(sha256(&[&note]), size.0);
        note
    }

    fn receipt(&self, state: &State, index: usize) -> Vec<u8> {
        let size = state.tree.size();
        let key = if state.mode() == Mode::WrongKey { &self.other } else { &self.key };
        let at = if state.mode() == Mode::WrongStatement { 0 } else { index };
        let leaf = LeafIndex(at as u64);
        let trail = Inclusion {
            index: leaf,
            proof: state.tree.inclusion(leaf, size).unwrap(),
            checkpoint: self.note(self.trail, size, state.tree.root(), key),
        };
        Receipt { ledger_part: state.parts[index], trail, control: None }.encode()
    }

    fn append(&self, state: &mut State, statement: &[u8], identity: Identity) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let ledger_part =
            LedgerPart { received_at_ns: now, control_size: state.control.size().0, collateral: None };
        let entry = Entry { statement, ledger_part }.encode();
        state.tree.push(leaf_hash(&entry));
        state.entries.push(entry);
        state.parts.push(ledger_part);
        let index = state.entries.len() - 1;
        state.index.insert(identity, index);
        index
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut state = shared.lock();
    state.calls += 1;
    match state.mode() {
        Mode::Away => return Err(std::io::Error::other("away")),
        Mode::Nonsense => return Ok(cbor(StatusCode::OK, b"\x84\x01garbage".to_vec())),
        Mode::Endless => return Ok(Response::new(Endless.boxed())),
        _ => {}
    }
    if state.mode() == Mode::Between && path.ends_with("/batches") {
        return Ok(cbor(StatusCode::UNPROCESSABLE_ENTITY, b"<html>no</html>".to_vec()));
    }
    let answered = if path == "/v1/challenges" {
        challenge(&shared, &mut state, &body)
    } else if path == format!("/v1/trails/{}/epochs", shared.trail) {
        epoch(&shared, &mut state, &body)
    } else if path == format!("/v1/trails/{}/batches", shared.trail) {
        batches(&shared, &mut state, &body)
    } else {
        published(&shared, &mut state, &path)
    };
    if state.mode() == Mode::LostOpen && path.ends_with("/epochs") {
        state.mode = Some(Mode::Good);
        return Err(std::io::Error::other("lost"));
    }
    if state.mode() == Mode::Unavailable {
        return Ok(problem(&Problem(503, "unavailable", String::new(), None)));
    }
    match answered {
        Ok((status, bytes)) => Ok(cbor(status, bytes)),
        Err(refusal) => {
            let asked_for = matches!(state.mode(), Mode::Refuse | Mode::RefuseOpen | Mode::SetBack(_))
                || refusal.2 == "once";
            if refusal.0 == 422 && !asked_for {
                state.violations.push(format!("{refusal:?}"));
            }
            Ok(problem(&refusal))
        }
    }
}

#[derive(Clone, Debug)]
struct Problem(u16, &'static str, String, Option<u64>);

impl Problem {
    fn json(&self) -> String {
        let Self(status, class, detail, expected) = self;
        serde_json::json!({ "status": status, "class": class, "detail": detail, "expected": expected })
            .to_string()
    }
}

/// A body without end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[0; 16384])))))
    }
}

fn cbor(status: StatusCode, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(bytes)).boxed());
    *answer.status_mut() = status;
    answer
}

fn problem(refusal: &Problem) -> Answer {
    cbor(StatusCode::from_u16(refusal.0).unwrap(), refusal.json().into_bytes())
}

type Answered = Result<(StatusCode, Vec<u8>), Problem>;

fn refused(class: &'static str, detail: impl ToString) -> Problem {
    Problem(422, class, detail.to_string(), None)
}

/// Checkpoints and tiles.
fn published(shared: &Shared, state: &mut State, path: &str) -> Answered {
    let unknown = || Problem(404, "unknown-trail", path.to_owned(), None);
    let rest = path.strip_prefix("/v1/trails/").ok_or_else(unknown)?;
    let (trail, rest) = rest.split_once('/').ok_or_else(unknown)?;
    let trail = TrailId::from_hex(trail).map_err(|_| unknown())?;
    let tree = match (trail == shared.control, state.mode()) {
        (true, Mode::OtherHistory) => &state.other,
        (true, _) => &state.control,
        (false, _) => &state.tree,
    };
    if rest == "checkpoint" {
        return Ok((StatusCode::OK, shared.note(trail, tree.size(), tree.root(), &shared.key)));
    }
    let tile = Tile::parse(rest).ok_or_else(unknown)?;
    let level = tree.level(8 * u32::from(tile.level.ok_or_else(unknown)?));
    let start = 256 * tile.number as usize;
    let hashes = level.get(start..start + usize::from(tile.width)).ok_or_else(unknown)?.concat();
    state.tiles_read += 1;
    Ok((StatusCode::OK, hashes))
}

fn challenge(shared: &Shared, state: &mut State, body: &[u8]) -> Answered {
    let mut decoder = Decoder::new(body);
    decoder.array_of(4).unwrap();
    decoder.uint(1).unwrap();
    decoder.bytes(16).unwrap();
    let stream = decoder.text(128).unwrap().to_owned();
    let instance = decoder.text(128).unwrap().to_owned();
    state.grow_control();
    let note = shared.control_note(state);
    let mut challenge = [0; 64];
    challenge[..32].copy_from_slice(&sha256(&[&note]));
    challenge[32..40].copy_from_slice(&(state.challenges.len() as u64).to_be_bytes());
    state.challenges.push(challenge);
    let mut encoder = Encoder::new();
    encoder.array(4).uint(1).bytes(&challenge).bytes(&note);
    let last = state.epoch_order.iter().rev().find(|id| {
        let place = &state.epochs[id].open.place;
        place.stream.as_str() == stream && place.instance.as_str() == instance
    });
    match last {
        None => drop(encoder.null()),
        Some(id) => {
            encoder.array(3).bytes(&id.0);
            match state.epochs[id].batches.last_key_value() {
                Some((sequence, (identity, _))) => encoder.uint(*sequence).bytes(&identity.0),
                None => encoder.null().bytes(&id.0),
            };
        }
    }
    Ok((StatusCode::OK, encoder.into_bytes()))
}

fn epoch(shared: &Shared, state: &mut State, body: &[u8]) -> Answered {
    let mut decoder = Decoder::new(body);
    decoder.array_of(3).unwrap();
    decoder.uint(1).unwrap();
    let bytes = decoder.bytes(65_280).unwrap();
    let evidence = decoder.bytes(1 << 20).unwrap();
    let statement = UnverifiedStatement::decode(bytes).map_err(|e| refused("statement-malformed", e))?;
    let Claims::Open(claims) = statement.claims().clone() else {
        return Err(refused("statement-malformed", "no open"));
    };
    let key = claims.public_key.clone();
    let statement = statement.verify(&key).map_err(|e| refused("bad-signature", e))?;
    if claims.evidence != sha256(&[evidence]) {
        return Err(refused("evidence-missing", ""));
    }
    // The evidence holds the binding of these very claims.
    let binding = binding(statement.payload()).unwrap();
    if !evidence.windows(64).any(|w| w == binding) {
        return Err(refused("binding-mismatch", ""));
    }
    if state.mode() == Mode::RefuseOpen {
        return Err(refused("unexpected-code", "of a test"));
    }
    if state.mode() == Mode::StaleChallenge {
        state.mode = Some(Mode::Good);
        return Err(Problem(409, "challenge-stale", String::new(), None));
    }
    let Some(at) = state.challenges.iter().position(|c| Some(*c) == claims.challenge) else {
        return Err(refused("unknown-challenge", ""));
    };
    state.challenges.remove(at);
    if let Some(predecessor) = claims.predecessor {
        let before =
            state.epochs.get(&predecessor.epoch).ok_or_else(|| refused("predecessor-unknown", ""))?;
        let follows = |epoch: &Epoch| epoch.open.predecessor.is_some_and(|p| p.epoch == predecessor.epoch);
        if state.epochs.values().any(follows) {
            return Err(refused("predecessor-conflict", ""));
        }
        let last = before.batches.last_key_value();
        if last
            .map(|(sequence, (identity, _))| (Some(*sequence), *identity))
            .unwrap_or((None, predecessor.epoch))
            != (predecessor.sequence, predecessor.identity)
        {
            return Err(refused("predecessor-mismatch", format!("{predecessor:?}")));
        }
    } else if !state.epoch_order.is_empty() {
        return Err(refused("predecessor-none", ""));
    }
    let id = statement.identity();
    state.epochs.insert(id, Epoch { open: *claims, key, batches: BTreeMap::new() });
    state.epoch_order.push(id);
    let index = shared.append(state, bytes, id);
    let mut encoder = Encoder::new();
    encoder.array(2).uint(1).bytes(&shared.receipt(state, index));
    Ok((StatusCode::CREATED, encoder.into_bytes()))
}

fn batches(shared: &Shared, state: &mut State, body: &[u8]) -> Answered {
    let mut decoder = Decoder::new(body);
    decoder.array_of(3).unwrap();
    decoder.uint(1).unwrap();
    let held = TreeSize(decoder.uint(u64::MAX).unwrap());
    let count = decoder.array(64).unwrap();
    assert!(body.len() <= 32 << 20);
    let mut taken = Vec::new();
    let mut failed = None;
    for _ in 0..count {
        decoder.array_of(2).unwrap();
        let statement = decoder.bytes(65_280).unwrap();
        let stored = decoder.bytes(9 << 20).unwrap();
        match batch(shared, state, statement, stored) {
            Ok(index) => taken.push(index),
            Err(problem) => {
                failed = Some(problem);
                break;
            }
        }
    }
    if let (true, Some(problem)) = (taken.is_empty(), &failed) {
        return Err(problem.clone());
    }
    let results = taken.len() + usize::from(failed.is_some());
    let mut encoder = Encoder::new();
    encoder.array(4).uint(1).array(results);
    for index in taken {
        encoder.array(2).uint(200).bytes(&shared.receipt(state, index));
    }
    if let Some(problem) = failed {
        if problem.0 == 422 && state.mode() != Mode::Refuse && problem.2 != "once" {
            state.violations.push(format!("{problem:?}"));
        }
        encoder.array(2).uint(problem.0.into()).text(&problem.json());
    }
    let mut proof = state.tree.consistency(held, state.tree.size()).unwrap();
    if state.mode() == Mode::Inconsistent {
        proof.iter_mut().for_each(|hash| hash[0] ^= 1);
    }
    encoder.array(proof.len());
    for hash in proof {
        encoder.bytes(&hash);
    }
    let note = shared.control_note(state);
    encoder.bytes(&note);
    Ok((StatusCode::OK, encoder.into_bytes()))
}

fn batch(shared: &Shared, state: &mut State, bytes: &[u8], stored: &[u8]) -> Result<usize, Problem> {
    let statement = UnverifiedStatement::decode(bytes).map_err(|e| refused("statement-malformed", e))?;
    let Claims::Batch(claims) = statement.claims().clone() else {
        return Err(refused("statement-malformed", "no batch"));
    };
    if state.mode() == Mode::Refuse {
        return Err(refused("flood", "because"));
    }
    if let Mode::SetBack(class) = state.mode() {
        return Err(refused(class, "a backup was restored"));
    }
    if let Some(index) = state.index.get(&statement.identity()) {
        state.resubmitted += 1;
        return Ok(*index);
    }
    let key = state.epochs.get(&claims.epoch).ok_or_else(|| refused("unknown-epoch", ""))?.key.clone();
    let statement = statement.verify(&key).map_err(|e| refused("bad-signature", e))?;
    if state.mode() == Mode::Forgetful && claims.sequence > 0 {
        state.mode = Some(Mode::Good);
        return Err(Problem(409, "sequence-ahead", String::new(), Some(0)));
    }
    if state.mode() == Mode::RefuseOnce {
        state.mode = Some(Mode::Good);
        return Err(refused("flood", "once"));
    }
    let lines = check_batch(state, &claims, stored)?;
    let identity = statement.identity();
    for line in lines {
        state.records.push((claims.epoch, claims.sequence, line));
    }
    let index = shared.append(state, bytes, identity);
    let epoch = state.epochs.get_mut(&claims.epoch).unwrap();
    epoch.batches.insert(claims.sequence, (identity, *claims));
    Ok(index)
}

/// Sequence, chain, totals, clocks, seen, body and every line, as a verifier looks at them.
fn check_batch(state: &mut State, claims: &BatchClaims, stored: &[u8]) -> Result<Vec<String>, Problem> {
    let epoch = &state.epochs[&claims.epoch];
    let expected = epoch.batches.last_key_value().map_or(0, |(last, _)| last + 1);
    if claims.sequence > expected {
        state.ahead += 1;
        // The third time stands for the end of the window.
        if state.ahead < 3 {
            return Err(Problem(409, "sequence-ahead", String::new(), Some(expected)));
        }
    }
    let epoch = &state.epochs[&claims.epoch];
    let hole = claims.sequence > expected;
    let before = epoch.batches.get(&claims.sequence.wrapping_sub(1));
    let prev = before.map_or(claims.epoch, |(identity, _)| *identity);
    if (claims.prev != prev && !hole) || claims.sequence < expected || claims.place != epoch.open.place {
        return Err(refused("chain-broken", claims.sequence));
    }
    if before.is_some_and(|(_, b)| b.close.is_some()) {
        return Err(refused("after-close", claims.sequence));
    }
    let zero = Totals::default();
    let last = before.map_or(&zero, |(_, b)| &b.totals);
    let (mut stubbed, mut redacted) = (last.stubbed, last.redacted);
    check_stored(claims, stored).map_err(|e| refused("stored-hash-mismatch", e))?;
    let mut records = Vec::new();
    if !stored.is_empty() {
        let mut decompressor = Decompressor::new().unwrap();
        let opened = open(claims, stored, None, &mut decompressor).map_err(|e| refused("body", e))?;
        state.requests.extend(&opened.header.requests);
        let mut contexts = Vec::new();
        for (leaf, line) in split_lines(opened.plain).enumerate().skip(1) {
            if leaf <= claims.context_count as usize {
                contexts.push(check::context(line).map_err(|e| refused("line-form", e))?);
                continue;
            }
            let info = check::record(line, &contexts).map_err(|e| refused("line-form", e))?;
            stubbed += u64::from(info.stub);
            redacted += u64::from(info.redacted);
            records.push(String::from_utf8(line.to_vec()).unwrap());
        }
    }
    let totals = &claims.totals;
    let sealed = last.sealed + u64::from(claims.record_count);
    let hole_sealed = totals.sealed == sealed || hole;
    if !totals.consistent()
        || !hole_sealed
        || !totals.at_least(last)
        || (totals.stubbed, totals.redacted) != (stubbed, redacted)
    {
        return Err(refused("totals-mismatch", format!("{last:?} {totals:?} {}", claims.record_count)));
    }
    if before.is_some_and(|(_, b)| b.monotonic_ns > claims.monotonic_ns) {
        return Err(refused("clock-skew", claims.sequence));
    }
    let seen = |hash: Option<Hash>| hash.map(|hash| state.seen.get(&hash).copied());
    match (before.and_then(|(_, b)| seen(b.seen)).flatten(), seen(claims.seen)) {
        (_, Some(None) | None) => return Err(refused("seen-unknown", claims.sequence)),
        (Some(before), Some(Some(now))) if now < before => {
            return Err(refused("seen-backwards", claims.sequence));
        }
        _ => {}
    }
    Ok(records)
}
