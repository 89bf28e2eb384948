//! OTLP over gRPC: one unary method, its framing read from the raw bytes so that no message is built.
//!
//! A message is `compressed (1 byte) ‖ u32(length) ‖ bytes`; a unary request is exactly one.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Body as _;
use sealtrail_env::Memory;
use tokio::time::Instant;

use super::answer::{Code, Refusal, success};
use super::body::{Body, Coding, Payload, ReadError, Reader, drain, next};
use super::export::{ANSWER_WITHIN, Exporter, Outcome};
use crate::otlp::Encoding;

/// Largest message, before and after decompression: 4 MiB, as gRPC and the OTLP specification have it.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Bytes before a message.
const PREFIX_BYTES: usize = 5;

/// Longest `grpc-message`: it is a hint for people, and headers have bounds.
const MESSAGE_CHARS_MAX: usize = 256;

const METHOD: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The gRPC side of the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Grpc(pub(crate) Exporter);

impl Grpc {
    /// Answers one call.
    pub(crate) async fn answer(self, request: Request<Body>) -> Result<Answer, Infallible> {
        let is_grpc = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let name = value.as_bytes();
            name == b"application/grpc"
                || name.starts_with(b"application/grpc+proto")
                || name.starts_with(b"application/grpc;")
        });
        if !is_grpc || request.method() != Method::POST {
            return Ok(no_grpc());
        }
        if request.uri().path() != METHOD {
            let message =
                format!("there is no method `{}`: only logs are taken, by `{METHOD}`", request.uri().path());
            return Ok(refused(&Refusal::final_(Code::Unimplemented, message)));
        }
        Ok(self.export(request).await)
    }

    async fn export(&self, request: Request<Body>) -> Answer {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let (parts, mut body) = request.into_parts();
        let coding = parts.headers.get(GRPC_ENCODING).map_or(b"".as_slice(), HeaderValue::as_bytes);
        let Some(coding) = Coding::from_name(coding) else {
            let message = "`grpc-encoding` is not known, expected `identity`, `gzip` or `zstd`";
            let refusal = Refusal::final_(Code::Unimplemented, message);
            let mut answer = refused(&refusal);
            answer.headers_mut().insert(GRPC_ACCEPT, HeaderValue::from_static("identity,gzip,zstd"));
            return answer;
        };
        let outcome = match self.0.check() {
            Err(deferred) => deferred,
            Ok(()) => match read_message(&mut body, coding, &self.0.memory, deadline).await {
                Err(Unframed::NoCoding) => {
                    return refused(&Refusal::final_(
                        Code::Internal,
                        "message is marked as compressed, but `grpc-encoding` names no compression, expected `gzip` or `zstd`",
                    ));
                }
                Err(Unframed::Read(error)) => self.0.export(Encoding::Protobuf, Err(error), deadline).await,
                Ok(payload) => self.0.export(Encoding::Protobuf, Ok(payload), deadline).await,
            },
        };
        if !body.is_end_stream() {
            drain(&mut body, deadline).await;
        }
        match outcome.refusal() {
            Some(refusal) => refused(&refusal),
            None => accepted(&outcome),
        }
    }
}

/// Why there is no message.
enum Unframed {
    /// It is compressed, it does not say how.
    NoCoding,
    /// As with every body.
    Read(ReadError),
}

impl From<ReadError> for Unframed {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Reads the one message of a unary call. More, or less, is as corrupt as a broken frame.
async fn read_message(
    body: &mut Body,
    coding: Coding,
    memory: &Memory,
    deadline: Instant,
) -> Result<Payload, Unframed> {
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    let mut first = Bytes::new();
    while prefix.len() < PREFIX_BYTES {
        let Some(data) = next(body, deadline).await? else { return Err(ReadError::Corrupt(0).into()) };
        let (head, rest) = data.split_at(data.len().min(PREFIX_BYTES - prefix.len()));
        prefix.extend_from_slice(head);
        first = data.slice_ref(rest);
    }
    let [compressed, a, b, c, d] = prefix.try_into().unwrap_or_default();
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let coding = match (compressed, coding) {
        (0, _) => Coding::Identity,
        (1, Coding::Gzip | Coding::Zstd) => coding,
        (1, Coding::Identity) => return Err(Unframed::NoCoding),
        _ => return Err(ReadError::Corrupt(0).into()),
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(ReadError::TooLarge(0).into());
    }
    let mut reader = Reader::new(coding, memory, MESSAGE_BYTES_MAX)?;
    let mut left = length;
    let mut data = first;
    loop {
        left = left.checked_sub(data.len()).ok_or(ReadError::Corrupt(0))?;
        reader.push(&data)?;
        match reader.next(body, deadline).await? {
            Some(more) => data = more,
            None if left == 0 => return Ok(reader.finish()?),
            None => return Err(ReadError::Corrupt(0).into()),
        }
    }
}

fn accepted(outcome: &Outcome) -> Answer {
    let (warning, rejected) = match outcome {
        Outcome::Accepted(warning, dropped) => (warning.as_deref(), *dropped),
        _ => (None, 0),
    };
    let message = success(Encoding::Protobuf, rejected, warning);
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    framed.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    answer
}

/// For what is not gRPC at all.
fn no_grpc() -> Answer {
    const TEXT: &str = "this address takes OTLP over gRPC: POST with content type application/grpc; \
                        OTLP over HTTP has an address of its own, usually on port 4318\n";
    let mut answer = Response::new(Full::new(Bytes::from_static(TEXT.as_bytes())).boxed());
    *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// A refusal in headers alone ("Trailers-Only").
fn refused(refusal: &Refusal) -> Answer {
    let mut answer = Response::new(Empty::new().boxed());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(refusal.code as u16));
    if let Ok(message) = HeaderValue::from_str(&percent_encode(&refusal.message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Ok(details) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(refusal.protobuf())) {
        headers.insert(GRPC_DETAILS, details);
    }
    answer
}

/// As `grpc-message` asks: everything but printable ASCII without `%`.
fn percent_encode(message: &str) -> String {
    let mut encoded = String::new();
    for byte in message.bytes().take(MESSAGE_CHARS_MAX) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
