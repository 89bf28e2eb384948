//! Problem documents (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Seconds after which a client may try again when the ledger is busy: one publication later.
const RETRY_AFTER_S: &str = "1";

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// The problem document of a refusal.
pub(crate) fn document(refusal: &Refusal) -> String {
    let class = refusal.class;
    let mut members = Map::new();
    let kind = format!("https://sealtrail.example/problems/{}", class.as_str());
    members.insert("type".into(), Value::String(kind));
    members.insert("title".into(), Value::String(class.title().into()));
    members.insert("status".into(), Value::from(class.status()));
    members.insert("detail".into(), Value::String(refusal.detail.clone()));
    members.insert("class".into(), Value::String(class.as_str().into()));
    if let Some(expected) = refusal.expected {
        members.insert("expected".into(), Value::from(expected));
    }
    Value::Object(members).to_string()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.class.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, document(&self.0)).into_response();
        response.extensions_mut().insert(self.0.class);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}
