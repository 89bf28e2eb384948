//! The outbox: sealed batches on disk, in order, until a verified receipt covers them. It never evicts.
//!
//! The state directory:
//!
//! ```text
//! lock                                  held by the running agent
//! instance                              the instance's name, where none is configured
//! outbox/0000000000.out …               batches, framed as `item` describes
//! recent/0000000000.rec …               digests of requests of the last ten minutes
//! receipts/<epoch>-<sequence>.receipt   the newest receipt of each epoch (`docs/spec/04-log.md` 4.5)
//! refused/<epoch>-<sequence>.out        batches that the ledger refused
//! ```
//!
//! Who can write here can delete what the ledger does not have yet, and that shows as a missing end of an epoch. He
//! cannot make the agent sign, or take a fresh request for a resend.

#[cfg(test)]
mod damage;
mod file;
mod item;
mod known;
mod reader;
mod recent;
mod recover;
mod state;
mod writer;

use std::io;
use std::path::PathBuf;

pub(crate) use file::{Position, RawItem};
pub(crate) use file::{files_dir, numbers};
pub(crate) use item::{Digests, Item, RECEIPT_BYTES_MAX};
pub use item::{Held, ItemError};
pub(crate) use known::{Epochs, KnownBatch, Origin, RESEND_WINDOW_NS};
pub(crate) use reader::Reader;
pub(crate) use recent::{expire, release};
pub(crate) use recover::{Recovered, batch_name, recover};
pub(crate) use state::StateDir;
pub(crate) use writer::{Append, Turn, Writer, WriterParts};

/// Why the outbox could not be used.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Another agent uses the directory.
    #[error("state directory `{0}` is in use by another agent")]
    Locked(PathBuf),
    /// Disk trouble.
    #[error("cannot use state directory `{path}`")]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another trail's batches wait here for their receipts; an agent configured for that trail has to send them first.
    #[error("state directory `{0}` holds batches for another trail")]
    Foreign(PathBuf),
    /// The name that was kept is not one.
    #[error("state directory `{0}` keeps an instance name that is not one")]
    Instance(PathBuf),
    /// No randomness for a name.
    #[error(transparent)]
    NoRandomness(#[from] sealtrail_env::NoRandomness),
}
