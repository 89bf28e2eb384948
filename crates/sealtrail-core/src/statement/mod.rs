//! Statements: `open` and `batch`, their claims, envelope, identity and key binding (`docs/spec/03-statements.md`).

mod batch;
mod binding;
mod claims;
mod envelope;
mod open;

pub use batch::{BatchClaims, Close, CloseReason, Codec, Encryption, PUBLISHED_MAX, Published, Totals};
pub use binding::binding;
pub use claims::{Claims, ClaimsError, INTEGER_MAX, Kind, Place, TIME_MAX};
pub use envelope::{
    STATEMENT_BYTES_MAX, SignedStatement, Statement, StatementError, UnverifiedStatement, seal,
};
pub use open::{Known, OpenClaims, Predecessor, SOFTWARE_VERSION_BYTES_MAX};
