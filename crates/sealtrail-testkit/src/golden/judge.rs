//! What this code makes of a case: the fields of what it accepts, or the class of why it refuses.

use sealtrail_attest::{Evidence, Expected, ReferenceValue, appraise};
use sealtrail_core::body::{self, BodyError, BodyKey, Decompressor, STUBS_MAX, salt, split_lines};
use sealtrail_core::cbor::Decoder;
use sealtrail_core::checkpoint::{CheckpointError, LedgerKey, UnverifiedCheckpoint};
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::{Algorithm, PublicKey};
use sealtrail_core::line::check::{self, Context};
use sealtrail_core::merkle::{Tree, leaf_hash, verify_consistency, verify_inclusion};
use sealtrail_core::name::{LeafIndex, LedgerName, TrailId, TreeSize};
use sealtrail_core::note::VerifierKey;
use sealtrail_core::receipt::{ReceiptError, ReceiptFile};
use sealtrail_core::statement::{
    BatchClaims, Claims, ClaimsError, Kind, OpenClaims, StatementError, UnverifiedStatement, binding,
};
use sealtrail_core::tile::{Tile, split_bundle};
use sealtrail_verify::TrustPolicy;
use serde_json::{Value, json};

use super::json::{Input, hex, hex_or_null, hexes};
use super::{control, ledger, segments};

/// The class of structures that no verdict names: there is only one way to be wrong.
pub(super) const MALFORMED: &str = "malformed";

/// The class of Merkle proofs that prove nothing.
pub(super) const PROOF: &str = "proof-refused";

/// Judges a case's input.
///
/// # Errors
/// The class of the defect.
///
/// # Panics
/// Where the input is not that of such a structure: a mistake of the file.
pub fn judge(structure: &str, input: &Value) -> Result<Value, String> {
    match structure {
        "cbor" => cbor(input).ok_or(MALFORMED),
        "header-line" => header_line(input).ok_or("line-form"),
        "context-line" => context_line(input).ok_or("line-form"),
        "record-line" | "stub-line" => record_line(input).ok_or("line-form"),
        "leaves" => Ok(leaves(input)),
        "disclosure" => disclosure(input).ok_or(PROOF),
        "body" => body(input),
        "statement" => statement(input),
        "binding" => binding(&input.bytes("payload"))
            .map(|bound| json!({ "binding": hex(bound) }))
            .map_err(|_| MALFORMED),
        "entry" => entry(input).ok_or("entry-malformed"),
        "verifier-key" => verifier_key(input).ok_or(MALFORMED),
        "checkpoint" => checkpoint(input),
        "tile-path" => tile_path(input).ok_or(MALFORMED),
        "bundle" => bundle(input).ok_or(MALFORMED),
        "inclusion" => inclusion(input).ok_or(PROOF),
        "consistency" => consistency(input).ok_or(PROOF),
        "receipt" => receipt(input),
        "evidence" => return evidence(input),
        "segment" => return segments::judge(input),
        "control-record" => return control::judge(input),
        "ledger" => return ledger::judge(input),
        "trust-policy" => trust_policy(input).ok_or("policy-invalid"),
        other => panic!("no structure `{other}`"),
    }
    .map_err(str::to_owned)
}

fn cbor(input: &Value) -> Option<Value> {
    let bytes = input.bytes("item");
    let mut decoder = Decoder::new(&bytes);
    decoder.skip().ok()?;
    decoder.finish().ok()?;
    Some(json!({}))
}

fn header_line(input: &Value) -> Option<Value> {
    let header = check::header(&input.bytes("line")).ok()?;
    Some(json!({ "length": header.length, "requests": hexes(&header.requests), "seed": hex(header.seed) }))
}

fn context_line(input: &Value) -> Option<Value> {
    let kind = match check::context(&input.bytes("line")).ok()? {
        Context::Resource => "resource",
        Context::Scope => "scope",
    };
    Some(json!({ "kind": kind }))
}

fn contexts(input: &Value) -> Vec<Context> {
    let kind = |kind: &Value| if kind == "resource" { Context::Resource } else { Context::Scope };
    input.list("contexts").iter().map(kind).collect()
}

fn record_line(input: &Value) -> Option<Value> {
    let info = check::record(&input.bytes("line"), &contexts(input)).ok()?;
    Some(json!({ "redacted": info.redacted, "stub": info.stub }))
}

fn leaves(input: &Value) -> Value {
    let seed: Hash = input.array("seed");
    let lines: Vec<Vec<u8>> =
        input.list("lines").iter().map(|line| hex::decode(line.as_str().unwrap()).unwrap()).collect();
    let plain: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
    let salts: Vec<[u8; 16]> = (0..lines.len() as u32).map(|index| salt(&seed, index)).collect();
    json!({
        "leaves": hexes(body::leaves(&seed, &plain)),
        "record_root": hex(body::record_root(&seed, &plain)),
        "salts": hexes(salts),
    })
}

/// The hashes of a list of hex.
fn hashes(input: &Value, name: &str) -> Option<Vec<Hash>> {
    let hash = |item: &Value| hex::decode(item.as_str().unwrap()).unwrap().try_into().ok();
    input.list(name).iter().map(hash).collect()
}

fn disclosure(input: &Value) -> Option<Value> {
    let leaf = sha256(&[&[0], &input.array::<16>("salt"), &input.bytes("line")]);
    let (index, size) = (LeafIndex(input.number("index")), TreeSize(input.number("leaves")));
    verify_inclusion(&leaf, index, size, &hashes(input, "proof")?, &input.array("record_root")).ok()?;
    Some(json!({ "leaf": hex(leaf) }))
}

fn body(input: &Value) -> Result<Value, &'static str> {
    let Ok(Claims::Batch(claims)) = Claims::decode(Kind::Batch, &input.bytes("claims")) else {
        panic!("the claims of a body are not those of a batch")
    };
    let key = input.optional_bytes("key").map(|key| BodyKey::new(&key.try_into().unwrap()).unwrap());
    let class = |error: BodyError| match error {
        BodyError::Missing => "body-missing",
        BodyError::StoredHash { .. } => "stored-hash-mismatch",
        BodyError::Decrypt | BodyError::Frame(_) | BodyError::Unterminated => "body-malformed",
        BodyError::Count { .. } => "count-mismatch",
        BodyError::Header(_) | BodyError::HeaderLength => "line-form",
        BodyError::RecordRoot => "record-root-mismatch",
    };
    let stored = input.optional_bytes("stored");
    body::check_stored(&claims, stored.as_deref().unwrap_or_default()).map_err(class)?;
    let Some(stored) = stored else { return Ok(json!({ "plain": "" })) };
    let mut decompressor = Decompressor::new().unwrap();
    let opened = body::open(&claims, &stored, key.as_ref(), &mut decompressor).map_err(class)?;
    lines(&claims, opened.plain).ok_or("line-form")?;
    Ok(json!({ "plain": hex(opened.plain) }))
}

fn lines(claims: &BatchClaims, plain: &[u8]) -> Option<()> {
    let (mut contexts, mut stubs) = (Vec::new(), 0);
    for line in split_lines(plain).skip(1) {
        if contexts.len() < claims.context_count as usize {
            contexts.push(check::context(line).ok()?);
        } else {
            stubs += u32::from(check::record(line, &contexts).ok()?.stub);
        }
    }
    (stubs <= STUBS_MAX).then_some(())
}

fn statement_class(error: StatementError) -> &'static str {
    match error {
        StatementError::Claims(ClaimsError::UnknownClaim(_)) => "unknown-claim",
        StatementError::ForeignKey { .. } => "foreign-key",
        StatementError::Signature(_) => "bad-signature",
        _ => "statement-malformed",
    }
}

fn statement(input: &Value) -> Result<Value, &'static str> {
    let key = PublicKey::from_spki(&input.bytes("key")).expect("the key of a statement is a key");
    let unverified = UnverifiedStatement::decode(&input.bytes("statement")).map_err(statement_class)?;
    let algorithm = match unverified.algorithm() {
        Algorithm::Es256 => "ES256",
        Algorithm::Es384 => "ES384",
        Algorithm::Ed25519 => "Ed25519",
    };
    let key_id = unverified.key_id();
    let statement = unverified.verify(&key).map_err(statement_class)?;
    let claims = match statement.claims() {
        Claims::Open(claims) => open_claims(claims),
        Claims::Batch(claims) => batch_claims(claims),
    };
    let kind = if matches!(statement.claims(), Claims::Open(_)) { "open" } else { "batch" };
    Ok(json!({
        "algorithm": algorithm,
        "claims": claims,
        "identity": statement.identity().to_string(),
        "key_id": key_id.to_string(),
        "kind": kind,
        "payload": hex(statement.payload()),
    }))
}

/// Claims by their names in 3.3.
fn open_claims(claims: &OpenClaims) -> Value {
    let predecessor = claims.predecessor.map(|predecessor| {
        json!({
            "epoch": predecessor.epoch.to_string(),
            "how": match predecessor.known {
                sealtrail_core::statement::Known::Itself => "itself",
                sealtrail_core::statement::Known::Ledger => "ledger",
            },
            "identity": predecessor.identity.to_string(),
            "sequence": predecessor.sequence,
        })
    });
    json!({
        "origin": claims.place.ledger.as_str(),
        "trail": claims.place.trail.to_string(),
        "stream": claims.place.stream.as_str(),
        "instance": claims.place.instance.as_str(),
        "public_key": hex(claims.public_key.spki()),
        "hpke_key": hex_or_null(claims.hpke_key),
        "evidence": hex(claims.evidence),
        "software_version": claims.software_version,
        "configuration": hex(claims.configuration),
        "redaction": hex(claims.redaction),
        "heartbeat_interval_ms": claims.heartbeat_ms,
        "maximum_age_ms": claims.age_ms_max,
        "challenge": hex_or_null(claims.challenge),
        "predecessor": predecessor,
        "opened_at_ns": claims.opened_at_ns.to_string(),
    })
}

fn batch_claims(claims: &BatchClaims) -> Value {
    let totals = claims.totals;
    let encryption = claims
        .encryption
        .map(|encryption| json!({ "key_id": hex(encryption.key_id), "nonce": hex(encryption.nonce) }));
    let close = claims.close.map(|close| {
        json!({ "reason": format!("{:?}", close.reason).to_lowercase(), "successor": close.successor.map(|key| key.to_string()) })
    });
    let published: Vec<Value> = claims
        .published
        .iter()
        .map(|item| json!({ "trail": item.trail.to_string(), "size": item.size.0, "root": hex(item.root) }))
        .collect();
    json!({
        "origin": claims.place.ledger.as_str(),
        "trail": claims.place.trail.to_string(),
        "stream": claims.place.stream.as_str(),
        "instance": claims.place.instance.as_str(),
        "epoch": claims.epoch.to_string(),
        "sequence": claims.sequence,
        "prev": claims.prev.to_string(),
        "record_root": hex(claims.record_root),
        "context_count": claims.context_count,
        "record_count": claims.record_count,
        "stored_hash": hex(claims.stored_hash),
        "stored_length": claims.stored_length,
        "codec": u8::from(claims.codec == sealtrail_core::statement::Codec::Zstd),
        "encryption": encryption,
        "seen": hex_or_null(claims.seen),
        "wall_clock_ns": [claims.wall_clock_ns.0.to_string(), claims.wall_clock_ns.1.to_string()],
        "monotonic_ns": claims.monotonic_ns.to_string(),
        "totals": {
            "received": totals.received,
            "sealed": totals.sealed,
            "dropped": totals.dropped,
            "resent": totals.resent,
            "stubbed": totals.stubbed,
            "redacted": totals.redacted,
        },
        "retention_class": claims.retention_class.as_str(),
        "close": close,
        "published": published,
    })
}

fn ledger_part(part: &LedgerPart) -> Value {
    json!({
        "collateral": hex_or_null(part.collateral),
        "control_size": part.control_size,
        "received_at_ns": part.received_at_ns.to_string(),
    })
}

fn entry(input: &Value) -> Option<Value> {
    let bytes = input.bytes("entry");
    let entry = Entry::decode(&bytes).ok()?;
    Some(json!({
        "ledger_part": ledger_part(&entry.ledger_part),
        "log_leaf": hex(leaf_hash(&bytes)),
        "statement": hex(entry.statement),
    }))
}

fn verifier_key(input: &Value) -> Option<Value> {
    let key = VerifierKey::parse(input.text("vkey")).ok()?;
    Some(json!({ "key": hex(key.public_key()), "name": key.name() }))
}

/// Ledger's name and checkpoint key of a case.
fn ledger_key(input: &Value) -> LedgerKey {
    LedgerKey::new(LedgerName::new(input.text("ledger")).unwrap(), input.array("checkpoint_key"))
}

fn trail(input: &Value, name: &str) -> TrailId {
    TrailId::from_hex(input.text(name)).unwrap()
}

fn checkpoint(input: &Value) -> Result<Value, &'static str> {
    let class = |error| match error {
        CheckpointError::Malformed(_) => "checkpoint-malformed",
        CheckpointError::Origin { .. } => "checkpoint-origin",
        CheckpointError::Unsigned(_) => "checkpoint-unsigned",
    };
    let unverified = UnverifiedCheckpoint::decode(&input.bytes("note")).map_err(class)?;
    let checkpoint = unverified.verify(&ledger_key(input), trail(input, "trail")).map_err(class)?;
    Ok(json!({
        "artefact_hash": hex(sha256(&[checkpoint.note()])),
        "root": hex(checkpoint.root()),
        "size": checkpoint.size().0,
    }))
}

fn tile_path(input: &Value) -> Option<Value> {
    let tile = Tile::parse(input.text("path"))?;
    Some(json!({ "level": tile.level, "number": tile.number, "width": tile.width }))
}

fn bundle(input: &Value) -> Option<Value> {
    let bytes = input.bytes("bundle");
    let leaves: Vec<Hash> = split_bundle(&bytes)?.into_iter().map(leaf_hash).collect();
    Some(json!({ "log_leaves": hexes(leaves) }))
}

fn inclusion(input: &Value) -> Option<Value> {
    verify_inclusion(
        &input.array("leaf"),
        LeafIndex(input.number("index")),
        TreeSize(input.number("size")),
        &hashes(input, "proof")?,
        &input.array("root"),
    )
    .ok()?;
    Some(json!({}))
}

fn consistency(input: &Value) -> Option<Value> {
    verify_consistency(
        TreeSize(input.number("old_size")),
        TreeSize(input.number("new_size")),
        &hashes(input, "proof")?,
        &input.array("old_root"),
        &input.array("new_root"),
    )
    .ok()?;
    Some(json!({}))
}

fn receipt(input: &Value) -> Result<Value, &'static str> {
    let file = ReceiptFile::decode(&input.bytes("file")).map_err(|_| "receipt-malformed")?;
    let control = trail(input, "control");
    let trail_id = file.place(control).map_err(|_| "receipt-malformed")?.trail;
    let statement = UnverifiedStatement::decode(&file.statement).map_err(|_| "receipt-malformed")?;
    let verified = file.verify(&ledger_key(input), control);
    let included = verified.map_err(|error| match error {
        ReceiptError::Malformed(_) => panic!("a decoded receipt is malformed"),
        _ => "receipt-invalid",
    })?;
    let link = |checkpoint: &sealtrail_core::checkpoint::Checkpoint| json!({ "root": hex(checkpoint.root()), "size": checkpoint.size().0 });
    Ok(json!({
        "control": included.control.as_ref().map(link),
        "identity": statement.identity().to_string(),
        "index": included.index.0,
        "ledger_part": ledger_part(&included.ledger_part),
        "trail": { "checkpoint": link(&included.checkpoint), "id": trail_id.to_string() },
    }))
}

fn evidence(input: &Value) -> Result<Value, String> {
    let accept: Vec<ReferenceValue> =
        input.list("accept").iter().map(|value| serde_json::from_value(value.clone()).unwrap()).collect();
    let key = input.bytes("public_key");
    let expected = Expected {
        binding: input.array("binding"),
        challenge: input.optional_bytes("challenge").map(|challenge| challenge.try_into().unwrap()),
        public_key_spki: &key,
        now_ms: input.number("received_at_ms"),
        ledger_key: input.optional_bytes("ledger_key").map(|key| key.try_into().unwrap()),
    };
    let artefact = Evidence::decode(&input.bytes("artefact")).map_err(|_| "evidence-malformed".to_owned())?;
    let appraisal = appraise(&artefact, &expected, &accept).map_err(|refused| refused.class().to_owned())?;
    let measurements: Vec<Value> =
        appraisal.measurements().iter().map(|(name, value)| json!([name, value])).collect();
    Ok(json!({
        "artefact_hash": hex(sha256(&[&input.bytes("artefact")])),
        "debug": appraisal.debug(),
        "kind": appraisal.kind().as_str(),
        "measurements": measurements,
        "root": hex(appraisal.root()),
        "time_ms": appraisal.evidence_time_ms(),
    }))
}

fn trust_policy(input: &Value) -> Option<Value> {
    let policy = TrustPolicy::parse(&input.bytes("policy")).ok()?;
    Some(json!({
        "control": policy.control().to_string(),
        "hash": hex(sha256(&[&input.bytes("policy")])),
        "ledger": policy.ledger().name().as_str(),
        "vkey": policy.ledger().verifier_key(policy.control()).to_string(),
    }))
}

/// The tree over these leaves.
pub(super) fn tree(leaves: &[Hash]) -> Tree {
    let mut tree = Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree
}
