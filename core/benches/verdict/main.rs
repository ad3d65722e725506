//! `make bench-verdict`: error rates of the verdict and the images it spends, by seeded simulation.
//!
//! Exits with 1 where an error rate lies above α by more than three standard errors, or a target
//! is missed. What was tuned (the prior, the shares of the bets) was tuned on other seeds.

#![allow(clippy::print_stdout, reason = "a program that prints tables")]

mod alone;
mod simulation;
mod spending;
mod whole_run;
mod worlds;

use std::process::ExitCode;
use std::time::Instant;

use difftest_core::verdict::sequence::Sequence;

use simulation::{ALPHA, MAXIMUM, REPLICATIONS};
use worlds::World;

/// What was missed, in words.
#[derive(Default)]
pub struct Misses(Vec<String>);

impl Misses {
    /// A rate that must not exceed α, of `replications`: printed with its standard error.
    pub fn error_rate(&mut self, what: &str, rate: f64, replications: u32) {
        let error = (ALPHA * (1.0 - ALPHA) / f64::from(replications)).sqrt();
        if rate > ALPHA + 3.0 * error {
            self.0.push(format!("{what}: {:.2}% is more than α and chance", 100.0 * rate));
        }
    }

    pub fn target(&mut self, what: &str, reached: bool) {
        if !reached {
            self.0.push(what.to_owned());
        }
    }
}

/// The standard error of a rate, in percent, as it is printed.
pub fn with_error(rate: f64, replications: u32) -> String {
    let error = (rate * (1.0 - rate) / f64::from(replications)).sqrt();
    format!("{:.2} ± {:.2}%", 100.0 * rate, 100.0 * error)
}

/// What one unit costs: adding it, and all evidence after it. Of many short spells the quickest, as
/// the others share the core with whatever else runs.
fn update(misses: &mut Misses) {
    const UNITS: u32 = 1_000;
    let mut sequence = Sequence::new(simulation::question(World::Gaussian));
    let mut spell = |_: u32| {
        let begin = Instant::now();
        for i in 0..UNITS {
            assert!(sequence.push(&[0.001 * f64::from(i % 101) - 0.06]).is_ok());
            std::hint::black_box(sequence.evidence());
        }
        begin.elapsed().as_secs_f64() / f64::from(UNITS)
    };
    let each = (0..1_000).map(&mut spell).fold(f64::INFINITY, f64::min);
    println!("one unit and the evidence after it: {:.2} µs", 1e6 * each);
    misses.target("1 µs an update", each <= 1e-6);
}

fn main() -> ExitCode {
    // Cargo passes --bench; a number is another seed, for tuning.
    let seed = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(1_000);
    println!(
        "α = {ALPHA}, {REPLICATIONS} replications a row, at most {MAXIMUM} prompts, margin δ = 0.02, \
         seed {seed}"
    );
    let mut misses = Misses::default();
    update(&mut misses);
    spending::print(seed, &mut misses);
    whole_run::print(seed, &mut misses);
    alone::print(seed, &mut misses);
    if misses.0.is_empty() {
        println!("\nno error rate is above α by more than chance, and every target is reached");
        return ExitCode::SUCCESS;
    }
    println!("\nmissed:");
    for miss in &misses.0 {
        println!("  {miss}");
    }
    ExitCode::FAILURE
}
