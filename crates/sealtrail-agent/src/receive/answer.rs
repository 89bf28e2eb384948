//! Answers: `ExportLogsServiceResponse` and `google.rpc.Status`, in protobuf and JSON.

use std::time::Duration;

use crate::otlp::Encoding;

/// gRPC status codes that occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// Type of the detail that says when to come again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// A refusal: `google.rpc.Status`, with RetryInfo where the client should come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal for good.
    pub(crate) fn final_(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// In the given encoding.
    pub(crate) fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.protobuf(),
            Encoding::Json => self.json(),
        }
    }

    /// `Status { int32 code = 1; string message = 2; repeated Any details = 3; }`
    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let mut status = Vec::new();
        varint_field(&mut status, 1, self.code as u64);
        bytes_field(&mut status, 2, self.message.as_bytes());
        if let Some(delay) = self.retry_after {
            // RetryInfo { Duration retry_delay = 1 }, Duration { int64 seconds = 1; int32 nanos = 2 }
            let mut duration = Vec::new();
            varint_field(&mut duration, 1, delay.as_secs());
            varint_field(&mut duration, 2, delay.subsec_nanos().into());
            let mut info = Vec::new();
            bytes_field(&mut info, 1, &duration);
            let mut any = Vec::new();
            bytes_field(&mut any, 1, RETRY_INFO.as_bytes());
            bytes_field(&mut any, 2, &info);
            bytes_field(&mut status, 3, &any);
        }
        status
    }

    fn json(&self) -> Vec<u8> {
        let mut status = serde_json::json!({ "code": self.code as u32, "message": self.message });
        if let (Some(delay), Some(object)) = (self.retry_after, status.as_object_mut()) {
            let retry = format!("{}s", delay.as_secs_f64());
            object
                .insert("details".into(), serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": retry }]));
        }
        status.to_string().into_bytes()
    }
}

/// Success: `ExportLogsServiceResponse`, empty, or with a warning and the number of records that were dropped for good.
pub(crate) fn success(encoding: Encoding, rejected: u64, warning: Option<&str>) -> Vec<u8> {
    match (encoding, warning) {
        (Encoding::Protobuf, None) => Vec::new(),
        (Encoding::Protobuf, Some(warning)) => {
            // ExportLogsPartialSuccess { int64 rejected_log_records = 1; string error_message = 2; }
            let mut partial = Vec::new();
            varint_field(&mut partial, 1, rejected);
            bytes_field(&mut partial, 2, warning.as_bytes());
            let mut response = Vec::new();
            bytes_field(&mut response, 1, &partial);
            response
        }
        (Encoding::Json, None) => b"{}".to_vec(),
        (Encoding::Json, Some(warning)) => {
            let partial =
                serde_json::json!({ "rejectedLogRecords": rejected.to_string(), "errorMessage": warning });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        varint(out, number << 3);
        varint(out, value);
    }
}

fn bytes_field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_warning_rejects_nothing() {
        let bytes = success(Encoding::Protobuf, 0, Some("two records were malformed"));
        let partial = ExportLogsServiceResponse::decode(bytes.as_slice()).unwrap().partial_success.unwrap();
        assert_eq!(partial.rejected_log_records, 0);
        assert_eq!(partial.error_message, "two records were malformed");
        assert_eq!(ExportLogsServiceResponse::decode([].as_slice()).unwrap().partial_success, None);
    }

    #[test]
    fn a_status_says_when_to_come_again() {
        let refusal = Refusal {
            code: Code::Unavailable,
            message: "x".to_owned(),
            retry_after: Some(Duration::from_secs(5)),
        };
        assert_eq!(
            hex::encode(refusal.protobuf()),
            format!(
                "080e120178{}",
                format!("1a30{}{}", "0a28", hex::encode(RETRY_INFO)) + "1204" + "0a020805"
            )
        );
        assert_eq!(
            String::from_utf8(refusal.encode(Encoding::Json)).unwrap(),
            r#"{"code":14,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"5s"}],"message":"x"}"#
        );
    }
}
