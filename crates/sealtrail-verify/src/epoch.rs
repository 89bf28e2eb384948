//! One epoch's sequence, chain, totals and clock (`docs/spec/06-verification.md` 6.5, 6.7).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealtrail_core::key::PublicKey;
use sealtrail_core::name::{Identity, TrailId};
use sealtrail_core::statement::{BatchClaims, OpenClaims, Totals};

use crate::Class;
use crate::content::Lines;

/// Clocks may differ by this much before it is said: five minutes, what Kerberos and TLS peers put up with.
const SKEW_NS: u64 = 300_000_000_000;

/// An epoch is silent, or dirty, after this many heartbeat intervals.
const HEARTBEATS_MISSED_MAX: u64 = 3;

/// Identities of the batches seen, in runs of consecutive numbers: 32 bytes a batch, whatever numbers an attacker picks.
#[derive(Clone, Debug, Default)]
struct Identities(BTreeMap<u64, Vec<Identity>>);

impl Identities {
    fn get(&self, sequence: u64) -> Option<Identity> {
        let (start, run) = self.0.range(..=sequence).next_back()?;
        run.get(usize::try_from(sequence - start).ok()?).copied()
    }

    fn insert(&mut self, sequence: u64, identity: Identity) {
        if let Some((start, run)) = self.0.range_mut(..=sequence).next_back()
            && *start + run.len() as u64 == sequence
        {
            run.push(identity);
            return;
        }
        self.0.insert(sequence, vec![identity]);
    }
}

/// The batch that the next one is compared with.
#[derive(Clone, Copy, Debug)]
struct Before {
    sequence: Option<u64>,
    totals: Totals,
    wall_clock_ns: u64,
    monotonic_ns: u64,
}

/// A predecessor that a later open named before its batch was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaited {
    pub(crate) sequence: u64,
    pub(crate) identity: Identity,
    pub(crate) open_entry: u64,
}

/// An epoch whose open was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) id: Identity,
    pub(crate) trail: TrailId,
    pub(crate) open: OpenClaims,
    pub(crate) key: Arc<PublicKey>,
    pub(crate) proven: bool,
    pub(crate) evidence: Option<&'static str>,
    pub(crate) simulated: bool,
    pub(crate) measurements: Vec<(String, String)>,
    pub(crate) batches: u64,
    pub(crate) records: u64,
    pub(crate) last_received_ns: u64,
    pub(crate) close: Option<u64>,
    /// A later open of this stream and instance stands in the trail.
    pub(crate) succeeded: bool,
    /// A later open named this epoch as its predecessor.
    pub(crate) named: bool,
    pub(crate) awaited: Vec<Awaited>,
    pub(crate) seen_size: u64,
    next: u64,
    identities: Identities,
    holes: BTreeMap<u64, u64>,
    /// `prev` of each batch that stands right after a hole.
    prev_after_hole: HashMap<u64, Identity>,
    before: Before,
    superseded_said: bool,
    silence_said: bool,
}

/// What a batch turned out to be within its epoch.
pub(crate) struct Placed {
    /// It takes further part: neither a fork nor a duplicate.
    pub(crate) part: bool,
    /// It filled a hole.
    pub(crate) late: bool,
    /// Class and words.
    pub(crate) findings: Vec<(Class, String)>,
}

impl Epoch {
    pub(crate) fn new(id: Identity, trail: TrailId, open: OpenClaims, received_ns: u64) -> Self {
        let before = Before {
            sequence: None,
            totals: Totals::default(),
            wall_clock_ns: open.opened_at_ns,
            monotonic_ns: 0,
        };
        Self {
            id,
            trail,
            key: Arc::new(open.public_key.clone()),
            open,
            proven: false,
            evidence: None,
            simulated: false,
            measurements: Vec::new(),
            batches: 0,
            records: 0,
            last_received_ns: received_ns,
            close: None,
            succeeded: false,
            named: false,
            awaited: Vec::new(),
            seen_size: 0,
            next: 0,
            identities: Identities::default(),
            holes: BTreeMap::new(),
            prev_after_hole: HashMap::new(),
            before,
            superseded_said: false,
            silence_said: false,
        }
    }

    /// 1 + the largest sequence seen.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Identity of the batch seen for a sequence.
    pub(crate) fn identity(&self, sequence: u64) -> Option<Identity> {
        self.identities.get(sequence)
    }

    /// Puts a batch into the sequence: 6.5.
    pub(crate) fn place(&mut self, identity: Identity, claims: &BatchClaims) -> Placed {
        let s = claims.sequence;
        let mut placed = Placed { part: true, late: false, findings: Vec::new() };
        if let Some(seen) = self.identities.get(s) {
            placed.part = false;
            placed.findings.push(if seen == identity {
                (Class::DuplicateEntry, format!("batch `{s}` is logged twice"))
            } else {
                (Class::Fork, format!("two different batches are signed with sequence `{s}`"))
            });
            return placed;
        }
        if s >= self.next {
            if s > self.next {
                self.holes.insert(self.next, s - 1);
                self.prev_after_hole.insert(s, claims.prev);
            }
        } else {
            self.fill_hole(s, claims.prev);
            placed.late = true;
            placed
                .findings
                .push((Class::Late, format!("batch `{s}` was logged after batch `{}`", self.next - 1)));
        }
        if let Some(finding) = self.close_finding(claims) {
            placed.findings.push(finding);
        } else if !self.chained(s, identity, claims.prev) {
            placed
                .findings
                .push((Class::ChainBroken, format!("batch `{s}` does not follow its neighbours by hash")));
        }
        self.identities.insert(s, identity);
        self.next = self.next.max(s + 1);
        self.batches += 1;
        self.records += u64::from(claims.record_count);
        placed
    }

    fn fill_hole(&mut self, s: u64, prev: Identity) {
        let Some((&first, &last)) = self.holes.range(..=s).next_back() else { return };
        self.holes.remove(&first);
        if first < s {
            self.holes.insert(first, s - 1);
            self.prev_after_hole.insert(s, prev);
        }
        if s < last {
            self.holes.insert(s + 1, last);
        }
    }

    fn close_finding(&mut self, claims: &BatchClaims) -> Option<(Class, String)> {
        let s = claims.sequence;
        if let Some(close) = self.close
            && s > close
        {
            return Some((Class::AfterClose, format!("batch `{s}` comes after close `{close}`")));
        }
        claims.close?;
        self.close.get_or_insert(s);
        (s < self.next)
            .then(|| (Class::AfterClose, format!("close `{s}` comes before batch `{}`", self.next - 1)))
    }

    fn chained(&mut self, s: u64, identity: Identity, prev: Identity) -> bool {
        let before = if s == 0 { Some(self.id) } else { self.identities.get(s - 1) };
        let after = self.prev_after_hole.remove(&(s + 1));
        before.is_none_or(|before| before == prev) && after.is_none_or(|after| after == identity)
    }

    /// Totals and clock against the batch before: 6.7. Only for batches that take part.
    pub(crate) fn compare(
        &mut self,
        claims: &BatchClaims,
        lines: Option<Lines>,
        late: bool,
        received_ns: u64,
    ) -> Vec<(Class, String)> {
        let mut findings = Vec::new();
        let consecutive = !late && self.before.sequence.map_or(0, |s| s + 1) == claims.sequence;
        let totals_right = claims.totals.consistent() && (!consecutive || self.totals_follow(claims, lines));
        if !totals_right {
            findings.push((Class::TotalsMismatch, "totals do not add up".to_owned()));
        }
        if consecutive && claims.totals.dropped > self.before.totals.dropped {
            let dropped = claims.totals.dropped - self.before.totals.dropped;
            findings
                .push((Class::RecordsDropped, format!("the agent says that it dropped {dropped} records")));
        }
        let ahead = claims.wall_clock_ns.1 > received_ns.saturating_add(SKEW_NS);
        if ahead || (consecutive && self.clock_jumped(claims)) {
            findings.push((
                Class::ClockSkew,
                "the agent's clock disagrees with itself or the ledger's".to_owned(),
            ));
        }
        if !late {
            self.before = Before {
                sequence: Some(claims.sequence),
                totals: claims.totals,
                wall_clock_ns: claims.wall_clock_ns.1,
                monotonic_ns: claims.monotonic_ns,
            };
        }
        findings
    }

    fn totals_follow(&self, claims: &BatchClaims, lines: Option<Lines>) -> bool {
        let (now, before) = (&claims.totals, &self.before.totals);
        let counted = |lines: Lines| {
            now.stubbed.wrapping_sub(before.stubbed) == lines.stubs
                && now.redacted.wrapping_sub(before.redacted) == lines.redacted
        };
        now.at_least(before)
            && now.sealed - before.sealed == u64::from(claims.record_count)
            && lines.is_none_or(counted)
    }

    fn clock_jumped(&self, claims: &BatchClaims) -> bool {
        let wall = i128::from(claims.wall_clock_ns.1) - i128::from(self.before.wall_clock_ns);
        let monotonic = i128::from(claims.monotonic_ns) - i128::from(self.before.monotonic_ns);
        monotonic < 0 || (wall - monotonic).unsigned_abs() > u128::from(SKEW_NS)
    }

    /// Whether a batch received now breaks a silence that is worth a word, once per epoch.
    pub(crate) fn silence(&mut self, received_ns: u64) -> bool {
        let silent = received_ns.saturating_sub(self.last_received_ns) > self.patience_ns();
        self.last_received_ns = self.last_received_ns.max(received_ns);
        silent && !std::mem::replace(&mut self.silence_said, true)
    }

    /// Whether a batch comes although a later epoch has begun, once per epoch.
    pub(crate) fn superseded(&mut self) -> bool {
        self.succeeded && !std::mem::replace(&mut self.superseded_said, true)
    }

    /// Longest time between batches before something is wrong, in ns.
    pub(crate) fn patience_ns(&self) -> u64 {
        self.open.heartbeat_ms.saturating_mul(1_000_000 * HEARTBEATS_MISSED_MAX)
    }

    /// Turns a named tail that never came into a hole, and gives all holes that are left.
    pub(crate) fn end(&mut self) -> Vec<(u64, u64)> {
        for awaited in std::mem::take(&mut self.awaited) {
            if awaited.sequence >= self.next {
                self.holes.insert(self.next, awaited.sequence);
                self.next = awaited.sequence + 1;
            }
        }
        self.holes.iter().map(|(first, last)| (*first, *last)).collect()
    }
}
