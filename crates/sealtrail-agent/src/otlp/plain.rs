//! A plain body: the lines of one batch, ready to be sealed (`docs/spec/02-body.md`).

/// What a batch's lines add to its totals (`docs/spec/03-statements.md` section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Record lines, stubs included.
    pub sealed: u64,
    /// Stub lines among them.
    pub stubbed: u64,
    /// Lines among them that redaction touched.
    pub redacted: u64,
    /// Records, stubs and dropped ones among them, of which no time is known: two that are alike may be two events.
    pub untimed: u64,
    /// Stubs beyond those a body holds: nothing of them is left but this number.
    pub dropped: u64,
}

/// The lines of one batch, each followed by a newline. Without records it has no bytes at all.
#[derive(Debug)]
pub struct PlainBody {
    pub(super) buffer: Vec<u8>,
    /// Where the header line begins in the buffer.
    pub(super) start: usize,
    pub(super) contexts: u32,
    pub(super) tally: Tally,
}

impl PlainBody {
    /// The header line, the context lines, the record lines.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// How many context lines there are.
    #[must_use]
    pub fn context_count(&self) -> u32 {
        self.contexts
    }

    /// How many record lines there are, stubs included.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        // At most 65,535.
        u32::try_from(self.tally.sealed).unwrap_or(u32::MAX)
    }

    /// What the lines add to the totals.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }
}
