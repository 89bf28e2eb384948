//! Beginning an epoch: challenge, key, evidence, open, the ledger's receipt.

use std::sync::{Arc, Mutex, PoisonError};

use sealtrail_attester::{Attester, AttesterError};
use sealtrail_core::cbor::CborError;
use sealtrail_core::hash::sha256;
use sealtrail_core::key::{KeyError, Signer};
use sealtrail_core::receipt::{Receipt, ReceiptError};
use sealtrail_core::statement::{
    Claims, Known, OpenClaims, Place, Predecessor, SignedStatement, StatementError, binding, seal,
};

use sealtrail_env::{Environment, blocking};

use crate::config::Settings;
use crate::outbox::Item;
use crate::seal::{Epoch, Seen};
use crate::submit::{
    CallError, Challenge, Checkpoints, Client, HeldError, challenge_answer, challenge_request, epoch_answer,
    epoch_request,
};

/// Claim 35: the name of this program and its version.
pub const SOFTWARE_VERSION: &str = concat!("sealtrail ", env!("CARGO_PKG_VERSION"));

/// Why an epoch could not be begun. All are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("answer is not the CBOR of the interface: {0}")]
    Answer(#[from] CborError),
    #[error(transparent)]
    Held(#[from] HeldError),
    #[error("evidence cannot be made: {0}")]
    Attester(#[from] AttesterError),
    #[error("attester ended without an answer")]
    AttesterGone,
    #[error("receipt of the open is refused: {0}")]
    Receipt(#[from] ReceiptError),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl OpenError {
    /// The part that is in trouble: `receipt` where the ledger's word does not hold.
    pub(crate) fn part(&self) -> &'static str {
        match self {
            Self::Answer(_) | Self::Held(_) | Self::Receipt(_) => "receipt",
            Self::Call(CallError::Nonsense(_)) => "receipt",
            Self::Call(CallError::Problem(problem)) if problem.status == 422 => "refused",
            _ => "ledger",
        }
    }

    /// Whether a new challenge helps.
    pub(crate) fn is_stale_challenge(&self) -> bool {
        matches!(self, Self::Call(CallError::Problem(problem)) if problem.class == "challenge-stale")
    }
}

/// What begins epochs.
pub(crate) struct Opener {
    pub(crate) env: Environment,
    pub(crate) client: Client,
    pub(crate) attester: Arc<dyn Attester>,
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    pub(crate) redaction: [u8; 32],
    pub(crate) checkpoints: Arc<Mutex<Checkpoints>>,
    pub(crate) seen: Seen,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener({:?})", self.place)
    }
}

/// An epoch that the ledger has taken.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) epoch: Box<Epoch>,
    /// The open with evidence and receipt, framed for the outbox.
    pub(crate) framed: Vec<u8>,
}

impl Opener {
    /// Asks for a challenge and takes the control checkpoint that comes with it.
    pub(crate) async fn challenge(&self) -> Result<Challenge, OpenError> {
        let answer = self.client.challenge(challenge_request(&self.place)).await?;
        let challenge = challenge_answer(&answer)?;
        let seen = self.checkpoints(|checkpoints| {
            checkpoints.see(&challenge.control_note)?;
            Ok::<_, HeldError>(checkpoints.seen())
        })?;
        self.seen.set(seen);
        Ok(challenge)
    }

    fn checkpoints<T>(&self, work: impl FnOnce(&mut Checkpoints) -> T) -> T {
        work(&mut self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the open, gives it to the ledger, and checks the receipt.
    pub(crate) async fn open(
        &self,
        challenge: &Challenge,
        signer: Box<dyn Signer>,
        predecessor: Option<Predecessor>,
    ) -> Result<Opened, (OpenError, Box<dyn Signer>)> {
        match self.try_open(challenge, signer.as_ref(), predecessor).await {
            Ok((open, evidence, receipt, opened_monotonic_ns)) => {
                let encoded = receipt.encode();
                let mut framed = Vec::new();
                Item::Open { statement: &open.bytes, evidence: &evidence, receipt: &encoded }
                    .push_to(&mut framed);
                let epoch = Box::new(Epoch {
                    id: open.identity,
                    place: self.place.clone(),
                    signer,
                    retention_class: self.settings.retention_class.clone(),
                    opened_monotonic_ns,
                });
                Ok(Opened { epoch, framed })
            }
            Err(error) => Err((error, signer)),
        }
    }

    async fn try_open(
        &self,
        challenge: &Challenge,
        signer: &dyn Signer,
        predecessor: Option<Predecessor>,
    ) -> Result<(SignedStatement, Vec<u8>, Receipt, u64), OpenError> {
        let opened_monotonic_ns = self.env.clock.monotonic_ns();
        let mut claims = self.claims(challenge, signer, predecessor);
        let binding = binding(&claims.encode())?;
        let evidence = self.attest(binding, challenge.challenge, signer.public_key().spki().to_vec()).await?;
        claims.evidence = sha256(&[&evidence]);
        let open = seal(&Claims::Open(Box::new(claims)), signer)?;
        let trail = self.place.trail;
        let answer = self.client.open_epoch(trail, epoch_request(&open.bytes, &evidence)).await?;
        let receipt = Receipt::decode(&epoch_answer(&answer)?)?;
        let included = receipt.verify(&open.bytes, trail, &self.settings.ledger, self.settings.control)?;
        self.checkpoints(|checkpoints| checkpoints.glimpse(&included.checkpoint))?;
        Ok((open, evidence, receipt, opened_monotonic_ns))
    }

    /// The claims, evidence left open: the binding does not cover it.
    fn claims(
        &self,
        challenge: &Challenge,
        signer: &dyn Signer,
        predecessor: Option<Predecessor>,
    ) -> OpenClaims {
        OpenClaims {
            place: self.place.clone(),
            public_key: signer.public_key().clone(),
            hpke_key: None,
            evidence: [0; 32],
            software_version: SOFTWARE_VERSION.to_owned(),
            configuration: self.settings.digest,
            redaction: self.redaction,
            heartbeat_ms: self.settings.config.heartbeat_ms,
            age_ms_max: self.settings.config.age_max_ms,
            challenge: Some(challenge.challenge),
            predecessor,
            opened_at_ns: self.env.clock.wall_ns(),
        }
    }

    async fn attest(
        &self,
        binding: [u8; 64],
        challenge: [u8; 64],
        spki: Vec<u8>,
    ) -> Result<Vec<u8>, OpenError> {
        let attester = Arc::clone(&self.attester);
        let now_ms = self.env.clock.wall_ns() / 1_000_000;
        let made = blocking(move || attester.attest(binding, Some(challenge), &spki, now_ms));
        Ok(made.await.ok_or(OpenError::AttesterGone)??)
    }
}

/// The predecessor that the ledger names, for a process that does not hold that epoch's key.
pub(crate) fn predecessor_by_ledger(challenge: &Challenge) -> Option<Predecessor> {
    challenge.last.map(|last| Predecessor {
        epoch: last.epoch,
        sequence: last.sequence,
        identity: last.identity,
        known: Known::Ledger,
    })
}
