//! The way to a ledger: one request, one answer. Behind a trait so that faults can be put in its way.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It did not come.
    #[error("{0}")]
    Away(String),
    /// It is longer than was allowed.
    #[error("answer is longer than `{0}` bytes")]
    TooLong(usize),
}

/// An answer that is being waited for.
pub type Call = Pin<Box<dyn Future<Output = Result<(StatusCode, Bytes), NetworkError>> + Send>>;

/// The way to a ledger.
pub trait Network: Send + Sync {
    /// Sends a request; the answer has at most so many bytes. How long it may take is the caller's affair.
    fn call(&self, request: Request<Bytes>, answer_bytes_max: usize) -> Call;
}

/// HTTP: no redirects, no proxies.
#[derive(Clone, Debug)]
pub(crate) struct Http(HyperClient<HttpConnector, Full<Bytes>>);

impl Http {
    /// A client without connections.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        Self(
            HyperClient::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .build(connector),
        )
    }
}

impl Network for Http {
    fn call(&self, request: Request<Bytes>, answer_bytes_max: usize) -> Call {
        let answer = self.0.request(request.map(Full::new));
        Box::pin(async move {
            let answer = answer.await.map_err(|error| NetworkError::Away(reason(&error)))?;
            let status = answer.status();
            match Limited::new(answer.into_body(), answer_bytes_max).collect().await {
                Ok(body) => Ok((status, body.to_bytes())),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    Err(NetworkError::TooLong(answer_bytes_max))
                }
                Err(error) => Err(NetworkError::Away(error.to_string())),
            }
        })
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
