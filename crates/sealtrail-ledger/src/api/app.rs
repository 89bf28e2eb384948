//! What all handlers share.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sealtrail_core::hash::sha256;
use sealtrail_core::name::TrailId;
use sealtrail_env::blocking;

use crate::admission::{Admission, Workers};
use crate::control::ControlHandle;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::refusal::{Class, Refusal};
use crate::storage::{Files, Quarantine, Quarantined};
use crate::trail::{SequencerHandle, TrailShared};

use super::body::BodyReader;

/// The state behind the interface.
pub(crate) struct App {
    pub(crate) admission: Arc<Admission>,
    pub(crate) control: ControlHandle,
    pub(crate) workers: Workers,
    pub(crate) bodies: BodyReader,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) files: Files,
    pub(crate) health: Health,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) trails: RwLock<BTreeMap<TrailId, SequencerHandle>>,
    /// When this process began to listen, ns since 1970.
    pub(crate) started_ns: u64,
}

impl App {
    /// A trail that statements can be sent to.
    ///
    /// # Errors
    /// `unknown-trail`.
    pub(crate) fn trail(&self, id: &str) -> Result<SequencerHandle, Refusal> {
        let unknown = |_| Refusal::new(Class::UnknownTrail, format!("no trail `{id}`", id = shown(id)));
        let id = TrailId::from_hex(id).map_err(unknown)?;
        self.trail_by_id(id)
    }

    /// The same by its id.
    ///
    /// # Errors
    /// `unknown-trail`.
    pub(crate) fn trail_by_id(&self, id: TrailId) -> Result<SequencerHandle, Refusal> {
        let trails = self.trails.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Refusal::new(Class::UnknownTrail, format!("no trail `{id}`"));
        trails.get(&id).cloned().ok_or_else(unknown)
    }

    /// A trail that can be read, the control trail included.
    ///
    /// # Errors
    /// `unknown-trail`.
    pub(crate) fn readable(&self, id: &str) -> Result<Arc<TrailShared>, Refusal> {
        let control = &self.control.state.trail;
        if control.info.id.to_string() == id {
            return Ok(control.clone());
        }
        self.trail(id).map(|handle| handle.shared)
    }

    /// Notes a refusal of a statement: its digest for the control trail, its bytes for quarantine.
    pub(crate) async fn refused(
        &self,
        trail: TrailId,
        refusal: &Refusal,
        statement: bytes::Bytes,
        attachment: bytes::Bytes,
    ) {
        let class = refusal.class;
        if !class.is_recorded() {
            return;
        }
        if !self.control.state.refusals.add(class, trail, sha256(&[&statement])) {
            Metrics::add(&self.metrics.refusals_unrecorded, 1);
        }
        let quarantine = self.quarantine.clone();
        let put = move || quarantine.put(trail, class.as_str(), &statement, &attachment);
        // A task that is cancelled at the process's end kept nothing, which is counted nowhere any more.
        if blocking(put).await == Some(Quarantined::Dropped) {
            Metrics::add(&self.metrics.quarantine_dropped, 1);
        }
    }
}

/// At most so many characters of what a client sent are shown back.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
