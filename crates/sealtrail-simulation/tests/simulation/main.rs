//! Many seeds of the simulated world.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use sealtrail_simulation::{Base, run, soak};

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// T02, T03, T07, T28 to T30: whatever fails, what was acknowledged is in the ledger once and verifies.
#[test]
fn whatever_fails_nothing_acknowledged_is_lost() {
    soak(1, number("SEALTRAIL_SEEDS").unwrap_or(200));
}

/// The same for an hour or so.
#[test]
#[ignore = "takes long: part of `make soak`"]
fn ten_thousand_seeds() {
    soak(1_000_000, number("SEALTRAIL_SEEDS").unwrap_or(10_000));
}

/// One seed, to look at: `SEALTRAIL_SEED=17`.
#[test]
fn one_seed() {
    let seed = number("SEALTRAIL_SEED").unwrap_or(17);
    match run(&Base::new(), seed) {
        Ok(outcome) => {
            println!("{}\n{}", outcome.story.join("\n"), outcome.tally);
            println!("{} sent, {} acknowledged", outcome.sent, outcome.acknowledged);
        }
        Err(failure) => panic!("{}\nseed {seed}: {}", failure.story.join("\n"), failure.what),
    }
}

/// A seed is a whole history: it comes out the same again, although keys are others.
#[test]
fn a_seed_comes_out_the_same_again() {
    let (one, other) = (Base::new(), Base::new());
    for seed in 40..60 {
        let (first, again) = (run(&one, seed).unwrap(), run(&other, seed).unwrap());
        for (line, same) in first.story.iter().zip(&again.story) {
            assert_eq!(line, same, "seed {seed}");
        }
        assert_eq!(first, again, "seed {seed}");
    }
}
