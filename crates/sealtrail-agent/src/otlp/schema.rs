//! The keys of OTLP's fields on the wire, and a mask of the field numbers that each message has.

use super::wire::{fixed32, fixed64, length, varint};

/// What is between the request and its records; ScopeLogs and ResourceLogs have the same numbers.
pub(super) mod frame {
    use super::length;
    pub(in crate::otlp) const RESOURCE_LOGS: u32 = length(1);
    pub(in crate::otlp) const REQUEST_FIELDS: u32 = 0x2;
    pub(in crate::otlp) const CONTEXT: u32 = length(1);
    pub(in crate::otlp) const INNER: u32 = length(2);
    pub(in crate::otlp) const SCHEMA_URL: u32 = length(3);
    pub(in crate::otlp) const LOGS_FIELDS: u32 = 0xe;
}

pub(super) mod log_record {
    use super::{fixed32, fixed64, length, varint};
    pub(in crate::otlp) const TIME: u32 = fixed64(1);
    pub(in crate::otlp) const SEVERITY_NUMBER: u32 = varint(2);
    pub(in crate::otlp) const SEVERITY_TEXT: u32 = length(3);
    pub(in crate::otlp) const BODY: u32 = length(5);
    pub(in crate::otlp) const ATTRIBUTES: u32 = length(6);
    pub(in crate::otlp) const DROPPED_ATTRIBUTES: u32 = varint(7);
    pub(in crate::otlp) const FLAGS: u32 = fixed32(8);
    pub(in crate::otlp) const TRACE_ID: u32 = length(9);
    pub(in crate::otlp) const SPAN_ID: u32 = length(10);
    pub(in crate::otlp) const OBSERVED_TIME: u32 = fixed64(11);
    pub(in crate::otlp) const EVENT_NAME: u32 = length(12);
    pub(in crate::otlp) const FIELDS: u32 = 0x1fee;
}

pub(super) mod resource {
    use super::{length, varint};
    pub(in crate::otlp) const ATTRIBUTES: u32 = length(1);
    pub(in crate::otlp) const DROPPED_ATTRIBUTES: u32 = varint(2);
    pub(in crate::otlp) const ENTITY_REFS: u32 = length(3);
    pub(in crate::otlp) const FIELDS: u32 = 0xe;
}

pub(super) mod entity_ref {
    use super::length;
    pub(in crate::otlp) const SCHEMA_URL: u32 = length(1);
    pub(in crate::otlp) const TYPE: u32 = length(2);
    pub(in crate::otlp) const ID_KEYS: u32 = length(3);
    pub(in crate::otlp) const DESCRIPTION_KEYS: u32 = length(4);
    pub(in crate::otlp) const FIELDS: u32 = 0x1e;
}

pub(super) mod scope {
    use super::{length, varint};
    pub(in crate::otlp) const NAME: u32 = length(1);
    pub(in crate::otlp) const VERSION: u32 = length(2);
    pub(in crate::otlp) const ATTRIBUTES: u32 = length(3);
    pub(in crate::otlp) const DROPPED_ATTRIBUTES: u32 = varint(4);
    pub(in crate::otlp) const FIELDS: u32 = 0x1e;
}

pub(super) mod key_value {
    use super::{length, varint};
    pub(in crate::otlp) const KEY: u32 = length(1);
    pub(in crate::otlp) const VALUE: u32 = length(2);
    pub(in crate::otlp) const KEY_STRINDEX: u32 = varint(3);
    pub(in crate::otlp) const FIELDS: u32 = 0xe;
}

/// ArrayValue and KeyValueList.
pub(super) mod list {
    pub(in crate::otlp) const VALUES: u32 = super::length(1);
    pub(in crate::otlp) const FIELDS: u32 = 0x2;
}

pub(super) mod any_value {
    use super::{fixed64, length, varint};
    pub(in crate::otlp) const STRING: u32 = length(1);
    pub(in crate::otlp) const BOOL: u32 = varint(2);
    pub(in crate::otlp) const INT: u32 = varint(3);
    pub(in crate::otlp) const DOUBLE: u32 = fixed64(4);
    pub(in crate::otlp) const ARRAY: u32 = length(5);
    pub(in crate::otlp) const KVLIST: u32 = length(6);
    pub(in crate::otlp) const BYTES: u32 = length(7);
    pub(in crate::otlp) const STRING_STRINDEX: u32 = varint(8);
    pub(in crate::otlp) const FIELDS: u32 = 0x1fe;
}
