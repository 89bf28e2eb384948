//! Admission: every check of a statement that needs no other statement to wait for it (`docs/spec/08-api.md`).
//!
//! These run beside each other on as many threads as there are processors; what depends on order is decided by the
//! trail's sequencer.

mod batch;
mod open;
mod seen;
mod workers;

use std::sync::Arc;

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::key::{KeyError, PublicKey};
use sealtrail_core::statement::{ClaimsError, Place, Statement, StatementError, UnverifiedStatement};

use crate::challenge::Challenges;
use crate::control::{ControlHandle, View};
use crate::env::Environment;
use crate::refusal::{Class, Refusal};
use crate::storage::{Artefacts, Item};
use crate::trail::{Committed, TrailShared};

pub(crate) use open::Opening;
pub(crate) use seen::SeenNotes;
pub(crate) use workers::Workers;

/// What admission needs to know.
pub(crate) struct Admission {
    pub(crate) env: Environment,
    pub(crate) ledger: LedgerKey,
    pub(crate) control: ControlHandle,
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) artefacts: Artefacts,
    pub(crate) seen: SeenNotes,
}

/// When a statement came, and the control state it is judged under.
pub(crate) struct Received {
    at_ns: u64,
    view: Arc<View>,
}

impl Received {
    fn ledger_part(&self) -> LedgerPart {
        LedgerPart { received_at_ns: self.at_ns, control_size: self.view.size, collateral: None }
    }
}

impl Admission {
    /// Notes the moment a request was complete.
    pub(crate) fn receive(&self) -> Received {
        Received { at_ns: self.env.clock.wall_ns(), view: self.control.state.view() }
    }

    /// 6.4, number 4: origin and trail are this ledger's and this trail's.
    fn check_place(&self, place: &Place, trail: &TrailShared) -> Result<(), Refusal> {
        if place.ledger == *self.ledger.name() && place.trail == trail.info.id {
            return Ok(());
        }
        let found = place.ledger.origin(place.trail);
        let detail = format!("statement is for `{found}`, expected `{}`", trail.info.origin);
        Err(Refusal::new(Class::WrongTrail, detail))
    }
}

/// 6.4, numbers 2 and 3.
fn decode(bytes: &[u8]) -> Result<UnverifiedStatement, Refusal> {
    UnverifiedStatement::decode(bytes).map_err(|error| {
        let class = match error {
            StatementError::Claims(ClaimsError::UnknownClaim(_)) => Class::UnknownClaim,
            _ => Class::StatementMalformed,
        };
        Refusal::new(class, error)
    })
}

/// 6.4, numbers 6 and 7.
fn verify(statement: UnverifiedStatement, key: &PublicKey) -> Result<Statement, Refusal> {
    statement.verify(key).map_err(|error| {
        let class = match error {
            StatementError::Signature(KeyError::HighS | KeyError::BadSignature) => Class::BadSignature,
            _ => Class::ForeignKey,
        };
        Refusal::new(class, error)
    })
}

fn committed(statement: &[u8], body: bytes::Bytes, ledger_part: LedgerPart) -> Committed {
    let entry = Entry { statement, ledger_part }.encode();
    Committed::new(Item { body, entry })
}
