//! Stub lines (`docs/spec/01-lines.md` section 1.4).

use sealtrail_core::line::{INTEGER_MAX, write};

use super::Reason;

/// What stands in the place of a record or a request that could not be mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stub {
    /// Of the received bytes, where they were read to their end.
    pub(super) hash: Option<[u8; 32]>,
    /// How many bytes were hashed, or read.
    pub(super) length: u64,
    pub(super) reason: Reason,
    /// The agent's clock.
    pub(super) now_ns: u64,
}

impl Stub {
    /// Appends the line, without its newline. `leaves`: resource and scope, for the stub of a record.
    pub(super) fn write(&self, out: &mut Vec<u8>, leaves: Option<(u32, u32)>) {
        out.extend_from_slice(b"{\"observedTimeUnixNano\":\"");
        // The form has no time 0.
        write::digits(out, self.now_ns.max(1));
        out.push(b'"');
        if let Some((resource, scope)) = leaves {
            out.extend_from_slice(b",\"resource\":");
            write::digits(out, resource);
            out.extend_from_slice(b",\"scope\":");
            write::digits(out, scope);
        }
        out.extend_from_slice(b",\"stub\":{\"hash\":");
        match self.hash {
            Some(hash) => {
                out.push(b'"');
                write::hex(out, &hash);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"length\":");
        write::digits(out, self.length.min(INTEGER_MAX));
        out.extend_from_slice(b",\"reason\":\"");
        out.extend_from_slice(self.reason.as_str().as_bytes());
        out.extend_from_slice(b"\"}}");
    }
}
