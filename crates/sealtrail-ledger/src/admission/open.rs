//! Judging an open: place, key, signature, stream, evidence, challenge.

use bytes::Bytes;
use sealtrail_attest::{Evidence, Expected, appraise};
use sealtrail_core::hash::sha256;
use sealtrail_core::statement::{Claims, OpenClaims, Statement, binding};

use crate::challenge::Holder;
use crate::refusal::{Class, Refusal, chain};
use crate::trail::{AdmittedOpen, TrailShared, stale_challenge};

use super::{Admission, Received, committed, decode, verify};

/// What an open is found to be.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It stands at this leaf already.
    Again(u64),
    /// It may enter, if its challenge is still good and its predecessor fits when its turn comes.
    New(Box<AdmittedOpen>),
}

impl Admission {
    /// Judges an open and keeps its evidence.
    ///
    /// # Errors
    /// The first reason class in the order of 6.4 and 6.6.
    pub(crate) fn open(
        &self,
        trail: &TrailShared,
        statement: &Bytes,
        evidence: &[u8],
        received: &Received,
    ) -> Result<Opening, Refusal> {
        let unverified = decode(statement)?;
        let Claims::Open(claims) = unverified.claims() else {
            return Err(Refusal::new(Class::MalformedRequest, "a batch was sent where opens are taken"));
        };
        self.check_place(&claims.place, trail)?;
        if let Some(epoch) = trail.epoch(unverified.identity()) {
            return Ok(Opening::Again(epoch.open_leaf));
        }
        let key = claims.public_key.clone();
        let verified = verify(unverified, &key)?;
        let Claims::Open(claims) = verified.claims() else {
            return Err(Refusal::new(Class::MalformedRequest, "a batch was sent where opens are taken"));
        };
        self.check_evidence(&verified, claims, trail, evidence, received)?;
        // Dying here leaves evidence that no open names.
        self.artefacts.put(evidence).map_err(|error| Refusal::new(Class::Unavailable, error))?;
        let identity = verified.identity();
        let ledger_part = received.ledger_part();
        let committed = committed(statement, Bytes::new(), ledger_part);
        let claims = claims.clone();
        Ok(Opening::New(Box::new(AdmittedOpen { committed, claims, identity, ledger_part })))
    }

    /// 6.4, number 9, then 5.1, then whether the challenge is one of ours and unused.
    fn check_evidence(
        &self,
        statement: &Statement,
        claims: &OpenClaims,
        trail: &TrailShared,
        evidence: &[u8],
        received: &Received,
    ) -> Result<(), Refusal> {
        let place = &claims.place;
        let Some(accept) = received.view.fold.stream(trail.info.id, &place.stream) else {
            let detail = format!("stream `{}` may not write to this trail", place.stream);
            return Err(Refusal::new(Class::UnknownStream, detail));
        };
        if evidence.is_empty() || sha256(&[evidence]) != claims.evidence {
            let detail = format!("expected an artefact with hash `{}`", hex::encode(claims.evidence));
            return Err(Refusal::new(Class::EvidenceMissing, detail));
        }
        let Some(challenge) = claims.challenge else {
            return Err(Refusal::new(Class::ChallengeMismatch, "the open answers no challenge"));
        };
        let expected = Expected {
            binding: binding(statement.payload()).map_err(|e| Refusal::new(Class::StatementMalformed, e))?,
            challenge: Some(challenge),
            public_key_spki: claims.public_key.spki(),
            now_ms: received.at_ns / 1_000_000,
            ledger_key: None,
        };
        let accept = accept.iter().filter(|value| value.applies_to(place.stream.as_str()));
        let decoded = Evidence::decode(evidence)
            .map_err(|error| Refusal::new(Class::EvidenceMalformed, chain(&error)))?;
        appraise(&decoded, &expected, accept)
            .map_err(|refused| Refusal::new(evidence_class(refused.class()), chain(&refused)))?;
        let holder =
            Holder { trail: trail.info.id, stream: place.stream.clone(), instance: place.instance.clone() };
        if self.challenges.is_good(&challenge, &holder) { Ok(()) } else { Err(stale_challenge()) }
    }
}

/// The class with this name; all of 5.1 are there.
fn evidence_class(name: &str) -> Class {
    let found = Class::ALL.iter().find(|class| class.as_str() == name);
    found.copied().unwrap_or(Class::EvidenceRefused)
}
