//! Liveness, readiness, metrics, status.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::refusal::{Class, Refusal};
use crate::trail::Silent;

use super::App;
use super::problem::Problem;
use super::routes::OPENAPI;

/// Most silent instances that a status names; it counts all.
const SILENT_MAX: usize = 100;

/// What a ledger is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The ledger's name.
    pub ledger: String,
    /// Id of the control trail, in hex.
    pub control: String,
    /// Version of the software.
    pub version: String,
    /// Whether statements are taken.
    pub ready: bool,
    /// Why not, where writing has stopped.
    pub failure: Option<String>,
    /// Statements entered since the start.
    pub admitted: u64,
    /// Statements since the start that stood there before.
    pub repeated: u64,
    /// Refusals since the start, by class; classes without any are left out.
    pub refused: std::collections::BTreeMap<&'static str, u64>,
    /// Bytes in quarantine.
    pub quarantine_bytes: u64,
    /// Number of streams that may write.
    pub streams: usize,
    /// All trails, the control trail first.
    pub trails: Vec<TrailStatus>,
}

/// The state of one trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrailStatus {
    /// Id in hex.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Committed entries.
    pub size: u64,
    /// Root of the committed tree, in hex.
    pub root: String,
    /// Entries under the newest checkpoint in the control trail.
    pub published: u64,
    /// Instances without a close that should have been heard of, the longest silence first, at most a hundred.
    pub silent: Vec<SilentInstance>,
    /// How many there are.
    pub silent_count: usize,
}

/// An instance that nothing has come from for more than three of its heartbeat intervals: it was cut off, stopped or killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SilentInstance {
    /// Its stream.
    pub stream: String,
    /// Its name.
    pub instance: String,
    /// Its epoch, in hex.
    pub epoch: String,
    /// For how long, in whole seconds.
    pub seconds: u64,
}

impl From<Silent> for SilentInstance {
    fn from(silent: Silent) -> Self {
        Self {
            stream: silent.stream.to_string(),
            instance: silent.instance.to_string(),
            epoch: silent.epoch.to_string(),
            seconds: silent.for_ns / 1_000_000_000,
        }
    }
}

impl App {
    /// What the ledger is doing now.
    pub(crate) fn status(&self) -> Status {
        let (admitted, repeated) = self.metrics.statements();
        let refused = Class::ALL.iter().map(|class| (class.as_str(), self.metrics.refusals(*class)));
        let control = &self.control.state.trail;
        let trails = self.trails.read().unwrap_or_else(PoisonError::into_inner);
        let all = std::iter::once(control).chain(trails.values().map(|handle| &handle.shared));
        Status {
            ledger: self.admission.ledger.name().to_string(),
            control: control.info.id.to_string(),
            version: crate::SOFTWARE_VERSION.to_owned(),
            ready: self.health.failure().is_none(),
            failure: self.health.failure().map(str::to_owned),
            admitted,
            repeated,
            refused: refused.filter(|(_, count)| *count > 0).collect(),
            quarantine_bytes: self.quarantine.bytes(),
            streams: self.control.state.view().fold.streams(),
            trails: all.map(|trail| self.trail_status(trail)).collect(),
        }
    }

    fn trail_status(&self, trail: &crate::trail::TrailShared) -> TrailStatus {
        let head = trail.head();
        let silent = trail.silent(self.admission.env.clock.wall_ns(), self.started_ns);
        TrailStatus {
            id: trail.info.id.to_string(),
            name: trail.info.name.to_string(),
            size: head.size.0,
            root: hex::encode(head.root),
            published: self.control.state.published(trail.info.id).map_or(0, |at| at.size.0),
            silent_count: silent.len(),
            silent: silent.into_iter().take(SILENT_MAX).map(SilentInstance::from).collect(),
        }
    }
}

/// `GET /v1/status`
pub(super) async fn status(State(app): State<Arc<App>>) -> Response {
    axum::Json(app.status()).into_response()
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: statements are taken.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    match app.health.failure() {
        None => Ok("ok\n"),
        // What failed on which file is for the operator, who finds it in the status.
        Some(_) => {
            Err(Refusal::new(Class::Unavailable, "writing has stopped after a storage failure").into())
        }
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let status = app.status();
    let entries = status.trails.iter().map(|trail| trail.size).sum();
    let silent = status.trails.iter().map(|trail| trail.silent_count as u64).sum();
    let gauges = [
        ("sealtrail_silent_instances", "Instances silent for three of their heartbeat intervals", silent),
        ("sealtrail_ready", "Whether statements are taken", u64::from(status.ready)),
        ("sealtrail_trails", "Trails, the control trail included", status.trails.len() as u64),
        ("sealtrail_streams", "Streams that may write", status.streams as u64),
        ("sealtrail_entries", "Committed entries of all trails", entries),
        ("sealtrail_quarantine_bytes", "Bytes in quarantine", status.quarantine_bytes),
    ];
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render(&gauges)).into_response()
}

/// `GET /v1/openapi.json`
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
