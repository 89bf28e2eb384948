//! Which earlier epochs are believed, and which request digests stand in their signed batches.
//!
//! The disk is the host's. A digest that the host wrote itself would make the agent take a fresh request for a resend and
//! lose it, so a digest counts only where a chain leads to it: the ledger's signature on a checkpoint that includes the
//! epoch's open, that epoch's signature on a batch, and the header line's inclusion in the batch's record tree.

use std::collections::{HashMap, VecDeque};

use sealtrail_core::checkpoint::LedgerKey;
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::PublicKey;
use sealtrail_core::line::check;
use sealtrail_core::merkle::verify_inclusion;
use sealtrail_core::name::{Identity, LeafIndex, TrailId, TreeSize};
use sealtrail_core::receipt::Receipt;
use sealtrail_core::statement::{Claims, Place, Statement, UnverifiedStatement};

use super::item::Digests;

/// How long identical bytes count as a resend, in ns: 10 minutes, as the design promises.
pub(crate) const RESEND_WINDOW_NS: u64 = 600_000_000_000;

/// Most batches remembered over a restart: 218 a second for ten minutes, in some 20 MiB while an agent starts. Beyond that the
/// oldest are forgotten early.
const BATCHES_MAX: usize = 1 << 17;

/// Most requests of them, as many as are remembered at all.
const REQUESTS_MAX: usize = 1 << 18;

/// Most bytes of statements held to check signatures: those of some thousand batches to which no later one leads. In an outbox of
/// this agent there is one for each epoch, and one for each place that was damaged.
const STATEMENTS_BYTES_MAX: usize = 4 << 20;

/// Most epochs remembered over a restart; each takes a day or a configuration change.
const EPOCHS_MAX: usize = 1_024;

/// Whose epochs are believed.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) ledger: LedgerKey,
    pub(crate) control: TrailId,
    pub(crate) place: Place,
}

/// The keys of epochs whose open the ledger is known to have taken.
#[derive(Debug, Default)]
pub(crate) struct Epochs(HashMap<Identity, (PublicKey, Place)>);

impl Epochs {
    /// Learns an epoch from its open and the open's receipt; what does not hold is not learned.
    pub(crate) fn learn(&mut self, origin: &Origin, statement: &[u8], receipt: &[u8]) {
        let Some((identity, key, place)) = check_open(origin, statement, receipt) else { return };
        if self.0.len() < EPOCHS_MAX {
            self.0.insert(identity, (key, place));
        }
    }

    /// Whether the ledger is known to have taken the open of this epoch.
    pub(crate) fn contains(&self, epoch: Identity) -> bool {
        self.0.contains_key(&epoch)
    }

    /// Checks a batch's signature with the key of its epoch, if that is known and its place is the epoch's.
    pub(crate) fn verify(&self, statement: UnverifiedStatement) -> Option<Statement> {
        let Claims::Batch(claims) = statement.claims() else { return None };
        let (key, place) = self.0.get(&claims.epoch)?;
        if claims.place != *place {
            return None;
        }
        statement.verify(key).ok()
    }
}

fn check_open(origin: &Origin, bytes: &[u8], receipt: &[u8]) -> Option<(Identity, PublicKey, Place)> {
    let statement = UnverifiedStatement::decode(bytes).ok()?;
    let Claims::Open(claims) = statement.claims() else { return None };
    let key = claims.public_key.clone();
    let place = claims.place.clone();
    if place.ledger != *origin.ledger.name() || place.trail != origin.place.trail {
        return None;
    }
    let statement = statement.verify(&key).ok()?;
    let receipt = Receipt::decode(receipt).ok()?;
    receipt.verify(bytes, place.trail, &origin.ledger, origin.control).ok()?;
    Some((statement.identity(), key, place))
}

/// A batch of an earlier process that may hold digests of requests sent again: its header line is in its record tree. Who
/// made the statement is not known.
#[derive(Clone, Debug)]
struct Candidate {
    identity: Identity,
    prev: Identity,
    batch: KnownBatch,
    /// To check the signature with, where no later batch leads to this one.
    statement: Option<Vec<u8>>,
}

/// A batch whose digests count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownBatch {
    pub(crate) epoch: Identity,
    pub(crate) sequence: u64,
    /// When it was sealed, ns since 1970 on the agent's clock of then.
    pub(crate) sealed_at_ns: u64,
    /// Digests of the requests that ended in it.
    pub(crate) requests: Vec<Hash>,
}

/// The newest candidates of one place, within bounds.
#[derive(Debug)]
pub(crate) struct Candidates {
    place: Place,
    batches: VecDeque<Candidate>,
    requests: usize,
    statement_bytes: usize,
}

impl Candidates {
    /// For what was sealed as this place.
    pub(crate) fn new(place: Place) -> Self {
        Self { place, batches: VecDeque::new(), requests: 0, statement_bytes: 0 }
    }

    /// Adds one that is newer than those before, where it holds together; the oldest give way.
    pub(crate) fn push(&mut self, statement: &[u8], digests: &Digests<'_>) {
        let Some(candidate) = Candidate::read(statement, digests, &self.place) else { return };
        if let Some(before) = self.batches.back_mut()
            && before.identity == candidate.prev
        {
            self.statement_bytes -= before.statement.take().map_or(0, |statement| statement.len());
        }
        self.requests += candidate.batch.requests.len();
        self.statement_bytes += statement.len();
        self.batches.push_back(candidate);
        while self.batches.len() > BATCHES_MAX
            || self.requests > REQUESTS_MAX
            || self.statement_bytes > STATEMENTS_BYTES_MAX
        {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.requests -= oldest.batch.requests.len();
            self.statement_bytes -= oldest.statement.map_or(0, |statement| statement.len());
        }
    }

    /// Those that an epoch which is believed has signed, oldest first: a batch itself, or one that leads to it with its
    /// `prev`.
    pub(crate) fn believe(self, epochs: &Epochs) -> Vec<KnownBatch> {
        let mut prev = None;
        let mut known = Vec::with_capacity(self.batches.len());
        for candidate in self.batches.into_iter().rev() {
            if Some(candidate.identity) == prev || candidate.is_signed(epochs) {
                prev = Some(candidate.prev);
                known.push(candidate.batch);
            }
        }
        known.reverse();
        known
    }
}

impl Candidate {
    fn read(bytes: &[u8], digests: &Digests<'_>, place: &Place) -> Option<Self> {
        let statement = UnverifiedStatement::decode(bytes).ok()?;
        let Claims::Batch(claims) = statement.claims() else { return None };
        if claims.place != *place {
            return None;
        }
        let leaf = sha256(&[&[0], &digests.salt, digests.line]);
        let size = TreeSize(1 + u64::from(claims.context_count) + u64::from(claims.record_count));
        verify_inclusion(&leaf, LeafIndex(0), size, &digests.proof, &claims.record_root).ok()?;
        let batch = KnownBatch {
            epoch: claims.epoch,
            sequence: claims.sequence,
            sealed_at_ns: claims.wall_clock_ns.1,
            requests: check::header(digests.line).ok()?.requests,
        };
        let (identity, prev) = (statement.identity(), claims.prev);
        Some(Self { identity, prev, batch, statement: Some(bytes.to_vec()) })
    }

    fn is_signed(&self, epochs: &Epochs) -> bool {
        let statement = self.statement.as_deref().map(UnverifiedStatement::decode);
        statement.is_some_and(|statement| statement.is_ok_and(|statement| epochs.verify(statement).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use sealtrail_core::key::Algorithm;
    use sealtrail_core::line::write;
    use sealtrail_testkit::build::{Builder, Epoch};

    use super::*;

    struct World {
        builder: Builder,
        epoch: Epoch,
        found: Candidates,
    }

    impl World {
        fn new() -> Self {
            let mut builder = Builder::new(61);
            let trail = builder.trail("main");
            builder.stream("payments", trail);
            let epoch = builder.open(trail, "payments", "pod-1", Algorithm::Ed25519, None);
            let found = Candidates::new(epoch.place.clone());
            Self { builder, epoch, found }
        }

        /// The next batch, in which one request ended, and what stands beside it.
        fn seal(&mut self, request: u32) -> (Vec<u8>, Vec<u8>) {
            let mut line = Vec::new();
            write::header(&mut line, 1, &[digest(request)], &[0; 32]);
            let line = line.trim_ascii_end().to_vec();
            let record_root = sha256(&[&[0], &[0; 16], &line]);
            let logged =
                self.builder.unlogged_batch(&mut self.epoch, &[], |claims| claims.record_root = record_root);
            (logged.parts().0, line)
        }

        fn push(&mut self, statement: &[u8], line: &[u8]) {
            self.found.push(statement, &Digests { line, salt: [0; 16], proof: Vec::new() });
        }

        fn believed(self) -> Vec<Hash> {
            let key = PublicKey::from_spki(self.epoch.signer.public_key().spki()).unwrap();
            let epochs = Epochs(HashMap::from([(self.epoch.id, (key, self.epoch.place.clone()))]));
            self.found.believe(&epochs).into_iter().flat_map(|batch| batch.requests).collect()
        }
    }

    fn digest(request: u32) -> Hash {
        sha256(&[&request.to_be_bytes()])
    }

    /// Found in a review: at a hundred batches a second, resends were recognised across a restart for less than three minutes.
    #[test]
    fn more_batches_than_ten_minutes_have_are_remembered_in_little_memory() {
        let mut world = World::new();
        for request in 0..20_000 {
            let (statement, line) = world.seal(request);
            world.push(&statement, &line);
            assert_eq!(world.found.statement_bytes, statement.len(), "one signature is checked for all");
        }
        assert!(world.believed().into_iter().eq((0..20_000).map(digest)));
        const { assert!(BATCHES_MAX >= 600 * 200) };
    }

    #[test]
    fn a_batch_to_which_none_leads_is_believed_for_its_signature() {
        let mut world = World::new();
        for request in 0..9 {
            let (mut statement, line) = world.seal(request);
            match request {
                // Without this one the chain is broken behind the one before.
                2 => continue,
                // The last before the next break: nobody signed it, nor does one that somebody signed lead to it.
                4 => *statement.last_mut().unwrap() ^= 1,
                5 => continue,
                _ => {}
            }
            world.push(&statement, &line);
        }
        assert!(world.believed().into_iter().eq([0, 1, 6, 7, 8].into_iter().map(digest)));
    }

    #[test]
    fn a_header_line_of_another_batch_is_not_believed() {
        let mut world = World::new();
        let (first, _) = world.seal(0);
        let (_, other) = world.seal(1);
        world.push(&first, &other);
        assert_eq!(world.believed(), Vec::<Hash>::new());
    }
}
