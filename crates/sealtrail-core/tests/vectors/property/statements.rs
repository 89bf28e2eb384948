//! Threats T32, confusion of algorithms and headers, and T35, malleable signatures.

use std::rc::Rc;
use std::slice::from_ref;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use sealtrail_core::cbor::{Decoder, Encoder};
use sealtrail_core::key::{Algorithm, KeyError, PublicKey, Signer, Verifier};
use sealtrail_core::name::Identity;
use sealtrail_core::note::VerifierKey;
use sealtrail_core::statement::{
    Claims, STATEMENT_BYTES_MAX, SignedStatement, StatementError, UnverifiedStatement, seal,
};
use sealtrail_testkit::small_order;

use crate::make;
use crate::suites::twin;

fn signed(algorithm: Algorithm) -> [(Rc<dyn Signer>, SignedStatement); 2] {
    let signer = make::signer(algorithm);
    let open = Claims::Open(Box::new(make::open(&*signer)));
    let batch = Claims::Batch(Box::new(make::batch(7)));
    [open, batch].map(|claims| (Rc::clone(&signer), seal(&claims, &*signer).unwrap()))
}

fn verify(bytes: &[u8], key: &dyn Verifier) -> Result<Identity, StatementError> {
    UnverifiedStatement::decode(bytes)?.verify(key).map(|statement| statement.identity())
}

/// One byte more than a statement may have is too long, whatever it is.
#[test]
fn the_bound_of_a_statement_is_exact() {
    let of = |bytes: usize| UnverifiedStatement::decode(&vec![0xd2; bytes]).unwrap_err();
    assert_ne!(of(STATEMENT_BYTES_MAX), StatementError::TooLong);
    for bytes in [STATEMENT_BYTES_MAX + 1, STATEMENT_BYTES_MAX + 2, 1 << 20] {
        assert_eq!(of(bytes), StatementError::TooLong);
    }
}

#[test]
fn no_changed_byte_verifies() {
    let (mut mutations, mut decoded) = (0_u64, 0_u64);
    for algorithm in Algorithm::ALL {
        for (signer, statement) in signed(algorithm) {
            let key = signer.public_key();
            assert_eq!(verify(&statement.bytes, key), Ok(statement.identity));
            let mut bytes = statement.bytes.clone();
            for at in 0..bytes.len() {
                let original = bytes[at];
                // Every value in what frames the claims, every bit within them.
                let framing = at < 100 || at + 100 >= bytes.len();
                let values: Vec<u8> = match algorithm {
                    Algorithm::Ed25519 if framing => (0..=255).collect(),
                    _ => (0..8).map(|bit| original ^ 1 << bit).collect(),
                };
                for value in values.into_iter().filter(|value| *value != original) {
                    bytes[at] = value;
                    let result = verify(&bytes, key);
                    assert!(result.is_err(), "{algorithm:?}: byte {at} as {value:#04x} verifies");
                    decoded += u64::from(matches!(result, Err(StatementError::Signature(_))));
                    mutations += 1;
                }
                bytes[at] = original;
            }
        }
    }
    println!(
        "statements: {mutations} changed bytes, none verifies; {decoded} of them only the signature refused"
    );
}

#[test]
fn no_cut_or_lengthened_statement_verifies() {
    for algorithm in Algorithm::ALL {
        for (signer, statement) in signed(algorithm) {
            for end in 0..statement.bytes.len() {
                assert!(verify(&statement.bytes[..end], signer.public_key()).is_err());
            }
            let longer = [statement.bytes.clone(), vec![0]].concat();
            assert!(verify(&longer, signer.public_key()).is_err());
        }
    }
}

/// The parts of an envelope.
struct Parts {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Parts {
    fn of(statement: &[u8]) -> Self {
        let mut decoder = Decoder::new(statement);
        decoder.tag(18).unwrap();
        decoder.array_of(4).unwrap();
        let protected = decoder.bytes(1000).unwrap().to_vec();
        decoder.map(0).unwrap();
        let payload = decoder.bytes(10_000).unwrap().to_vec();
        Self { protected, payload, signature: decoder.bytes(1000).unwrap().to_vec() }
    }

    fn envelope(&self, tag: Option<u64>, unprotected: &[u8], more: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new();
        if let Some(tag) = tag {
            encoder.tag(tag);
        }
        encoder.array(4 + usize::from(!more.is_empty())).bytes(&self.protected).raw(unprotected);
        encoder.bytes(&self.payload).bytes(&self.signature).raw(more);
        encoder.into_bytes()
    }

    /// The envelope with another protected header, signed anew over it: the defect is the header alone.
    fn signed_with(&self, protected: Vec<u8>, unprotected: &[u8], signer: &dyn Signer) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder
            .array(4)
            .text("Signature1")
            .bytes(&protected)
            .bytes(b"sealtrail/statement/v1")
            .bytes(&self.payload);
        let signature = signer.sign(&encoder.into_bytes()).unwrap();
        let parts = Self { protected, payload: self.payload.clone(), signature };
        parts.envelope(Some(18), unprotected, &[])
    }
}

fn header(pairs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.map(pairs.len());
    for (key, value) in pairs {
        encoder.uint(*key).raw(value);
    }
    encoder.into_bytes()
}

fn int(value: i64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.int(value);
    encoder.into_bytes()
}

fn bytes(value: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(value);
    encoder.into_bytes()
}

fn text(value: &str) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.text(value);
    encoder.into_bytes()
}

#[test]
fn no_other_header_is_taken_even_if_it_is_signed() {
    let mut refused = 0;
    for algorithm in Algorithm::ALL {
        let [_, (signer, statement)] = signed(algorithm);
        let key = signer.public_key();
        let parts = Parts::of(&statement.bytes);
        let alg = (1, int(algorithm.cose()));
        let kid = (4, bytes(&key.key_id().0));
        let typ = (16, text("application/vnd.sealtrail.batch+cbor"));
        let good = header(&[alg.clone(), kid.clone(), typ.clone()]);
        assert_eq!(good, parts.protected);
        assert!(verify(&parts.signed_with(good.clone(), &[0xa0], &*signer), key).is_ok());

        let mut headers = vec![
            vec![],
            header(&[]),
            header(&[kid.clone(), typ.clone()]),
            header(&[alg.clone(), typ.clone()]),
            header(&[alg.clone(), kid.clone()]),
            header(&[alg.clone(), alg.clone(), kid.clone(), typ.clone()]),
            header(&[kid.clone(), alg.clone(), typ.clone()]),
            header(&[alg.clone(), (2, vec![0x81, 0x01]), kid.clone(), typ.clone()]),
            header(&[alg.clone(), kid.clone(), typ.clone(), (17, vec![0x00])]),
            header(&[(1, text("ES256")), kid.clone(), typ.clone()]),
            header(&[alg.clone(), (4, bytes(&key.key_id().0[..31])), typ.clone()]),
            header(&[alg.clone(), (4, bytes(&[0; 32])), typ.clone()]),
            header(&[alg.clone(), kid.clone(), (16, text("application/vnd.sealtrail.open+cbor"))]),
            header(&[alg.clone(), kid.clone(), (16, text("application/cbor"))]),
            header(&[alg.clone(), kid.clone(), (16, vec![0x00])]),
            [good.clone(), vec![0x00]].concat(),
        ];
        // Every other algorithm that COSE has: the other two of the format, none, and near ones.
        let others = [-7, -35, -19, -8, -36, -9, -48, 1, 3, 5, 0, -37, i64::MIN];
        for other in others.into_iter().filter(|other| *other != algorithm.cose()) {
            headers.push(header(&[(1, int(other)), kid.clone(), typ.clone()]));
        }
        for protected in headers {
            let hex = hex::encode(&protected);
            assert!(verify(&parts.signed_with(protected, &[0xa0], &*signer), key).is_err(), "{hex}");
            refused += 1;
        }
        // The algorithm in the unprotected map: besides the protected one, and in its place.
        for unprotected in
            [header(from_ref(&alg)), header(&[(1, int(-7))]), header(from_ref(&kid)), vec![0xf6]]
        {
            assert!(verify(&parts.signed_with(good.clone(), &unprotected, &*signer), key).is_err());
            let moved = header(&[kid.clone(), typ.clone()]);
            assert!(verify(&parts.signed_with(moved, &unprotected, &*signer), key).is_err());
            refused += 2;
        }
        let shapes = [
            parts.envelope(None, &[0xa0], &[]),
            parts.envelope(Some(17), &[0xa0], &[]),
            parts.envelope(Some(98), &[0xa0], &[]),
            parts.envelope(Some(18), &[0xa0], &[0xf6]),
            [vec![0xd2], parts.envelope(Some(18), &[0xa0], &[])].concat(),
            [vec![0xd9, 0xd9, 0xf7], parts.envelope(Some(18), &[0xa0], &[])].concat(),
        ];
        for shape in shapes {
            assert!(verify(&shape, key).is_err());
            refused += 1;
        }
    }
    println!("T32: {refused} other headers and envelopes refused");
}

#[test]
fn a_message_never_chooses_the_key_or_the_algorithm() {
    for algorithm in Algorithm::ALL {
        let [_, (signer, statement)] = signed(algorithm);
        for other in Algorithm::ALL {
            let stranger = make::signer(other);
            let same = stranger.public_key() == signer.public_key();
            let result = verify(&statement.bytes, stranger.public_key());
            assert_eq!(matches!(result, Err(StatementError::ForeignKey { .. })), !same);
        }
    }
    // A key that lies about its algorithm gets no further than its id.
    struct Liar(PublicKey);
    impl Verifier for Liar {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Es384
        }
        fn key_id(&self) -> sealtrail_core::key::KeyId {
            self.0.key_id()
        }
        fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), KeyError> {
            Ok(())
        }
    }
    let [_, (signer, statement)] = signed(Algorithm::Es256);
    let liar = Liar(signer.public_key().clone());
    assert!(matches!(verify(&statement.bytes, &liar), Err(StatementError::ForeignKey { .. })));
}

#[test]
fn a_twin_signature_is_refused_and_would_be_the_same_statement() {
    let mut twins = 0;
    for algorithm in [Algorithm::Es256, Algorithm::Es384] {
        for (signer, statement) in signed(algorithm) {
            let mut parts = Parts::of(&statement.bytes);
            parts.signature = twin(&parts.signature, algorithm.half_order().unwrap());
            let bytes = parts.envelope(Some(18), &[0xa0], &[]);
            assert_ne!(bytes, statement.bytes);
            let unverified = UnverifiedStatement::decode(&bytes).unwrap();
            assert_eq!(unverified.identity(), statement.identity);
            let refused = unverified.verify(signer.public_key());
            assert_eq!(refused.unwrap_err(), StatementError::Signature(KeyError::HighS));
            twins += 1;
        }
    }
    println!("T35: {twins} ECDSA twins refused");
}

/// The order of the Ed25519 group, little-endian (RFC 8032 section 5.1).
const ED25519_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn an_ed25519_signature_has_no_twin() {
    let [_, (signer, statement)] = signed(Algorithm::Ed25519);
    let mut parts = Parts::of(&statement.bytes);
    // S + L: below 2^256, so it has a form; above L, so it is refused.
    let mut carry = 0;
    for (digit, order) in parts.signature[32..].iter_mut().zip(ED25519_ORDER) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        *digit = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let bytes = parts.envelope(Some(18), &[0xa0], &[]);
    assert_eq!(verify(&bytes, signer.public_key()), Err(StatementError::Signature(KeyError::BadSignature)));
}

/// Zero and order-sized numbers, which some libraries have taken for a signature.
#[test]
fn degenerate_signatures_are_refused() {
    for algorithm in Algorithm::ALL {
        let [_, (signer, statement)] = signed(algorithm);
        let width = algorithm.signature_bytes() / 2;
        let half = algorithm.half_order().map_or(ED25519_ORDER.to_vec(), <[u8]>::to_vec);
        let numbers = [vec![0; width], [vec![0; width - 1], vec![1]].concat(), vec![0xff; width], half];
        for r in &numbers {
            for s in &numbers {
                let mut parts = Parts::of(&statement.bytes);
                parts.signature = [r.clone(), s.clone()].concat();
                let bytes = parts.envelope(Some(18), &[0xa0], &[]);
                assert!(verify(&bytes, signer.public_key()).is_err(), "{algorithm:?}");
            }
        }
    }
}

/// Ed25519 keys of small order: under some of them anybody can sign. None is read (3.2), whatever its sign bit and however
/// its number is written; nor does a signature verify whose R is such a point (3.1), though it fulfils the equation.
#[test]
fn nothing_of_small_order_is_taken() {
    for (name, key) in small_order::refused_keys() {
        assert!(PublicKey::from_raw(Algorithm::Ed25519, &key).is_err(), "{name}");
        let spki = [Algorithm::Ed25519.spki_prefix(), &key].concat();
        assert_eq!(PublicKey::from_spki(&spki).err(), Some(KeyError::Malformed), "{name}");
        assert!(VerifierKey::new("log.test", key).is_err(), "{name}");
    }
    let key = make::ed25519(1);
    let public = key.public_key();
    let signature = small_order::signature(&[1; 32], public.raw(), b"anything");
    let backend = UnparsedPublicKey::new(&ED25519, public.raw());
    assert!(backend.verify(b"anything", &signature).is_ok(), "the equation holds");
    assert_eq!(public.verify(b"anything", &signature), Err(KeyError::BadSignature));
    // The numbers next to the refused ones are keys; one that is no point verifies nothing.
    for near in [2, 3, 0xea, 0xeb] {
        let mut raw = [if near < 4 { 0 } else { 0xff }; 32];
        raw[0] = near;
        raw[31] &= 0x7f;
        let key = PublicKey::from_raw(Algorithm::Ed25519, &raw).unwrap();
        assert_eq!(key.verify(b"anything", &signature), Err(KeyError::BadSignature));
    }
    // Below the prime, though all bytes but the highest are those of a number above it.
    let mut below = [0xff; 32];
    below[31] = 0x7e;
    assert!(PublicKey::from_raw(Algorithm::Ed25519, &below).is_ok());
}
