//! Ledgers with a known verdict: good ones, and ones with exactly one thing wrong, for every verifier to agree on.

mod bad;
mod damaged;
mod good;

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use bad::bad;
pub use damaged::damaged;
pub use good::good;
use sealtrail_core::key::Algorithm;
use sealtrail_core::name::TrailId;
use sealtrail_keys::Ed25519Key;

use crate::build::{Builder, Epoch, records};
use crate::image::Image;

/// What a case's verdict must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Verified.
    Verified,
    /// Rejected for this reason.
    Rejected(&'static str),
    /// Whatever a correct verifier says: the case is for comparing two of them.
    Any,
}

/// A change to a file after the ledger was written.
#[derive(Clone, Debug)]
pub enum FileChange {
    /// Flips one bit.
    Flip(PathBuf, usize),
    /// Keeps only so many bytes.
    Truncate(PathBuf, usize),
    /// Appends bytes.
    Append(PathBuf, Vec<u8>),
    /// Removes it.
    Remove(PathBuf),
    /// Puts other bytes in its place.
    Replace(PathBuf, Vec<u8>),
}

/// A ledger, a trust policy, receipts, and the verdict.
pub struct Case {
    /// What it shows, as a file name.
    pub name: String,
    /// The ledger.
    pub image: Image,
    /// Who signs its checkpoints.
    pub key: Rc<Ed25519Key>,
    /// The trust policy.
    pub policy: String,
    /// Receipt files.
    pub receipts: Vec<Vec<u8>>,
    /// Changes to files, relative to the case's directory.
    pub changes: Vec<FileChange>,
    /// The verdict.
    pub expect: Expect,
}

impl Case {
    /// A case of what a builder has, with the policy that accepts it.
    #[must_use]
    pub fn of(name: &str, builder: &Builder, expect: Expect) -> Self {
        Self {
            name: name.to_owned(),
            image: builder.image.clone(),
            key: Rc::clone(&builder.key),
            policy: builder.policy(),
            receipts: Vec::new(),
            changes: Vec::new(),
            expect,
        }
    }

    /// Writes `ledger/`, `policy.toml` and `receipt-N` into a fresh directory, then makes the changes. Returns the paths
    /// of the receipts.
    pub fn write(&self, dir: &Path) -> Vec<PathBuf> {
        fs::create_dir_all(dir).unwrap();
        self.image.write(&dir.join("ledger"), &*self.key);
        fs::write(dir.join("policy.toml"), &self.policy).unwrap();
        let receipts: Vec<PathBuf> =
            (0..self.receipts.len()).map(|n| dir.join(format!("receipt-{n}"))).collect();
        for (path, bytes) in receipts.iter().zip(&self.receipts) {
            fs::write(path, bytes).unwrap();
        }
        self.changes.iter().for_each(|change| change.make(dir));
        receipts
    }
}

impl FileChange {
    fn make(&self, dir: &Path) {
        let change = |path: &PathBuf, with: &dyn Fn(&mut Vec<u8>)| {
            let path = dir.join(path);
            let mut bytes = fs::read(&path).unwrap();
            with(&mut bytes);
            fs::write(path, bytes).unwrap();
        };
        match self {
            Self::Flip(path, bit) => change(path, &|bytes| bytes[bit / 8] ^= 1 << (bit % 8)),
            Self::Truncate(path, length) => change(path, &|bytes| bytes.truncate(*length)),
            Self::Append(path, more) => change(path, &|bytes| bytes.extend_from_slice(more)),
            Self::Remove(path) => fs::remove_file(dir.join(path)).unwrap(),
            Self::Replace(path, new) => fs::write(dir.join(path), new).unwrap(),
        }
    }
}

/// A ledger with a trail, a stream and an epoch of five batches, published, still open: where most cases begin.
pub(crate) struct Plain {
    pub(crate) builder: Builder,
    pub(crate) trail: TrailId,
    pub(crate) epoch: Epoch,
}

pub(crate) fn plain(seed: u64) -> Plain {
    let mut builder = Builder::new(seed);
    let trail = builder.trail("main");
    builder.stream("payments", trail);
    let seen = builder.publish();
    let mut epoch = builder.open(trail, "payments", "pod-1", Algorithm::Es256, None);
    epoch.seen = Some(seen);
    for n in 0..5 {
        builder.batch(&mut epoch, &records(n * 10, 10), |_| {});
    }
    epoch.seen = Some(builder.publish());
    Plain { builder, trail, epoch }
}
