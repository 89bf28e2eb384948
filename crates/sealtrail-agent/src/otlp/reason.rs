//! Why something became a stub.

/// Why a record or a request stands in the trail as a stub (`docs/spec/01-lines.md` section 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It cannot be mapped.
    Malformed,
    /// Its line, or the request, would be over its bound.
    TooLarge,
    /// Its value nests deeper than 64.
    TooDeep,
    /// It uses a field that logs must not use.
    Unsupported,
}

impl Reason {
    /// The word in the stub line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::TooDeep => "too-deep",
            Self::Unsupported => "unsupported",
        }
    }
}
