//! One test on its own: how often each claim is made, in every world.

use super::simulation::{REPLICATIONS, Rates, simulate};
use super::worlds::{MARGIN, WORLDS};
use super::{Misses, with_error};

/// Means of the differences, in margins.
const MEANS: [f64; 7] = [-3.0, -2.0, -1.0, -0.5, 0.0, 1.0, 2.0];

pub fn print(seed: u64, misses: &mut Misses) {
    println!(
        "\none test alone: how often a claim is made at any look up to the maximum, though the \
         product would have\nstopped at the first of regressed and pass; images are up to that \
         stop. A claim is false: regressed at −1δ\nor above, pass at −1δ or below or with 2% of \
         images ruined, improved at 1δ or below. Looks after every prompt,\nand after 8, 16, 30, \
         34, 38 … prompts as the product takes them. A disaster is a loss of 20δ (4 sd) in an\n\
         image, as a calibration on the null puts it; of 1 where scores are 0 or 1.\n"
    );
    println!(
        "{:28} {:>6} │ {:>9} {:>8} {:>8} {:>6} {:>14} │ {:>9} {:>8} {:>8} {:>6} {:>14}",
        "differences",
        "mean",
        "regressed",
        "pass",
        "improved",
        "images",
        "largest false",
        "regressed",
        "pass",
        "improved",
        "images",
        "largest false",
    );
    println!("{:35} │ {:49} │ {:49}", "", "a look after every prompt", "the product's looks");
    let mut worst: f64 = 0.0;
    for (index, (world, name)) in WORLDS.into_iter().enumerate() {
        for (row, margins) in MEANS.into_iter().enumerate() {
            let both = simulate(world, margins * MARGIN, seed + (10 * index + row) as u64);
            let cells = |rates: Rates, misses: &mut Misses| {
                let claims = [
                    ("regressed", rates.ever_regressed, margins >= -1.0),
                    ("pass", rates.ever_passed, margins <= -1.0 || world.ruins()),
                    ("improved", rates.ever_improved, margins <= 1.0),
                ];
                let mut largest: f64 = 0.0;
                for (claim, rate, _) in claims.into_iter().filter(|(.., is_false)| *is_false) {
                    largest = largest.max(rate);
                    misses.error_rate(&format!("{name} {margins}δ, {claim}"), rate, REPLICATIONS);
                }
                let [regressed, pass, improved] = claims.map(|c| format!("{:.2}%", 100.0 * c.1));
                let line = format!(
                    "{regressed:>9} {pass:>8} {improved:>8} {:>6.0} {:>14}",
                    rates.images,
                    with_error(largest, REPLICATIONS),
                );
                (line, largest)
            };
            let (every, a) = cells(both.every, misses);
            let (product, b) = cells(both.product, misses);
            worst = worst.max(a).max(b);
            println!("{name:28} {margins:>5}δ │ {every} │ {product}");
        }
    }
    println!("\nlargest rate of a false claim: {}", with_error(worst, REPLICATIONS));
}
