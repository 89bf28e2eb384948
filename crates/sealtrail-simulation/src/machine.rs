//! A simulated machine: its disk with faults in the way, its clock, its randomness.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sealtrail_core::statement::TIME_MAX;
use sealtrail_env::{Clock, Environment, NoRandomness, Random};
use sealtrail_testkit::disk::{self, Op, SimDisk};
use tokio::time::Instant;

use crate::faults::{Fault, Kind, Side, Tally};

/// When the world begins, ns since 1970: 2026-09-01.
pub(crate) const WORLD_BEGINS_NS: u64 = 1_788_220_800_000_000_000;

/// A machine that an agent or the ledger runs on.
pub(crate) struct Machine {
    pub(crate) side: Side,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<SimClock>,
    faults: Arc<Mutex<Armed>>,
    /// Times the disk was full when last asked.
    full: u64,
}

/// The fault that waits for its operation, and what came of it.
#[derive(Default)]
struct Armed {
    /// The fault, the operation it waits for, and how many of them it lets pass.
    next: Option<(Kind, Op, u64)>,
    /// Faults that met their operation.
    landed: Vec<(Kind, PathBuf)>,
    /// A log could not be written or synced: nothing may be written to any log of this machine by this process.
    stopped: Option<PathBuf>,
    violation: Option<String>,
    /// Operations of this process.
    operations: u64,
    trace: bool,
}

/// The files whose content is promised: an agent's outbox and a ledger's segments.
fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "out")
        || path.parent().is_some_and(|parent| parent.ends_with("segments"))
}

/// The last two names of a path. What is random in every run is left out: directories above, hashes and signatures.
fn shown(path: &Path) -> String {
    let mut names: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    names.reverse();
    let known = |name: &&str| name.len() < 32;
    let names: Vec<&str> =
        names.iter().map(|name| Some(name.as_ref()).filter(known).unwrap_or("…")).collect();
    names.join("/")
}

impl Machine {
    pub(crate) fn new(side: Side, disk: SimDisk, began: Option<Instant>) -> Self {
        let clock = Arc::new(SimClock { began, ..SimClock::default() });
        let mut machine = Self { side, disk, clock, faults: Arc::default(), full: u64::MAX };
        machine.plug(machine.disk.clone());
        machine
    }

    /// Goes on with another disk: that of the next process.
    pub(crate) fn plug(&mut self, disk: SimDisk) {
        self.disk = disk;
        self.full = u64::MAX;
        *self.faults.lock().unwrap() =
            Armed { trace: std::env::var_os("SEALTRAIL_TRACE").is_some(), ..Armed::default() };
        let faults = Arc::clone(&self.faults);
        self.disk.set_fault(move |op, path, _| faults.lock().unwrap().meet(op, path));
    }

    /// What a process on this machine gets.
    pub(crate) fn environment(&self, seed: u64) -> Environment {
        Environment {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            random: Arc::new(SimRandom(Mutex::new(disk::Random(seed)))),
            disk: Arc::new(self.disk.clone()),
        }
    }

    /// Lets the operation after so many of its kind fail.
    pub(crate) fn arm(&self, kind: Kind, op: Op, after: u64) {
        self.faults.lock().unwrap().next = Some((kind, op, after));
    }

    /// No more faults: the clock is set right, the disk is sound and has room.
    pub(crate) fn heal(&self) {
        self.clock.offset_ns.store(0, Ordering::Relaxed);
        self.faults.lock().unwrap().next = None;
        self.disk.set_capacity(None);
    }

    /// Whether a process has no reason not to start.
    pub(crate) fn is_healthy(&self) -> bool {
        let faults = self.faults.lock().unwrap();
        faults.landed.is_empty() && !self.disk.has_capacity()
    }

    /// Counts what landed since last asked, and tells of it.
    ///
    /// # Errors
    /// A promise that was broken.
    pub(crate) fn account(&mut self, tally: &mut Tally) -> Result<Vec<String>, String> {
        let mut faults = self.faults.lock().unwrap();
        let mut story = Vec::new();
        for (kind, path) in faults.landed.drain(..) {
            tally.land(Fault(self.side, kind));
            story.push(format!("{kind:?} at `{}`", shown(&path)));
        }
        if self.disk.times_full() > self.full {
            self.full = u64::MAX;
            story.push("full".to_owned());
            tally.land(Fault(self.side, Kind::DiskFull));
        }
        if self.clock.was_read() {
            tally.land(Fault(self.side, Kind::ClockJump));
        }
        faults.violation.take().map_or(Ok(story), Err)
    }

    /// From now on being full counts again.
    pub(crate) fn count_full(&mut self) {
        self.full = self.disk.times_full();
    }
}

impl Armed {
    fn meet(&mut self, op: Op, path: &Path) -> Option<ErrorKind> {
        self.operations += 1;
        if self.trace {
            let name: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
            println!("{} {op:?} {name:?}", self.operations);
        }
        if let (Op::Write | Op::Preallocate, Some(stopped), true) = (op, &self.stopped, is_log(path)) {
            self.violation = Some(format!(
                "`{}` is written to after `{}` failed in the same process",
                path.display(),
                stopped.display()
            ));
        }
        let (kind, wanted, left) = self.next.as_mut()?;
        if *wanted != op || *kind == Kind::SyncFull && !is_log(path) {
            return None;
        }
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let kind = *kind;
        self.next = None;
        self.landed.push((kind, path.to_owned()));
        if is_log(path) && kind != Kind::NameFails {
            self.stopped = Some(path.to_owned());
        }
        Some(if kind == Kind::SyncFull { ErrorKind::StorageFull } else { ErrorKind::Other })
    }
}

/// The world's time, which never goes back, and a time of day that may be set.
#[derive(Default)]
pub(crate) struct SimClock {
    /// When the world began, on the runtime's clock; without it no time passes.
    began: Option<Instant>,
    offset_ns: AtomicI64,
    /// 0: not set; 1: set; 2: read since.
    jumped: AtomicU64,
}

impl SimClock {
    pub(crate) fn jump(&self, by_ns: i64) {
        self.offset_ns.fetch_add(by_ns, Ordering::Relaxed);
        self.jumped.store(1, Ordering::Relaxed);
    }

    /// ns since the world began.
    fn world_ns(&self) -> u64 {
        self.began.map_or(0, |began| began.elapsed().as_nanos() as u64)
    }

    fn was_read(&self) -> bool {
        self.jumped.compare_exchange(2, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Clock for SimClock {
    fn wall_ns(&self) -> u64 {
        let _ = self.jumped.compare_exchange(1, 2, Ordering::Relaxed, Ordering::Relaxed);
        let now = WORLD_BEGINS_NS + self.world_ns();
        now.saturating_add_signed(self.offset_ns.load(Ordering::Relaxed)).min(TIME_MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        self.world_ns()
    }
}

struct SimRandom(Mutex<disk::Random>);

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let mut random = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
