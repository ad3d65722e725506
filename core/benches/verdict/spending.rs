//! Images until `regressed`, against what else there is.

use difftest_core::verdict::asymptotic::Claim;
use difftest_core::verdict::group_sequential::{self, SPENDABLE};
use difftest_core::verdict::moments::Moments;
use difftest_core::verdict::tail::Tail;
use statrs::distribution::{ContinuousCDF, Normal};

use super::simulation::{ALPHA, MAXIMUM, REPLICATIONS, is_look, mean, replicate, share, simulate};
use super::worlds::{MARGIN, SD, WORLDS, World, normal};
use super::{Misses, with_error};

/// The planned maximum of the group-sequential test: for 90% power at −2δ.
const PLANNED: u64 = 235;

pub fn print(seed: u64, misses: &mut Misses) {
    println!(
        "\nimages until `regressed`: gaussian differences, standard deviation 5δ, against a loss of \
         1δ. The fixed n has the\nsame power. Wald's test knows the variance and the very mean it \
         tests for, with both error rates α, and looks at\nthe same times; in brackets his formula, \
         which leaves out the overshoot.\n"
    );
    println!(
        "{:>5} {:>14} {:>8} {:>8} {:>8} {:>7} {:>15} {:>9} {:>10}",
        "mean",
        "looks",
        "power",
        "difftest",
        "fixed n",
        "saved",
        "Wald's SPRT",
        "of it",
        "(of that)",
    );
    for (index, margins) in [2.0, 3.0].into_iter().enumerate() {
        let both = simulate(World::Gaussian, -margins * MARGIN, seed + 200 + index as u64);
        let effect = (margins - 1.0) * MARGIN / SD;
        for (looks, rates, every) in
            [("every prompt", both.every, true), ("the product's", both.product, false)]
        {
            let fixed = fixed_n(effect, rates.regressed);
            let formula = 2.0 / effect.powi(2) * (1.0 - 2.0 * ALPHA) * ((1.0 - ALPHA) / ALPHA).ln();
            let sprt = sprt(effect, seed + 210 + index as u64, every);
            let (saved, ratio) = (1.0 - rates.images / fixed, rates.images / sprt);
            println!(
                "{:>4}δ {looks:>14} {:>7.2}% {:>8.1} {fixed:>8.0} {:>6.0}% {:>15} {ratio:>8.2}× {:>9.2}×",
                -margins,
                100.0 * rates.regressed,
                rates.images,
                100.0 * saved,
                format!("{sprt:.1} ({formula:.1})"),
                rates.images / formula,
            );
            let at = format!("at {margins} margins of loss, looks {looks}");
            // What a round makes beyond its decision no test can help: the sequential probability
            // ratio test is held against the same looks, the fixed n has none.
            misses.target(&format!("half of the fixed n's images {at}"), saved >= 0.5 || !every);
            misses.target(&format!("1.6 × the SPRT's images {at}"), ratio <= 1.6);
        }
    }
    peeking(seed);
    grouped(seed, misses);
}

fn fixed_n(effect: f64, power: f64) -> f64 {
    let normal = Normal::standard();
    // What was always detected is known to within half a replication.
    let power = power.min(1.0 - 0.5 / f64::from(REPLICATIONS));
    ((normal.inverse_cdf(1.0 - ALPHA) + normal.inverse_cdf(power)) / effect).powi(2)
}

/// Mean images of Wald's sequential probability ratio test of −`effect` against 0, in standard
/// deviations, where −`effect` is true.
fn sprt(effect: f64, seed: u64, every: bool) -> f64 {
    let limit = ((1.0 - ALPHA) / ALPHA).ln();
    let images = replicate(seed, REPLICATIONS, |rng| {
        let mut ln_ratio: f64 = 0.0;
        (1..)
            .find(|step| {
                ln_ratio += effect * (normal(rng) + effect) - effect * effect / 2.0;
                (every || is_look(*step, u64::MAX)) && ln_ratio.abs() >= limit
            })
            .unwrap_or(u64::MAX)
    });
    mean(&images, |images| *images as f64)
}

/// A one-sided t-test at level α at every look from 10 prompts on.
fn peeking(seed: u64) {
    println!(
        "\na t-test at each look from 10 prompts on, at level α, against the same loss of 1δ:"
    );
    for (looks, every) in [("every prompt", true), ("the product's", false)] {
        let rows = [1.0, 2.0, 3.0].map(|margins| {
            let stops = replicate(seed + 220, REPLICATIONS, |rng| {
                let mut moments = Moments::default();
                (1..=MAXIMUM).find(|step| {
                    moments.push(-margins * MARGIN + SD * normal(rng));
                    let look = *step >= 10 && (every || is_look(*step, MAXIMUM));
                    look && t_below(&moments, -MARGIN)
                })
            });
            (share(&stops, Option::is_some), mean(&stops, |s| s.unwrap_or(MAXIMUM) as f64))
        });
        println!(
            "  looks {looks:>13}: false alarms at −1δ {}; {:.0} images at −2δ, {:.0} at −3δ",
            with_error(rows[0].0, REPLICATIONS),
            rows[1].1,
            rows[2].1,
        );
    }
}

fn t_below(moments: &Moments, null: f64) -> bool {
    group_sequential::z(moments, null, Claim::Below)
        .is_some_and(|z| z > Normal::standard().inverse_cdf(1.0 - ALPHA))
}

/// O'Brien and Fleming's looks on the way to [`PLANNED`].
fn grouped(seed: u64, misses: &mut Misses) {
    let looks: Vec<u64> = (1..=PLANNED).filter(|n| is_look(*n, PLANNED)).collect();
    let fractions: Vec<f64> = looks.iter().map(|n| *n as f64 / PLANNED as f64).collect();
    let Some(boundaries) = group_sequential::boundaries(&fractions, SPENDABLE * ALPHA) else {
        misses.target("boundaries of the group-sequential test", false);
        return;
    };
    println!(
        "\nthe group-sequential test with a known maximum of {PLANNED} prompts, the product's looks; \
         −1δ is the edge of both claims,\nand a pass has its tail guard\n"
    );
    println!(
        "{:28} {:>6} {:>15} {:>15} {:>7}",
        "differences", "mean", "regressed", "pass", "images"
    );
    for (index, (world, name)) in WORLDS.into_iter().enumerate() {
        let means: &[f64] =
            if world == World::Gaussian { &[-3.0, -2.0, -1.0, 0.0] } else { &[-1.0] };
        for (row, margins) in means.iter().enumerate() {
            let paths = replicate(seed + 300 + (10 * index + row) as u64, REPLICATIONS, |rng| {
                let mut moments = Moments::default();
                let mut tail = Tail::new(world.drop(), 0.02);
                let (mut claims, mut stopped, mut made) = ([false; 2], None, 0_u64);
                for step in 0..PLANNED {
                    let (prompt, count) = world.draw(margins * MARGIN, step, rng);
                    moments.push(prompt[..count].iter().sum::<f64>() / count as f64);
                    tail.push(&prompt[..count]);
                    made += count as u64;
                    let Some(look) = looks.iter().position(|n| *n == step + 1) else { continue };
                    for (claim, stands) in [Claim::Below, Claim::Above].into_iter().zip(&mut claims)
                    {
                        let z = group_sequential::z(&moments, -MARGIN, claim);
                        let guarded = claim == Claim::Below || tail.ln_e() >= -ALPHA.ln();
                        *stands |= guarded && z.is_some_and(|z| z > boundaries[look]);
                    }
                    if claims[0] || claims[1] {
                        stopped.get_or_insert(made);
                    }
                }
                (claims, stopped.unwrap_or(made))
            });
            let rates = [0, 1].map(|claim| share(&paths, |(claims, _)| claims[claim]));
            println!(
                "{name:28} {margins:>5}δ {:>15} {:>15} {:>7.0}",
                with_error(rates[0], REPLICATIONS),
                with_error(rates[1], REPLICATIONS),
                mean(&paths, |(_, images)| *images as f64),
            );
            for (claim, rate, is_false) in
                [("regressed", rates[0], *margins >= -1.0), ("pass", rates[1], *margins <= -1.0)]
            {
                if is_false {
                    let what = format!("group-sequential, {name} {margins}δ, {claim}");
                    misses.error_rate(&what, rate, REPLICATIONS);
                }
            }
        }
    }
}
