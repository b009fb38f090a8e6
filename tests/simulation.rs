//! The simulation, as much of it as a few seconds hold; `tests/simulation/run` runs as much as one likes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use hushd_simulation::{EngineKind, Random, run, run_seed};

/// Runs these seeds.
fn seeds(seeds: std::ops::Range<u64>, engine: EngineKind) {
    for seed in seeds {
        if let Err(wrong) = run_seed(seed, engine, false) {
            panic!(
                "seed {seed} fails {wrong}\n\
                 cargo run --release -p hushd-simulation -- --engine {engine} --seed {seed} --trace"
            );
        }
    }
}

#[test]
fn nothing_that_two_hundred_seeds_do_harms_the_server() {
    seeds(0..100, EngineKind::Embedded);
}

#[test]
fn nothing_that_two_hundred_other_seeds_do_harms_the_server() {
    seeds(100..200, EngineKind::Embedded);
}

#[test]
fn nothing_that_a_hundred_seeds_do_with_an_engine_that_is_late_harms_the_server() {
    seeds(0..100, EngineKind::Late);
}

/// Somebody comes back with the token of before while its connection hangs there for longer than those are remembered
/// who left (73415); or changes its name before it was announced, and the old name stands in the list for somebody
/// who has just left (69869), or the new one comes twice (212339).
#[test]
fn what_seeds_have_found_stays_found() {
    for seed in [73_415, 69_869, 212_339] {
        seeds(seed..seed + 1, EngineKind::Embedded);
    }
}

/// A client comes back as a new member, says again what the old member has said, which is published, and says it once
/// more: one answer is due (9428).
#[test]
fn what_seeds_have_found_with_an_engine_that_is_late_stays_found() {
    seeds(9_428..9_429, EngineKind::Late);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        let [once, again] = [(); 2].map(|()| run_seed(seed, EngineKind::Embedded, false).unwrap());
        assert_eq!(once, again, "seed {seed}");
        assert_ne!(
            once.trace,
            run_seed(seed + 1, EngineKind::Embedded, false)
                .unwrap()
                .trace
        );
    }
}

#[test]
fn bytes_decide_as_well_as_a_seed() {
    for bytes in [
        &b""[..],
        b"\x00",
        b"\xff\xff\xff\xff",
        b"the quick brown fox",
    ] {
        run(Random::of_bytes(bytes), EngineKind::Embedded, false).unwrap();
    }
}

#[test]
fn nothing_that_the_seeds_of_the_fuzzer_do_harms_the_server() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/simulation");
    let mut turns = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let outcome = run(Random::of_bytes(&bytes), EngineKind::Embedded, false);
        turns += outcome
            .unwrap_or_else(|wrong| panic!("{path:?} fails {wrong}"))
            .turns;
    }
    assert!(turns > 500, "they do nothing: {turns} turns");
}
