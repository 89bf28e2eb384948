//! Vectors that others made, and libraries that others wrote.

mod aead;
mod cbor;
mod cose;
mod merkle;
mod notes;
mod signatures;
mod tiles;

pub(crate) use signatures::twin;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealtrail_core::hash::Hash;
use sealtrail_testkit::shared;
use serde_json::Value;

/// A JSON file below `vectors/`; `None` where the shared tree is missing.
fn json(path: &str) -> Option<Value> {
    let path = shared(&format!("vectors/{path}"))?;
    Some(serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
}

fn from_hex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn from_base64(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// A hash in base64; `None` where it has another length than a hash.
fn hash(value: &Value) -> Option<Hash> {
    from_base64(value).try_into().ok()
}
