//! The OTLP receiver: gRPC and HTTP, with its own accept loops, timers and bounds.

mod answer;
mod body;
mod connection;
mod export;
mod grpc;
mod http;
mod places;

pub(crate) use connection::serve;
pub(crate) use export::{Answering, Exporter};
pub(crate) use grpc::Grpc;
pub(crate) use http::Http;
