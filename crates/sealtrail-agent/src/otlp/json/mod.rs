//! OTLP/JSON: the same frame as protobuf, and each record made into the protobuf message it stands for.
//!
//! serde_json says whether the request is JSON at all. After that a [`text::Text`] walks the text in place, and records,
//! resources and scopes become protobuf messages that take the one way into lines (`docs/spec/01-lines.md` section 1.5).

mod frame;
mod number;
mod scalar;
mod text;
mod transcode;

pub(super) use frame::{Elements, validate};
pub(super) use transcode::{log_record, resource, schema_url, scope};
