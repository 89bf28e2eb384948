//! The appraisal itself: every check, in the order that gives the class (`docs/spec/05-evidence.md` 5.1).

use crate::appraisal::Appraisal;
use crate::evidence::{Evidence, EvidenceError, Kind};
use crate::nitro::{Document, Fields};
use crate::reference_value::ReferenceValue;
use crate::refused::{BoundField, ChallengeFault, Refusal, Refused};
use crate::{ledger, software};

/// How far the evidence's own time may lie from the time of its use, in ms.
///
/// An agent makes evidence when it has its challenge and sends it at once; ten minutes leave room for a slow boot, for
/// retries while the ledger is away, and for a clock that is off by minutes, and are short against the three hours that
/// the shortest-lived certificate lives.
pub const TIME_TOLERANCE_MS: u64 = 10 * 60 * 1000;

/// What evidence is held against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The key binding of the open (`docs/spec/03-statements.md` 3.4).
    pub binding: [u8; 64],
    /// The challenge the open carries, its claim 40; `None` in the control trail only.
    pub challenge: Option<[u8; 64]>,
    /// The SPKI of the epoch's key, the open's claim 32.
    pub public_key_spki: &'a [u8],
    /// When the evidence was used, in ms since 1970: when the ledger received the open.
    pub now_ms: u64,
    /// The ledger's checkpoint key (Ed25519) where the open stands in the control trail, which takes evidence of kind
    /// `ledger` and no other; `None` in every other trail, which takes all kinds but that.
    pub ledger_key: Option<[u8; 32]>,
}

/// Appraises evidence. The first check that fails gives the class:
///
/// 1. the evidence in the artefact decodes, with the endorsements its kind has: `evidence-malformed`;
/// 2. a value of `accept` has its kind and its root: `untrusted-root`;
/// 3. certificates at the evidence's own time, signature, time within [`TIME_TOLERANCE_MS`] of its use, no debug mode
///    unless a value of that root allows it: `evidence-refused`;
/// 4. binding and, where the platform has a field for it, key, each the whole field: `binding-mismatch`;
/// 5. challenge, the whole field: `challenge-mismatch`;
/// 6. measurements, all named by one value of `accept` with this kind and root: `unexpected-code`.
///
/// `accept` holds the reference values that apply to the stream ([`ReferenceValue::applies_to`]).
///
/// # Errors
/// Why it is refused.
pub fn appraise<'r>(
    evidence: &Evidence,
    expected: &Expected<'_>,
    accept: impl IntoIterator<Item = &'r ReferenceValue>,
) -> Result<Appraisal, Refused> {
    match Decoded::new(evidence)? {
        Decoded::Software(unverified) => {
            let accept = trusted(Kind::Software, unverified.root(), expected, accept)?;
            appraise_software(&unverified, expected, &accept)
        }
        Decoded::Nitro(document) => {
            let accept = trusted(Kind::NitroSim, document.root(), expected, accept)?;
            appraise_nitro(&document, expected, &accept)
        }
        Decoded::Ledger(unverified) => appraise_ledger(&unverified, expected),
    }
}

/// The checks that need no trust policy: 1, 4 and 5 of [`appraise`]. Nothing is known about who made the evidence:
/// passing means no more than that it was meant for this key, these claims and this challenge.
///
/// # Errors
/// Why it is refused.
pub fn check_bound(evidence: &Evidence, expected: &Expected<'_>) -> Result<(), Refused> {
    match Decoded::new(evidence)? {
        Decoded::Software(unverified) => check_software_bound(unverified.dangerous_claims(), expected),
        Decoded::Nitro(document) => check_nitro_bound(document.dangerous_fields(), expected),
        Decoded::Ledger(_) => check_challenge(None, expected),
    }
}

/// The evidence in an artefact, decoded by its kind.
enum Decoded<'a> {
    Software(software::Unverified<'a>),
    Nitro(Document<'a>),
    Ledger(ledger::Unverified<'a>),
}

impl<'a> Decoded<'a> {
    fn new(artefact: &'a Evidence) -> Result<Self, EvidenceError> {
        match artefact.kind() {
            Kind::Software => software::Unverified::decode(artefact).map(Self::Software),
            kind @ Kind::NitroSim => match artefact.endorsements().len() {
                0 => Document::decode(artefact.evidence()).map(Self::Nitro),
                found => Err(EvidenceError::EndorsementCount { kind, expected: 0, found }),
            },
            Kind::Ledger => ledger::Unverified::decode(artefact).map(Self::Ledger),
        }
    }
}

/// The reference values with this kind and root, of which there is at least one.
fn trusted<'r>(
    kind: Kind,
    root: [u8; 32],
    expected: &Expected<'_>,
    accept: impl IntoIterator<Item = &'r ReferenceValue>,
) -> Result<Vec<&'r ReferenceValue>, Refused> {
    let mut values = Vec::new();
    if expected.ledger_key.is_none() {
        values.extend(accept.into_iter().filter(|value| value.kind() == kind && value.root() == root));
    }
    match values.is_empty() {
        true => Err(Refused::UntrustedRoot { kind, root: hex::encode(root) }),
        false => Ok(values),
    }
}

fn appraise_software(
    unverified: &software::Unverified<'_>,
    expected: &Expected<'_>,
    accept: &[&ReferenceValue],
) -> Result<Appraisal, Refused> {
    let claims = unverified.verify()?;
    check_time(claims.issued_at_ms, expected)?;
    check_software_bound(claims, expected)?;
    let found = vec![("program".to_owned(), hex::encode(claims.measurement))];
    if !accept.iter().any(|value| value.names_program(&claims.measurement)) {
        return Err(Refused::UnexpectedCode { found });
    }
    Ok(Appraisal::new(Kind::Software, unverified.root()).at(claims.issued_at_ms).of_code(found))
}

fn appraise_nitro(
    document: &Document<'_>,
    expected: &Expected<'_>,
    accept: &[&ReferenceValue],
) -> Result<Appraisal, Refused> {
    let root = document.root();
    let verified = document.verify(&root)?;
    let fields = verified.fields();
    check_time(fields.timestamp_ms, expected)?;
    if verified.debug() && !accept.iter().any(|value| value.accepts_debug()) {
        return Err(Refusal::Debug.into());
    }
    check_nitro_bound(fields, expected)?;
    let found = registers(fields);
    if !accept.iter().any(|value| value.names_enclave(&fields.pcrs)) {
        return Err(Refused::UnexpectedCode { found });
    }
    Ok(Appraisal::new(Kind::NitroSim, root)
        .at(fields.timestamp_ms)
        .of_code(found)
        .in_enclave(fields.module_id, verified.debug()))
}

fn appraise_ledger(
    unverified: &ledger::Unverified<'_>,
    expected: &Expected<'_>,
) -> Result<Appraisal, Refused> {
    let Some(key) = expected.ledger_key else {
        return Err(Refused::UntrustedRoot { kind: Kind::Ledger, root: "none".to_owned() });
    };
    unverified.verify(&key, &expected.binding)?;
    check_challenge(None, expected)?;
    Ok(Appraisal::new(Kind::Ledger, ledger::fingerprint(&key)))
}

fn check_time(evidence_ms: u64, expected: &Expected<'_>) -> Result<(), Refusal> {
    match evidence_ms.abs_diff(expected.now_ms) {
        0..=TIME_TOLERANCE_MS => Ok(()),
        _ => Err(Refusal::Time { evidence_ms, now_ms: expected.now_ms }),
    }
}

fn check_software_bound(claims: &software::Claims, expected: &Expected<'_>) -> Result<(), Refused> {
    if claims.binding != expected.binding {
        return Err(Refused::BindingMismatch(BoundField::Binding));
    }
    check_challenge(Some(&claims.challenge), expected)
}

fn check_nitro_bound(fields: &Fields<'_>, expected: &Expected<'_>) -> Result<(), Refused> {
    let mismatch = match (fields.user_data, fields.public_key) {
        (None, _) => Some(BoundField::NoBinding),
        (Some(binding), _) if binding != expected.binding => Some(BoundField::Binding),
        (_, None) => Some(BoundField::NoPublicKey),
        (_, Some(key)) if key != expected.public_key_spki => Some(BoundField::PublicKey),
        _ => None,
    };
    match mismatch {
        Some(field) => Err(Refused::BindingMismatch(field)),
        None => check_challenge(fields.nonce, expected),
    }
}

fn check_challenge(found: Option<&[u8]>, expected: &Expected<'_>) -> Result<(), Refused> {
    match (found, expected.challenge) {
        (Some(found), Some(expected)) if found == expected => Ok(()),
        (Some(_), Some(_)) => Err(Refused::ChallengeMismatch(ChallengeFault::Differs)),
        (None, Some(_)) => Err(Refused::ChallengeMismatch(ChallengeFault::Absent)),
        (Some(_), None) => Err(Refused::ChallengeMismatch(ChallengeFault::NotSet)),
        (None, None) => Ok(()),
    }
}

/// PCR 0, 1, 2 and all others that are not zero, by name.
fn registers(fields: &Fields<'_>) -> Vec<(String, String)> {
    let telling = fields.pcrs.iter().filter(|(index, value)| **index <= 2 || **value != [0; 48]);
    telling.map(|(index, value)| (format!("pcr{index}"), hex::encode(value))).collect()
}
