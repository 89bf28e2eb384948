//! What everybody may read of the control trail.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use sealtrail_core::hash::Hash;
use sealtrail_core::name::TrailId;

use crate::trail::TrailShared;

use super::refusals::Refusals;
use super::{ControlError, Fold, Message, PublishedAt, Record};

/// Most records waiting for the control thread. A sequencer that has one more waits: it is faster than the disk.
const INBOX_MAX: usize = 4096;

/// Control state as of one size of the control trail.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Number of control entries.
    pub(crate) size: u64,
    pub(crate) fold: Arc<Fold>,
}

/// A control checkpoint that agents are given. It is an artefact.
#[derive(Clone, Debug)]
pub(crate) struct ControlNote {
    pub(crate) hash: Hash,
    pub(crate) note: Bytes,
}

/// The control trail's shared state.
pub(crate) struct ControlState {
    pub(crate) trail: Arc<TrailShared>,
    pub(crate) refusals: Refusals,
    view: RwLock<Arc<View>>,
    note: RwLock<Arc<ControlNote>>,
    published: RwLock<BTreeMap<TrailId, PublishedAt>>,
}

impl ControlState {
    pub(crate) fn new(
        trail: Arc<TrailShared>,
        view: View,
        note: ControlNote,
        published: BTreeMap<TrailId, PublishedAt>,
    ) -> Self {
        Self {
            trail,
            refusals: Refusals::default(),
            view: RwLock::new(Arc::new(view)),
            note: RwLock::new(Arc::new(note)),
            published: RwLock::new(published),
        }
    }

    /// The newest committed state.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_view(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// The checkpoint to hand out.
    pub(crate) fn note(&self) -> Arc<ControlNote> {
        self.note.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_note(&self, note: ControlNote) {
        *self.note.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(note);
    }

    /// The newest checkpoint of a trail that the control trail publishes.
    pub(crate) fn published(&self, trail: TrailId) -> Option<PublishedAt> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(&trail).copied()
    }

    pub(super) fn set_published(&self, trail: TrailId, published: PublishedAt) {
        self.published.write().unwrap_or_else(PoisonError::into_inner).insert(trail, published);
    }
}

/// The way to the control thread.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    pub(crate) state: Arc<ControlState>,
    inbox: SyncSender<Message>,
}

impl ControlHandle {
    pub(crate) fn new(state: Arc<ControlState>) -> (Self, Receiver<Message>) {
        let (inbox, messages) = sync_channel(INBOX_MAX);
        (Self { state, inbox }, messages)
    }

    /// Leaves a record for the next control batch.
    pub(crate) fn record(&self, record: Record) {
        // A control thread that has stopped has failed, and with it all writing.
        let _ = self.inbox.send(Message::Record(record));
    }

    /// Has records committed, and waits for it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub(crate) fn append(&self, records: Vec<Record>) -> Result<(), ControlError> {
        let (reply, answer) = sync_channel(1);
        self.send(Message::Append(records, reply))?;
        answer.recv().map_err(|_| ControlError::Gone)?
    }

    pub(crate) fn send(&self, message: Message) -> Result<(), ControlError> {
        self.inbox.send(message).map_err(|_| ControlError::Gone)
    }
}
