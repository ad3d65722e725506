//! `make bench-verdict`: error rates and images spent, by seeded simulation.
//!
//! Every row draws differences of paired scores whose standard deviation is five margins, looks
//! after every unit, and stops at the first decision or at the planned maximum. Rates are over
//! 4,000 replications with their Monte Carlo standard error; images are units, one image each.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints a table")]

use difftest_core::verdict::sequence::{Question, Sequence};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const REPLICATIONS: u32 = 4_000;
const ALPHA: f64 = 0.05;
const MARGIN: f64 = 0.02;
/// Of one difference.
const SD: f64 = 5.0 * MARGIN;
const MAXIMUM: u64 = 600;
/// z₀.₉₅, and z of the power that the fixed n is given: that of the sequence at its maximum.
const Z_ALPHA: f64 = 1.644_853_6;

#[derive(Clone, Copy)]
enum World {
    Gaussian,
    SkewedLeft,
    SkewedRight,
    HeavyTailed,
    Atoms,
    Clustered,
    Drift,
    Disasters,
}

const WORLDS: [(World, &str); 8] = [
    (World::Gaussian, "gaussian"),
    (World::SkewedLeft, "skewed to the left"),
    (World::SkewedRight, "skewed to the right"),
    (World::HeavyTailed, "heavy-tailed (t, 4 df)"),
    (World::Atoms, "scores of 0 and 1"),
    (World::Clustered, "clustered seeds (3 a prompt)"),
    (World::Drift, "drift in time"),
    (World::Disasters, "2% of images ruined"),
];

fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (rng.random::<f64>().max(f64::MIN_POSITIVE), rng.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// One prompt's differences with mean `mean`, and of standard deviation [`SD`] where it is free.
fn draw(world: World, mean: f64, step: u64, rng: &mut StdRng) -> Vec<f64> {
    let exponential = |rng: &mut StdRng| -rng.random::<f64>().max(f64::MIN_POSITIVE).ln();
    let one = |noise: f64| vec![(mean + SD * noise).clamp(-1.0, 1.0)];
    match world {
        World::Gaussian => one(normal(rng)),
        World::SkewedLeft => one(1.0 - exponential(rng)),
        World::SkewedRight => one(exponential(rng) - 1.0),
        World::HeavyTailed => {
            let chi: f64 = (0..4).map(|_| normal(rng).powi(2)).sum::<f64>() / 4.0;
            one(normal(rng) / chi.sqrt() / 2_f64.sqrt())
        }
        // Base and head each score 0 or 1; what changes is how often the head does.
        World::Atoms => {
            let base = rng.random::<f64>() < 0.8;
            let flip = rng.random::<f64>();
            // P(1 → 0) − P(0 → 1)·(share of zeros) gives the mean, and 2% flip either way.
            let head = match base {
                true => flip >= (0.02 - mean.min(0.0)) / 0.8,
                false => flip < (0.02 + mean.max(0.0)) / 0.2,
            };
            vec![f64::from(u8::from(head)) - f64::from(u8::from(base))]
        }
        World::Clustered => {
            let prompt = 0.8 * normal(rng);
            (0..3).map(|_| (mean + SD * (prompt + 0.6 * normal(rng))).clamp(-1.0, 1.0)).collect()
        }
        // Better than its mean first, worse later, and random only around that: prompts come in a
        // random order, so that this is what a machine that warms up would do.
        World::Drift => {
            let slope = MARGIN * (0.5 - (step % 100) as f64 / 100.0);
            one(normal(rng) + slope / SD)
        }
        World::Disasters => {
            let ruined = rng.random::<f64>() < 0.02;
            let rest = mean + 0.02 * 0.6;
            vec![if ruined { -0.6 + mean } else { (rest + 0.2 * SD * normal(rng)).min(1.0) }]
        }
    }
}

struct Row {
    regressed: u32,
    passed: u32,
    images: u64,
}

fn simulate(world: World, mean: f64, seed: u64) -> Row {
    let question = Question {
        margin: MARGIN,
        bound: Some(1.0),
        drop: 10.0 * MARGIN,
        disasters: 0.02,
        alpha: ALPHA,
        planned: 100,
    };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut row = Row { regressed: 0, passed: 0, images: 0 };
    for _ in 0..REPLICATIONS {
        let mut sequence = Sequence::new(question);
        for step in 0..MAXIMUM {
            let differences = draw(world, mean, step, &mut rng);
            row.images += differences.len() as u64;
            sequence.push(&differences).unwrap();
            let evidence = sequence.evidence();
            if evidence.regressed >= -ALPHA.ln() {
                row.regressed += 1;
                break;
            }
            if evidence.passes(ALPHA) {
                row.passed += 1;
                break;
            }
        }
    }
    row
}

fn main() {
    println!("error rates, α = {ALPHA}, {REPLICATIONS} replications, at most {MAXIMUM} prompts");
    println!(
        "mean = 0 or −k margins; a false regression is one at a mean of −1 margin or above, a false"
    );
    println!("pass one at −1 margin or below. Standard error of a rate of 5%: 0.34%\n");
    println!(
        "{:32} {:>7} {:>10} {:>8} {:>8}  wrong",
        "differences", "mean", "regressed", "pass", "images"
    );
    let mut worst: f64 = 0.0;
    for (index, (world, name)) in WORLDS.into_iter().enumerate() {
        for margins in [0.0, 0.5, 1.0, 2.0, 3.0] {
            let row = simulate(world, -margins * MARGIN, 1000 + index as u64);
            let rate = |count: u32| f64::from(count) / f64::from(REPLICATIONS);
            let false_regressed = if margins <= 1.0 { rate(row.regressed) } else { 0.0 };
            let false_pass = if margins >= 1.0 || matches!(world, World::Disasters) {
                rate(row.passed)
            } else {
                0.0
            };
            let wrong = false_regressed.max(false_pass);
            worst = worst.max(wrong);
            println!(
                "{name:32} {:>6}δ {:>9.2}% {:>7.2}% {:>8.0}  {}",
                -margins,
                100.0 * rate(row.regressed),
                100.0 * rate(row.passed),
                row.images as f64 / f64::from(REPLICATIONS),
                if wrong > ALPHA {
                    format!("{:.2}% > α", 100.0 * wrong)
                } else {
                    format!("{:.2}%", 100.0 * wrong)
                },
            );
        }
    }
    println!("\nlargest rate of a wrong decision: {:.2}%\n", 100.0 * worst);
    spending();
}

/// Images until "regressed", against the fixed n of the same power, a t-test at every look, and
/// Wald's sequential probability ratio test with the variance known.
fn spending() {
    println!("images until `regressed`, gaussian differences of 5 margins' standard deviation");
    println!(
        "{:>6} {:>10} {:>9} {:>10} {:>9} {:>10}",
        "mean", "difftest", "fixed n", "saved", "SPRT", "of SPRT"
    );
    for margins in [2.0, 3.0] {
        let row = simulate(World::Gaussian, -margins * MARGIN, 77);
        let ours = row.images as f64 / f64::from(REPLICATIONS);
        let power = (f64::from(row.regressed) / f64::from(REPLICATIONS))
            .min(1.0 - 0.5 / f64::from(REPLICATIONS));
        let effect = (margins - 1.0) * MARGIN / SD;
        let fixed = ((Z_ALPHA + quantile(power)) / effect).powi(2);
        // Wald's approximation with both error rates α.
        let sprt = 2.0 / effect.powi(2)
            * ((1.0 - ALPHA) * ((1.0 - ALPHA) / ALPHA).ln() + ALPHA * (ALPHA / (1.0 - ALPHA)).ln());
        println!(
            "{:>5}δ {ours:>10.0} {fixed:>9.0} {:>9.0}% {sprt:>9.0} {:>9.2}×   (power {:.2}%)",
            -margins,
            100.0 * (1.0 - ours / fixed),
            ours / sprt,
            100.0 * power,
        );
    }
    println!(
        "\na t-test at every look from 10 units on, at no change: {:.1}% false alarms",
        100.0 * peeking()
    );
}

/// How often a one-sided t-test (against zero change) at every look ever reports a loss.
fn peeking() -> f64 {
    let mut rng = StdRng::seed_from_u64(5);
    let alarms = (0..REPLICATIONS)
        .filter(|_| {
            let (mut sum, mut squares) = (0.0, 0.0);
            (1..=MAXIMUM).any(|t| {
                let x = SD * normal(&mut rng);
                sum += x;
                squares += x * x;
                let n = t as f64;
                let mean = sum / n;
                let se = ((squares / n - mean * mean) / (n - 1.0).max(1.0)).sqrt();
                t >= 10 && mean / se < -Z_ALPHA
            })
        })
        .count();
    alarms as f64 / f64::from(REPLICATIONS)
}

/// z with Φ(z) = p, by bisection.
fn quantile(p: f64) -> f64 {
    let phi = |z: f64| 0.5 * statrs::function::erf::erfc(-z / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if phi(middle) < p { low = middle } else { high = middle }
    }
    low
}
