//! Epochs of a trail: which numbers were seen, which are missing, what comes next (`docs/spec/06-verification.md` 6.5).

use std::collections::{BTreeMap, HashMap, HashSet};

use sealtrail_core::name::{Identity, Name};
use sealtrail_core::statement::{BatchClaims, OpenClaims, Predecessor};

use crate::refusal::{Class, Refusal};

/// Everything a trail's sequencer knows about its epochs.
#[derive(Debug, Default)]
pub(crate) struct EpochTable {
    epochs: HashMap<Identity, Epoch>,
    newest: HashMap<(Name, Name), Identity>,
    /// Epochs that an open named as its predecessor.
    succeeded: HashSet<Identity>,
}

#[derive(Debug)]
struct Epoch {
    stream: Name,
    instance: Name,
    open_leaf: u64,
    /// 1 + the largest sequence seen.
    next: u64,
    /// The first batch seen for each sequence, ascending: 48 bytes a batch.
    slots: Vec<Slot>,
    /// The second one, where two distinct batches had one sequence.
    forks: BTreeMap<u64, Slot>,
    /// By their first sequence.
    holes: BTreeMap<u64, Hole>,
    /// The close's sequence.
    close: Option<u64>,
    /// The sequence that others wait for, and since when.
    awaited: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    sequence: u64,
    leaf: u64,
    identity: Identity,
}

/// Sequences that were passed over.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// The last of them.
    to: u64,
    /// The identity that the batch at `to` must have: the `prev` of its successor.
    last_identity: Identity,
}

/// What a batch is that may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It stands at this leaf already.
    Again(u64),
    /// It is new; where it passes over sequences, which.
    New(Option<(u64, u64)>),
}

/// How long others wait for a missing batch, in ns, and the time now on the same clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) window_ns: u64,
    pub(crate) now_ns: u64,
}

/// The last statement of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) epoch: Identity,
    /// `None` where the epoch has no batch.
    pub(crate) sequence: Option<u64>,
    pub(crate) identity: Identity,
}

impl EpochTable {
    /// Judges an open; the leaf where it stands already, if it does.
    ///
    /// # Errors
    /// The classes of 6.6 about predecessors.
    pub(crate) fn judge_open(&self, identity: Identity, claims: &OpenClaims) -> Result<Option<u64>, Refusal> {
        if let Some(leaf) = self.open_at(identity) {
            return Ok(Some(leaf));
        }
        match &claims.predecessor {
            Some(predecessor) => self.judge_predecessor(predecessor, claims).map(|()| None),
            None => Ok(None),
        }
    }

    fn judge_predecessor(&self, named: &Predecessor, claims: &OpenClaims) -> Result<(), Refusal> {
        let Some(epoch) = self.epochs.get(&named.epoch) else {
            let detail = format!("epoch `{}` is not in this trail", named.epoch);
            return Err(Refusal::new(Class::PredecessorUnknown, detail));
        };
        let mismatch = |detail: &str| Err(Refusal::new(Class::PredecessorMismatch, detail));
        if epoch.stream != claims.place.stream || epoch.instance != claims.place.instance {
            return mismatch("it is of another stream or instance");
        }
        match named.sequence {
            None if named.identity != named.epoch => {
                return mismatch("without a batch, its identity is the epoch");
            }
            _ => {}
        }
        if self.succeeded.contains(&named.epoch) {
            let detail = format!("epoch `{}` has a successor", named.epoch);
            return Err(Refusal::new(Class::PredecessorConflict, detail));
        }
        let said = named.sequence.map_or(0, |sequence| sequence.saturating_add(1));
        if epoch.next > said {
            let detail = format!("epoch `{}` has batches up to `{}`", named.epoch, epoch.next - 1);
            return Err(Refusal::new(Class::StalePredecessor, detail));
        }
        // A batch that has not come yet is awaited.
        match named.sequence.filter(|sequence| epoch.slot(*sequence).is_some()) {
            Some(sequence) if !epoch.is_seen_as(sequence, named.identity) => {
                mismatch("its last batch has another identity")
            }
            _ => Ok(()),
        }
    }

    /// Enters an open that stands at `leaf`.
    pub(crate) fn insert_open(&mut self, identity: Identity, claims: &OpenClaims, leaf: u64) {
        let (stream, instance) = (claims.place.stream.clone(), claims.place.instance.clone());
        if let Some(predecessor) = &claims.predecessor {
            self.succeeded.insert(predecessor.epoch);
        }
        self.newest.insert((stream.clone(), instance.clone()), identity);
        let epoch = Epoch {
            stream,
            instance,
            open_leaf: leaf,
            next: 0,
            slots: Vec::new(),
            forks: BTreeMap::new(),
            holes: BTreeMap::new(),
            close: None,
            awaited: None,
        };
        self.epochs.entry(identity).or_insert(epoch);
    }

    /// Judges a batch's place in its epoch.
    ///
    /// # Errors
    /// `unknown-epoch`, `flood`, `after-close`, `sequence-ahead`, `chain-broken`.
    pub(crate) fn judge_batch(
        &mut self,
        identity: Identity,
        claims: &BatchClaims,
        patience: Patience,
    ) -> Result<Judged, Refusal> {
        let Some(epoch) = self.epochs.get_mut(&claims.epoch) else {
            let detail = format!("epoch `{}` is not in this trail", claims.epoch);
            return Err(Refusal::new(Class::UnknownEpoch, detail));
        };
        epoch.judge(identity, claims, patience)
    }

    /// Enters a batch that stands at `leaf`. It need not have been judged: at start the log is taken as it is.
    pub(crate) fn insert_batch(&mut self, identity: Identity, claims: &BatchClaims, leaf: u64) {
        if let Some(epoch) = self.epochs.get_mut(&claims.epoch) {
            let slot = Slot { sequence: claims.sequence, leaf, identity };
            epoch.insert(slot, claims.prev, claims.close.is_some());
        }
    }

    /// The leaf of a batch, the first where there are two.
    pub(crate) fn locate(&self, epoch: Identity, sequence: u64) -> Option<u64> {
        self.epochs.get(&epoch)?.slot(sequence).map(|slot| slot.leaf)
    }

    /// The leaf of an open.
    pub(crate) fn open_at(&self, identity: Identity) -> Option<u64> {
        self.epochs.get(&identity).map(|epoch| epoch.open_leaf)
    }

    /// The leaf of a batch with this number and identity.
    pub(crate) fn batch_at(&self, epoch: Identity, sequence: u64, identity: Identity) -> Option<u64> {
        let epoch = self.epochs.get(&epoch)?;
        let mut both = epoch.slot(sequence).into_iter().chain(epoch.forks.get(&sequence));
        both.find(|slot| slot.identity == identity).map(|slot| slot.leaf)
    }

    /// The last statement of the newest epoch of an instance.
    pub(crate) fn last(&self, stream: &Name, instance: &Name) -> Option<Last> {
        let epoch_id = *self.newest.get(&(stream.clone(), instance.clone()))?;
        let last = self.epochs.get(&epoch_id)?.slots.last();
        Some(Last {
            epoch: epoch_id,
            sequence: last.map(|slot| slot.sequence),
            identity: last.map_or(epoch_id, |slot| slot.identity),
        })
    }
}

impl Epoch {
    fn slot(&self, sequence: u64) -> Option<&Slot> {
        // Without holes a batch's place is its number.
        let at = usize::try_from(sequence).ok()?;
        match self.slots.get(at) {
            Some(slot) if slot.sequence == sequence => Some(slot),
            _ => self.slots.get(self.slots.binary_search_by_key(&sequence, |s| s.sequence).ok()?),
        }
    }

    fn is_seen_as(&self, sequence: u64, identity: Identity) -> bool {
        let fork = self.forks.get(&sequence);
        self.slot(sequence).into_iter().chain(fork).any(|slot| slot.identity == identity)
    }

    fn judge(
        &mut self,
        identity: Identity,
        claims: &BatchClaims,
        patience: Patience,
    ) -> Result<Judged, Refusal> {
        let sequence = claims.sequence;
        if let Some(first) = self.slot(sequence) {
            return self.judge_seen(first, identity);
        }
        if self.close.is_some_and(|close| sequence > close) {
            let detail = format!("sequence `{sequence}` is after the close `{}`", self.close.unwrap_or(0));
            return Err(Refusal::new(Class::AfterClose, detail));
        }
        if claims.close.is_some() && sequence < self.next {
            let detail = format!("close `{sequence}` is before batch `{}`", self.next - 1);
            return Err(Refusal::new(Class::AfterClose, detail));
        }
        if sequence > self.next {
            return self.judge_ahead(sequence, patience);
        }
        self.judge_chain(identity, claims)?;
        Ok(Judged::New(None))
    }

    fn judge_seen(&self, first: &Slot, identity: Identity) -> Result<Judged, Refusal> {
        match self.forks.get(&first.sequence) {
            _ if first.identity == identity => Ok(Judged::Again(first.leaf)),
            Some(second) if second.identity == identity => Ok(Judged::Again(second.leaf)),
            Some(_) => {
                let detail = format!("two distinct batches `{}` are kept as proof", first.sequence);
                Err(Refusal::new(Class::Flood, detail))
            }
            None => Ok(Judged::New(None)),
        }
    }

    fn judge_ahead(&mut self, sequence: u64, patience: Patience) -> Result<Judged, Refusal> {
        match self.awaited {
            Some((awaited, since)) if awaited == self.next => {
                if patience.now_ns.saturating_sub(since) >= patience.window_ns {
                    return Ok(Judged::New(Some((self.next, sequence - 1))));
                }
            }
            _ => self.awaited = Some((self.next, patience.now_ns)),
        }
        Err(Refusal::ahead(sequence, self.next))
    }

    /// The chain, for the next batch and for one that fills a hole: `prev` is the batch before it, where that was seen,
    /// and it is the `prev` of the batch after it, where that was seen.
    fn judge_chain(&self, identity: Identity, claims: &BatchClaims) -> Result<(), Refusal> {
        let broken = |detail: String| Err(Refusal::new(Class::ChainBroken, detail));
        let sequence = claims.sequence;
        let follows = match sequence.checked_sub(1) {
            None => claims.prev == claims.epoch,
            Some(before) => self.slot(before).is_none() || self.is_seen_as(before, claims.prev),
        };
        if !follows {
            return broken(format!("batch `{sequence}` names `{}` as the one before it", claims.prev));
        }
        match self.hole_of(sequence) {
            Some((_, hole)) if hole.to == sequence && hole.last_identity != identity => {
                broken(format!("batch `{}` was signed after `{}`", sequence + 1, hole.last_identity))
            }
            _ => Ok(()),
        }
    }

    fn hole_of(&self, sequence: u64) -> Option<(u64, Hole)> {
        let (from, hole) = self.holes.range(..=sequence).next_back()?;
        (hole.to >= sequence).then_some((*from, *hole))
    }

    fn insert(&mut self, slot: Slot, prev: Identity, close: bool) {
        let sequence = slot.sequence;
        if let Some(first) = self.slot(sequence) {
            if first.identity != slot.identity {
                self.forks.entry(sequence).or_insert(slot);
            }
            return;
        }
        if close {
            self.close.get_or_insert(sequence);
        }
        if sequence >= self.next {
            if sequence > self.next {
                self.holes.insert(self.next, Hole { to: sequence - 1, last_identity: prev });
            }
            self.slots.push(slot);
            self.next = sequence + 1;
            return;
        }
        let at = self.slots.partition_point(|seen| seen.sequence < sequence);
        self.slots.insert(at, slot);
        let Some((from, hole)) = self.hole_of(sequence) else { return };
        self.holes.remove(&from);
        if from < sequence {
            self.holes.insert(from, Hole { to: sequence - 1, last_identity: prev });
        }
        if sequence < hole.to {
            self.holes.insert(sequence + 1, hole);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sealtrail_core::hash::EMPTY;
    use sealtrail_core::key::{Algorithm, PublicKey};
    use sealtrail_core::name::{LedgerName, TrailId};
    use sealtrail_core::statement::{Close, CloseReason, Codec, Place, Totals};

    use super::*;

    fn place() -> Place {
        let name = |text| Name::new(text).unwrap();
        let ledger = LedgerName::new("l").unwrap();
        Place { ledger, trail: TrailId([1; 16]), stream: name("s"), instance: name("i") }
    }

    const EPOCH: Identity = Identity([9; 32]);

    /// The identity of the batch with this number; odd `variant`s are other batches with the same number.
    fn identity(sequence: u64, variant: u8) -> Identity {
        let mut id = [variant; 32];
        id[..8].copy_from_slice(&sequence.to_be_bytes());
        Identity(id)
    }

    fn batch(sequence: u64, prev: Identity, close: bool) -> BatchClaims {
        BatchClaims {
            place: place(),
            epoch: EPOCH,
            sequence,
            prev,
            record_root: EMPTY,
            context_count: 0,
            record_count: 0,
            stored_hash: EMPTY,
            stored_length: 0,
            codec: Codec::None,
            encryption: None,
            seen: None,
            wall_clock_ns: (0, 0),
            monotonic_ns: 0,
            totals: Totals::default(),
            retention_class: Name::new("c").unwrap(),
            close: close.then_some(Close { reason: CloseReason::Stop, successor: None }),
            published: Vec::new(),
        }
    }

    fn in_chain(sequence: u64) -> BatchClaims {
        batch(sequence, sequence.checked_sub(1).map_or(EPOCH, |before| identity(before, 0)), false)
    }

    fn table() -> EpochTable {
        let mut table = EpochTable::default();
        let open = OpenClaims {
            place: place(),
            public_key: PublicKey::from_raw(Algorithm::Ed25519, &[5; 32]).unwrap(),
            hpke_key: None,
            evidence: EMPTY,
            software_version: "1".into(),
            configuration: EMPTY,
            redaction: EMPTY,
            heartbeat_ms: 1000,
            age_ms_max: 1000,
            challenge: None,
            predecessor: None,
            opened_at_ns: 0,
        };
        table.insert_open(EPOCH, &open, 0);
        table
    }

    fn now(now_ns: u64) -> Patience {
        Patience { window_ns: 10, now_ns }
    }

    /// Batches in any order, against sets of what was seen: every number is taken once, holes are what is missing, and
    /// a stranger in a hole is refused on whichever side it is known.
    #[test]
    fn any_order_of_arrival_agrees_with_the_definition() {
        let mut state = 1_u64;
        let mut random = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..300 {
            let mut table = table();
            let (mut seen, mut leaf, mut clock) = (BTreeSet::new(), 1, 0);
            for _ in 0..60 {
                clock += 20;
                let sequence = random(25);
                let claims = in_chain(sequence);
                let next = seen.last().map_or(0, |last| last + 1);
                let stranger = random(4) == 0;
                let id = identity(sequence, u8::from(stranger) * 7);
                let mut judged = table.judge_batch(id, &claims, now(clock));
                if let Err(Refusal { expected: Some(expected), .. }) = judged {
                    assert!(sequence > next && expected == next);
                    judged = table.judge_batch(id, &claims, now(clock + 10));
                }
                let after_is_seen = seen.contains(&(sequence + 1));
                if seen.contains(&sequence) {
                    let again = table.judge_batch(identity(sequence, 0), &claims, now(clock)).unwrap();
                    assert!(matches!(again, Judged::Again(_)));
                    continue;
                }
                if stranger {
                    // Its own prev fits; only a successor that names another one tells.
                    assert_eq!(judged.is_err(), after_is_seen, "{sequence} of {seen:?}");
                    continue;
                }
                let hole = (sequence > next).then(|| (next, sequence - 1));
                assert_eq!(judged, Ok(Judged::New(hole)), "{sequence} of {seen:?}");
                table.insert_batch(id, &claims, leaf);
                assert_eq!(table.locate(EPOCH, sequence), Some(leaf));
                leaf += 1;
                seen.insert(sequence);
                let epoch = &table.epochs[&EPOCH];
                let missing: Vec<u64> = (0..=*seen.last().unwrap()).filter(|s| !seen.contains(s)).collect();
                let holes: Vec<u64> = epoch.holes.iter().flat_map(|(from, hole)| *from..=hole.to).collect();
                assert_eq!(holes, missing);
                assert_eq!(epoch.slots.iter().map(|slot| slot.sequence).collect::<BTreeSet<_>>(), seen);
            }
        }
    }

    #[test]
    fn the_largest_number_there_is_makes_one_hole() {
        let mut table = table();
        let last = sealtrail_core::statement::INTEGER_MAX;
        let claims = batch(last, identity(last - 1, 0), true);
        let id = identity(last, 0);
        assert_eq!(table.judge_batch(id, &claims, now(0)).unwrap_err().expected, Some(0));
        assert_eq!(table.judge_batch(id, &claims, now(9)).unwrap_err().class, Class::SequenceAhead);
        assert_eq!(table.judge_batch(id, &claims, now(10)), Ok(Judged::New(Some((0, last - 1)))));
        table.insert_batch(id, &claims, 1);
        let middle = in_chain(1 << 40);
        assert_eq!(table.judge_batch(identity(1 << 40, 0), &middle, now(10)), Ok(Judged::New(None)));
        table.insert_batch(identity(1 << 40, 0), &middle, 2);
        assert_eq!(table.epochs[&EPOCH].holes.len(), 2);
        assert_eq!(table.last(&place().stream, &place().instance).unwrap().sequence, Some(last));
    }
}
