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

use simulation::{ALPHA, MAXIMUM, REPLICATIONS};

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

fn main() -> ExitCode {
    // Cargo passes --bench; a number is another seed, for tuning.
    let seed = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(1_000);
    println!(
        "α = {ALPHA}, {REPLICATIONS} replications a row, at most {MAXIMUM} prompts, margin δ = 0.02, \
         seed {seed}"
    );
    let mut misses = Misses::default();
    spending::print(seed, &mut misses);
    whole_run::print(seed, &mut misses);
    alone::print(seed, &mut misses);
    if misses.0.is_empty() {
        println!("\nevery error rate is within α, and every target is reached");
        return ExitCode::SUCCESS;
    }
    println!("\nmissed:");
    for miss in &misses.0 {
        println!("  {miss}");
    }
    ExitCode::FAILURE
}
