//! Evidence and predecessors: what is checked of an open beyond its form (`docs/spec/06-verification.md` 6.6).

use std::collections::HashMap;

use sealtrail_attest::{Evidence, Expected, ReferenceValue, Refused, appraise, check_bound};
use sealtrail_core::artefact::{ARTEFACT_BYTES_MAX, path};
use sealtrail_core::checkpoint::UnverifiedCheckpoint;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::name::Identity;
use sealtrail_core::note::NOTE_BYTES_MAX;
use sealtrail_core::statement::{OpenClaims, Statement, binding};

use crate::epoch::{Awaited, Epoch};
use crate::{Class, Source, TrustPolicy};

/// Control checkpoint notes remembered at once; a trail refers to each for a while and never again.
const NOTES_KEPT_MAX: usize = 4_096;

/// What evidence gave.
pub(crate) struct Appraised {
    pub(crate) kind: Option<&'static str>,
    pub(crate) simulated: bool,
    pub(crate) measurements: Vec<(String, String)>,
    pub(crate) finding: Option<(Class, String)>,
}

/// Reads and judges an open's evidence.
pub(crate) fn evidence(
    source: &dyn Source,
    policy: &TrustPolicy,
    statement: &Statement,
    claims: &OpenClaims,
    received_ns: u64,
    control: bool,
) -> std::io::Result<Appraised> {
    let mut appraised = Appraised { kind: None, simulated: false, measurements: Vec::new(), finding: None };
    let artefact = source.read(&path(&claims.evidence), ARTEFACT_BYTES_MAX);
    let artefact = match artefact {
        Ok(artefact) => artefact,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => None,
        Err(error) => return Err(error),
    };
    let Some(artefact) = artefact.filter(|bytes| sha256(&[bytes]) == claims.evidence) else {
        appraised.finding = Some((Class::EvidenceMissing, "no artefact with the evidence's hash".to_owned()));
        return Ok(appraised);
    };
    let result = judge(policy, statement, claims, &artefact, received_ns, control, &mut appraised);
    appraised.finding = result.err();
    Ok(appraised)
}

fn judge(
    policy: &TrustPolicy,
    statement: &Statement,
    claims: &OpenClaims,
    artefact: &[u8],
    received_ns: u64,
    control: bool,
    appraised: &mut Appraised,
) -> Result<(), (Class, String)> {
    let malformed = |error: String| (Class::EvidenceMalformed, error);
    let evidence = Evidence::decode(artefact).map_err(|error| malformed(error.to_string()))?;
    let kind = evidence.kind();
    appraised.kind = Some(kind.as_str());
    appraised.simulated = kind.simulated();
    if control != (kind == sealtrail_attest::Kind::Ledger) {
        return Err((
            Class::UntrustedRoot,
            format!("evidence kind `{}` is not for this trail", kind.as_str()),
        ));
    }
    let expected = Expected {
        binding: binding(statement.payload()).map_err(|error| malformed(error.to_string()))?,
        challenge: claims.challenge,
        public_key_spki: claims.public_key.spki(),
        now_ms: received_ns / 1_000_000,
        ledger_key: control.then(|| policy.ledger.public_key()),
    };
    let stream = claims.place.stream.as_str();
    match &policy.accept {
        None if !control => check_bound(&evidence, &expected).map_err(|error| classed(&error)),
        accept => {
            let accept: Vec<ReferenceValue> =
                accept.iter().flatten().filter(|value| value.applies_to(stream)).cloned().collect();
            let appraisal = appraise(&evidence, &expected, &accept).map_err(|error| classed(&error))?;
            appraised.measurements = appraisal.measurements().to_vec();
            Ok(())
        }
    }
}

fn classed(error: &Refused) -> (Class, String) {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    (Class::from_name(error.class()).unwrap_or(Class::EvidenceRefused), detail)
}

/// Control checkpoint notes by hash, read and checked once.
#[derive(Default)]
pub(crate) struct Notes(HashMap<Hash, Option<(u64, Hash)>>);

impl Notes {
    /// Size and root of the control checkpoint with this hash; `None` where there is no good one.
    pub(crate) fn get(
        &mut self,
        source: &dyn Source,
        policy: &TrustPolicy,
        hash: Hash,
    ) -> std::io::Result<Option<(u64, Hash)>> {
        if let Some(known) = self.0.get(&hash) {
            return Ok(*known);
        }
        let bytes = match source.read(&path(&hash), NOTE_BYTES_MAX) {
            Ok(bytes) => bytes.filter(|bytes| sha256(&[bytes]) == hash),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => None,
            Err(error) => return Err(error),
        };
        let checkpoint = bytes
            .and_then(|note| UnverifiedCheckpoint::decode(&note).ok())
            .and_then(|unverified| unverified.verify(&policy.ledger, policy.control).ok())
            .map(|checkpoint| (checkpoint.size().0, checkpoint.root()));
        if self.0.len() >= NOTES_KEPT_MAX {
            self.0.clear();
        }
        self.0.insert(hash, checkpoint);
        Ok(checkpoint)
    }
}

/// Judges claim 41 of an accepted open against the epochs before it in the trail.
pub(crate) fn predecessor(
    epochs: &mut HashMap<Identity, Epoch>,
    claims: &OpenClaims,
    open_entry: u64,
    instance_known: bool,
) -> Option<(Class, String)> {
    let Some(named) = claims.predecessor else {
        return instance_known.then(|| {
            (Class::PredecessorNone, "names no predecessor although this instance had an epoch".to_owned())
        });
    };
    let Some(epoch) = epochs.get_mut(&named.epoch) else {
        return Some((
            Class::PredecessorUnknown,
            format!("names epoch `{}`, which is not before it", named.epoch),
        ));
    };
    let mismatch =
        |what: &str| Some((Class::PredecessorMismatch, format!("predecessor `{}`: {what}", named.epoch)));
    let place = |claims: &OpenClaims| (claims.place.stream.clone(), claims.place.instance.clone());
    if place(&epoch.open) != place(claims) {
        return mismatch("is of another stream or instance");
    }
    if named.sequence.is_none() && named.identity != named.epoch {
        return mismatch("has no batch by its own word, yet the identity of one");
    }
    if std::mem::replace(&mut epoch.named, true) {
        return Some((Class::PredecessorConflict, format!("epoch `{}` has two successors", named.epoch)));
    }
    if epoch.next() > named.sequence.map_or(0, |s| s + 1) {
        let last = epoch.next() - 1;
        return Some((
            Class::StalePredecessor,
            format!("epoch `{}` had reached batch `{last}`", named.epoch),
        ));
    }
    let sequence = named.sequence?;
    match epoch.identity(sequence) {
        Some(identity) if identity == named.identity => None,
        Some(_) => mismatch("its last batch is another"),
        None => {
            epoch.awaited.push(Awaited { sequence, identity: named.identity, open_entry });
            None
        }
    }
}
