//! Building ledgers without a server: what a good agent and a good ledger would have made, or, where a test wants it, a
//! bad one with real keys.

use std::collections::BTreeMap;
use std::rc::Rc;

use sealtrail_attest::{ReferenceValue, ledger as ledger_evidence, software};
use sealtrail_core::body::{self, Compressor};
use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{EMPTY, Hash, sha256};
use sealtrail_core::key::{Algorithm, Signer};
use sealtrail_core::line::write;
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId};
use sealtrail_core::statement::{
    BatchClaims, Claims, Close, CloseReason, Codec, OpenClaims, Place, Predecessor, Published, Totals,
    binding, seal,
};
use sealtrail_keys::Ed25519Key;

use crate::image::{Image, Logged};

/// 2026-01-01T00:00:00Z, where built ledgers begin.
const BEGINNING_NS: u64 = 1_767_225_600_000_000_000;

/// A second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Context lines of every built body.
pub const CONTEXTS: [&str; 2] =
    [r#"{"resource":{"attributes":{"service.name":"built"}}}"#, r#"{"scope":{"name":"testkit"}}"#];

/// An epoch under way.
#[derive(Clone)]
pub struct Epoch {
    /// Its id.
    pub id: Identity,
    /// Its key.
    pub signer: Rc<dyn Signer>,
    /// Where it writes.
    pub place: Place,
    /// Next sequence.
    pub sequence: u64,
    /// Identity of the last statement.
    pub last: Identity,
    /// Totals so far.
    pub totals: Totals,
    /// When it was opened.
    pub opened_at_ns: u64,
    /// What `seen` says in its batches.
    pub seen: Option<Hash>,
}

impl Epoch {
    /// How a later open names this epoch as its predecessor.
    #[must_use]
    pub fn as_predecessor(&self, known: sealtrail_core::statement::Known) -> Predecessor {
        let sequence = self.sequence.checked_sub(1);
        Predecessor { epoch: self.id, sequence, identity: self.last, known }
    }
}

/// A ledger being built.
#[derive(Clone)]
pub struct Builder {
    /// What stands so far.
    pub image: Image,
    /// The ledger's checkpoint key.
    pub key: Rc<Ed25519Key>,
    /// The root key of the software attester.
    pub root: Rc<dyn Signer>,
    /// The program's digest in software evidence.
    pub measurement: Hash,
    /// The clock of everybody.
    pub now_ns: u64,
    /// The control epoch.
    pub control: Epoch,
    /// Identity of the first open.
    pub genesis: Identity,
    /// Makes evidence in place of the software attester where set.
    pub attester: Option<Rc<dyn sealtrail_attester::Attester>>,
    counter: u64,
}

impl Builder {
    /// A ledger with its control trail and the record of its creation. `seed` makes ids and salts repeatable.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let name = LedgerName::new("ledger.test/built").unwrap();
        let key = Rc::new(Ed25519Key::from_seed(&sha256(&[b"ledger", &seed.to_be_bytes()])).unwrap());
        let root: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
        let control = TrailId(sha256(&[b"control", &seed.to_be_bytes()])[..16].try_into().unwrap());
        let image = Image {
            name: name.clone(),
            control,
            trails: BTreeMap::from([(control, Vec::new())]),
            artefacts: BTreeMap::new(),
            segment_entries: 20,
        };
        let place = Place {
            ledger: name,
            trail: control,
            stream: Name::new("control").unwrap(),
            instance: Name::new("ledger").unwrap(),
        };
        let signer: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
        let mut builder = Self {
            image,
            key,
            root,
            measurement: sha256(&[b"program"]),
            now_ns: BEGINNING_NS,
            control: Epoch {
                id: Identity([0; 32]),
                signer: Rc::clone(&signer),
                place: place.clone(),
                sequence: 0,
                last: Identity([0; 32]),
                totals: Totals::default(),
                opened_at_ns: BEGINNING_NS,
                seen: None,
            },
            genesis: Identity([0; 32]),
            attester: None,
            counter: seed << 32,
        };
        builder.control = builder.open_with(place, signer, None, |_| {});
        builder.genesis = builder.control.id;
        let vkey = builder.ledger_key().verifier_key(control).to_string();
        let name = builder.image.name.to_string();
        builder.control_record(
            "sealtrail.ledger.created",
            &[("ledger.name", &name), ("ledger.vkey", &vkey)],
            "",
        );
        builder
    }

    /// Goes on with a ledger that somebody else made, as its operator could: in a new control epoch that names the one
    /// before it.
    #[must_use]
    pub fn resume(image: Image, key: Rc<Ed25519Key>) -> Self {
        let mut builder = Self::new(0);
        let entries = &image.trails[&image.control];
        let last = entries.last().unwrap();
        let newest = last.received_at_ns();
        let predecessor = last.as_predecessor();
        let place = Place {
            ledger: image.name.clone(),
            trail: image.control,
            stream: Name::new("control").unwrap(),
            instance: Name::new("ledger").unwrap(),
        };
        builder.now_ns = newest + SECOND_NS;
        builder.key = key;
        builder.image = image;
        let signer: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(Algorithm::Es256).unwrap());
        builder.control = builder.open_with(place, signer, Some(predecessor), |_| {});
        builder
    }

    /// Name and public key, as a trust policy has them.
    #[must_use]
    pub fn ledger_key(&self) -> LedgerKey {
        LedgerKey::new(self.image.name.clone(), self.key.public_key().raw().try_into().unwrap())
    }

    /// The reference value that accepts this builder's software evidence.
    #[must_use]
    pub fn reference_value(&self) -> ReferenceValue {
        ReferenceValue::software(sha256(&[self.root.public_key().spki()]), vec![self.measurement])
    }

    /// The trust policy that accepts everything good here.
    #[must_use]
    pub fn policy(&self) -> String {
        let mut accept = vec![self.reference_value()];
        accept.extend(self.attester.iter().map(|attester| attester.reference_value()));
        self.policy_accepting(&accept)
    }

    /// A trust policy with other reference values.
    #[must_use]
    pub fn policy_accepting(&self, accept: &[ReferenceValue]) -> String {
        let control = self.image.control;
        let key = self.ledger_key().verifier_key(control);
        let mut policy = format!(
            "version = 1\n\n[ledger]\nname = \"{}\"\ncontrol = \"{control}\"\nkey = \"{key}\"\ngenesis = \"{}\"\n",
            self.image.name, self.genesis
        );
        if accept.is_empty() {
            return policy;
        }
        policy.push('\n');
        policy.push_str(&toml::to_string(&BTreeMap::from([("accept", accept)])).unwrap());
        policy
    }

    /// Fresh bytes, the same for the same seed and order of calls.
    pub fn random(&mut self) -> Hash {
        self.counter += 1;
        sha256(&[b"random", &self.counter.to_be_bytes()])
    }

    /// A new data trail and its control record.
    pub fn trail(&mut self, name: &str) -> TrailId {
        let id = TrailId(self.random()[..16].try_into().unwrap());
        self.image.trails.insert(id, Vec::new());
        let attributes =
            [("retention.class", "standard"), ("trail.id", &id.to_string()), ("trail.name", name)];
        self.control_record("sealtrail.trail.created", &attributes, "");
        id
    }

    /// A stream that may write to a trail.
    pub fn stream(&mut self, name: &str, trail: TrailId) {
        let attributes = [("stream.name", name), ("trail.id", &trail.to_string())];
        self.control_record("sealtrail.stream.added", &attributes, r#""accept":[],"#);
    }

    /// A control record with sorted string attributes after `front`.
    pub fn control_record(&mut self, event: &str, attributes: &[(&str, &str)], front: &str) {
        let pairs: Vec<String> =
            attributes.iter().map(|(key, value)| format!("\"{key}\":\"{value}\"")).collect();
        let line = format!(
            r#"{{"attributes":{{{front}{}}},"eventName":"{event}","resource":1,"scope":2}}"#,
            pairs.join(",")
        );
        let mut control = self.control.clone();
        self.batch(&mut control, &[line], |_| {});
        self.control = control;
    }

    /// Publishes all data trails in a control batch, then a control checkpoint; returns the hash of its note.
    pub fn publish(&mut self) -> Hash {
        let control = self.image.control;
        let published: Vec<Published> = self
            .image
            .trails
            .iter()
            .filter(|(id, entries)| **id != control && !entries.is_empty())
            .map(|(id, _)| {
                let (size, root) = self.image.head(*id);
                Published { trail: *id, size, root }
            })
            .collect();
        let mut epoch = self.control.clone();
        self.batch(&mut epoch, &[], |claims| claims.published = published);
        self.control = epoch;
        self.control_note()
    }

    /// Keeps a control checkpoint of the present size as an artefact; returns its hash.
    pub fn control_note(&mut self) -> Hash {
        let note = self.image.checkpoint(self.image.control, &*self.key);
        self.artefact(note)
    }

    /// Keeps an artefact.
    pub fn artefact(&mut self, bytes: Vec<u8>) -> Hash {
        let hash = sha256(&[&bytes]);
        self.image.artefacts.insert(hash, bytes);
        hash
    }

    /// Opens an epoch with a fresh key of this algorithm.
    pub fn open(
        &mut self,
        trail: TrailId,
        stream: &str,
        instance: &str,
        algorithm: Algorithm,
        predecessor: Option<Predecessor>,
    ) -> Epoch {
        let place = Place {
            ledger: self.image.name.clone(),
            trail,
            stream: Name::new(stream).unwrap(),
            instance: Name::new(instance).unwrap(),
        };
        let signer: Rc<dyn Signer> = Rc::from(sealtrail_keys::generate(algorithm).unwrap());
        self.open_with(place, signer, predecessor, |_| {})
    }

    /// Opens an epoch; `change` may spoil the claims before evidence is made for them.
    pub fn open_with(
        &mut self,
        place: Place,
        signer: Rc<dyn Signer>,
        predecessor: Option<Predecessor>,
        change: impl FnOnce(&mut OpenClaims),
    ) -> Epoch {
        let control = place.trail == self.image.control;
        let challenge = (!control).then(|| {
            let note = self.control_note();
            let random = self.random();
            <[u8; 64]>::try_from([note, random].concat()).unwrap()
        });
        let mut claims = OpenClaims {
            place: place.clone(),
            public_key: signer.public_key().clone(),
            hpke_key: None,
            evidence: EMPTY,
            software_version: "testkit 1".to_owned(),
            configuration: sha256(&[b"configuration"]),
            redaction: sha256(&[b"redaction"]),
            heartbeat_ms: 60_000,
            age_ms_max: 86_400_000,
            challenge,
            predecessor,
            opened_at_ns: self.now_ns,
        };
        change(&mut claims);
        let bound = binding(&claims.encode()).unwrap();
        let evidence = self.evidence(bound, claims.challenge, &claims);
        claims.evidence = self.artefact(evidence);
        let signed = seal(&Claims::Open(Box::new(claims)), &*signer).unwrap();
        self.log(place.trail, &signed.bytes, None);
        Epoch {
            id: signed.identity,
            signer,
            place,
            sequence: 0,
            last: signed.identity,
            totals: Totals::default(),
            opened_at_ns: self.now_ns,
            seen: None,
        }
    }

    fn evidence(&self, binding: [u8; 64], challenge: Option<[u8; 64]>, claims: &OpenClaims) -> Vec<u8> {
        if claims.place.trail == self.image.control {
            let signature = self.key.sign(&ledger_evidence::to_be_signed(&binding)).unwrap();
            return ledger_evidence::seal(signature.try_into().unwrap()).encode();
        }
        let now_ms = self.now_ns / 1_000_000;
        if let Some(attester) = &self.attester {
            return attester.attest(binding, challenge, claims.public_key.spki(), now_ms).unwrap();
        }
        let challenge = challenge.unwrap_or([0; 64]);
        let claims =
            software::Claims { binding, measurement: self.measurement, issued_at_ms: now_ms, challenge };
        let signature = self.root.sign(&claims.to_be_signed()).unwrap().try_into().unwrap();
        claims.seal(signature, self.root.public_key().spki()).unwrap().encode()
    }

    /// Seals record lines into the epoch's next batch and logs it; `change` may spoil the claims before they are signed.
    pub fn batch(&mut self, epoch: &mut Epoch, records: &[String], change: impl FnOnce(&mut BatchClaims)) {
        let logged = self.unlogged_batch(epoch, records, change);
        self.image.trails.get_mut(&epoch.place.trail).unwrap().push(logged);
    }

    /// Seals a batch and advances the epoch, but does not log it: a hole, or a batch to log later.
    pub fn unlogged_batch(
        &mut self,
        epoch: &mut Epoch,
        records: &[String],
        change: impl FnOnce(&mut BatchClaims),
    ) -> Logged {
        self.now_ns += SECOND_NS / 10;
        let (sealed, plain) = self.body(records);
        epoch.totals.received += records.len() as u64;
        epoch.totals.sealed += records.len() as u64;
        epoch.totals.stubbed += plain.matches("\"stub\":").count() as u64;
        epoch.totals.redacted += plain.matches("\"redacted\":").count() as u64;
        let empty = records.is_empty();
        let mut claims = BatchClaims {
            place: epoch.place.clone(),
            epoch: epoch.id,
            sequence: epoch.sequence,
            prev: epoch.last,
            record_root: sealed.record_root,
            context_count: if empty { 0 } else { CONTEXTS.len() as u32 },
            record_count: records.len() as u32,
            stored_hash: sealed.stored_hash,
            stored_length: sealed.stored.len() as u32,
            codec: if empty { Codec::None } else { Codec::Zstd },
            encryption: None,
            seen: epoch.seen,
            wall_clock_ns: (self.now_ns - SECOND_NS / 20, self.now_ns),
            monotonic_ns: self.now_ns - epoch.opened_at_ns,
            totals: epoch.totals,
            retention_class: Name::new("standard").unwrap(),
            close: None,
            published: Vec::new(),
        };
        change(&mut claims);
        let signed = seal(&Claims::Batch(Box::new(claims)), &*epoch.signer).unwrap();
        epoch.sequence += 1;
        epoch.last = signed.identity;
        self.logged(&signed.bytes, (!empty).then_some(sealed.stored))
    }

    /// The epoch's signed close.
    pub fn close(&mut self, epoch: &mut Epoch) {
        self.batch(epoch, &[], |claims| {
            claims.close = Some(Close { reason: CloseReason::Stop, successor: None });
        });
    }

    /// A sealed body of these record lines.
    pub fn body(&mut self, records: &[String]) -> (body::SealedBody, String) {
        if records.is_empty() {
            let sealed = body::SealedBody { stored: Vec::new(), stored_hash: EMPTY, record_root: EMPTY };
            return (sealed, String::new());
        }
        let seed = self.random();
        let lines: String = CONTEXTS
            .iter()
            .copied()
            .chain(records.iter().map(String::as_str))
            .fold(String::new(), |all, line| all + line + "\n");
        let mut plain = Vec::new();
        write::header(&mut plain, lines.len() as u64, &[], &seed);
        plain.push(b'\n');
        plain.extend_from_slice(lines.as_bytes());
        let sealed = body::seal(&plain, &seed, &mut Compressor::new().unwrap()).unwrap();
        (sealed, lines)
    }

    /// Logs a statement and its body.
    pub fn log(&mut self, trail: TrailId, statement: &[u8], body: Option<Vec<u8>>) {
        let logged = self.logged(statement, body);
        self.image.trails.get_mut(&trail).unwrap().push(logged);
    }

    fn logged(&self, statement: &[u8], body: Option<Vec<u8>>) -> Logged {
        let control_size = self.image.trails[&self.image.control].len() as u64;
        let ledger_part = LedgerPart { received_at_ns: self.now_ns, control_size, collateral: None };
        Logged { entry: Entry { statement, ledger_part }.encode(), body }
    }
}

/// Record lines to fill batches with: one event a line, of every kind of value.
#[must_use]
pub fn records(from: usize, count: usize) -> Vec<String> {
    (from..from + count)
        .map(|n| {
            let time = BEGINNING_NS + n as u64;
            match n % 5 {
                0 => format!(
                    r#"{{"attributes":{{"big":{{"$i":"-9218868437227405312"}},"n":{n}}},"body":"login {n}","resource":1,"scope":2,"severityNumber":9,"timeUnixNano":"{time}"}}"#
                ),
                1 => format!(r#"{{"body":{{"ratio":0.5,"total":{{"$d":"{n}"}}}},"resource":1,"scope":2}}"#),
                2 => format!(
                    r#"{{"attributes":{{"user.email":"[redacted]"}},"eventName":"e","redacted":1,"resource":1,"scope":2,"timeUnixNano":"{time}"}}"#
                ),
                3 => format!(
                    r#"{{"observedTimeUnixNano":"{time}","resource":1,"scope":2,"stub":{{"hash":null,"length":{n},"reason":"malformed"}}}}"#
                ),
                _ => format!(
                    r#"{{"attributes":{{"$$ref":null,"list":[true,"é\n",{{"$b":"AQI="}}]}},"resource":1,"scope":2,"traceId":"{:032x}"}}"#,
                    n + 1
                ),
            }
        })
        .collect()
}
