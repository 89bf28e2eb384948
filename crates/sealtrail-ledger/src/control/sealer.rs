//! Sealing control batches: the ledger's own statements, signed with an epoch key that lives in memory only.

use sealtrail_attest::ledger;
use sealtrail_core::body::{Compressor, FrameError, seal as seal_body};
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{EMPTY, sha256};
use sealtrail_core::key::{Algorithm, KeyError, Signer, Verifier as _};
use sealtrail_core::line;
use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{
    BatchClaims, Claims, Close, CloseReason, Codec, Known, OpenClaims, Place, Predecessor, Published,
    StatementError, Totals, binding, seal,
};

use crate::env::{Environment, NoRandomness};
use crate::storage::Item;
use crate::trail::{Committed, Last};

use super::Record;

/// The context lines of every control body.
const RESOURCE: &str = r#"{"resource":{"attributes":{"service.name":"sealtrail-ledger"}}}"#;
const SCOPE: &str = r#"{"scope":{}}"#;

/// Why a control statement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No randomness.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A key that cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Records that are too long together.
    #[error("control records do not fit a body")]
    Body(#[from] FrameError),
    /// Claims that are too long.
    #[error("control statement cannot be sealed")]
    Statement(#[from] StatementError),
}

/// What every control epoch of this process has in common.
#[derive(Clone, Debug)]
pub(crate) struct EpochSettings {
    pub(crate) place: Place,
    pub(crate) software_version: String,
    /// Hash of the effective configuration.
    pub(crate) configuration: [u8; 32],
    pub(crate) heartbeat_ms: u64,
    pub(crate) age_ms_max: u64,
    pub(crate) class: Name,
}

/// A control epoch.
pub(crate) struct Sealer {
    env: Environment,
    settings: EpochSettings,
    key: Box<dyn Signer>,
    epoch: Identity,
    opened_ns: u64,
    /// Sequence and identity of the last batch.
    last: Option<(u64, Identity)>,
    records: u64,
    compressor: Compressor,
}

/// An epoch that is not in the trail yet.
pub(crate) struct NewEpoch {
    /// Its open.
    pub(crate) open: Committed,
    /// The evidence artefact, to be kept before the open is.
    pub(crate) evidence: Vec<u8>,
    /// Signs from then on.
    pub(crate) sealer: Sealer,
}

/// A batch that is not in the trail yet.
pub(crate) struct NewBatch {
    pub(crate) batch: Committed,
    pub(crate) claims: BatchClaims,
    pub(crate) identity: Identity,
}

/// The predecessor of an epoch, as far as the ledger knows it.
pub(crate) fn predecessor(last: Option<Last>, known: Known) -> Option<Predecessor> {
    last.map(|last| Predecessor {
        epoch: last.epoch,
        sequence: last.sequence,
        identity: last.identity,
        known,
    })
}

impl Sealer {
    /// Makes a key and an open, vouched for by the checkpoint key.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn begin(
        env: Environment,
        settings: EpochSettings,
        checkpoint_key: &dyn Signer,
        predecessor: Option<Predecessor>,
        control_size: u64,
    ) -> Result<NewEpoch, SealError> {
        let key = sealtrail_keys::generate(Algorithm::Es256)?;
        Self::begin_with(env, settings, key, checkpoint_key, predecessor, control_size)
    }

    fn begin_with(
        env: Environment,
        settings: EpochSettings,
        key: Box<dyn Signer>,
        checkpoint_key: &dyn Signer,
        predecessor: Option<Predecessor>,
        control_size: u64,
    ) -> Result<NewEpoch, SealError> {
        let now_ns = env.clock.wall_ns();
        let mut claims = OpenClaims {
            place: settings.place.clone(),
            public_key: key.public_key().clone(),
            hpke_key: None,
            evidence: [0; 32],
            software_version: settings.software_version.clone(),
            configuration: settings.configuration,
            // The ledger's own records are not redacted: the digest of no rules.
            redaction: EMPTY,
            heartbeat_ms: settings.heartbeat_ms,
            age_ms_max: settings.age_ms_max,
            challenge: None,
            predecessor,
            opened_at_ns: now_ns,
        };
        let binding = binding(&claims.encode()).map_err(StatementError::from)?;
        let signature = checkpoint_key.sign(&ledger::to_be_signed(&binding))?;
        let signature = signature.try_into().map_err(|_| KeyError::SigningFailed)?;
        let evidence = ledger::seal(signature).encode();
        claims.evidence = sha256(&[&evidence]);
        let signed = seal(&Claims::Open(Box::new(claims.clone())), key.as_ref())?;
        let open = entry(&signed.bytes, Vec::new(), now_ns, control_size);
        let sealer = Self {
            opened_ns: env.clock.monotonic_ns(),
            env,
            settings,
            key,
            epoch: signed.identity,
            last: None,
            records: 0,
            compressor: Compressor::new()?,
        };
        Ok(NewEpoch { open, evidence, sealer })
    }

    /// The epoch that follows this one in the same process, and the close of this one that names it.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn succeed(
        &mut self,
        checkpoint_key: &dyn Signer,
        control_size: u64,
    ) -> Result<(NewBatch, NewEpoch), SealError> {
        let key = sealtrail_keys::generate(Algorithm::Es256)?;
        let close = Close { reason: CloseReason::Age, successor: Some(key.public_key().key_id()) };
        let closing = self.batch(&[], &[], Some(close), control_size)?;
        let last =
            Last { epoch: self.epoch, sequence: Some(closing.claims.sequence), identity: closing.identity };
        let next = Self::begin_with(
            self.env.clone(),
            self.settings.clone(),
            key,
            checkpoint_key,
            predecessor(Some(last), Known::Itself),
            control_size + 1,
        )?;
        Ok((closing, next))
    }

    /// Makes a batch. It counts only once [`Self::accept`] hears that it is in the trail.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn batch(
        &mut self,
        records: &[Record],
        published: &[Published],
        close: Option<Close>,
        control_size: u64,
    ) -> Result<NewBatch, SealError> {
        let now_ns = self.env.clock.wall_ns();
        let total = self.records + records.len() as u64;
        let mut claims = BatchClaims {
            place: self.settings.place.clone(),
            epoch: self.epoch,
            sequence: self.last.map_or(0, |(sequence, _)| sequence + 1),
            prev: self.last.map_or(self.epoch, |(_, identity)| identity),
            record_root: EMPTY,
            context_count: 0,
            record_count: 0,
            stored_hash: EMPTY,
            stored_length: 0,
            codec: Codec::None,
            encryption: None,
            seen: None,
            wall_clock_ns: (now_ns, now_ns),
            monotonic_ns: self.env.clock.monotonic_ns().saturating_sub(self.opened_ns),
            totals: Totals { received: total, sealed: total, ..Totals::default() },
            retention_class: self.settings.class.clone(),
            close,
            published: published.to_vec(),
        };
        let stored = if records.is_empty() { Vec::new() } else { self.body(records, now_ns, &mut claims)? };
        let signed = seal(&Claims::Batch(Box::new(claims.clone())), self.key.as_ref())?;
        let batch = entry(&signed.bytes, stored, now_ns, control_size);
        Ok(NewBatch { batch, claims, identity: signed.identity })
    }

    fn body(
        &mut self,
        records: &[Record],
        now_ns: u64,
        claims: &mut BatchClaims,
    ) -> Result<Vec<u8>, SealError> {
        let seed: [u8; 32] = self.env.random()?;
        let mut lines = format!("{RESOURCE}\n{SCOPE}\n").into_bytes();
        for record in records {
            record.write(&mut lines, now_ns, 1, 2);
            lines.push(b'\n');
        }
        let mut plain = Vec::new();
        line::write::header(&mut plain, lines.len() as u64, &[], &seed);
        plain.push(b'\n');
        plain.append(&mut lines);
        let sealed = seal_body(&plain, &seed, &mut self.compressor)?;
        claims.record_root = sealed.record_root;
        claims.context_count = 2;
        claims.record_count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        claims.stored_hash = sealed.stored_hash;
        claims.stored_length = u32::try_from(sealed.stored.len()).unwrap_or(u32::MAX);
        claims.codec = Codec::Zstd;
        Ok(sealed.stored)
    }

    /// Counts a batch that is in the trail.
    pub(crate) fn accept(&mut self, batch: &NewBatch) {
        self.last = Some((batch.claims.sequence, batch.identity));
        self.records = batch.claims.totals.sealed;
    }

    /// How long this epoch has lived, in ms.
    pub(crate) fn age_ms(&self) -> u64 {
        self.env.clock.monotonic_ns().saturating_sub(self.opened_ns) / 1_000_000
    }

    /// The epoch's id.
    pub(crate) fn epoch(&self) -> Identity {
        self.epoch
    }
}

fn entry(statement: &[u8], body: Vec<u8>, received_at_ns: u64, control_size: u64) -> Committed {
    let ledger_part = LedgerPart { received_at_ns, control_size, collateral: None };
    let entry = Entry { statement, ledger_part }.encode();
    Committed::new(Item { body: body.into(), entry })
}
