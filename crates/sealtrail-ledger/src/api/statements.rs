//! Challenges, opens, batches, receipts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::name::{Identity, TrailId};
use sealtrail_core::receipt::{Receipt, ReceiptFile};
use sealtrail_env::blocking;

use crate::admission::{Opening, Received};
use crate::refusal::{Class, Refusal};
use crate::trail::{AdmittedBatch, Command, Head, Placed, SequencerHandle, TrailShared};

use super::App;
use super::problem::{Problem, document};
use super::wire::{
    BATCHES_BYTES_MAX, BatchResult, BatchesRequest, CHALLENGE_BYTES_MAX, OPEN_BYTES_MAX, OpenRequest,
    decode_challenge_request, encode_batches, encode_challenge, encode_opened,
};

fn cbor(status: StatusCode, bytes: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, "application/cbor")], bytes).into_response()
}

/// `POST /v1/challenges`
pub(super) async fn challenges(State(app): State<Arc<App>>, body: Body) -> Result<Response, Problem> {
    app.health.check().map_err(|stopped| Refusal::new(Class::Unavailable, stopped))?;
    let bytes = app.bodies.read(body, CHALLENGE_BYTES_MAX).await?;
    let holder = decode_challenge_request(&bytes)?;
    let handle = app.trail_by_id(holder.trail)?;
    if app.control.state.view().fold.stream(holder.trail, &holder.stream).is_none() {
        let detail = format!("stream `{}` may not write to this trail", holder.stream);
        return Err(Refusal::new(Class::UnknownStream, detail).into());
    }
    let (stream, instance) = (holder.stream.clone(), holder.instance.clone());
    let last = handle.ask(|reply| Command::Last(stream, instance, reply)).await?;
    let note = app.control.state.note();
    let challenge = app.admission.challenges.issue(&note.hash, holder);
    let challenge = challenge.map_err(|error| Refusal::new(Class::Unavailable, error))?;
    Ok(cbor(StatusCode::OK, encode_challenge(&challenge, &note.note, last)))
}

/// `POST /v1/trails/{trail}/epochs`
pub(super) async fn epochs(
    State(app): State<Arc<App>>,
    Path(trail): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let handle = app.trail(&trail)?;
    let bytes = app.bodies.read(body, OPEN_BYTES_MAX).await?;
    let request = OpenRequest::decode(&bytes)?;
    match open(&app, &handle, &request).await {
        Ok((receipt, again)) => {
            let status = if again { StatusCode::OK } else { StatusCode::CREATED };
            Ok(cbor(status, encode_opened(&receipt)))
        }
        Err(refusal) => {
            app.refused(handle.shared.info.id, &refusal, request.statement, request.evidence).await;
            Err(refusal.into())
        }
    }
}

async fn open(
    app: &Arc<App>,
    handle: &SequencerHandle,
    request: &OpenRequest,
) -> Result<(Vec<u8>, bool), Refusal> {
    let received = app.admission.receive();
    let (admission, shared) = (app.admission.clone(), handle.shared.clone());
    let (statement, evidence) = (request.statement.clone(), request.evidence.clone());
    let judged = app.workers.run(move |_| admission.open(&shared, &statement, &evidence, &received)).await?;
    let (placed, part) = match judged {
        Opening::Again(leaf) => (Placed { leaf, again: true, head: handle.shared.head() }, None),
        Opening::New(open) => {
            let part = open.ledger_part;
            (handle.ask(|reply| Command::Open(open, reply)).await??, Some(part))
        }
    };
    let part = ledger_part(&handle.shared, &placed, part).await?;
    let receipt = receipt(&handle.shared, placed.leaf, part, &placed.head)?;
    Ok((receipt.encode(), placed.again))
}

/// `POST /v1/trails/{trail}/batches`
pub(super) async fn batches(
    State(app): State<Arc<App>>,
    Path(trail): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let handle = app.trail(&trail)?;
    let bytes = app.bodies.read(body, BATCHES_BYTES_MAX).await?;
    let request = BatchesRequest::decode(&bytes)?;
    let size = handle.shared.head().size;
    if request.held > size {
        let detail = format!("held size `{}` is above the trail's `{size}`", request.held);
        return Err(Refusal::new(Class::MalformedRequest, detail).into());
    }
    let (admitted, refused) = admit(&app, &handle, &request).await;
    let parts: Vec<LedgerPart> = admitted.iter().map(|batch| batch.ledger_part).collect();
    let mut outcomes = match admitted.is_empty() {
        true => Vec::new(),
        false => handle.ask(|reply| Command::Batches(admitted, reply)).await?,
    };
    outcomes.extend(refused.map(Err));
    let mut placed = Vec::new();
    let mut end = None;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(place) => placed.push((place, parts.get(number).copied())),
            Err(refusal) => {
                if let Some((statement, body)) = request.batches.get(number) {
                    let trail = handle.shared.info.id;
                    app.refused(trail, &refusal, statement.clone(), body.clone()).await;
                }
                end = Some(refusal);
                break;
            }
        }
    }
    answer(&app, &handle, &request, placed, end).await
}

/// Judges all batches of a request beside each other; returns those before the first refusal, and that.
async fn admit(
    app: &Arc<App>,
    handle: &SequencerHandle,
    request: &BatchesRequest,
) -> (Vec<AdmittedBatch>, Option<Refusal>) {
    let received = Arc::new(app.admission.receive());
    let tasks: Vec<_> = request
        .batches
        .iter()
        .map(|(statement, body)| {
            let (statement, body) = (statement.clone(), body.clone());
            tokio::spawn(judge(app.clone(), handle.shared.clone(), statement, body, received.clone()))
        })
        .collect();
    let mut admitted = Vec::with_capacity(tasks.len());
    let mut refused = None;
    for task in tasks {
        if refused.is_some() {
            task.abort();
            continue;
        }
        match task.await {
            Ok(Ok(batch)) => admitted.push(batch),
            Ok(Err(refusal)) => refused = Some(refusal),
            Err(_) => refused = Some(Refusal::new(Class::Unavailable, "the ledger is stopping")),
        }
    }
    (admitted, refused)
}

async fn judge(
    app: Arc<App>,
    shared: Arc<TrailShared>,
    statement: Bytes,
    body: Bytes,
    received: Arc<Received>,
) -> Result<AdmittedBatch, Refusal> {
    let admission = app.admission.clone();
    app.workers
        .run(move |decompressor| admission.batch(&shared, &statement, body, &received, decompressor))
        .await
}

async fn answer(
    app: &App,
    handle: &SequencerHandle,
    request: &BatchesRequest,
    placed: Vec<(Placed, Option<LedgerPart>)>,
    end: Option<Refusal>,
) -> Result<Response, Problem> {
    // The head of the last one covers all before it, and one checkpoint is what the consistency proof leads to.
    let Some(head) = placed.last().map(|(last, _)| last.head.clone()) else {
        let nothing = || Refusal::new(Class::Unavailable, "the trail gave no answer");
        return Err(end.unwrap_or_else(nothing).into());
    };
    let shared = &handle.shared;
    let mut results: Vec<BatchResult> = Vec::with_capacity(placed.len() + 1);
    for (place, part) in placed {
        let part = ledger_part(shared, &place, part).await?;
        results.push(Ok(receipt(shared, place.leaf, part, &head)?.encode()));
    }
    if let Some(refusal) = &end {
        app.metrics.refused(refusal.class);
    }
    results.extend(end.map(|refusal| Err((refusal.class.status(), document(&refusal)))));
    let proof = shared.consistency(request.held, head.size).unwrap_or_default();
    let note = app.control.state.note();
    Ok(cbor(StatusCode::OK, encode_batches(&results, &proof, &note.note)))
}

/// The ledger part of an entry: as just admitted, or as it was when the statement came first.
async fn ledger_part(
    shared: &Arc<TrailShared>,
    placed: &Placed,
    admitted: Option<LedgerPart>,
) -> Result<LedgerPart, Refusal> {
    match admitted.filter(|_| !placed.again) {
        Some(part) => Ok(part),
        None => stored(shared, placed.leaf).await.map(|(_, part)| part),
    }
}

/// Statement and ledger part of an entry, from the disk.
async fn stored(shared: &Arc<TrailShared>, leaf: u64) -> Result<(Vec<u8>, LedgerPart), Refusal> {
    let shared = shared.clone();
    let read = blocking(move || {
        let bytes = shared.entry(leaf)?;
        let entry = Entry::decode(&bytes).ok()?;
        Some((entry.statement.to_vec(), entry.ledger_part))
    });
    let unreadable = || Refusal::new(Class::Unavailable, format!("entry `{leaf}` cannot be read back"));
    read.await.flatten().ok_or_else(unreadable)
}

fn receipt(shared: &TrailShared, leaf: u64, part: LedgerPart, head: &Head) -> Result<Receipt, Refusal> {
    let missing = || Refusal::new(Class::Unavailable, format!("entry `{leaf}` is not under the head"));
    shared.receipt(leaf, part, head).ok_or_else(missing)
}

/// `GET /v1/trails/{trail}/receipts/{epoch}/{sequence}`
pub(super) async fn receipts(
    State(app): State<Arc<App>>,
    Path((trail, epoch, sequence)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let handle = app.trail(&trail)?;
    let none = || Refusal::new(Class::NotFound, "no batch with this epoch and sequence");
    let mut identity = [0; 32];
    hex::decode_to_slice(&epoch, &mut identity).map_err(|_| none())?;
    let number: u64 = sequence.parse().map_err(|_| none())?;
    if number.to_string() != sequence || epoch.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(none().into());
    }
    let located = handle.ask(|reply| Command::Locate(Identity(identity), number, reply)).await?;
    let (location, shared) = (located.ok_or_else(none)?, handle.shared.clone());
    let found = blocking(move || shared.find(Identity(identity), number, location)).await.flatten();
    let unreadable = || Refusal::new(Class::Unavailable, format!("batch `{number}` cannot be read back"));
    let leaf = found.ok_or_else(unreadable)?;
    let (statement, part) = stored(&handle.shared, leaf).await?;
    let published = published_receipt(&app, &handle.shared, leaf, part);
    let receipt = match published {
        Some(receipt) => receipt,
        None => receipt(&handle.shared, leaf, part, &handle.shared.head())?,
    };
    Ok(cbor(StatusCode::OK, ReceiptFile { statement, receipt }.encode()))
}

/// A receipt with its second link: to the control entry that publishes the newest checkpoint of the trail.
fn published_receipt(app: &App, shared: &TrailShared, leaf: u64, part: LedgerPart) -> Option<Receipt> {
    let trail: TrailId = shared.info.id;
    let published = app.control.state.published(trail).filter(|published| published.size.0 > leaf)?;
    let head = shared.head_at(published.size).filter(|head| head.root == published.root)?;
    let control = &app.control.state.trail;
    let entry = control.entry(published.control_leaf)?;
    let link = control.inclusion(published.control_leaf, &control.head())?;
    let receipt = shared.receipt(leaf, part, &head)?;
    Some(Receipt { control: Some((entry, link)), ..receipt })
}
