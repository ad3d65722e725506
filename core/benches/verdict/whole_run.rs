//! Ten tests in one run, whose claims stand by e-BH.

use difftest_core::verdict::e_bh;
use difftest_core::verdict::sequence::Sequence;
use rand::rngs::StdRng;

use super::simulation::{ALPHA, REPLICATIONS, is_look, mean, question, replicate, share};
use super::worlds::{MARGIN, World};
use super::{Misses, with_error};

const TESTS: usize = 10;
/// Prompts of each test, at most.
const PROMPTS: u64 = 300;

pub fn print(seed: u64, misses: &mut Misses) {
    println!(
        "\na run of {TESTS} tests, gaussian, at most {PROMPTS} prompts each, the product's looks; \
         regressed by e-BH over all of them,\npass where each of them passes at level α\n"
    );
    println!(
        "{:38} {:>15} {:>15} {:>10} {:>15} {:>14}",
        "means", "false share", "any false one", "found", "the run passes", "images a test"
    );
    let cases: [(&str, [f64; TESTS]); 5] = [
        ("all 0δ", [0.0; TESTS]),
        ("all −1δ, the edge", [-1.0; TESTS]),
        ("3 at −3δ, 7 at −1δ", [-3.0, -3.0, -3.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]),
        ("5 at −2δ, 5 at 0δ", [-2.0, -2.0, -2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("1 at −1δ, 9 at 0δ", [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    ];
    for (index, (name, margins)) in cases.into_iter().enumerate() {
        let runs = replicate(seed + 500 + index as u64, REPLICATIONS, |rng| run(&margins, rng));
        let fdr = mean(&runs, |run| run.false_claims as f64 / run.claims.max(1) as f64);
        let any_false = share(&runs, |run| run.false_claims > 0);
        let passes = share(&runs, |run| run.passes);
        let regressed = margins.iter().filter(|m| **m < -1.0).count();
        let found = mean(&runs, |run| (run.claims - run.false_claims) as f64);
        println!(
            "{name:38} {:>15} {:>15} {:>10} {:>15} {:>14.0}",
            with_error(fdr, REPLICATIONS),
            with_error(any_false, REPLICATIONS),
            if regressed == 0 {
                "—".into()
            } else {
                format!("{:.1}%", 100.0 * found / regressed as f64)
            },
            with_error(passes, REPLICATIONS),
            mean(&runs, |run| run.images as f64 / TESTS as f64),
        );
        misses.error_rate(&format!("a run, {name}: false share"), fdr, REPLICATIONS);
        if regressed == 0 {
            misses.error_rate(&format!("a run, {name}: any false"), any_false, REPLICATIONS);
        }
        if margins.iter().any(|m| *m <= -1.0) {
            misses.error_rate(&format!("a run, {name}: passes"), passes, REPLICATIONS);
        }
    }
}

struct Run {
    claims: usize,
    false_claims: usize,
    passes: bool,
    images: u64,
}

/// A test stops where it passes, or stands as regressed among the evidence at that look.
fn run(margins: &[f64; TESTS], rng: &mut StdRng) -> Run {
    let mut tests = [(); TESTS].map(|()| (Sequence::new(question(World::Gaussian)), false));
    let mut standing = vec![false; TESTS];
    for step in 0..PROMPTS {
        for ((sequence, stopped), margins) in tests.iter_mut().zip(margins) {
            if !*stopped {
                let (images, count) = World::Gaussian.draw(margins * MARGIN, step, rng);
                assert!(sequence.push(&images[..count]).is_ok(), "{images:?}");
            }
        }
        if is_look(step + 1, PROMPTS) {
            let ln_e: Vec<f64> = tests.iter().map(|(s, _)| s.evidence().worse()).collect();
            standing = e_bh::stand(&ln_e, ALPHA);
            for ((sequence, stopped), stands) in tests.iter_mut().zip(&standing) {
                *stopped |= *stands || sequence.evidence().passes(ALPHA);
            }
        }
    }
    let is_false = |test: usize| margins[test] >= -1.0;
    Run {
        claims: standing.iter().filter(|stands| **stands).count(),
        false_claims: (0..TESTS).filter(|test| standing[*test] && is_false(*test)).count(),
        passes: tests.iter().all(|(sequence, _)| sequence.evidence().passes(ALPHA)),
        images: tests.iter().map(|(sequence, _)| sequence.units().count()).sum(),
    }
}
