//! What cannot be made the same twice: ECDSA signatures, a certificate path, a compressor's output. Made once, checked in,
//! checked like everything else, and made anew only where it is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sealtrail_attest::software;
use sealtrail_attester::{Attester as _, Mode, NitroSim};
use sealtrail_core::body::Compressor;
use sealtrail_core::hash::sha256;
use sealtrail_core::key::{Algorithm, Signer};
use sealtrail_core::statement::{Claims, seal};

use super::world::{self, data_binding};

/// Kept bytes by name; files `kept/<name>.hex`.
#[derive(Clone, Debug, Default)]
pub struct Kept(BTreeMap<String, Vec<u8>>);

/// Makes the values of a set, in order.
type Make = fn() -> Vec<Vec<u8>>;

/// What belongs together, since one key made it: when one is missing, all are made.
const SETS: [(&[&str], Make); 5] = [
    (&["es256-open", "es256-batch"], || statements(Algorithm::Es256)),
    (&["es384-open", "es384-batch"], || statements(Algorithm::Es384)),
    (&["software-evidence"], software_evidence),
    (&["nitro-sim-evidence"], nitro_evidence),
    (&["zstd-frame"], || vec![Compressor::new().unwrap().compress(&world::long_body()).unwrap()]),
];

impl Kept {
    /// What stands in `directory`, and made anew what does not.
    ///
    /// # Panics
    /// Where a file is not hex.
    #[must_use]
    pub fn load_or_make(directory: &Path) -> Self {
        let mut kept = Self::default();
        for (names, make) in SETS {
            let stored: Option<Vec<Vec<u8>>> = names
                .iter()
                .map(|name| fs::read_to_string(directory.join(format!("kept/{name}.hex"))).ok())
                .map(|text| text.map(|text| hex::decode(text.trim()).expect("a kept file is not hex")))
                .collect();
            let values = stored.unwrap_or_else(make);
            kept.0.extend(names.iter().map(|name| (*name).to_owned()).zip(values));
        }
        kept
    }

    /// The files: path below `testdata/vectors` and text.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        let file =
            |(name, bytes): (&String, &Vec<u8>)| (format!("kept/{name}.hex"), hex::encode(bytes) + "\n");
        self.0.iter().map(file).collect()
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> &[u8] {
        &self.0[name]
    }
}

/// An open and a batch of this algorithm.
fn statements(algorithm: Algorithm) -> Vec<Vec<u8>> {
    let signer = sealtrail_keys::generate(algorithm).unwrap();
    let open = Claims::Open(Box::new(world::other_open(signer.public_key())));
    let open = seal(&open, &*signer).unwrap();
    let batch = Claims::Batch(Box::new(world::other_batch(open.identity)));
    vec![open.bytes, seal(&batch, &*signer).unwrap().bytes]
}

/// Evidence of kind `software` for the epoch of the data trail.
fn software_evidence() -> Vec<Vec<u8>> {
    let root = sealtrail_keys::generate(Algorithm::Es256).unwrap();
    let (binding, challenge) = data_binding();
    let claims = software::Claims {
        binding,
        measurement: sha256(&[world::PROGRAM]),
        issued_at_ms: world::DATA_OPENED_NS / 1_000_000,
        challenge,
    };
    let signature = root.sign(&claims.to_be_signed()).unwrap().try_into().unwrap();
    vec![claims.seal(signature, root.public_key().spki()).unwrap().encode()]
}

/// Evidence of kind `nitro-sim` for the same epoch.
fn nitro_evidence() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let program = directory.join("program");
    fs::write(&program, world::PROGRAM).unwrap();
    let attester = NitroSim::open(&directory.join("root"), &program, Mode::Production).unwrap();
    let (binding, challenge) = data_binding();
    let key = world::data_signer();
    let now_ms = world::DATA_OPENED_NS / 1_000_000;
    let evidence = attester.attest(binding, Some(challenge), key.public_key().spki(), now_ms).unwrap();
    vec![evidence]
}
