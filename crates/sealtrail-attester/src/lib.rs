//! Makes evidence about the running program, for the agent to send with its open.
//!
//! One attester per kind: [`Software`] and [`NitroSim`], both of which are for development. Their roots are keys in
//! files, and whoever reads such a file can make the same evidence about any program; every verdict says so. What they
//! make is judged by `sealtrail-attest`; the forms are fixed in `docs/spec/05-evidence.md`.

mod files;
mod nitro_sim;
mod program;
mod software;

use std::path::PathBuf;

use sealtrail_attest::{ReferenceValue, Refusal};

pub use files::STORED_BYTES_MAX;
pub use nitro_sim::{Mode, NitroSim};
pub use program::RUNNING_PROGRAM;
pub use software::Software;

/// Something that can vouch for the running program and a key it holds.
pub trait Attester: Send + Sync {
    /// The kind of evidence it makes, as artefacts name it.
    fn kind(&self) -> &'static str;

    /// Makes evidence: the bytes of an artefact.
    ///
    /// `binding` is the key binding of the open (`docs/spec/03-statements.md` 3.4), `challenge` the ledger's challenge,
    /// `public_key_spki` the SPKI of the epoch's key, `now_ms` the time in ms since 1970.
    ///
    /// # Errors
    /// No challenge where the kind needs one, a time it cannot certify, or a failure of the platform.
    fn attest(
        &self,
        binding: [u8; 64],
        challenge: Option<[u8; 64]>,
        public_key_spki: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, AttesterError>;

    /// The reference value that accepts its evidence, for every stream: what goes into a trust policy.
    fn reference_value(&self) -> ReferenceValue;
}

/// Why evidence cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AttesterError {
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A stored file holds something else than it should.
    #[error("`{}` does not hold {expected}", path.display())]
    Stored {
        /// What it should hold.
        expected: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A root certificate that is not of the root key beside it.
    #[error("root certificate `{}` is not of the root key beside it", path.display())]
    RootMismatch {
        /// The certificate's file.
        path: PathBuf,
    },
    /// No challenge was given and this kind of evidence answers one.
    #[error("evidence of kind `{kind}` needs the ledger's challenge")]
    NoChallenge {
        /// The attester's kind.
        kind: &'static str,
    },
    /// The clock shows a time outside the window of the root certificate.
    #[error("time `{now_ms}` ms is outside the years 2020 to 2049, for which the root certificate is valid")]
    Clock {
        /// The time given, in ms since 1970.
        now_ms: u64,
    },
    /// The cryptographic library failed: out of memory, or no randomness.
    #[error("cannot {0}")]
    Crypto(&'static str),
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// The document could not be encoded.
    #[error("cannot encode the attestation document")]
    Encode,
    /// A signature does not verify under its own key: a fault of the machine.
    #[error("evidence does not verify right after signing")]
    SelfCheck(#[from] Refusal),
    /// The evidence is over the bounds of an artefact.
    #[error("evidence does not fit an artefact")]
    TooLarge(#[from] sealtrail_attest::EvidenceError),
}
