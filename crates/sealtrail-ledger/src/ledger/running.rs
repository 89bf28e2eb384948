//! A running ledger: trails and streams are added, statements taken, in the end it is closed.

use std::future::Future;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};

use sealtrail_attest::ReferenceValue;
use sealtrail_core::merkle::Frontier;
use sealtrail_core::name::{Name, TrailId, TreeSize};
use tokio::net::TcpListener;

use crate::api::{Limits, ServeError, Status, router, serve};
use crate::config::check_loopback;
use crate::control::{ControlError, Message, Record};
use crate::storage::{Durability, SegmentWriter, TileWriter};
use crate::trail::{EpochTable, TrailInfo, TrailShared, TrailWriter};

use super::Ledger;
use super::control::data_limits;
use super::error::{LedgerError, io};
use super::init::make_trail_directory;
use super::open::sequencer;

impl Ledger {
    /// Adds a trail; on return it can be written to by the streams that are added to it. Blocks for some syncs.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn add_trail(&self, name: &Name, retention_class: &Name) -> Result<TrailId, LedgerError> {
        // One trail after the other, so that no two get one name.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.app.control.state.view();
        if view.fold.trails.values().any(|trail| trail.name == *name) {
            return Err(LedgerError::TrailExists(name.clone()));
        }
        let files = &self.app.files;
        let trail = TrailId(self.env.random()?);
        make_trail_directory(files, trail)?;
        let origin = self.name.origin(trail);
        let info = TrailInfo { id: trail, origin, name: name.clone(), class: retention_class.clone() };
        let shared = TrailShared::new(
            info,
            files.clone(),
            self.signer.clone(),
            Default::default(),
            Default::default(),
        )?;
        let shared = Arc::new(shared);
        let path = files.layout.checkpoint(trail);
        files.put(&path, &shared.head().note, Durability::Full).map_err(io(&path))?;
        // Dying here leaves a directory that no record names and nobody reads.
        let record = Record::TrailCreated { trail, name: name.clone(), class: retention_class.clone() };
        self.app.control.append(vec![record])?;
        let segments = SegmentWriter::new(files.clone(), trail, data_limits(&self.config), 0, 0, None);
        let (health, metrics) = (self.app.health.clone(), self.app.metrics.clone());
        let writer = TrailWriter::new(shared.clone(), segments, Frontier::default(), health, metrics);
        let sequencer = sequencer(&self.app, &self.env, &self.config, writer, EpochTable::default());
        let (handle, commands) = sequencer.queue();
        let thread = sequencer.spawn(commands).map_err(io(Path::new("trail")))?;
        let tiles = TileWriter::new(files.clone(), trail, TreeSize(0));
        self.app.control.send(Message::Trail(shared, tiles))?;
        threads.push(thread);
        self.app.trails.write().unwrap_or_else(PoisonError::into_inner).insert(trail, handle);
        Ok(trail)
    }

    /// Lets a stream write to a trail, with evidence that one of `accept` names. Said again, the new values count.
    /// Blocks for a sync.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn add_stream(
        &self,
        name: &Name,
        trail: TrailId,
        accept: Vec<ReferenceValue>,
    ) -> Result<(), LedgerError> {
        if !self.app.control.state.view().fold.trails.contains_key(&trail) {
            return Err(LedgerError::UnknownTrail(trail));
        }
        if accept.is_empty() {
            return Err(LedgerError::NothingAccepted(name.clone()));
        }
        Ok(self.app.control.append(vec![Record::StreamAdded { stream: name.clone(), trail, accept }])?)
    }

    /// The trails with their names, the control trail left out, in order of id.
    #[must_use]
    pub fn trails(&self) -> Vec<(TrailId, Name)> {
        let view = self.app.control.state.view();
        view.fold.trails.iter().map(|(id, trail)| (*id, trail.name.clone())).collect()
    }

    /// Whether a stream may write to a trail.
    #[must_use]
    pub fn has_stream(&self, name: &Name, trail: TrailId) -> bool {
        self.app.control.state.view().fold.stream(trail, name).is_some()
    }

    /// What the ledger is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.app.status()
    }

    /// A listener on the configured address.
    ///
    /// # Errors
    /// [`ServeError`]: the address is not loopback, or taken.
    pub async fn listen(&self) -> Result<TcpListener, ServeError> {
        let address = self.config.listen;
        check_loopback(address)?;
        TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
    }

    /// Takes statements until `shutdown`, then lets open requests end.
    ///
    /// # Errors
    /// [`ServeError`] where the listener is not on a loopback address.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let limits = Limits::new(&self.config.http);
        serve(router(self.app.clone()), listener, limits, self.app.metrics.clone(), shutdown).await
    }

    /// Ends all threads, publishes everything, closes the control epoch. Blocks for some syncs.
    ///
    /// # Errors
    /// [`LedgerError`] where that could not be written; what was acknowledged is safe all the same.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.end_trails();
        let (reply, answer) = sync_channel(1);
        self.app.control.send(Message::Stop(reply))?;
        let result = answer.recv().map_err(|_| ControlError::Gone)?;
        self.join_control();
        Ok(result?)
    }

    fn end_trails(&self) {
        self.app.trails.write().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so on its own.
            let _ = thread.join();
        }
    }

    fn join_control(&mut self) {
        if let Some(thread) = self.control_thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Ledger {
    /// Ends the threads before the lock goes. Unless [`Self::close`] came first the control epoch has no close, as after
    /// a crash.
    fn drop(&mut self) {
        if self.control_thread.is_some() {
            self.end_trails();
            let _ = self.app.control.send(Message::Halt);
            self.join_control();
        }
    }
}
