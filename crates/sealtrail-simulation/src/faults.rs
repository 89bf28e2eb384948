//! The kinds of fault, how often each was injected, and how often it met an operation.

use std::collections::BTreeMap;
use std::fmt;

/// Whose machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// An agent's.
    Agent,
    /// The ledger's.
    Ledger,
    /// The way between them.
    Relay,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A process is to be killed at an operation on its disk; landed: it came to that.
    Kill,
    /// The power fails; landed: what was not synced was lost.
    UnsyncedLost,
    /// The same; landed: a write was kept in part.
    TornWrite,
    /// The same; landed: a change of a name was kept and an earlier one lost.
    NamesReordered,
    /// A sync fails; landed: it was asked for.
    SyncFails,
    /// A sync of an outbox or a segment fails and says that there is no room; landed: it was asked for.
    SyncFull,
    /// A write fails, half done; landed: it was asked for.
    WriteFails,
    /// Making, naming, cutting off or removing a file fails, or making its name durable; landed: it was asked for.
    NameFails,
    /// The disk is full; landed: something did not fit.
    DiskFull,
    /// The clock is set forward or back; landed: somebody read it.
    ClockJump,
    /// A second process on the same directory; landed: it was turned away.
    SecondWriter,
    /// A request is lost; landed: somebody waited for its answer.
    RequestLost,
    /// An answer is lost; landed: the ledger had done what was asked.
    AnswerLost,
    /// A request comes twice; landed: the ledger answered both.
    Duplicate,
    /// A request comes when its sender has given it up; landed: the ledger answered it.
    Late,
}

/// A kind of fault on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault(pub Side, pub Kind);

impl Fault {
    /// All there are.
    pub fn all() -> Vec<Self> {
        use Kind::{
            AnswerLost, ClockJump, DiskFull, Duplicate, Kill, Late, NameFails, NamesReordered, RequestLost,
            SecondWriter, SyncFails, SyncFull, TornWrite, UnsyncedLost, WriteFails,
        };
        let machine = [
            Kill,
            UnsyncedLost,
            TornWrite,
            NamesReordered,
            SyncFails,
            SyncFull,
            WriteFails,
            NameFails,
            DiskFull,
            ClockJump,
            SecondWriter,
        ];
        let machines = [Side::Agent, Side::Ledger].into_iter();
        let machines = machines.flat_map(|side| machine.into_iter().map(move |kind| Self(side, kind)));
        let relay = [RequestLost, AnswerLost, Duplicate, Late];
        machines.chain(relay.into_iter().map(|kind| Self(Side::Relay, kind))).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: String = format!("{:?}{:?}", self.0, self.1);
        for (number, c) in words.chars().enumerate() {
            if c.is_ascii_uppercase() && number > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", c.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// How often each fault was injected and landed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Fault, (u64, u64)>);

impl Tally {
    /// One more was injected.
    pub fn inject(&mut self, fault: Fault) {
        self.0.entry(fault).or_default().0 += 1;
    }

    /// One more landed.
    pub fn land(&mut self, fault: Fault) {
        self.0.entry(fault).or_default().1 += 1;
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        for (fault, (injected, landed)) in &other.0 {
            let sum = self.0.entry(*fault).or_default();
            *sum = (sum.0 + injected, sum.1 + landed);
        }
    }

    /// How often a fault was injected and landed.
    pub fn of(&self, fault: Fault) -> (u64, u64) {
        self.0.get(&fault).copied().unwrap_or_default()
    }

    /// The faults that never landed.
    pub fn missed(&self) -> Vec<Fault> {
        Fault::all().into_iter().filter(|fault| self.of(*fault).1 == 0).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (injected, landed) = self.0.values().fold((0, 0), |sum, (i, l)| (sum.0 + i, sum.1 + l));
        writeln!(f, "faults: {injected} injected, {landed} landed; by kind, injected/landed:")?;
        let all: Vec<String> = Fault::all()
            .into_iter()
            .map(|fault| {
                let (injected, landed) = self.of(fault);
                format!("{fault} {injected}/{landed}")
            })
            .collect();
        // As wide as `make test` shows.
        all.chunks(5).try_for_each(|line| writeln!(f, "  {}", line.join(", ")))
    }
}
