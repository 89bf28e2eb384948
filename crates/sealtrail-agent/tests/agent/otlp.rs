//! An OTLP client made of plain HTTP.

use std::net::SocketAddr;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

pub const PROTOBUF: &str = "application/x-protobuf";
pub const JSON: &str = "application/json";

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Of gRPC; those of a "Trailers-Only" answer stand in its headers.
    pub trailers: HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn grpc_status(&self) -> u16 {
        let of = |map: &HeaderMap| map.get("grpc-status").map(|v| v.to_str().unwrap().parse().unwrap());
        of(&self.trailers).or_else(|| of(&self.headers)).expect("a grpc-status")
    }
}

fn text(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

/// A request with one record for each body.
pub fn request(bodies: impl IntoIterator<Item = String>) -> Vec<u8> {
    let records = bodies.into_iter().map(|body| LogRecord {
        time_unix_nano: 1_760_000_000_000_000_000,
        observed_time_unix_nano: 1_760_000_000_000_000_001,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        event_name: "auth.login".to_owned(),
        body: Some(text(body)),
        attributes: vec![attribute("user.id", "alice"), attribute("event.outcome", "success")],
        ..LogRecord::default()
    });
    let scope = ScopeLogs { log_records: records.collect(), ..ScopeLogs::default() };
    let resource =
        Resource { attributes: vec![attribute("service.name", "checkout")], ..Resource::default() };
    let logs = ResourceLogs { resource: Some(resource), scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec()
}

/// A request with one record.
pub fn one(body: &str) -> Vec<u8> {
    request([body.to_owned()])
}

/// `POST /v1/logs`
pub async fn post(to: SocketAddr, body: Vec<u8>) -> Answer {
    send(to, "POST", "/v1/logs", &[("content-type", PROTOBUF)], body).await.unwrap()
}

/// Any HTTP/1 request.
pub async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::net::TcpStream::connect(to).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "agent");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await?;
    let answer = collect(answer).await?;
    connection.abort();
    Ok(answer)
}

async fn collect(answer: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec(), trailers })
}

pub const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// A gRPC message with its prefix.
pub fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::from(compressed)];
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// A gRPC call with these bytes as its body.
pub async fn call(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method("POST")
        .uri(format!("http://agent{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let answer = collect(answer).await.unwrap();
    connection.abort();
    answer
}
