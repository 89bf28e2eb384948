//! From requests to signed batches: two threads with bounded queues between them.
//!
//! ```text
//! receive ──requests──▶ mapper ──plain bodies──▶ sealer ──framed batches──▶ outbox writer
//! ```
//!
//! The mapper owns the open batch and every counter, so what a batch says about itself is consistent by construction. The
//! sealer owns the epoch's key and the chain. When the outbox is slow the queues fill, the mapper stops, and requests are
//! told to come again.

mod intake;
mod mapper;
mod resend;
mod sealer;

pub(crate) use intake::{Deferred, Intake, Message, Received, RequestStub, Verdict, intake};
pub(crate) use mapper::{Mapper, MapperParts, MapperSettings};
pub(crate) use sealer::{Closed, Epoch, Job, Lines, Next, Sealer, SealerParts, Seen};
