//! A whole ledger in one file: its files, a trust policy, receipts, and the verdict.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;

use sealtrail_core::body::BodyKey;
use sealtrail_core::segment::file_name;
use sealtrail_verify::{Options, Outcome, ReceiptInput, Source, Verdict, verify};
use serde_json::{Value, json};

use super::json::{Input, hex};
use super::world::{BODY_KEY, control_id, data_id, ledger_signer};
use super::{Set, World};

/// Bytes by path.
pub(super) type FileMap = BTreeMap<String, Vec<u8>>;

/// Files in memory.
pub(super) struct Files(pub(super) FileMap);

impl Source for Files {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        Ok(self.0.get(path).map(|bytes| Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>))
    }
}

/// Verifies, and gives the verdict where it is *verified* or *not appraised*.
pub(super) fn judge(input: &Value) -> Result<Value, String> {
    let members = |name: &str| input[name].as_object().unwrap_or_else(|| panic!("`{name}` is missing"));
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let files = Files(members("files").iter().map(|(path, value)| (path.clone(), bytes(value))).collect());
    let receipts = members("receipts")
        .iter()
        .map(|(name, value)| ReceiptInput { name: name.clone(), bytes: bytes(value) })
        .collect();
    let body_keys = input
        .list("body_keys")
        .iter()
        .map(|key| BodyKey::new(&bytes(key).try_into().unwrap()).unwrap())
        .collect();
    let policy = input.optional_bytes("policy");
    let options = Options { body_keys, receipts, ..Options::default() };
    let verdict = verify(&files, policy.as_deref(), options);
    match verdict.outcome {
        Outcome::Verified | Outcome::NotAppraised => Ok(fields(&verdict)),
        Outcome::Rejected | Outcome::Unchecked => Err(verdict.reason.unwrap_or_default()),
    }
}

fn fields(verdict: &Verdict) -> Value {
    let warnings: BTreeMap<String, u64> =
        verdict.finding_counts.iter().map(|(class, count)| ((*class).to_owned(), *count)).collect();
    let receipts: BTreeMap<&str, &str> =
        verdict.receipts.iter().map(|receipt| (receipt.file.as_str(), receipt.result)).collect();
    json!({
        "covered": {
            "batches": verdict.covered.batches,
            "epochs": verdict.covered.epochs,
            "line_bytes": verdict.covered.line_bytes,
            "records": verdict.covered.records,
            "trails": verdict.covered.trails,
        },
        "outcome": verdict.outcome,
        "receipts": receipts,
        "warnings": warnings,
    })
}

/// The world's directory as a map.
pub(super) fn directory(world: &World) -> FileMap {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    world.image.write(root, &ledger_signer());
    let mut files = BTreeMap::new();
    collect(root, root, &mut files);
    // The hint is written anew, so that its text depends on nothing but the world.
    let hint = format!(
        "{{\"control\":\"{}\",\"ledger\":\"{}\",\"version\":1,\"vkey\":\"{}\"}}",
        control_id(),
        world.image.name,
        world.vkey(control_id())
    );
    files.insert("ledger.json".to_owned(), hint.into_bytes());
    files
}

fn collect(root: &Path, folder: &Path, files: &mut FileMap) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

pub(super) fn ledgers(world: &World) -> Set {
    let mut set = Set::new("ledger", "06-verification.md");
    let files = directory(world);
    let policy = world.policy();
    let input = |files: &FileMap, policy: Option<&str>, receipts: &[u8], keys: &[[u8; 32]]| {
        let files: BTreeMap<&String, Value> = files.iter().map(|(path, bytes)| (path, hex(bytes))).collect();
        let keys: Vec<Value> = keys.iter().map(hex).collect();
        json!({
            "body_keys": keys,
            "files": files,
            "policy": policy.map(hex::encode),
            "receipts": { "receipt": hex(receipts) },
        })
    };
    set.accept("verified", "everything holds", input(&files, Some(&policy), &world.receipt, &[BODY_KEY]));
    set.accept(
        "without-key",
        "the encrypted body is not covered",
        input(&files, Some(&policy), &world.receipt, &[]),
    );
    set.accept(
        "without-policy",
        "consistent, not appraised",
        input(&files, None, &world.receipt, &[BODY_KEY]),
    );

    let segment = format!("trails/{}/segments/{}", data_id(), file_name(0));
    let mut reject = |name: &str, class, about: &str, change: &dyn Fn(&mut FileMap)| {
        let mut files = files.clone();
        change(&mut files);
        set.reject(name, class, about, input(&files, Some(&policy), &world.receipt, &[BODY_KEY]));
    };
    let checkpoint = format!("trails/{}/checkpoint", data_id());
    let open = &world.image.trails[&data_id()][0].entry;
    let body = world.image.trails[&data_id()][1].body.clone().unwrap();
    let flip = |files: &mut FileMap, needle: &[u8], at: usize| {
        let bytes = files.get_mut(&segment).unwrap();
        let start = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
        bytes[start + at] ^= 1;
    };
    reject("body-flipped", "stored-hash-mismatch", "a bit of a body", &|files| flip(files, &body, 100));
    reject("open-flipped", "bad-signature", "a bit of a signed statement", &|files| {
        let at = open.len() - 30;
        flip(files, open, at);
    });
    reject("checkpoint-gone", "checkpoint-missing", "no checkpoint", &|files| {
        drop(files.remove(&checkpoint))
    });
    reject("truncated", "trail-truncated", "the older checkpoint of the receipt", &|files| {
        files.insert(checkpoint.clone(), world.checkpoint.clone());
    });
    reject("evidence-gone", "evidence-missing", "no evidence", &|files| {
        files.remove(&sealtrail_core::artefact::path(&world.open.evidence));
    });
    reject("note-gone", "unknown-challenge", "no control note behind the challenge", &|files| {
        let challenge: [u8; 32] = world.open.challenge.unwrap()[..32].try_into().unwrap();
        files.remove(&sealtrail_core::artefact::path(&challenge));
    });
    let other_key = policy.replacen("genesis = \"", "genesis = \"00", 1);
    let (head, tail) = other_key.split_once("genesis = \"").unwrap();
    let genesis = format!("{head}genesis = \"{}\"{}", "0".repeat(64), tail.split_once('"').unwrap().1);
    set.reject(
        "other-genesis",
        "wrong-genesis",
        "a policy for another ledger of this name",
        input(&files, Some(&genesis), &world.receipt, &[]),
    );
    let nobody = policy.split_once("[[accept]]").unwrap().0.to_owned();
    set.reject(
        "nobody",
        "untrusted-root",
        "a policy that accepts nobody",
        input(&files, Some(&nobody), &world.receipt, &[]),
    );
    set
}
