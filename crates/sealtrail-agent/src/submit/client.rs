//! Calls to the ledger: bounded in time and size.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use sealtrail_core::name::TrailId;

use super::api::{PROBLEM_BYTES_MAX, Problem};
use super::network::{Network, NetworkError};

/// Longest answer: 64 receipts, each a note and a proof (a few KiB), with room for notes with many cosignatures.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Longest wait for an answer: 32 MiB at 10 Mbit/s take 27 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer, or the word to come again.
    #[error("{0}")]
    Away(String),
    /// A problem document: the request was understood and not taken.
    #[error("{0}")]
    Problem(Problem),
    /// An answer that is none of those: too long, another status.
    #[error("{0}")]
    Nonsense(String),
}

/// A client of one ledger.
#[derive(Clone)]
pub(crate) struct Client {
    network: Arc<dyn Network>,
    url: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl From<NetworkError> for CallError {
    fn from(error: NetworkError) -> Self {
        match error {
            NetworkError::Away(reason) => Self::Away(reason),
            NetworkError::TooLong(_) => Self::Nonsense(error.to_string()),
        }
    }
}

impl Client {
    /// A client of the ledger at `http://host:port`.
    pub(crate) fn new(network: Arc<dyn Network>, url: &str) -> Self {
        Self { network, url: url.to_owned() }
    }

    /// `POST /v1/challenges`
    pub(crate) async fn challenge(&self, body: Vec<u8>) -> Result<Bytes, CallError> {
        self.post("/v1/challenges".to_owned(), body, StatusCode::OK).await
    }

    /// `POST /v1/trails/{trail}/epochs`
    pub(crate) async fn open_epoch(&self, trail: TrailId, body: Vec<u8>) -> Result<Bytes, CallError> {
        self.post(format!("/v1/trails/{trail}/epochs"), body, StatusCode::CREATED).await
    }

    /// `POST /v1/trails/{trail}/batches`
    pub(crate) async fn submit(&self, trail: TrailId, body: Vec<u8>) -> Result<Bytes, CallError> {
        self.post(format!("/v1/trails/{trail}/batches"), body, StatusCode::OK).await
    }

    /// `GET` of a published file of at most so many bytes.
    pub(crate) async fn get(&self, path: &str, bytes_max: usize) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .uri(format!("{}{path}", self.url))
            .body(Bytes::new())
            .map_err(|error| CallError::Nonsense(error.to_string()))?;
        let call = tokio::time::timeout(ANSWER_TIMEOUT, self.network.call(request, bytes_max));
        match call.await.map_err(|_| CallError::Away("no answer in time".to_owned()))?? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(CallError::Away(format!("`{path}`: `{status}`"))),
        }
    }

    async fn post(&self, path: String, body: Vec<u8>, success: StatusCode) -> Result<Bytes, CallError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.url))
            .header(header::CONTENT_TYPE, "application/cbor")
            .header(header::ACCEPT, "application/cbor, application/problem+json")
            .body(Bytes::from(body))
            .map_err(|error| CallError::Nonsense(error.to_string()))?;
        let call = tokio::time::timeout(ANSWER_TIMEOUT, self.network.call(request, ANSWER_BYTES_MAX));
        let (status, body) = call.await.map_err(|_| CallError::Away("no answer in time".to_owned()))??;
        // An identical open that was committed before may be answered with 200 where a new one gets 201.
        if status == success || (success == StatusCode::CREATED && status == StatusCode::OK) {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(body.get(..body.len().min(PROBLEM_BYTES_MAX)).unwrap_or_default());
        let problem = Problem::read(status.as_u16(), &text);
        match status.as_u16() {
            429 | 500..=599 => Err(CallError::Away(problem.to_string())),
            400..=499 => Err(CallError::Problem(problem)),
            _ => Err(CallError::Nonsense(format!("unexpected status `{status}`"))),
        }
    }
}
