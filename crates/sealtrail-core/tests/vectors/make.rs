//! Statements to test with.

use std::rc::Rc;

use sealtrail_core::hash::sha256;
use sealtrail_core::key::{Algorithm, Signer};
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId};
use sealtrail_core::statement::{BatchClaims, Codec, OpenClaims, Place, Totals};
use sealtrail_keys::{EcdsaKey, Ed25519Key};

/// Where all of them belong.
pub(crate) fn place() -> Place {
    Place {
        ledger: LedgerName::new("ledger.test/vectors").unwrap(),
        trail: TrailId([7; 16]),
        stream: Name::new("payments").unwrap(),
        instance: Name::new("pod-1").unwrap(),
    }
}

/// An Ed25519 key, the same for the same number.
pub(crate) fn ed25519(number: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[number; 32]).unwrap()
}

/// A key of that algorithm.
pub(crate) fn signer(algorithm: Algorithm) -> Rc<dyn Signer> {
    match algorithm {
        Algorithm::Ed25519 => Rc::new(ed25519(1)),
        Algorithm::Es256 | Algorithm::Es384 => Rc::new(EcdsaKey::generate(algorithm).unwrap()),
    }
}

/// An open by this key.
pub(crate) fn open(signer: &dyn Signer) -> OpenClaims {
    OpenClaims {
        place: place(),
        public_key: signer.public_key().clone(),
        hpke_key: None,
        evidence: sha256(&[b"evidence"]),
        software_version: "agent 1.0".to_owned(),
        configuration: sha256(&[b"configuration"]),
        redaction: sha256(&[b"redaction"]),
        heartbeat_ms: 60_000,
        age_ms_max: 86_400_000,
        challenge: Some([9; 64]),
        predecessor: None,
        opened_at_ns: 1_767_225_600_000_000_000,
    }
}

/// A batch of three records with this sequence.
pub(crate) fn batch(sequence: u64) -> BatchClaims {
    BatchClaims {
        place: place(),
        epoch: Identity([1; 32]),
        sequence,
        prev: Identity([2; 32]),
        record_root: [3; 32],
        context_count: 2,
        record_count: 3,
        stored_hash: [4; 32],
        stored_length: 1000,
        codec: Codec::Zstd,
        encryption: None,
        seen: Some([5; 32]),
        wall_clock_ns: (1_767_225_600_000_000_000, 1_767_225_601_000_000_000),
        monotonic_ns: 1_000_000_000,
        totals: Totals { received: 5, sealed: 3, dropped: 1, resent: 1, stubbed: 1, redacted: 2 },
        retention_class: Name::new("standard").unwrap(),
        close: None,
        published: Vec::new(),
    }
}
