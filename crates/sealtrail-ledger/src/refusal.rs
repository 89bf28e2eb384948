//! Reason classes: what the ledger answers instead of a receipt (`docs/spec/08-api.md`).

/// A reason class with its HTTP status.
macro_rules! classes {
    ($($variant:ident $status:literal $name:literal $title:literal;)*) => {
        /// Why a request or a statement was not taken. The names are those of verdicts and of `docs/spec/08-api.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $(#[doc = $title] $variant,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in problem documents, control records and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A short description for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

classes! {
    MalformedRequest 400 "malformed-request" "The request is not as the interface asks";
    NotFound 404 "not-found" "There is nothing here";
    UnknownTrail 404 "unknown-trail" "This ledger has no such trail";
    MethodNotAllowed 405 "method-not-allowed" "This method is not for this path";
    RequestTimeout 408 "request-timeout" "The request took too long to arrive";
    SequenceAhead 409 "sequence-ahead" "Earlier batches of this epoch have not arrived yet";
    ChallengeStale 409 "challenge-stale" "The challenge is unknown, used or too old";
    TooLarge 413 "too-large" "The request is larger than the interface takes";
    Range 416 "range-not-satisfiable" "The range lies outside the file";
    StatementMalformed 422 "statement-malformed" "The statement is malformed";
    UnknownClaim 422 "unknown-claim" "The statement has an unknown critical claim";
    WrongTrail 422 "wrong-trail" "The statement belongs to another ledger or trail";
    UnknownEpoch 422 "unknown-epoch" "The batch belongs to no epoch of this trail";
    ForeignKey 422 "foreign-key" "The statement is signed with another key than its epoch's";
    BadSignature 422 "bad-signature" "The signature does not hold";
    WrongStream 422 "wrong-stream" "The batch names another stream or instance than its open";
    UnknownStream 422 "unknown-stream" "The stream may not write to this trail";
    EvidenceMissing 422 "evidence-missing" "The evidence is missing or not the one the open names";
    EvidenceMalformed 422 "evidence-malformed" "The evidence is malformed";
    UntrustedRoot 422 "untrusted-root" "No reference value accepts the evidence's root";
    EvidenceRefused 422 "evidence-refused" "The evidence does not hold";
    BindingMismatch 422 "binding-mismatch" "The evidence is for another key or other claims";
    ChallengeMismatch 422 "challenge-mismatch" "The evidence answers another challenge";
    UnexpectedCode 422 "unexpected-code" "The evidence shows code that no reference value names";
    PredecessorUnknown 422 "predecessor-unknown" "The predecessor is no epoch of this trail";
    PredecessorMismatch 422 "predecessor-mismatch" "The predecessor is not as the open says";
    PredecessorConflict 422 "predecessor-conflict" "The predecessor has another successor";
    StalePredecessor 422 "stale-predecessor" "The predecessor went on after what the open says";
    Flood 422 "flood" "Two distinct batches with this number are kept already";
    AfterClose 422 "after-close" "The epoch is closed";
    ChainBroken 422 "chain-broken" "The batch does not follow the one before it";
    BodyMissing 422 "body-missing" "The batch has a body and none was sent";
    StoredHashMismatch 422 "stored-hash-mismatch" "The stored body is not the signed one";
    BodyMalformed 422 "body-malformed" "The stored body is malformed";
    CountMismatch 422 "count-mismatch" "The body has another number of lines than signed";
    RecordRootMismatch 422 "record-root-mismatch" "The lines are not the signed ones";
    LineForm 422 "line-form" "A line is malformed";
    SeenUnknown 422 "seen-unknown" "The batch has seen a control checkpoint that this ledger does not know";
    Unavailable 503 "unavailable" "The ledger cannot take this now";
}

impl Class {
    /// Whether it is a refusal of a statement: recorded in the control trail, its bytes kept in quarantine.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self.status() == 422
    }
}

/// What is answered instead of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}", class = .class.as_str())]
pub(crate) struct Refusal {
    /// The class.
    pub(crate) class: Class,
    /// What exactly, for people.
    pub(crate) detail: String,
    /// With [`Class::SequenceAhead`] the sequence that is expected.
    pub(crate) expected: Option<u64>,
}

impl Refusal {
    /// A refusal that says what exactly.
    pub(crate) fn new(class: Class, detail: impl std::fmt::Display) -> Self {
        Self { class, detail: detail.to_string(), expected: None }
    }

    /// A batch ahead of its turn.
    pub(crate) fn ahead(found: u64, expected: u64) -> Self {
        let detail = format!("sequence `{found}` came before `{expected}`");
        Self { class: Class::SequenceAhead, detail, expected: Some(expected) }
    }
}

/// An error with everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
