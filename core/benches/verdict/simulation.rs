//! Many replications of one test, and what came of them.

use difftest_core::steering::next_target;
use difftest_core::verdict::sequence::{Question, Sequence};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;

use super::worlds::{MARGIN, World};

pub const REPLICATIONS: u32 = 4_000;
pub const ALPHA: f64 = 0.05;
/// Prompts of one test, at most.
pub const MAXIMUM: u64 = 600;

pub fn question(world: World) -> Question {
    Question {
        margin: MARGIN,
        bound: Some(1.0),
        drop: world.drop(),
        disasters: 0.02,
        alpha: ALPHA,
        planned: 100,
    }
}

/// Whether the product looks after `prompts`.
pub fn is_look(prompts: u64, maximum: u64) -> bool {
    let mut look = 0;
    while look < prompts {
        look = next_target(look as usize) as u64;
    }
    look == prompts || prompts == maximum
}

/// Shares of replications, and means over them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// The claim was made at any look up to the maximum, whatever was decided before.
    pub ever_regressed: f64,
    pub ever_passed: f64,
    pub ever_improved: f64,
    /// It was the first of `regressed` and `pass`, where the product stops.
    pub regressed: f64,
    pub images: f64,
}

/// Rates with a look after every prompt, and with the product's looks, of the same replications.
pub struct Both {
    pub every: Rates,
    pub product: Rates,
}

/// Runs `once` for every replication, each with random numbers of its own: the result does not
/// depend on the number of threads.
pub fn replicate<T: Send>(
    seed: u64,
    replications: u32,
    once: impl Fn(&mut StdRng) -> T + Sync,
) -> Vec<T> {
    (0..replications)
        .into_par_iter()
        .map(|index| {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1 << 20) + u64::from(index));
            once(&mut rng)
        })
        .collect()
}

pub fn share<T>(of: &[T], what: impl Fn(&T) -> bool) -> f64 {
    of.iter().filter(|one| what(one)).count() as f64 / of.len() as f64
}

pub fn mean<T>(of: &[T], what: impl Fn(&T) -> f64) -> f64 {
    of.iter().map(what).sum::<f64>() / of.len() as f64
}

/// One replication, as one of the two looks at it.
#[derive(Default, Clone, Copy)]
struct Path {
    regressed: bool,
    passed: bool,
    improved: bool,
    /// Images at the first of `regressed` and `pass`, and whether it was `regressed`.
    stopped: Option<(u64, bool)>,
}

pub fn simulate(world: World, mean_difference: f64, seed: u64) -> Both {
    let paths = replicate(seed, REPLICATIONS, |rng| {
        let mut sequence = Sequence::new(question(world));
        let mut paths = [Path::default(); 2];
        let mut made = 0;
        for step in 0..MAXIMUM {
            let (images, count) = world.draw(mean_difference, step, rng);
            made += count as u64;
            assert!(sequence.push(&images[..count]).is_ok(), "{images:?}");
            let evidence = sequence.evidence();
            let enough = -ALPHA.ln();
            let claims = (
                evidence.worse() >= enough,
                evidence.passes(ALPHA),
                evidence.improvement() >= enough,
            );
            let looking = [true, is_look(step + 1, MAXIMUM)];
            for (path, _) in paths.iter_mut().zip(looking).filter(|(_, looking)| *looking) {
                path.regressed |= claims.0;
                path.passed |= claims.1;
                path.improved |= claims.2;
                if path.stopped.is_none() && (claims.0 || claims.1) {
                    path.stopped = Some((made, claims.0));
                }
            }
        }
        paths.map(|path| (path, path.stopped.map_or(made, |(images, _)| images)))
    });
    let rates = |which: usize| Rates {
        ever_regressed: share(&paths, |p| p[which].0.regressed),
        ever_passed: share(&paths, |p| p[which].0.passed),
        ever_improved: share(&paths, |p| p[which].0.improved),
        regressed: share(&paths, |p| p[which].0.stopped.is_some_and(|(_, regressed)| regressed)),
        images: mean(&paths, |p| p[which].1 as f64),
    };
    Both { every: rates(0), product: rates(1) }
}
