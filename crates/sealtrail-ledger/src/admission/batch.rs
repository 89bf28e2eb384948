//! Judging a batch: place, epoch, key, signature, stream, body, what it has seen.

use bytes::Bytes;
use sealtrail_core::body::{BodyError, Decompressor, check_stored, open};
use sealtrail_core::statement::{BatchClaims, Claims};

use crate::refusal::{Class, Refusal};
use crate::trail::{AdmittedBatch, TrailShared};

use super::{Admission, Received, committed, decode, verify};

/// The claim that only the control trail has.
const PUBLISHED_CLAIM: u64 = 22;

impl Admission {
    /// Judges a batch as far as it can be judged by itself.
    ///
    /// # Errors
    /// The first reason class in the order of 6.4 and 6.7.
    pub(crate) fn batch(
        &self,
        trail: &TrailShared,
        statement: &Bytes,
        body: Bytes,
        received: &Received,
        decompressor: &mut Decompressor,
    ) -> Result<AdmittedBatch, Refusal> {
        let unverified = decode(statement)?;
        let Claims::Batch(claims) = unverified.claims() else {
            return Err(Refusal::new(Class::MalformedRequest, "an open was sent where batches are taken"));
        };
        if !claims.published.is_empty() {
            let detail = format!("claim `{PUBLISHED_CLAIM}` is for the control trail alone");
            return Err(Refusal::new(Class::UnknownClaim, detail));
        }
        self.check_place(&claims.place, trail)?;
        let Some(epoch) = trail.epoch(claims.epoch) else {
            let detail = format!("epoch `{}` is not in this trail", claims.epoch);
            return Err(Refusal::new(Class::UnknownEpoch, detail));
        };
        let key = epoch.key().map_err(|error| Refusal::new(Class::ForeignKey, error))?;
        let verified = verify(unverified, key)?;
        let identity = verified.identity();
        let Claims::Batch(claims) = verified.claims() else {
            return Err(Refusal::new(Class::MalformedRequest, "an open was sent where batches are taken"));
        };
        if claims.place.stream != epoch.stream || claims.place.instance != epoch.instance {
            let (stream, instance) = (&epoch.stream, &epoch.instance);
            let detail = format!("the epoch is of stream `{stream}`, instance `{instance}`");
            return Err(Refusal::new(Class::WrongStream, detail));
        }
        check_body(claims, &body, decompressor)?;
        if let Some(seen) = &claims.seen {
            self.check_seen(seen)?;
        }
        let claims = claims.clone();
        let ledger_part = received.ledger_part();
        Ok(AdmittedBatch {
            committed: committed(statement, body, ledger_part),
            claims,
            identity,
            ledger_part,
        })
    }
}

/// 6.7, numbers 1 to 6. An encrypted body is the agent's secret: its stored hash is all that can be checked.
fn check_body(claims: &BatchClaims, stored: &[u8], decompressor: &mut Decompressor) -> Result<(), Refusal> {
    let checked = check_stored(claims, stored);
    let opened = match checked {
        Ok(()) if claims.stored_length > 0 && claims.encryption.is_none() => {
            open(claims, stored, None, decompressor).map(drop)
        }
        checked => checked,
    };
    opened.map_err(|error| {
        let class = match error {
            BodyError::Missing => Class::BodyMissing,
            BodyError::StoredHash { .. } => Class::StoredHashMismatch,
            BodyError::Decrypt | BodyError::Frame(_) | BodyError::Unterminated => Class::BodyMalformed,
            BodyError::Count { .. } => Class::CountMismatch,
            BodyError::Header(_) | BodyError::HeaderLength => Class::LineForm,
            BodyError::RecordRoot => Class::RecordRootMismatch,
        };
        Refusal::new(class, error)
    })
}
