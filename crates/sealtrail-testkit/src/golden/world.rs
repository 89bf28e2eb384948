//! The small ledger that golden files are cut from: one control trail, one data trail, every key an Ed25519 key from a
//! fixed seed.

use std::collections::BTreeMap;
use std::rc::Rc;

use sealtrail_attest::{Evidence, ReferenceValue, ledger as ledger_evidence};
use sealtrail_core::body::{BodyKey, SealedBody, record_root};
use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{EMPTY, Hash, sha256};
use sealtrail_core::key::{PublicKey, Signer};
use sealtrail_core::line::write;
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId};
use sealtrail_core::statement::{
    BatchClaims, Claims, Close, CloseReason, Codec, Encryption, Known, OpenClaims, Place, Predecessor,
    Published, Totals, UnverifiedStatement, binding, seal,
};
use sealtrail_keys::Ed25519Key;

use super::Kept;
use crate::image::{Image, Logged};

/// 2026-01-01T00:00:00Z.
const BEGINNING_NS: u64 = 1_767_225_600_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// When the data trail's epoch was opened.
pub(super) const DATA_OPENED_NS: u64 = BEGINNING_NS + 10 * SECOND_NS;

/// The program whose digest the evidence vouches for.
pub(super) const PROGRAM: &[u8] = b"#!/bin/sh\necho golden\n";

/// The context lines of every body.
pub(super) const CONTEXTS: [&str; 2] = [
    r#"{"resource":{"attributes":{"service.name":"checkout"}}}"#,
    r#"{"scope":{"name":"audit","version":"1.0"}}"#,
];

/// The record lines of the data trail's first batch.
pub(super) const RECORDS: [&str; 3] = [
    r#"{"attributes":{"event.outcome":"success","user.id":"alice"},"body":"login","eventName":"auth.login","observedTimeUnixNano":"1767225611000000001","resource":1,"scope":2,"severityNumber":9,"severityText":"INFO","timeUnixNano":"1767225611000000000"}"#,
    r#"{"attributes":{"$$ref":null,"big":{"$i":"-9218868437227405312"},"ratio":0.5,"total":{"$d":"3"}},"redacted":1,"resource":1,"scope":2}"#,
    r#"{"observedTimeUnixNano":"1767225611000000002","stub":{"hash":null,"length":20971521,"reason":"too-large"}}"#,
];

/// The record line of the encrypted batch.
const SECRET: &str = r#"{"body":"for those who have the key","resource":1,"scope":2}"#;

/// The key of the encrypted body.
pub(super) const BODY_KEY: [u8; 32] = [0x6b; 32];

/// The seed of the ledger's checkpoint key.
pub(super) const LEDGER_SEED: [u8; 32] = [0x11; 32];

/// The seed of the data trail's epoch key.
pub(super) const DATA_SEED: [u8; 32] = [0x33; 32];

pub(super) fn ledger_signer() -> Ed25519Key {
    Ed25519Key::from_seed(&LEDGER_SEED).unwrap()
}

pub(super) fn control_signer() -> Ed25519Key {
    Ed25519Key::from_seed(&[0x22; 32]).unwrap()
}

pub(super) fn data_signer() -> Ed25519Key {
    Ed25519Key::from_seed(&DATA_SEED).unwrap()
}

pub(super) fn ledger_name() -> LedgerName {
    LedgerName::new("ledger.example/golden").unwrap()
}

pub(super) fn control_id() -> TrailId {
    TrailId(std::array::from_fn(|n| 0xc0 + n as u8))
}

pub(super) fn data_id() -> TrailId {
    TrailId(std::array::from_fn(|n| 0x70 + n as u8))
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn place(trail: TrailId, stream: &str, instance: &str) -> Place {
    Place { ledger: ledger_name(), trail, stream: name(stream), instance: name(instance) }
}

/// One zstd frame (RFC 8878) that holds its content as it is: a frame that no version of a compressor changes.
pub(super) fn raw_frame(plain: &[u8]) -> Vec<u8> {
    let length = plain.len();
    assert!((256..65_792).contains(&length), "a raw frame of {length} bytes");
    // Single segment, content size in two bytes less 256; one block, raw and last.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x60];
    frame.extend_from_slice(&((length - 256) as u16).to_le_bytes());
    frame.extend_from_slice(&((length as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(plain);
    frame
}

/// The plain body of these lines.
pub(super) fn plain_body(seed: &Hash, contexts: &[&str], records: &[&str]) -> Vec<u8> {
    let lines: String = contexts.iter().chain(records).map(|line| format!("{line}\n")).collect();
    let mut plain = Vec::new();
    write::header(&mut plain, lines.len() as u64, &[sha256(&[b"request"])], seed);
    plain.push(b'\n');
    plain.extend_from_slice(lines.as_bytes());
    plain
}

fn sealed(seed: &Hash, records: &[&str]) -> SealedBody {
    let plain = plain_body(seed, &CONTEXTS, records);
    let stored = raw_frame(&plain);
    SealedBody { stored_hash: sha256(&[&stored]), record_root: record_root(seed, &plain), stored }
}

/// A body that is worth compressing.
pub(super) fn long_body() -> Vec<u8> {
    let records: Vec<String> = (0..40)
        .map(|n| format!(r#"{{"attributes":{{"n":{n}}},"body":"the same again","resource":1,"scope":2}}"#))
        .collect();
    plain_body(&[0x5c; 32], &CONTEXTS, &records.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Claims of a batch in place, with nothing in it.
fn batch(place: Place, epoch: Identity) -> BatchClaims {
    BatchClaims {
        place,
        epoch,
        sequence: 0,
        prev: epoch,
        record_root: EMPTY,
        context_count: 0,
        record_count: 0,
        stored_hash: EMPTY,
        stored_length: 0,
        codec: Codec::None,
        encryption: None,
        seen: None,
        wall_clock_ns: (0, 0),
        monotonic_ns: 0,
        totals: Totals::default(),
        retention_class: name("standard"),
        close: None,
        published: Vec::new(),
    }
}

fn control_open() -> OpenClaims {
    OpenClaims {
        place: place(control_id(), "control", "ledger"),
        public_key: control_signer().public_key().clone(),
        hpke_key: None,
        evidence: EMPTY,
        software_version: "sealtrail golden".to_owned(),
        configuration: sha256(&[b"configuration of the ledger"]),
        redaction: sha256(&[b"no redaction"]),
        heartbeat_ms: 60_000,
        age_ms_max: 86_400_000,
        challenge: None,
        predecessor: None,
        opened_at_ns: BEGINNING_NS,
    }
}

/// The data trail's open, its evidence not yet named.
fn data_open(challenge: [u8; 64]) -> OpenClaims {
    OpenClaims {
        place: place(data_id(), "payments", "pod-1"),
        public_key: data_signer().public_key().clone(),
        hpke_key: Some([0x48; 32]),
        evidence: EMPTY,
        software_version: "agent 1.0.0".to_owned(),
        configuration: sha256(&[b"configuration of the agent"]),
        redaction: sha256(&[b"redaction rules"]),
        heartbeat_ms: 60_000,
        age_ms_max: 86_400_000,
        challenge: Some(challenge),
        predecessor: None,
        opened_at_ns: DATA_OPENED_NS,
    }
}

/// An open by another key, with a predecessor.
pub(super) fn other_open(key: &PublicKey) -> OpenClaims {
    let predecessor = Predecessor {
        epoch: Identity(sha256(&[b"the epoch before"])),
        sequence: Some(41),
        identity: Identity(sha256(&[b"its last batch"])),
        known: Known::Ledger,
    };
    OpenClaims {
        public_key: key.clone(),
        evidence: sha256(&[b"evidence"]),
        predecessor: Some(predecessor),
        ..data_open([0xab; 64])
    }
}

/// A batch of that epoch, with what other batches here leave out.
pub(super) fn other_batch(epoch: Identity) -> BatchClaims {
    let totals = Totals { received: 1000, sealed: 990, dropped: 4, resent: 6, stubbed: 3, redacted: 500 };
    BatchClaims {
        sequence: 9,
        prev: Identity(sha256(&[b"the batch before"])),
        record_root: sha256(&[b"record root"]),
        context_count: 2,
        record_count: 65_535,
        stored_hash: sha256(&[b"stored body"]),
        stored_length: (8 << 20) + (64 << 10),
        codec: Codec::Zstd,
        seen: Some(sha256(&[b"control note"])),
        wall_clock_ns: (BEGINNING_NS, BEGINNING_NS + SECOND_NS),
        monotonic_ns: 77 * SECOND_NS,
        totals,
        ..batch(place(data_id(), "payments", "pod-1"), epoch)
    }
}

/// Binding and challenge of the data trail's open, which its evidence answers.
pub(super) fn data_binding() -> ([u8; 64], [u8; 64]) {
    let mut world = Growing::new();
    world.begin();
    let challenge = world.challenge();
    (binding(&data_open(challenge).encode()).unwrap(), challenge)
}

/// An epoch under way.
struct Running {
    signer: Rc<dyn Signer>,
    claims: BatchClaims,
}

/// The ledger as it grows.
struct Growing {
    image: Image,
    now_ns: u64,
    control: Option<Running>,
}

impl Growing {
    fn new() -> Self {
        let image = Image {
            name: ledger_name(),
            control: control_id(),
            trails: BTreeMap::from([(control_id(), Vec::new()), (data_id(), Vec::new())]),
            artefacts: BTreeMap::new(),
            segment_entries: 1000,
        };
        Self { image, now_ns: BEGINNING_NS, control: None }
    }

    fn artefact(&mut self, bytes: Vec<u8>) -> Hash {
        let hash = sha256(&[&bytes]);
        self.image.artefacts.insert(hash, bytes);
        hash
    }

    fn log(&mut self, trail: TrailId, statement: &[u8], body: Option<Vec<u8>>) {
        let control_size = self.image.trails[&control_id()].len() as u64;
        let ledger_part = LedgerPart { received_at_ns: self.now_ns, control_size, collateral: None };
        let entry = Entry { statement, ledger_part }.encode();
        self.image.trails.get_mut(&trail).unwrap().push(Logged { entry, body });
    }

    fn open(&mut self, claims: OpenClaims, signer: Rc<dyn Signer>) -> Running {
        let (place, opened) = (claims.place.clone(), claims.opened_at_ns);
        let signed = seal(&Claims::Open(Box::new(claims)), &*signer).unwrap();
        self.now_ns = opened;
        self.log(place.trail, &signed.bytes, None);
        Running { signer, claims: batch(place, signed.identity) }
    }

    /// Seals and logs the epoch's next batch after a second; `change` says what is in it.
    fn batch(
        &mut self,
        running: &mut Running,
        opened_at_ns: u64,
        body: Option<SealedBody>,
        change: impl FnOnce(&mut BatchClaims),
    ) {
        self.now_ns += SECOND_NS;
        let claims = &mut running.claims;
        claims.wall_clock_ns = (self.now_ns - SECOND_NS / 2, self.now_ns);
        claims.monotonic_ns = self.now_ns - opened_at_ns;
        let mut signed_claims = claims.clone();
        if let Some(body) = &body {
            signed_claims.record_root = body.record_root;
            signed_claims.stored_hash = body.stored_hash;
            signed_claims.stored_length = body.stored.len() as u32;
            signed_claims.codec = Codec::Zstd;
            signed_claims.context_count = CONTEXTS.len() as u32;
        }
        change(&mut signed_claims);
        let totals = signed_claims.totals;
        let trail = claims.place.trail;
        let signed = seal(&Claims::Batch(Box::new(signed_claims)), &*running.signer).unwrap();
        claims.totals = totals;
        claims.sequence += 1;
        claims.prev = signed.identity;
        self.log(trail, &signed.bytes, body.map(|body| body.stored));
    }

    /// The control trail's open and first batch: ledger, trail and stream.
    fn begin(&mut self) {
        let mut claims = control_open();
        let bound = binding(&claims.encode()).unwrap();
        let signature = ledger_signer().sign(&ledger_evidence::to_be_signed(&bound)).unwrap();
        claims.evidence = self.artefact(ledger_evidence::seal(signature.try_into().unwrap()).encode());
        let mut control = self.open(claims, Rc::new(control_signer()));
        let records = control_records();
        let lines: Vec<&str> = records.iter().map(String::as_str).collect();
        self.batch(&mut control, BEGINNING_NS, Some(sealed(&[0x5a; 32], &lines)), |claims| {
            claims.record_count = 3;
            claims.totals = Totals { received: 3, sealed: 3, ..Totals::default() };
        });
        self.control = Some(control);
    }

    /// Keeps a control note; its hash is `seen` and half of a challenge.
    fn control_note(&mut self) -> Hash {
        let note = self.image.checkpoint(control_id(), &ledger_signer());
        self.artefact(note)
    }

    fn challenge(&mut self) -> [u8; 64] {
        [self.control_note(), [0xc4; 32]].concat().try_into().unwrap()
    }

    fn publish(&mut self) {
        let (size, root) = self.image.head(data_id());
        let mut control = self.control.take().unwrap();
        self.batch(&mut control, BEGINNING_NS, None, |claims| {
            claims.published = vec![Published { trail: data_id(), size, root }];
        });
        self.control = Some(control);
    }
}

fn control_records() -> [String; 3] {
    let vkey = ledger_key();
    let record = |event: &str, attributes: &str| {
        format!(r#"{{"attributes":{{{attributes}}},"eventName":"sealtrail.{event}","resource":1,"scope":2}}"#)
    };
    [
        record(
            "ledger.created",
            &format!(
                r#""ledger.name":"{}","ledger.vkey":"{}""#,
                ledger_name(),
                vkey.verifier_key(control_id())
            ),
        ),
        record(
            "trail.created",
            &format!(r#""retention.class":"standard","trail.id":"{}","trail.name":"main""#, data_id()),
        ),
        record(
            "stream.added",
            &format!(r#""accept":[],"stream.name":"payments","trail.id":"{}""#, data_id()),
        ),
    ]
}

/// The finished ledger.
pub struct World {
    pub(super) image: Image,
    pub(super) ledger: LedgerKey,
    /// The data trail's open.
    pub(super) open: OpenClaims,
    /// Its evidence artefact.
    pub(super) evidence: Vec<u8>,
    /// Receipt file of the data trail's first batch, with its link to the control trail.
    pub(super) receipt: Vec<u8>,
    /// Data checkpoint of that receipt.
    pub(super) checkpoint: Vec<u8>,
}

impl World {
    /// Makes it; the evidence of the data trail is a kept one.
    #[must_use]
    pub fn new(kept: &Kept) -> Self {
        let mut growing = Growing::new();
        growing.begin();
        let mut open = data_open(growing.challenge());
        let seen = Some(growing.control_note());
        let evidence = kept.get("software-evidence").to_vec();
        open.evidence = growing.artefact(evidence.clone());
        let mut data = growing.open(open.clone(), Rc::new(data_signer()));
        data.claims.seen = seen;
        let opened = DATA_OPENED_NS;

        growing.batch(&mut data, opened, Some(sealed(&[0x5b; 32], &RECORDS)), |claims| {
            claims.record_count = 3;
            claims.totals = Totals { received: 3, sealed: 3, stubbed: 1, redacted: 1, ..Totals::default() };
        });
        growing.publish();
        let (receipt, checkpoint) = growing.receipt();
        let (body, encryption) = encrypted(&data.claims);
        growing.batch(&mut data, opened, Some(body), |claims| {
            claims.record_count = 1;
            claims.encryption = Some(encryption);
            claims.totals.received += 3;
            claims.totals.sealed += 1;
            claims.totals.resent += 2;
        });
        growing.batch(&mut data, opened, None, |_| {});
        growing.batch(&mut data, opened, None, |claims| {
            claims.close = Some(Close { reason: CloseReason::Stop, successor: None });
        });
        growing.publish();
        Self { image: growing.image, ledger: ledger_key(), open, evidence, receipt, checkpoint }
    }

    /// The statement of an entry.
    pub(super) fn statement(&self, trail: TrailId, index: usize) -> Vec<u8> {
        self.image.trails[&trail][index].parts().0
    }

    /// The verifier key of a trail.
    pub(super) fn vkey(&self, trail: TrailId) -> String {
        self.ledger.verifier_key(trail).to_string()
    }

    /// The reference value that accepts the data trail's evidence.
    pub(super) fn reference_value(&self) -> ReferenceValue {
        let artefact = Evidence::decode(&self.evidence).unwrap();
        let root = sha256(&[&artefact.endorsements()[0]]);
        ReferenceValue::software(root, vec![sha256(&[PROGRAM])])
    }

    /// The trust policy under which the ledger verifies.
    pub(super) fn policy(&self) -> String {
        let genesis = UnverifiedStatement::decode(&self.statement(control_id(), 0)).unwrap();
        let accept = toml::to_string(&BTreeMap::from([("accept", [self.reference_value()])])).unwrap();
        format!("{}\n{accept}", policy(genesis.identity()))
    }
}

/// The name and checkpoint key of the world's ledger.
pub(super) fn ledger_key() -> LedgerKey {
    LedgerKey::new(ledger_name(), ledger_signer().public_key().raw().try_into().unwrap())
}

/// A trust policy for that ledger that accepts nobody.
pub(super) fn policy(genesis: Identity) -> String {
    let vkey = ledger_key().verifier_key(control_id());
    let (name, control) = (ledger_name(), control_id());
    format!(
        "version = 1\n\n[ledger]\nname = \"{name}\"\ncontrol = \"{control}\"\nkey = \"{vkey}\"\ngenesis = \"{genesis}\"\n"
    )
}

/// The ledger with nothing but the control trail's first two entries, which create the data trail and its stream.
pub(super) fn beginning() -> Image {
    let mut growing = Growing::new();
    growing.begin();
    growing.image
}

impl Growing {
    /// A receipt file for the data trail's second entry, with the control batch that was logged last, and the checkpoint
    /// in it.
    fn receipt(&self) -> (Vec<u8>, Vec<u8>) {
        use sealtrail_core::receipt::ReceiptFile;
        let signer = ledger_signer();
        let receipt = |trail, index| ReceiptFile::decode(&self.image.receipt(trail, index, &signer)).unwrap();
        let last = self.image.trails[&control_id()].len() - 1;
        let mut file = receipt(data_id(), 1);
        let entry = self.image.trails[&control_id()][last].entry.clone();
        file.receipt.control = Some((entry, receipt(control_id(), last).receipt.trail));
        (file.encode(), file.receipt.trail.checkpoint)
    }
}

/// The encrypted body of the epoch's next batch.
fn encrypted(next: &BatchClaims) -> (SealedBody, Encryption) {
    let seed = [0x5d; 32];
    let clear = sealed(&seed, &[SECRET]);
    let key = BodyKey::new(&BODY_KEY).unwrap();
    let (stored, encryption) =
        key.encrypt(&clear.stored, [0x4e; 12], &next.place, next.epoch, next.sequence).unwrap();
    (SealedBody { stored_hash: sha256(&[&stored]), stored, record_root: clear.record_root }, encryption)
}
