//! The evidence artefact: CBOR `[1, kind, evidence, [endorsement, …]]` (`docs/spec/05-evidence.md`).
//!
//! ```text
//! 84                       array of 4
//!    01                    version
//!    68 736f667477617265   kind, "software"
//!    59 xxxx …             evidence, bytes
//!    81 58 5b …            endorsements, bytes each
//! ```

use crate::cbor::{CborError, Reader, Writer};

/// The longest evidence artefact, in bytes: ten times the largest real evidence with its collateral, which is under
/// 100 KiB (`docs/spec/README.md`, *Bounds*).
pub const EVIDENCE_BYTES_MAX: usize = 1 << 20;

/// The most endorsements an artefact may carry (`docs/spec/05-evidence.md`). The kinds here have one or none; the rest is
/// room for kinds whose collateral comes in pieces.
pub const ENDORSEMENTS_MAX: usize = 16;

/// The version of the artefact, its first item.
const VERSION: u64 = 1;

/// A kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `software`: a development key vouches for a program's digest.
    Software,
    /// `nitro-sim`: a document in the form of AWS Nitro Enclaves under a development root.
    NitroSim,
    /// `ledger`: the ledger's checkpoint key vouches for a control epoch.
    Ledger,
}

impl Kind {
    /// The name in artefacts and trust policies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::NitroSim => "nitro-sim",
            Self::Ledger => "ledger",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Software, Self::NitroSim, Self::Ledger].into_iter().find(|kind| kind.as_str() == name)
    }

    /// What a person calls the platform.
    #[must_use]
    pub fn platform(self) -> &'static str {
        match self {
            Self::Software => "development software key",
            Self::NitroSim => "AWS Nitro Enclaves (simulated)",
            Self::Ledger => "ledger checkpoint key",
        }
    }

    /// Whether no hardware stands behind evidence of this kind. Not said of `ledger`, which claims nothing about code.
    #[must_use]
    pub fn simulated(self) -> bool {
        match self {
            Self::Software | Self::NitroSim => true,
            Self::Ledger => false,
        }
    }
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An evidence artefact of good form, about which nothing has been checked.
///
/// What it says becomes an [`Appraisal`](crate::Appraisal) only through [`appraise`](crate::appraise).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    kind: Kind,
    evidence: Vec<u8>,
    endorsements: Vec<Vec<u8>>,
}

impl Evidence {
    /// An artefact to encode, as an attester makes it.
    ///
    /// # Errors
    /// More than [`ENDORSEMENTS_MAX`] endorsements, or more than [`EVIDENCE_BYTES_MAX`] bytes once encoded.
    pub fn new(kind: Kind, evidence: Vec<u8>, endorsements: Vec<Vec<u8>>) -> Result<Self, EvidenceError> {
        if endorsements.len() > ENDORSEMENTS_MAX {
            return Err(EvidenceError::TooManyEndorsements { found: endorsements.len() });
        }
        let artefact = Self::from_parts(kind, evidence, endorsements);
        match artefact.encode().len() {
            bytes if bytes > EVIDENCE_BYTES_MAX => Err(EvidenceError::TooLarge { bytes }),
            _ => Ok(artefact),
        }
    }

    /// An artefact whose parts are known to be within bounds.
    pub(crate) fn from_parts(kind: Kind, evidence: Vec<u8>, endorsements: Vec<Vec<u8>>) -> Self {
        Self { kind, evidence, endorsements }
    }

    /// Decodes an artefact; only the one deterministic encoding is taken.
    ///
    /// # Errors
    /// Too long, not deterministic CBOR of this form, another version, an unknown kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLarge { bytes: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        reader.array_of(4, "an array of 4 items (evidence artefact)")?;
        let version = reader.uint()?;
        if version != VERSION {
            return Err(EvidenceError::Version { found: version });
        }
        let name = reader.text()?;
        let evidence = reader.bytes()?.to_vec();
        let count = reader.array()?;
        if count > ENDORSEMENTS_MAX {
            return Err(EvidenceError::TooManyEndorsements { found: count });
        }
        let endorsements =
            (0..count).map(|_| reader.bytes().map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        reader.end()?;
        let kind = Kind::from_name(name).ok_or_else(|| EvidenceError::UnknownKind { found: shown(name) })?;
        Ok(Self { kind, evidence, endorsements })
    }

    /// The artefact's bytes, whose SHA-256 is its address and claim 34 of the open.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(4);
        writer.uint(VERSION);
        writer.text(self.kind.as_str());
        writer.bytes(&self.evidence);
        writer.array(self.endorsements.len());
        for endorsement in &self.endorsements {
            writer.bytes(endorsement);
        }
        writer.finish()
    }

    /// The kind it claims to be of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The platform's evidence, unchecked.
    #[must_use]
    pub fn evidence(&self) -> &[u8] {
        &self.evidence
    }

    /// What came with it, unchecked.
    #[must_use]
    pub fn endorsements(&self) -> &[Vec<u8>] {
        &self.endorsements
    }
}

/// Why bytes are not evidence. Its class is always `evidence-malformed`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than [`EVIDENCE_BYTES_MAX`].
    #[error("evidence artefact of `{bytes}` bytes is longer than `{EVIDENCE_BYTES_MAX}`")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not the CBOR this place holds.
    #[error("evidence is not of the expected form")]
    Cbor(#[from] CborError),
    /// A version of the artefact or of software evidence other than 1.
    #[error("evidence version `{found}` is not `{VERSION}`")]
    Version {
        /// The version found.
        found: u64,
    },
    /// A kind that this version does not know.
    #[error("evidence kind `{found}` is not known")]
    UnknownKind {
        /// The name found, at most [`SHOWN_MAX`] characters of it.
        found: String,
    },
    /// More than [`ENDORSEMENTS_MAX`] endorsements.
    #[error("`{found}` endorsements are more than `{ENDORSEMENTS_MAX}`")]
    TooManyEndorsements {
        /// Their number.
        found: usize,
    },
    /// Another number of endorsements than the kind has.
    #[error("kind `{kind}` has `{expected}` endorsements, found `{found}`")]
    EndorsementCount {
        /// The artefact's kind.
        kind: Kind,
        /// The kind's number.
        expected: usize,
        /// The artefact's number.
        found: usize,
    },
    /// The endorsement of software evidence is not a P-256 key (`docs/spec/03-statements.md` 3.2).
    #[error("endorsement is not the SPKI of a P-256 key")]
    RootKey,
    /// Software evidence without tag 18.
    #[error("software evidence is not tagged as COSE_Sign1")]
    Untagged,
    /// A protected header other than the kind's.
    #[error("protected header `{found}` is not that of kind `{kind}`")]
    ProtectedHeader {
        /// The artefact's kind.
        kind: Kind,
        /// Hex of the header's first [`SHOWN_MAX`] bytes.
        found: String,
    },
    /// A signature of another length than the algorithm's.
    #[error("signature has `{found}` bytes, expected `{expected}`")]
    SignatureLength {
        /// The algorithm's length in bytes.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A field of the payload is not as the kind has it.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// The longest part of a foreign string that an error repeats, in characters: enough to recognise it, short enough for
/// a log line.
pub const SHOWN_MAX: usize = 64;

/// The first [`SHOWN_MAX`] characters, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).flat_map(char::escape_default).collect()
}

/// What is wrong with a field of an attestation document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A field that such documents do not have.
    #[error("attestation document has the unknown field `{0}`")]
    Unknown(String),
    /// `nitrotpm_pcrs`: a NitroTPM document, which any instance gets; it says nothing about an enclave.
    #[error("attestation document is of a NitroTPM, not of an enclave")]
    NitroTpm,
    /// A field given twice.
    #[error("attestation document repeats the field `{0}`")]
    Repeated(&'static str),
    /// A field that must be there and is not.
    #[error("attestation document lacks the field `{0}`")]
    Missing(&'static str),
    /// A digest other than SHA384.
    #[error("digest `{0}` is not `SHA384`")]
    Digest(String),
    /// An empty `module_id`.
    #[error("module_id is empty")]
    ModuleId,
    /// More certificates than a bundle may have, or none.
    #[error("cabundle has `{0}` certificates, expected 1 to {max}", max = crate::nitro::CABUNDLE_MAX)]
    Cabundle(usize),
    /// More PCRs than there are, or none.
    #[error("pcrs has `{0}` entries, expected 1 to {max}", max = crate::nitro::PCRS_MAX)]
    PcrCount(usize),
    /// A PCR index beyond the last.
    #[error("PCR index `{0}` is above {last}", last = crate::nitro::PCRS_MAX - 1)]
    PcrIndex(u64),
    /// A PCR given twice.
    #[error("PCR `{0}` is given twice")]
    PcrRepeated(u8),
}
