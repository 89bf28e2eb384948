//! Claims of either kind: written and read back; uncritical keys ignored, critical ones never.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::key::{Algorithm, KeyId, Signer as _};
use sealtrail_core::name::{Identity, LedgerName, Name, TrailId, TreeSize};
use sealtrail_core::statement::{
    BatchClaims, Claims, ClaimsError, Close, CloseReason, Codec, Encryption, INTEGER_MAX, Kind, Known,
    OpenClaims, Place, Predecessor, Published, TIME_MAX, Totals, UnverifiedStatement, binding, seal,
};

use super::cases;
use crate::make;

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9][a-z0-9._-]{0,127}".prop_map(|text| Name::new(&text).unwrap())
}

fn place() -> impl Strategy<Value = Place> {
    let ledger =
        "[a-z0-9][a-z0-9._/:-]{0,127}".prop_filter_map("reserved", |text| LedgerName::new(&text).ok());
    (ledger, any::<[u8; 16]>(), name(), name()).prop_map(|(ledger, trail, stream, instance)| Place {
        ledger,
        trail: TrailId(trail),
        stream,
        instance,
    })
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..=INTEGER_MAX, 0..300_u64, Just(INTEGER_MAX)]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![0..=TIME_MAX, Just(TIME_MAX), Just(0)]
}

fn totals() -> impl Strategy<Value = Totals> {
    [count(), count(), count(), count(), count(), count()].prop_map(
        |[received, sealed, dropped, resent, stubbed, redacted]| Totals {
            received,
            sealed,
            dropped,
            resent,
            stubbed,
            redacted,
        },
    )
}

fn close() -> impl Strategy<Value = Close> {
    let reason =
        prop_oneof![Just(CloseReason::Stop), Just(CloseReason::Age), Just(CloseReason::Configuration)];
    (reason, option::of(any::<[u8; 32]>()))
        .prop_map(|(reason, successor)| Close { reason, successor: successor.map(KeyId) })
}

fn published() -> impl Strategy<Value = Vec<Published>> {
    vec((any::<[u8; 16]>(), 1..=INTEGER_MAX, any::<[u8; 32]>()), 0..20).prop_map(|items| {
        let mut items: Vec<Published> = items
            .into_iter()
            .map(|(trail, size, root)| Published { trail: TrailId(trail), size: TreeSize(size), root })
            .collect();
        items.sort_by_key(|item| item.trail);
        items.dedup_by_key(|item| item.trail);
        items
    })
}

pub(super) fn batch() -> impl Strategy<Value = BatchClaims> {
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let body = (0..=4095_u32, 0..=65_535_u32, 0..=(8_u32 << 20) + (64 << 10), any::<bool>());
    let encryption = option::of((any::<[u8; 32]>(), any::<[u8; 12]>()));
    let clocks = (time(), time(), time());
    let rest = (totals(), name(), option::of(close()), published());
    (place(), count(), hashes, body, encryption, option::of(any::<[u8; 32]>()), clocks, rest).prop_map(
        |(
            place,
            sequence,
            hashes,
            body,
            encryption,
            seen,
            clocks,
            (totals, retention_class, close, published),
        )| {
            BatchClaims {
                place,
                epoch: Identity(hashes.0),
                sequence,
                prev: Identity(hashes.1),
                record_root: hashes.2,
                context_count: body.0,
                record_count: body.1,
                stored_hash: hashes.3,
                stored_length: body.2,
                codec: if body.3 { Codec::Zstd } else { Codec::None },
                encryption: encryption.map(|(key_id, nonce)| Encryption { key_id, nonce }),
                seen,
                wall_clock_ns: (clocks.0, clocks.1),
                monotonic_ns: clocks.2,
                totals,
                retention_class,
                close,
                published,
            }
        },
    )
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(&Algorithm::ALL[..])
}

fn predecessor() -> impl Strategy<Value = Predecessor> {
    (any::<[u8; 32]>(), option::of(count()), any::<[u8; 32]>(), any::<bool>()).prop_map(
        |(epoch, sequence, identity, itself)| Predecessor {
            epoch: Identity(epoch),
            sequence,
            identity: Identity(identity),
            known: if itself { Known::Itself } else { Known::Ledger },
        },
    )
}

/// An open whose key is to be put in its place.
fn open() -> impl Strategy<Value = OpenClaims> {
    let hashes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
    let numbers = (100..=86_400_000_u64, 1_000..=86_400_000_u64, time());
    let challenge = option::of((any::<[u8; 32]>(), any::<[u8; 32]>()));
    (
        place(),
        option::of(any::<[u8; 32]>()),
        hashes,
        "\\PC{1,32}",
        numbers,
        challenge,
        option::of(predecessor()),
    )
        .prop_map(|(place, hpke_key, hashes, version, numbers, challenge, predecessor)| OpenClaims {
            place,
            public_key: make::ed25519(1).public_key().clone(),
            hpke_key,
            evidence: hashes.0,
            software_version: version,
            configuration: hashes.1,
            redaction: hashes.2,
            heartbeat_ms: numbers.0,
            age_ms_max: numbers.1,
            challenge: challenge.map(|(a, b)| [a, b].concat().try_into().unwrap()),
            predecessor,
            opened_at_ns: numbers.2,
        })
}

/// The payload with these further pairs at its end; their keys are above all others.
fn with_pairs(payload: &[u8], more: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.map(64).unwrap();
    let mut encoder = Encoder::new();
    encoder.map(count + more.len()).raw(&payload[decoder.position()..]);
    for (key, value) in more {
        encoder.uint(*key).raw(value);
    }
    encoder.into_bytes()
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_batch_is_read_as_it_was_written(batch in batch(), algorithm in algorithm()) {
        let signer = make::signer(algorithm);
        let claims = Claims::Batch(Box::new(batch));
        prop_assert_eq!(Claims::decode(Kind::Batch, &claims.encode()), Ok(claims.clone()));
        prop_assert!(Claims::decode(Kind::Open, &claims.encode()).is_err());

        let sealed = seal(&claims, &*signer).unwrap();
        let statement = UnverifiedStatement::decode(&sealed.bytes).unwrap();
        prop_assert_eq!(statement.identity(), sealed.identity);
        let statement = statement.verify(signer.public_key()).unwrap();
        prop_assert_eq!(statement.claims(), &claims);
    }

    #[test]
    fn an_open_is_read_as_it_was_written(mut open in open(), algorithm in algorithm()) {
        let signer = make::signer(algorithm);
        open.public_key = signer.public_key().clone();
        let claims = Claims::Open(Box::new(open.clone()));
        prop_assert_eq!(Claims::decode(Kind::Open, &claims.encode()), Ok(claims.clone()));
        prop_assert!(Claims::decode(Kind::Batch, &claims.encode()).is_err());
        let sealed = seal(&claims, &*signer).unwrap();
        let statement = UnverifiedStatement::decode(&sealed.bytes).unwrap().verify(signer.public_key()).unwrap();
        prop_assert_eq!(statement.identity(), sealed.identity);

        // The binding is that of all claims but the evidence's hash.
        let mut other = open;
        other.evidence = [0; 32];
        prop_assert_eq!(binding(statement.payload()), binding(&other.encode()));
        other.age_ms_max ^= 1;
        prop_assert_ne!(binding(statement.payload()), binding(&other.encode()));
    }

    #[test]
    fn a_changed_byte_of_claims_is_refused_or_other_claims(batch in batch(), at: prop::sample::Index, value: u8) {
        let claims = Claims::Batch(Box::new(batch));
        let mut payload = claims.encode();
        let at = at.index(payload.len());
        let same = payload[at] == value;
        payload[at] = value;
        if let Ok(decoded) = Claims::decode(Kind::Batch, &payload) {
            prop_assert_eq!(decoded == claims, same);
            prop_assert_eq!(decoded.encode(), payload);
        }
    }

    #[test]
    fn uncritical_claims_are_ignored_and_critical_ones_are_not(
        batch in batch(),
        keys in prop::collection::btree_set(256_u64..u64::MAX, 0..20),
        critical in 23_u64..256,
    ) {
        let claims = Claims::Batch(Box::new(batch));
        let value = vec![0x82, 0xf5, 0x43, 1, 2, 3];
        let more: Vec<(u64, Vec<u8>)> = keys.iter().map(|key| (*key, value.clone())).collect();
        prop_assert_eq!(Claims::decode(Kind::Batch, &with_pairs(&claims.encode(), &more)), Ok(claims.clone()));
        let more = [vec![(critical, value)], more].concat();
        prop_assert_eq!(
            Claims::decode(Kind::Batch, &with_pairs(&claims.encode(), &more)),
            Err(ClaimsError::UnknownClaim(critical))
        );
    }
}

/// Every claim once removed, once of another type, once too large.
#[test]
fn every_claim_is_required_and_typed() {
    let signer = make::ed25519(1);
    let batch = make::batch(3);
    let cases = [(Kind::Open, make::open(&signer).encode()), (Kind::Batch, batch.encode())];
    let mut refused = 0;
    for (kind, payload) in cases {
        let pairs = split(&payload);
        for (at, (key, value)) in pairs.iter().enumerate() {
            let mut without = pairs.clone();
            without.remove(at);
            assert_eq!(Claims::decode(kind, &join(&without)), Err(ClaimsError::Missing(*key)), "claim {key}");
            refused += 1;
            for other in [vec![0x20], vec![0x60], vec![0x80], vec![0xa0], vec![0xf4], vec![0xd2, 0x00]] {
                if other == [0x80] && value[0] == 0x80 {
                    continue;
                }
                let mut changed = pairs.clone();
                changed[at].1 = other;
                assert_eq!(
                    Claims::decode(kind, &join(&changed)),
                    Err(ClaimsError::Invalid(*key)),
                    "claim {key}"
                );
                refused += 1;
            }
        }
    }
    println!("claims: {refused} missing or of another type refused");
}

fn split(payload: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut decoder = Decoder::new(payload);
    let count = decoder.map(64).unwrap();
    (0..count)
        .map(|_| {
            let key = decoder.uint(u64::MAX).unwrap();
            let start = decoder.position();
            decoder.skip().unwrap();
            (key, decoder.since(start).to_vec())
        })
        .collect()
}

fn join(pairs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(pairs.len());
    for (key, value) in pairs {
        encoder.uint(*key).raw(value);
    }
    encoder.into_bytes()
}

/// One above each bound, and one below where there is a least.
#[test]
fn numbers_end_where_the_table_says() {
    let encoded = |key: u64, value: u64, kind: Kind| {
        let payload = match kind {
            Kind::Open => make::open(&make::ed25519(1)).encode(),
            Kind::Batch => make::batch(0).encode(),
        };
        let mut pairs = split(&payload);
        let mut encoder = Encoder::new();
        encoder.uint(value);
        pairs.iter_mut().find(|(k, _)| *k == key).unwrap().1 = encoder.into_bytes();
        Claims::decode(kind, &join(&pairs)).map(drop)
    };
    let bounds = [
        (1, 1, 1, Kind::Batch),
        (7, 0, INTEGER_MAX, Kind::Batch),
        (10, 0, 4095, Kind::Batch),
        (11, 0, 65_535, Kind::Batch),
        (13, 0, (8 << 20) + (64 << 10), Kind::Batch),
        (14, 0, 1, Kind::Batch),
        (18, 0, TIME_MAX, Kind::Batch),
        (38, 100, 86_400_000, Kind::Open),
        (39, 1000, 86_400_000, Kind::Open),
        (42, 0, TIME_MAX, Kind::Open),
    ];
    for (key, least, most, kind) in bounds {
        assert_eq!(encoded(key, least, kind), Ok(()));
        assert_eq!(encoded(key, most, kind), Ok(()));
        assert_eq!(encoded(key, most + 1, kind), Err(ClaimsError::Invalid(key)));
        if least > 0 {
            assert_eq!(encoded(key, least - 1, kind), Err(ClaimsError::Invalid(key)));
        }
    }
}
