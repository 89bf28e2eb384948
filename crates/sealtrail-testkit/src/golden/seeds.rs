//! What fuzz targets start from.

use std::collections::BTreeMap;

use sealtrail_core::cbor::Encoder;

use super::{Kept, World, cases};

/// Which member of a structure's input a fuzz target reads, and which target.
const SEEDS: [(&str, &str, &str); 15] = [
    ("cbor", "item", "cbor"),
    ("statement", "statement", "statement"),
    ("entry", "entry", "entry"),
    ("checkpoint", "note", "note"),
    ("checkpoint", "note", "checkpoint"),
    ("receipt", "file", "receipt"),
    ("segment", "file", "segment"),
    ("tile-path", "path", "tile_path"),
    ("header-line", "line", "line"),
    ("context-line", "line", "line"),
    ("record-line", "line", "line"),
    ("stub-line", "line", "line"),
    ("body", "stored", "frame"),
    ("evidence", "artefact", "evidence"),
    ("trust-policy", "policy", "policy"),
];

/// What fuzz targets start from: `<target>/<structure>-<case>` and bytes.
#[must_use]
pub fn seeds(world: &World, kept: &Kept) -> BTreeMap<String, Vec<u8>> {
    let mut seeds = BTreeMap::new();
    for case in cases(world, kept) {
        for (_, member, target) in SEEDS.iter().filter(|(structure, ..)| *structure == case.structure) {
            let Some(text) = case.input[*member].as_str() else { continue };
            // A tile path is text; everything else is hex.
            let bytes = if *target == "tile_path" { text.into() } else { hex::decode(text).unwrap() };
            let outcome = if case.class.is_some() { "reject" } else { "accept" };
            seeds.insert(format!("{target}/{outcome}-{}-{}", case.structure, case.name), bytes);
        }
        if let Some(statement) = case.input["statement"].as_str().filter(|_| case.structure == "statement") {
            for (route, request) in requests(&hex::decode(statement).unwrap()) {
                seeds.insert(format!("admission/{route}-{}", case.name), request);
            }
        }
    }
    for what in 0..6 {
        // One change to one file: which, where (two bytes), what, with which byte.
        seeds.insert(format!("verify/{what}"), vec![7 * what, 0, 60, what, 1]);
    }
    seeds
}

/// Requests to a ledger with this statement in them (`docs/spec/08-api.md`), behind the byte that chooses the route.
fn requests(statement: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let request = |route: u8, write: &dyn Fn(&mut Encoder)| {
        let mut encoder = Encoder::new();
        write(&mut encoder);
        [&[route][..], &encoder.into_bytes()].concat()
    };
    let batches = |encoder: &mut Encoder| {
        encoder.array(3).uint(1).uint(0).array(1).array(2).bytes(statement).bytes(b"");
    };
    let epoch = |encoder: &mut Encoder| {
        encoder.array(3).uint(1).bytes(statement).bytes(b"");
    };
    let challenge = |encoder: &mut Encoder| {
        encoder.array(4).uint(1).bytes(&[0; 16]).text("app").text("one");
    };
    [("batches", request(0, &batches)), ("epoch", request(1, &epoch)), ("challenge", request(2, &challenge))]
}
