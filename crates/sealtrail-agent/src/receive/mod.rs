//! The OTLP receiver: gRPC and HTTP, with its own accept loops, timers and bounds.

mod answer;
mod body;
mod connection;
mod digest;
mod export;
mod grpc;
mod http;

pub(crate) use body::{MEMORY_BYTES_MAX, Payload};
pub(crate) use connection::{CONNECTIONS_MAX, serve};
pub(crate) use digest::RequestKey;
pub(crate) use export::{ANSWER_WITHIN, Answering, Exporter, Outcome};
pub(crate) use grpc::Grpc;
pub(crate) use http::{Http, REQUEST_BYTES_MAX};
