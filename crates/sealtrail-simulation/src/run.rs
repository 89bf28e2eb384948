//! One seed, and many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sealtrail_agent::Phase;

use crate::base::Base;
use crate::faults::{Fault, Tally};
use crate::world::World;

/// Ticks with faults.
const TICKS: u64 = 900;

/// Ticks of 20 ms that draining may take once the faults are over: longer than anything the product waits for.
const CALM_TICKS: u64 = 30_000;

/// Seeds in which each kind of fault has to land at least once.
const ENOUGH_SEEDS: u64 = 100;

/// What a seed that went well has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Faults.
    pub tally: Tally,
    /// Records sent.
    pub sent: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Batches in the ledger.
    pub batches: u64,
    /// What happened.
    pub story: Vec<String>,
}

/// What went wrong with a seed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// What happened before.
    pub story: Vec<String>,
}

/// Lives one seed to its end.
///
/// # Errors
/// [`Failure`].
pub fn run(base: &Base, seed: u64) -> Result<Outcome, Box<Failure>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(base, seed);
        match live(&mut world).await {
            Ok(batches) => {
                let (sent, acknowledged) = world.model.totals();
                let mut tally = world.tally.clone();
                tally.add(&world.relay.tally());
                Ok(Outcome { tally, sent, acknowledged, batches, story: world.story })
            }
            Err(what) => Err(Box::new(Failure { seed, what, story: world.story })),
        }
    })
}

async fn live(world: &mut World<'_>) -> Result<u64, String> {
    for _ in 0..TICKS {
        world.tick(false).await?;
    }
    world.heal();
    calm(world, "drained", |world| {
        let drained = world.agents.iter().all(|agent| {
            agent.process.as_ref().is_some_and(|process| {
                let status = process.status();
                status.phase == Phase::Ready && status.outbox_pending_batches == 0
            })
        });
        drained
            && world.ledger.process.is_some()
            && !world.ledger.has_failed()
            && world.clients.iter().all(|client| client.is_done())
    })
    .await?;
    for agent in &world.agents {
        agent.process.as_ref().unwrap().stop();
    }
    calm(world, "stopped", |world| world.agents.iter().all(|a| a.process.as_ref().unwrap().has_ended()))
        .await?;
    let ledger = world.ledger.process.take().unwrap();
    ledger.close().map_err(|error| format!("the ledger does not close: {error}"))?;
    Ok(world.judge()?.covered.batches)
}

/// Lets time pass without faults until something holds.
async fn calm(world: &mut World<'_>, what: &str, holds: impl Fn(&World<'_>) -> bool) -> Result<(), String> {
    for _ in 0..CALM_TICKS {
        if holds(world) {
            world.tell(what.to_owned());
            return Ok(());
        }
        world.tick(true).await?;
    }
    let states: Vec<_> = world.agents.iter().map(|a| a.process.as_ref().map(|p| p.status())).collect();
    let ledger = world.ledger.process.as_ref().map(|process| process.status());
    Err(format!("not {what} in {CALM_TICKS} ticks: {states:?} {ledger:?}"))
}

/// Lives many seeds, as many at once as there are processors, and says how it went. Panics where a seed fails, or where a
/// kind of fault never landed in any.
pub fn soak(first: u64, count: u64) {
    let base = Base::new();
    let next = AtomicU64::new(first);
    let sum = Mutex::new((Tally::default(), 0, 0, 0));
    let failures = Mutex::new(Vec::new());
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().unwrap().len() > 3 {
                        return;
                    }
                    match run(&base, seed) {
                        Ok(outcome) => {
                            let mut sum = sum.lock().unwrap();
                            sum.0.add(&outcome.tally);
                            sum.1 += outcome.sent;
                            sum.2 += outcome.acknowledged;
                            sum.3 += outcome.batches;
                        }
                        Err(failure) => failures.lock().unwrap().push(failure),
                    }
                }
            });
        }
    });
    let (tally, sent, acknowledged, batches) = sum.into_inner().unwrap();
    let failures = failures.into_inner().unwrap();
    println!(
        "suite: simulation, {count} seeds, {:.1} a second: {sent} records sent, {acknowledged} acknowledged, {batches} \
         batches verified",
        rate(count, began.elapsed())
    );
    print!("{tally}");
    for failure in &failures {
        report(failure);
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
    let missed: Vec<String> = tally.missed().iter().map(ToString::to_string).collect();
    // A few seeds may miss a kind, but not all of them.
    let allowed = if count < ENOUGH_SEEDS { Fault::all().len() - 1 } else { 0 };
    assert!(missed.len() <= allowed, "never landed: {}", missed.join(", "));
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn report(failure: &Failure) {
    let from = failure.story.len().saturating_sub(60);
    for line in &failure.story[from..] {
        println!("{line}");
    }
    println!("seed {} failed: {}", failure.seed, failure.what);
    println!("commit {}", commit());
    println!(
        "replay: SEALTRAIL_SEED={} cargo test -p sealtrail-simulation --test simulation -- --show-output one_seed",
        failure.seed
    );
}

/// The commit that is checked out, and whether there is more than that.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    format!("{}{}", git(&["rev-parse", "HEAD"]).unwrap_or_default(), if clean { "" } else { " with changes" })
}
