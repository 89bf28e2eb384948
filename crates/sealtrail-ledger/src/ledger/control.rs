//! The control trail of a ledger: its place, its limits, its thread put together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::hash::sha256;
use sealtrail_core::key::Signer;
use sealtrail_core::name::{Name, TrailId};
use sealtrail_core::statement::Place;

use crate::config::{Config, ms};
use crate::control::{
    ControlHandle, ControlNote, ControlState, ControlThread, ControlTiming, EpochSettings, LastTimes,
    Message, NewEpoch, Pending, PublishedAt, View,
};
use crate::env::Environment;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::storage::{Artefacts, SegmentLimits, TileWriter};
use crate::trail::{TrailInfo, TrailWriter};

use super::error::LedgerError;
use super::{CONTROL, CONTROL_INSTANCE};

/// The control trail's place in the ledger.
pub(super) fn control_info(ledger: &LedgerKey, control: TrailId) -> Result<TrailInfo, LedgerError> {
    let origin = ledger.name().origin(control);
    Ok(TrailInfo { id: control, origin, name: Name::new(CONTROL)?, class: Name::new(CONTROL)? })
}

/// When segments of the control trail end.
pub(super) fn control_limits(config: &Config) -> SegmentLimits {
    let storage = &config.storage;
    limits(storage.control_segment_bytes, storage.segment_window_ms)
}

fn limits(bytes: u64, window_ms: u64) -> SegmentLimits {
    SegmentLimits { bytes, window_ns: window_ms.saturating_mul(1_000_000) }
}

/// When segments of data trails end.
pub(super) fn data_limits(config: &Config) -> SegmentLimits {
    limits(config.storage.segment_bytes, config.storage.segment_window_ms)
}

/// What control epochs say of this process.
pub(super) fn control_settings(
    ledger: &LedgerKey,
    control: TrailId,
    config: &Config,
) -> Result<EpochSettings, LedgerError> {
    Ok(EpochSettings {
        place: Place {
            ledger: ledger.name().clone(),
            trail: control,
            stream: Name::new(CONTROL)?,
            instance: Name::new(CONTROL_INSTANCE)?,
        },
        software_version: crate::SOFTWARE_VERSION.to_owned(),
        configuration: sha256(&[&serde_json::to_vec(config).unwrap_or_default()]),
        heartbeat_ms: config.heartbeat_ms,
        age_ms_max: config.epoch_age_ms,
        class: Name::new(CONTROL)?,
    })
}

/// What the control thread is put together from.
pub(super) struct ControlParts {
    pub(super) env: Environment,
    pub(super) artefacts: Artefacts,
    pub(super) signer: Arc<dyn Signer>,
    pub(super) tiles: TileWriter,
    pub(super) view: View,
    pub(super) published: BTreeMap<TrailId, PublishedAt>,
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
}

impl ControlParts {
    /// Begins an epoch in the trail; the thread is not started yet.
    pub(super) fn begin(
        self,
        writer: TrailWriter,
        epoch: NewEpoch,
        config: &Config,
    ) -> Result<(ControlThread, ControlHandle, Receiver<Message>), LedgerError> {
        let trail = writer.shared().clone();
        let nothing = ControlNote { hash: [0; 32], note: trail.head().note.clone() };
        let state = Arc::new(ControlState::new(trail, self.view, nothing, self.published));
        let (handle, inbox) = ControlHandle::new(state.clone());
        let timing = ControlTiming {
            publish: ms(config.publish_interval_ms),
            heartbeat: ms(config.heartbeat_ms),
            refusals: ms(config.refusal_interval_ms),
            note: ms(config.note_interval_ms),
            epoch_age_ms: config.epoch_age_ms,
        };
        let last = LastTimes::at(self.env.clock.monotonic_ns());
        let mut thread = ControlThread {
            env: self.env,
            writer,
            tiles: self.tiles,
            sealer: epoch.sealer,
            checkpoint_key: self.signer,
            artefacts: self.artefacts,
            state,
            trails: BTreeMap::new(),
            pending: Pending::new(self.metrics.clone()),
            timing,
            health: self.health,
            metrics: self.metrics,
            last,
        };
        thread.begin_epoch(&epoch.open, &epoch.evidence)?;
        Ok((thread, handle, inbox))
    }
}
