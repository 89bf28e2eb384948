//! The checkpoint files of a ledger that may be written to meanwhile, and when they are read
//! (`docs/spec/06-verification.md` 6.2).

use std::collections::BTreeMap;
use std::io;

use sealtrail_core::name::TrailId;
use sealtrail_core::note::NOTE_BYTES_MAX;

use crate::Source;

/// A trail's file `checkpoint` as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckpointFile {
    /// There is none.
    Missing,
    /// Longer than a note may be; what was said about it.
    TooLong(String),
    /// Its bytes.
    Bytes(Vec<u8>),
}

impl CheckpointFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn read(source: &dyn Source, trail: TrailId) -> io::Result<Self> {
        match source.read(&format!("trails/{trail}/checkpoint"), NOTE_BYTES_MAX) {
            Ok(Some(note)) => Ok(Self::Bytes(note)),
            Ok(None) => Ok(Self::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Self::TooLong(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// A data trail as the control trail knew it before its checkpoint was read.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    /// The checkpoint.
    pub(crate) file: CheckpointFile,
    /// The largest size published by then, 0 for none: what the trail must have at least.
    pub(crate) due: u64,
}

/// The data trails by id.
pub(crate) type PinnedTrails = BTreeMap<TrailId, Pinned>;
