//! Why evidence is refused: classes that verdicts name, and the precise cause within each.

use crate::evidence::EvidenceError;
use crate::nitro::CertificateFault;

/// Evidence that does not pass. The class ([`Refused::class`]) is what verdicts and interfaces name; the message says
/// what exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `evidence-malformed`: the artefact or the evidence in it does not decode.
    #[error("evidence is malformed")]
    Malformed(#[from] EvidenceError),
    /// `untrusted-root`: no reference value has this kind and root.
    #[error("no reference value accepts kind `{kind}` with root `{root}`")]
    UntrustedRoot {
        /// The artefact's kind.
        kind: crate::Kind,
        /// Hex of the root's fingerprint.
        root: String,
    },
    /// `evidence-refused`: signature, certificates, time or mode.
    #[error("evidence is refused")]
    Evidence(#[from] Refusal),
    /// `binding-mismatch`: it vouches for another key or other claims.
    #[error("evidence is not bound to this key and these claims: {0}")]
    BindingMismatch(BoundField),
    /// `challenge-mismatch`: it was not made for this challenge.
    #[error("evidence was made for another challenge: {0}")]
    ChallengeMismatch(ChallengeFault),
    /// `unexpected-code`: it vouches for code that no reference value with this kind and root names.
    #[error("no reference value names this code: {}", measured(.found))]
    UnexpectedCode {
        /// What was measured: name and lower-case hex.
        found: Vec<(String, String)>,
    },
}

impl Refused {
    /// The class in verdicts, as `docs/spec/05-evidence.md` 5.1 names it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "evidence-malformed",
            Self::UntrustedRoot { .. } => "untrusted-root",
            Self::Evidence(_) => "evidence-refused",
            Self::BindingMismatch(_) => "binding-mismatch",
            Self::ChallengeMismatch(_) => "challenge-mismatch",
            Self::UnexpectedCode { .. } => "unexpected-code",
        }
    }
}

/// The cause within class `evidence-refused`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature over the evidence does not verify.
    #[error("signature of the evidence does not verify")]
    Signature,
    /// s is above half the group order: the signature's other twin is the valid form.
    #[error("signature of the evidence has a high s")]
    HighS,
    /// A certificate of the path is not as it must be.
    #[error("certificate `{place}` of the path: {fault}")]
    Certificate {
        /// Its place from the root, which is 0.
        place: usize,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The path as a whole does not verify.
    #[error("certificate path does not verify")]
    Path(#[source] webpki::Error),
    /// The evidence's own time is too far from the time of its use.
    #[error("evidence of `{evidence_ms}` ms was used at `{now_ms}` ms, more than `{tolerance_ms}` ms apart", tolerance_ms = crate::TIME_TOLERANCE_MS)]
    Time {
        /// When the evidence says it was made, in ms since 1970.
        evidence_ms: u64,
        /// When it was used, in ms since 1970.
        now_ms: u64,
    },
    /// An enclave in debug mode, whose memory its host can read, and no reference value with this root says
    /// `debug = true`.
    #[error("enclave runs in debug mode")]
    Debug,
}

/// The field that does not hold what the open binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundField {
    /// The field for the 64-byte binding holds another value.
    #[error("binding differs")]
    Binding,
    /// The field for the 64-byte binding is absent.
    #[error("binding is absent")]
    NoBinding,
    /// The field for the key holds another value.
    #[error("public key differs")]
    PublicKey,
    /// The field for the key is absent.
    #[error("public key is absent")]
    NoPublicKey,
}

/// How evidence fails to answer the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeFault {
    /// It answers another one.
    #[error("challenge differs")]
    Differs,
    /// It answers none although one is expected.
    #[error("challenge is absent")]
    Absent,
    /// It answers one although none was set.
    #[error("challenge was not set")]
    NotSet,
}

fn measured(found: &[(String, String)]) -> String {
    let pairs: Vec<String> = found.iter().map(|(name, value)| format!("{name} `{value}`")).collect();
    pairs.join(", ")
}
