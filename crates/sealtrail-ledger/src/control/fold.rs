//! The fold of control records: which trails there are, and which streams may write to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealtrail_attest::ReferenceValue;
use sealtrail_core::body::{Decompressor, split_lines};
use sealtrail_core::hash::Hash;
use sealtrail_core::name::{Name, TrailId, TreeSize};
use sealtrail_core::statement::BatchClaims;

use super::Record;

/// A trail as its record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailRecord {
    pub(crate) name: Name,
    pub(crate) class: Name,
}

/// State that is nothing but control records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fold {
    pub(crate) trails: BTreeMap<TrailId, TrailRecord>,
    streams: HashMap<(TrailId, Name), Arc<[ReferenceValue]>>,
}

/// A checkpoint of a trail as a control entry publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublishedAt {
    pub(crate) size: TreeSize,
    pub(crate) root: Hash,
    /// Leaf of the control entry.
    pub(crate) control_leaf: u64,
}

impl Fold {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::TrailCreated { trail, name, class } => {
                let record = TrailRecord { name: name.clone(), class: class.clone() };
                self.trails.entry(*trail).or_insert(record);
            }
            Record::StreamAdded { stream, trail, accept } => {
                self.streams.insert((*trail, stream.clone()), accept.as_slice().into());
            }
            _ => {}
        }
    }

    /// The reference values of a stream that may write to a trail; `None` where it may not.
    pub(crate) fn stream(&self, trail: TrailId, stream: &Name) -> Option<&Arc<[ReferenceValue]>> {
        self.streams.get(&(trail, stream.clone()))
    }

    /// Number of streams.
    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Applies the records of a stored control body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn apply_body(
        &mut self,
        claims: &BatchClaims,
        stored: &[u8],
        decompressor: &mut Decompressor,
    ) -> Result<(), &'static str> {
        if claims.stored_length == 0 {
            return Ok(());
        }
        let opened = sealtrail_core::body::check_stored(claims, stored)
            .and_then(|()| sealtrail_core::body::open(claims, stored, None, decompressor));
        let opened = opened.map_err(|_| "a control body is not the signed one")?;
        for line in split_lines(opened.plain).skip(1 + claims.context_count as usize) {
            if let Some(record) = Record::parse(line)? {
                self.apply(&record);
            }
        }
        Ok(())
    }
}
