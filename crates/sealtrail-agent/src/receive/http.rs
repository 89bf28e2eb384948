//! OTLP over HTTP, and the agent's health and metrics.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Body as _;
use tokio::time::Instant;

use super::answer::{Code, Refusal, success};
use super::body::{Body, Coding, ReadError, drain, read};
use super::export::{ANSWER_WITHIN, Exporter, Outcome};
use crate::otlp::Encoding;
use crate::status::Phase;

/// Largest request, before and after decompression: 20 MiB, as the OTLP specification asks.
pub(crate) const REQUEST_BYTES_MAX: usize = 20 << 20;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, zstd");

type Answer = Response<Full<Bytes>>;

/// The HTTP side of the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Http(pub(crate) Exporter);

impl Http {
    /// Answers one request.
    pub(crate) async fn answer(self, request: Request<Body>) -> Result<Answer, Infallible> {
        Ok(match (request.uri().path(), request.method()) {
            ("/v1/logs", &Method::POST) => self.logs(request).await,
            ("/v1/logs", _) => method_not_allowed("POST"),
            ("/healthz" | "/readyz" | "/metrics", method)
                if method != Method::GET && method != Method::HEAD =>
            {
                method_not_allowed("GET, HEAD")
            }
            ("/healthz", _) => self.healthz(),
            ("/readyz", _) => self.readyz(),
            ("/metrics", _) => {
                let snapshot = self.0.progress.snapshot(&self.0.status);
                text(StatusCode::OK, "text/plain; version=0.0.4", snapshot.prometheus())
            }
            // `/v1/audit` among them: kept free for OpenTelemetry's proposed audit signal.
            _ => text(
                StatusCode::NOT_FOUND,
                "text/plain",
                "nothing is here: logs go to POST /v1/logs, traces and metrics are not taken\n".to_owned(),
            ),
        })
    }

    async fn logs(&self, request: Request<Body>) -> Answer {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let (parts, mut body) = request.into_parts();
        let Some(encoding) = encoding(parts.headers.get(header::CONTENT_TYPE)) else {
            let message = format!("content type is missing or not known, expected `{PROTOBUF}` or `{JSON}`");
            return unsupported(Encoding::Json, &message);
        };
        let coding =
            parts.headers.get(header::CONTENT_ENCODING).map_or(b"".as_slice(), HeaderValue::as_bytes);
        let Some(coding) = Coding::from_name(coding) else {
            return unsupported(
                encoding,
                "content encoding is not known, expected `identity`, `gzip` or `zstd`",
            );
        };
        // What says that it is too large is not waited for.
        let is_too_large = body.size_hint().lower() > REQUEST_BYTES_MAX as u64;
        let outcome = match self.0.check() {
            Err(deferred) => deferred,
            Ok(()) if is_too_large => self.0.export(encoding, Err(ReadError::TooLarge(0)), deadline).await,
            Ok(()) => {
                let read = read(&mut body, coding, &self.0.memory, REQUEST_BYTES_MAX, deadline).await;
                self.0.export(encoding, read, deadline).await
            }
        };
        if is_too_large {
            // A client that asks before it sends has its answer. Others send on, and are read so that they get to it.
            if !parts.headers.contains_key(header::EXPECT) {
                tokio::spawn(async move { drain(&mut body, deadline).await });
            }
        } else if !body.is_end_stream() {
            drain(&mut body, deadline).await;
        }
        answer(encoding, &outcome)
    }

    /// Alive as long as the outbox can be written.
    fn healthz(&self) -> Answer {
        let phase = self.0.status.phase();
        if self.0.progress.watch().borrow().failed || phase == Phase::Stopped {
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "failed\n".to_owned());
        }
        text(StatusCode::OK, "text/plain", "ok\n".to_owned())
    }

    /// Ready while records are taken.
    fn readyz(&self) -> Answer {
        match self.0.intake.check() {
            Ok(()) => text(StatusCode::OK, "text/plain", "ready\n".to_owned()),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
        }
    }
}

fn encoding(content_type: Option<&HeaderValue>) -> Option<Encoding> {
    let name = content_type?.to_str().ok()?.split(';').next()?.trim();
    [(PROTOBUF, Encoding::Protobuf), (JSON, Encoding::Json)]
        .into_iter()
        .find_map(|(known, encoding)| known.eq_ignore_ascii_case(name).then_some(encoding))
}

fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    }
}

fn answer(encoding: Encoding, outcome: &Outcome) -> Answer {
    let Some(refusal) = outcome.refusal() else {
        let (warning, rejected) = match outcome {
            Outcome::Accepted(warning, dropped) => (warning.as_deref(), *dropped),
            _ => (None, 0),
        };
        return bytes(StatusCode::OK, content_type(encoding), success(encoding, rejected, warning));
    };
    let status = match outcome {
        Outcome::Invalid(_) => StatusCode::BAD_REQUEST,
        Outcome::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = bytes(status, content_type(encoding), refusal.encode(encoding));
    if let Some(after) = refusal.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    answer
}

fn unsupported(encoding: Encoding, message: &str) -> Answer {
    let refusal = Refusal::final_(Code::InvalidArgument, message);
    let mut answer =
        bytes(StatusCode::UNSUPPORTED_MEDIA_TYPE, content_type(encoding), refusal.encode(encoding));
    answer.headers_mut().insert(header::ACCEPT_ENCODING, CODINGS);
    answer
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        "text/plain",
        format!("method not allowed, expected {allowed}\n"),
    );
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn text(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    bytes(status, content_type, text.into_bytes())
}

fn bytes(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
