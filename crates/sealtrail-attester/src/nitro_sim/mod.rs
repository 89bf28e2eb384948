//! A simulated Nitro enclave: genuine form, development root.
//!
//! Documents are encoded as those of 2026: untagged COSE_Sign1, ES384, payload map of indefinite length. The path is
//! root → region → zone → instance → leaf with pathLen 2, 1, 0; everything below the root is made anew for each
//! document, as the leaf of a genuine one lives three hours.
//!
//! | register | value |
//! |---|---|
//! | PCR 0 | SHA-384(program file) |
//! | PCR 1 | SHA-384("sealtrail nitro-sim kernel") |
//! | PCR 2 | SHA-384(program file ‖ "application") |
//! | PCR 4 | SHA-384("sealtrail nitro-sim instance" ‖ instance id) |
//! | others to 15 | zero |
//!
//! In debug mode PCR 0, 1 and 2 are zero, as on the real platform.

mod document;
mod path;

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA384};
use sealtrail_attest::nitro::Pcr;
use sealtrail_attest::{Evidence, Kind, ReferenceValue};

use crate::program::{finish, hash_file};
use crate::{Attester, AttesterError};
use document::Contents;
use path::Root;

/// How many registers a document shows.
const PCR_COUNT: u8 = 16;

/// Makes evidence of kind `nitro-sim`.
pub struct NitroSim {
    root: Root,
    module_id: String,
    pcrs: BTreeMap<u8, Pcr>,
    mode: Mode,
}

/// How the simulated enclave was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As in production: the code is measured.
    Production,
    /// In debug mode: the host can read its memory, and PCR 0, 1 and 2 are zero. Refused unless a reference value says
    /// `debug = true`.
    Debug,
}

impl NitroSim {
    /// Measures the program file and takes the root from `directory` (`root.key`, P-384 in PKCS#8 DER, and `root.cer`,
    /// its self-signed certificate in DER), both created where they are missing, readable by their owner only.
    ///
    /// # Errors
    /// A file cannot be read or created, or the directory holds something else.
    pub fn open(directory: &Path, program: &Path, mode: Mode) -> Result<Self, AttesterError> {
        let hashed = hash_file(program, &SHA384)?;
        let root = Root::open(directory)?;
        let instance_id = format!("i-0{}", random_hex::<8>()?);
        let module_id = format!("{instance_id}-enc{}", random_hex::<8>()?);
        Ok(Self { root, pcrs: registers(hashed, &instance_id, mode), module_id, mode })
    }

    /// The registers that its documents show, by index.
    #[must_use]
    pub fn pcrs(&self) -> &BTreeMap<u8, Pcr> {
        &self.pcrs
    }
}

impl Attester for NitroSim {
    fn kind(&self) -> &'static str {
        Kind::NitroSim.as_str()
    }

    fn attest(
        &self,
        binding: [u8; 64],
        challenge: Option<[u8; 64]>,
        public_key_spki: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, AttesterError> {
        let challenge = challenge.ok_or(AttesterError::NoChallenge { kind: self.kind() })?;
        let path = self.root.issue(&self.module_id, now_ms)?;
        let contents = Contents {
            module_id: &self.module_id,
            timestamp_ms: now_ms,
            pcrs: &self.pcrs,
            public_key: Some(public_key_spki),
            user_data: Some(&binding),
            nonce: Some(&challenge),
        };
        let document = contents.sign(&path)?;
        Ok(Evidence::new(Kind::NitroSim, document, Vec::new())?.encode())
    }

    /// Names PCR 0, 1 and 2; in debug mode with `debug = true`.
    fn reference_value(&self) -> ReferenceValue {
        let code = [0, 1, 2].map(|index| self.pcrs.get(&index).copied().unwrap_or([0; 48]));
        ReferenceValue::nitro_sim(self.root.fingerprint(), code, self.mode == Mode::Debug)
    }
}

fn registers(program: Context, instance_id: &str, mode: Mode) -> BTreeMap<u8, Pcr> {
    let mut application = program.clone();
    application.update(b"application");
    let mut pcrs: BTreeMap<u8, Pcr> = (0..PCR_COUNT).map(|index| (index, [0; 48])).collect();
    if mode == Mode::Production {
        pcrs.insert(0, finish(program));
        pcrs.insert(1, hash(&[b"sealtrail nitro-sim kernel"]));
        pcrs.insert(2, finish(application));
    }
    pcrs.insert(4, hash(&[b"sealtrail nitro-sim instance", instance_id.as_bytes()]));
    pcrs
}

fn hash(parts: &[&[u8]]) -> Pcr {
    let mut context = Context::new(&SHA384);
    for part in parts {
        context.update(part);
    }
    finish(context)
}

fn random_hex<const N: usize>() -> Result<String, AttesterError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AttesterError::Crypto("draw random bytes"))?;
    Ok(hex::encode(bytes))
}
