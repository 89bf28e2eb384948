//! Documents that real hardware made.

use std::collections::BTreeMap;

use sealtrail_attest::nitro::{AWS_ROOT_G1, Document};
use sealtrail_attest::{Expected, ReferenceValue, Refusal, Refused, TIME_TOLERANCE_MS, appraise};
use serde_json::Value;

use crate::make::{BINDING, class, nitro, told};

/// Every Nitro vector with its row of `expected.json`.
fn vectors() -> Vec<(String, Vec<u8>, Value)> {
    let Some(path) = sealtrail_testkit::shared("vectors/attestation/expected.json") else {
        return Vec::new();
    };
    let rows: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let rows = rows.into_iter().filter(|(_, row)| row["kind"] == "nitro");
    rows.map(|(name, row)| {
        let bytes = std::fs::read(path.parent().unwrap().join(&name)).unwrap();
        (name, bytes, row)
    })
    .collect()
}

fn hex_field(row: &Value, name: &str) -> Option<Vec<u8>> {
    row[name].as_str().map(|text| hex::decode(text).unwrap())
}

#[test]
fn verify_and_say_what_is_known() {
    let vectors = vectors();
    for (name, bytes, row) in &vectors {
        let document = Document::decode(bytes).unwrap();
        assert_eq!(hex::encode(document.root()), row["root_sha256"].as_str().unwrap(), "{name}");
        let verified =
            document.verify(&AWS_ROOT_G1).unwrap_or_else(|refused| panic!("{name}: {}", told(&refused)));
        let fields = verified.fields();
        assert_eq!(fields.module_id, row["module_id"]);
        assert_eq!(fields.timestamp_ms, row["timestamp_ms"].as_u64().unwrap());
        assert_eq!(verified.debug(), row["debug_mode"].as_bool().unwrap());
        assert_eq!(fields.pcrs.len() as u64, row["pcr_count"].as_u64().unwrap());
        let nonzero = fields.pcrs.iter().filter(|(_, pcr)| **pcr != [0; 48]);
        let nonzero: BTreeMap<String, Value> =
            nonzero.map(|(index, pcr)| (index.to_string(), hex::encode(pcr).into())).collect();
        assert_eq!(Value::from_iter(nonzero), row["nonzero_pcrs"], "{name}");
        assert_eq!(fields.public_key.map(<[u8]>::to_vec), hex_field(row, "public_key"), "{name}");
        assert_eq!(fields.user_data.map(<[u8]>::to_vec), hex_field(row, "user_data"), "{name}");
        assert_eq!(fields.nonce.map(<[u8]>::to_vec), hex_field(row, "nonce"), "{name}");
        assert_eq!(fields.cabundle.len(), row["cabundle_cn"].as_array().unwrap().len(), "{name}");
    }
    println!("genuine Nitro documents verified: {}", vectors.len());
}

#[test]
fn other_roots_are_not_trusted() {
    let vectors = vectors();
    for (name, bytes, _) in &vectors {
        let document = Document::decode(bytes).unwrap();
        let refused = document.verify(&[0; 32]).unwrap_err();
        assert_eq!(refused.class(), "untrusted-root", "{name}");
    }
    println!("genuine Nitro documents under another root refused: {}", vectors.len());
}

/// The reference value a document would fulfil, were it bound.
fn accept(row: &Value, debug: bool) -> ReferenceValue {
    let pcr = |index: u8| hex_field(&row["nonzero_pcrs"], &index.to_string()).unwrap_or(vec![0; 48]);
    ReferenceValue::nitro_sim(AWS_ROOT_G1, [0, 1, 2].map(|index| pcr(index).try_into().unwrap()), debug)
}

#[test]
fn appraised_at_their_time_and_after() {
    let vectors = vectors();
    for (name, bytes, row) in &vectors {
        let evidence = nitro(bytes);
        let debug = row["debug_mode"].as_bool().unwrap();
        let at = row["timestamp_ms"].as_u64().unwrap();
        let expected = |now_ms| Expected {
            binding: BINDING,
            challenge: None,
            public_key_spki: &[],
            now_ms,
            ledger_key: None,
        };
        // Nobody bound these documents to a Sealtrail epoch: genuine and fresh, they end at the binding, unless they
        // are in debug mode.
        let in_time = if debug { "evidence-refused" } else { "binding-mismatch" };
        for now in [at - TIME_TOLERANCE_MS, at, at + TIME_TOLERANCE_MS] {
            assert_eq!(class(&evidence, &expected(now), &[accept(row, false)]), in_time, "{name} at {now}");
            assert_eq!(
                class(&evidence, &expected(now), &[accept(row, true)]),
                "binding-mismatch",
                "{name} at {now}"
            );
        }
        let year_ms = 365 * 24 * 3600 * 1000;
        for now in [0, at - TIME_TOLERANCE_MS - 1, at + TIME_TOLERANCE_MS + 1, at + 10 * year_ms, u64::MAX] {
            let refused = appraise(&evidence, &expected(now), &[accept(row, debug)]).unwrap_err();
            let time = Refusal::Time { evidence_ms: at, now_ms: now };
            assert_eq!(refused, Refused::Evidence(time), "{name} at {now}");
        }
    }
    println!("genuine Nitro documents appraised at 8 times each: {}", vectors.len());
}

/// T16: whatever bit is flipped, the document is refused.
///
/// Steps prime to 8 reach every place of a bit: at least two bits of each byte of the newest document, every 29th bit of
/// the others. All bits are for [`no_flipped_bit_at_all_is_accepted`].
#[test]
fn no_flipped_bit_is_accepted() {
    flip_bits(3, 29);
}

/// T16 in full: 185,048 bits, a minute and a half.
#[test]
#[ignore = "takes a minute and a half"]
fn no_flipped_bit_at_all_is_accepted() {
    flip_bits(1, 1);
}

fn flip_bits(step_newest: usize, step_others: usize) {
    let vectors = vectors();
    let mut classes = BTreeMap::new();
    for (number, (name, bytes, _)) in vectors.iter().enumerate() {
        let step = if number + 1 == vectors.len() { step_newest } else { step_others };
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let class = match Document::decode(&broken) {
                Err(_) => "evidence-malformed",
                Ok(document) => match document.verify(&AWS_ROOT_G1) {
                    Err(refused) => refused.class(),
                    Ok(_) => panic!("{name}: bit {bit} flipped and still accepted"),
                },
            };
            *classes.entry(class).or_insert(0) += 1;
        }
    }
    println!("flipped bits refused: {} {classes:?}", classes.values().sum::<i32>());
}

/// A document that was cut short or continued is not one.
#[test]
fn no_other_length_is_accepted() {
    for (name, bytes, _) in &vectors() {
        for length in 0..bytes.len() {
            assert!(Document::decode(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        assert!(Document::decode(&[bytes, [0].as_slice()].concat()).is_err(), "{name} continued");
    }
}
