//! Calls to the ledger: bounded in time and size, no redirects, no proxies.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sealtrail_core::name::TrailId;

use super::api::{PROBLEM_BYTES_MAX, Problem};

/// Longest answer: 64 receipts, each a note and a proof (a few KiB), with room for notes with many cosignatures.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for an answer: 32 MiB at 10 Mbit/s take 27 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

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
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Client {
    /// A client of the ledger at `http://host:port`.
    pub(crate) fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { http, url: url.to_owned() }
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
            .body(Full::default())
            .map_err(|error| CallError::Nonsense(error.to_string()))?;
        let call = tokio::time::timeout(ANSWER_TIMEOUT, self.answer(request, bytes_max));
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
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| CallError::Nonsense(error.to_string()))?;
        let call = tokio::time::timeout(ANSWER_TIMEOUT, self.answer(request, ANSWER_BYTES_MAX));
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

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let answer = self.http.request(request).await.map_err(|error| CallError::Away(reason(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        match body {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(CallError::Nonsense(format!("answer is longer than `{bytes_max}` bytes")))
            }
            Err(error) => Err(CallError::Away(error.to_string())),
        }
    }
}

/// The innermost cause: what an operator can act on.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
