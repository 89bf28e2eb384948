//! The artefact's one encoding.

use sealtrail_attest::{CborFault, ENDORSEMENTS_MAX, EVIDENCE_BYTES_MAX, Evidence, EvidenceError, Kind};

#[test]
fn bytes_are_as_specified() {
    let evidence = Evidence::new(Kind::Software, vec![1, 2], vec![vec![3]]).unwrap();
    let bytes = evidence.encode();
    assert_eq!(hex::encode(&bytes), "84 01 68736f667477617265 420102 81 4103".replace(' ', ""));
    assert_eq!(Evidence::decode(&bytes).unwrap(), evidence);
    for kind in [Kind::Software, Kind::NitroSim, Kind::Ledger] {
        let evidence = Evidence::new(kind, Vec::new(), Vec::new()).unwrap();
        assert_eq!(Evidence::decode(&evidence.encode()).unwrap(), evidence);
    }
}

#[test]
fn other_encodings_are_refused() {
    let cases = [
        ("", "truncated", CborFault::Truncated),
        ("84", "truncated array", CborFault::Truncated),
        ("84 01 68736f667477617265 4201", "truncated bytes", CborFault::Truncated),
        ("84 01 68736f667477617265 5bffffffffffffffff 80", "endless bytes", CborFault::Truncated),
        ("84 01 68736f667477617265 41", "missing endorsements", CborFault::Truncated),
        ("9804 01 68736f667477617265 40 80", "long array head", CborFault::NotShortest),
        ("84 1801 68736f667477617265 40 80", "long version", CborFault::NotShortest),
        ("84 01 7808736f667477617265 40 80", "long kind", CborFault::NotShortest),
        ("84 01 68736f667477617265 5800 80", "long evidence", CborFault::NotShortest),
        ("84 01 68736f667477617265 40 9800", "long endorsements", CborFault::NotShortest),
        ("84 01 6873ff667477617265 40 80", "kind not UTF-8", CborFault::NotUtf8),
        ("84 01 68736f667477617265 40 80 00", "one byte more", CborFault::Trailing(1)),
        ("1c", "reserved head", CborFault::NotWellFormed),
    ];
    for (text, name, fault) in &cases {
        match Evidence::decode(&hex::decode(text.replace(' ', "")).unwrap()) {
            Err(EvidenceError::Cbor(error)) => assert_eq!(error.fault, *fault, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let unexpected = [
        ("9f 01 68736f667477617265 40 80 ff", "indefinite array"),
        ("83 01 68736f667477617265 40", "three items"),
        ("85 01 68736f667477617265 40 80 00", "five items"),
        ("a4 01 68736f667477617265 40 80", "a map"),
        ("d2 84 01 68736f667477617265 40 80", "a tag"),
        ("84 20 68736f667477617265 40 80", "negative version"),
        ("84 f93c00 68736f667477617265 40 80", "float version"),
        ("84 01 48736f667477617265 40 80", "kind as bytes"),
        ("84 01 7f 68736f667477617265 ff 40 80", "kind in chunks"),
        ("84 01 68736f667477617265 5f40ff 80", "evidence in chunks"),
        ("84 01 68736f667477617265 60 80", "evidence as text"),
        ("84 01 68736f667477617265 f6 80", "no evidence"),
        ("84 01 68736f667477617265 40 9fff", "indefinite endorsements"),
        ("84 01 68736f667477617265 40 81 01", "endorsement as number"),
        ("84 01 68736f667477617265 40 f6", "null endorsements"),
    ];
    for (text, name) in unexpected {
        match Evidence::decode(&hex::decode(text.replace(' ', "")).unwrap()) {
            Err(EvidenceError::Cbor(error)) => {
                assert!(matches!(error.fault, CborFault::Unexpected { .. }), "{name}: {error}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    println!("artefacts in other encodings refused: {}", cases.len() + unexpected.len());
}

#[test]
fn versions_kinds_and_bounds() {
    let decode = |text: &str| Evidence::decode(&hex::decode(text.replace(' ', "")).unwrap()).unwrap_err();
    assert_eq!(decode("84 02 68736f667477617265 40 80"), EvidenceError::Version { found: 2 });
    // `nitro` is reserved for hardware and not of this version.
    assert_eq!(decode("84 01 656e6974726f 40 80"), EvidenceError::UnknownKind { found: "nitro".into() });
    assert_eq!(decode("84 01 60 40 80"), EvidenceError::UnknownKind { found: String::new() });
    assert_eq!(decode("84 01 620a07 40 80"), EvidenceError::UnknownKind { found: "\\n\\u{7}".into() });
    assert_eq!(
        decode("84 01 68736f667477617265 40 91"),
        EvidenceError::TooManyEndorsements { found: ENDORSEMENTS_MAX + 1 }
    );
    let many = Evidence::new(Kind::Software, Vec::new(), vec![Vec::new(); ENDORSEMENTS_MAX]).unwrap();
    assert_eq!(Evidence::decode(&many.encode()).unwrap(), many);
    let too_many = Evidence::new(Kind::Software, Vec::new(), vec![Vec::new(); ENDORSEMENTS_MAX + 1]);
    assert_eq!(too_many.unwrap_err(), EvidenceError::TooManyEndorsements { found: ENDORSEMENTS_MAX + 1 });
}

#[test]
fn length_bound_is_exact() {
    // Array, version, kind, a head of 5 bytes, no endorsements: 17 bytes around the evidence.
    let longest = Evidence::new(Kind::Software, vec![0; EVIDENCE_BYTES_MAX - 17], Vec::new()).unwrap();
    let bytes = longest.encode();
    assert_eq!(bytes.len(), EVIDENCE_BYTES_MAX);
    assert_eq!(Evidence::decode(&bytes).unwrap(), longest);
    let bytes = EVIDENCE_BYTES_MAX + 1;
    let too_long = Evidence::new(Kind::Software, vec![0; EVIDENCE_BYTES_MAX - 16], Vec::new());
    assert_eq!(too_long.unwrap_err(), EvidenceError::TooLarge { bytes });
    assert_eq!(Evidence::decode(&vec![0; bytes]).unwrap_err(), EvidenceError::TooLarge { bytes });
}
