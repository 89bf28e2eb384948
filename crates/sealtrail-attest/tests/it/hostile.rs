//! Bytes that nobody made on purpose: nothing panics, nothing passes.

use proptest::prelude::*;
use sealtrail_attest::nitro::Document;
use sealtrail_attest::{Evidence, Kind, ReferenceValue, check_bound};

use crate::make::{Fields, Path, PathEdit, SoftwareRoot, accept_nitro, class, expected, software_claims};

/// Judges bytes in every way there is.
fn judge(bytes: &[u8], accept: &[ReferenceValue]) -> bool {
    let _ = Document::decode(bytes).map(|document| document.verify(&document.root()).is_ok());
    let mut passed = false;
    let kinds = [Kind::Software, Kind::NitroSim, Kind::Ledger];
    let wrapped = kinds.map(|kind| Evidence::new(kind, bytes.to_vec(), vec![bytes.to_vec()]).ok());
    for evidence in [Evidence::decode(bytes).ok()].into_iter().chain(wrapped).flatten() {
        let _ = check_bound(&evidence, &expected());
        passed |= class(&evidence, &expected(), accept) == "passed";
    }
    passed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!judge(&bytes, &[]));
    }

    /// Random items with plausible heads reach deeper than random bytes.
    #[test]
    fn random_heads(bytes in prop::collection::vec(
        prop_oneof![Just(0x84u8), Just(0xd2), Just(0xa0), Just(0xbf), Just(0xff), Just(0x44), Just(0x9f), Just(0xf6),
            Just(0x5f), Just(0x01), Just(0x61), any::<u8>()], 0..80)) {
        prop_assert!(!judge(&bytes, &[]));
        let document = [&[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x58, bytes.len() as u8], bytes.as_slice(),
            &[0x58, 0x60], &[0; 96]].concat();
        prop_assert!(Document::decode(&document).is_err());
    }

    /// An artefact that decodes is the encoding of what it decodes to.
    #[test]
    fn decoding_inverts_encoding(evidence in prop::collection::vec(any::<u8>(), 0..300),
        endorsements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5),
        flip in any::<prop::sample::Index>(), bit in 0u32..8) {
        let artefact = Evidence::new(Kind::Ledger, evidence, endorsements).unwrap();
        let mut bytes = artefact.encode();
        prop_assert_eq!(Evidence::decode(&bytes).unwrap(), artefact);
        let at = flip.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Evidence::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

/// Good evidence with runs of bytes cut, repeated or overwritten.
#[test]
fn spliced_evidence() {
    let path = Path::new(&PathEdit::default());
    let root = SoftwareRoot::new();
    let accept = [root.accept(), accept_nitro(path.root(), &[], false)];
    let good = [
        root.evidence(&software_claims()).encode(),
        Fields::new(&path).signed(&path).encode(),
        crate::make::document(&path, Fields::new(&path).payload_indefinite()),
    ];
    let mut random = XorShift(0x5ea1_7ea1);
    let mut judged = 0;
    for original in &good {
        for _ in 0..1500 {
            let mut bytes = original.clone();
            for _ in 0..=random.below(3) {
                splice(&mut bytes, &mut random);
            }
            if bytes != *original {
                assert!(!judge(&bytes, &accept), "{}", hex::encode(&bytes));
                judged += 1;
            }
        }
    }
    println!("spliced evidence refused: {judged}");
}

fn splice(bytes: &mut Vec<u8>, random: &mut XorShift) {
    let from = random.below(bytes.len());
    let to = (from + random.below(40)).min(bytes.len());
    let run: Vec<u8> = bytes[from..to].to_vec();
    match random.below(4) {
        0 => drop(bytes.drain(from..to)),
        1 => drop(bytes.splice(from..from, run)),
        2 => bytes[from..to].fill([0, 0xff, 0x7f, 0x80][random.below(4)]),
        _ => bytes[from] = random.below(256) as u8,
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

/// A fixed sequence, so that a failure comes again (xorshift64).
struct XorShift(u64);

impl XorShift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
