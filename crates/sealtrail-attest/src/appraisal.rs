//! The result of an appraisal: what evidence proved.

use crate::evidence::Kind;

/// What evidence proved. Only [`appraise`](crate::appraise) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appraisal {
    kind: Kind,
    root: [u8; 32],
    instance: Option<String>,
    evidence_time_ms: Option<u64>,
    measurements: Vec<(String, String)>,
    debug: bool,
}

impl Appraisal {
    pub(crate) fn new(kind: Kind, root: [u8; 32]) -> Self {
        Self { kind, root, instance: None, evidence_time_ms: None, measurements: Vec::new(), debug: false }
    }

    pub(crate) fn at(self, evidence_time_ms: u64) -> Self {
        Self { evidence_time_ms: Some(evidence_time_ms), ..self }
    }

    pub(crate) fn of_code(self, measurements: Vec<(String, String)>) -> Self {
        Self { measurements, ..self }
    }

    pub(crate) fn in_enclave(self, module_id: &str, debug: bool) -> Self {
        Self { instance: Some(module_id.to_owned()), debug, ..self }
    }

    /// The kind of evidence.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What a person calls the platform.
    #[must_use]
    pub fn platform(&self) -> &'static str {
        self.kind.platform()
    }

    /// Whether no hardware stands behind it: whoever holds the development root could have made it. Every verdict says
    /// so where it is true.
    #[must_use]
    pub fn simulated(&self) -> bool {
        self.kind.simulated()
    }

    /// Whether the enclave runs in debug mode, which a reference value allowed: its host can read its memory.
    #[must_use]
    pub fn debug(&self) -> bool {
        self.debug
    }

    /// What was measured, each a name and lower-case hex: `program` (SHA-256 of the program file), or `pcr0` and so on
    /// (PCR 0, 1, 2 and all others that are not zero). Empty for kind `ledger`, which says nothing about code.
    #[must_use]
    pub fn measurements(&self) -> &[(String, String)] {
        &self.measurements
    }

    /// When the platform says it made the evidence, in ms since 1970. `None` for kind `ledger`, which says no time.
    #[must_use]
    pub fn evidence_time_ms(&self) -> Option<u64> {
        self.evidence_time_ms
    }

    /// The fingerprint of the root that vouches: SHA-256 of the key's SPKI (`software`, `ledger`) or of the root
    /// certificate's DER (`nitro-sim`).
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    /// The platform's name for what ran: a document's `module_id`. `None` where the platform has none.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }
}
