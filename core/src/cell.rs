//! Expansion of a test into cells: test × prompt × seed.

use std::collections::{BTreeSet, HashSet};

use crate::event::CellKey;
use crate::metric::nearest;
use crate::suite::TestSpec;
use crate::template::{self, MOST_PROMPTS, TemplateError};
use sha2::{Digest, Sha256};

/// More images than this in one test are a mistake in its prompts or seeds.
pub const MOST_CELLS: usize = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(
        "the test has more than {MOST_PROMPTS} prompts; split it, or give its variables fewer values"
    )]
    TooManyPrompts,
    #[error(
        "{prompts} prompts with {seeds} seeds each are {} images; a test has at most {MOST_CELLS}: split it",
        prompts.saturating_mul(*seeds)
    )]
    TooManyCells { prompts: usize, seeds: usize },
    #[error(
        "`variables` has `{variable}`, which no prompt uses, and {{{placeholder}}} of the prompts has its default alone; did you mean `{placeholder}`?"
    )]
    MisspeltVariable { variable: String, placeholder: String },
}

/// The cells of a test in the order they are generated: every prompt with every seed, prompts
/// outermost. Prompts that expand to the same text appear once.
///
/// # Errors
/// A template that cannot be expanded, more prompts or cells than a test may have, or a variable
/// whose name is nearly that of a placeholder that has its default alone: without that error a
/// misspelt name would leave out its values in silence.
pub fn expand(test: &TestSpec) -> Result<Vec<CellKey>, ExpandError> {
    let prompts = prompts(test)?;
    misspelt_variable(test)?;
    let own = seeds(test);
    let seeds = own.len();
    if prompts.len().saturating_mul(seeds) > MOST_CELLS {
        return Err(ExpandError::TooManyCells { prompts: prompts.len(), seeds });
    }
    Ok(prompts
        .iter()
        .flat_map(|prompt| {
            own.iter().map(|seed| CellKey {
                test: test.id.clone(),
                prompt: prompt.clone(),
                seed: *seed,
            })
        })
        .collect())
}

/// The test's seeds, each once, in its order: two images of one prompt and seed are one image.
pub fn seeds(test: &TestSpec) -> Vec<i64> {
    let mut seen = HashSet::new();
    test.seeds.iter().copied().filter(|seed| seen.insert(*seed)).collect()
}

fn prompts(test: &TestSpec) -> Result<Vec<String>, ExpandError> {
    let mut prompts = Vec::new();
    let mut seen = HashSet::new();
    for prompt in &test.prompts {
        for text in template::expand(prompt, &test.variables, test.combine)? {
            if seen.insert(text.clone()) {
                prompts.push(text);
            }
            if prompts.len() > MOST_PROMPTS {
                return Err(ExpandError::TooManyPrompts);
            }
        }
    }
    Ok(prompts)
}

fn misspelt_variable(test: &TestSpec) -> Result<(), ExpandError> {
    if test.variables.is_empty() {
        return Ok(());
    }
    let mut used = BTreeSet::new();
    for prompt in &test.prompts {
        used.extend(template::placeholders(prompt)?.into_iter().map(|p| p.name));
    }
    let unused = || test.variables.keys().map(String::as_str).filter(|name| !used.contains(*name));
    // Whatever has no variable has a default: it was expanded.
    for placeholder in used.iter().filter(|name| !test.variables.contains_key(*name)) {
        if let Some(variable) = nearest(placeholder, unused()) {
            return Err(ExpandError::MisspeltVariable {
                variable: variable.to_owned(),
                placeholder: placeholder.clone(),
            });
        }
    }
    Ok(())
}

/// Seeds that the test does not name, as many as it names, the same wherever it is asked: what a
/// verdict near the margin is confirmed on.
pub fn confirmation_seeds(test: &TestSpec) -> Vec<i64> {
    let drawn = (0_u64..).map(|k| {
        let digest = Sha256::new()
            .chain_update(test.id.as_str())
            .chain_update(b"\0confirmation\0")
            .chain_update(k.to_be_bytes())
            .finalize();
        // 31 bits: every back end takes them.
        i64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1)
    });
    let wanted = seeds(test).len();
    let mut seeds = Vec::with_capacity(wanted);
    for seed in drawn {
        if seeds.len() == wanted {
            break;
        }
        if !test.seeds.contains(&seed) && !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    seeds
}

/// Cells prompt by prompt, the prompts in an order that is random and always the same: whatever
/// has been made when a run stops early is a random sample of the prompts.
pub fn in_random_order(cells: Vec<CellKey>) -> Vec<CellKey> {
    let mut keyed: Vec<([u8; 32], CellKey)> = cells
        .into_iter()
        .map(|cell| {
            let digest = Sha256::new()
                .chain_update(cell.test.as_str())
                .chain_update(b"\0order\0")
                .chain_update(&cell.prompt)
                .finalize();
            (digest.into(), cell)
        })
        .collect();
    // Stable: a prompt's seeds stay in their order.
    keyed.sort_by_key(|(digest, _)| *digest);
    keyed.into_iter().map(|(_, cell)| cell).collect()
}

/// The file of a baseline, relative to its directory: `{test}/{sha256(prompt)[:12]}_seed{seed}.png`.
pub fn baseline_path(cell: &CellKey) -> String {
    let digest = hex::encode(Sha256::digest(cell.prompt.as_bytes()));
    format!("{}/{}_seed{}.png", cell.test.name(), &digest[..12], cell.seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{Combine, Place, TestId, TestKind};
    use std::collections::BTreeMap;

    fn test(seeds: &[i64]) -> TestSpec {
        TestSpec {
            id: TestId("t.py::a".into()),
            place: Place { file: "t.py".into(), line: 1 },
            kind: TestKind::VisualRegression { baseline_dir: "b".into(), ssim_threshold: 0.9 },
            prompts: (0..40).map(|i| format!("prompt {i}")).collect(),
            variables: BTreeMap::new(),
            combine: Combine::Product,
            negative_prompt: None,
            seeds: seeds.to_vec(),
            suite: None,
        }
    }

    #[test]
    fn confirmation_seeds_are_fresh_and_always_the_same() {
        let first = confirmation_seeds(&test(&[1, 2, 3]));
        assert_eq!(first.len(), 3);
        assert_eq!(first, confirmation_seeds(&test(&[1, 2, 3])));
        let other = confirmation_seeds(&test(&first));
        assert!(first.iter().all(|seed| !other.contains(seed) && *seed >= 0));
    }

    #[test]
    fn a_seed_that_is_named_twice_is_one_seed() {
        let twice = test(&[5, 3, 5]);
        assert_eq!(seeds(&twice), [5, 3]);
        assert_eq!(expand(&twice).unwrap_or_default(), expand(&test(&[5, 3])).unwrap_or_default());
        assert_eq!(confirmation_seeds(&twice).len(), 2);
    }

    #[test]
    fn the_order_is_a_permutation_that_keeps_a_prompts_seeds_together() {
        let cells = expand(&test(&[5, 3])).unwrap_or_default();
        let ordered = in_random_order(cells.clone());
        assert_ne!(ordered, cells);
        assert_eq!(ordered, in_random_order(cells.iter().rev().cloned().rev().collect()));
        let all: BTreeSet<&CellKey> = cells.iter().collect();
        assert_eq!(ordered.iter().collect::<BTreeSet<_>>(), all);
        for pair in ordered.chunks(2) {
            assert_eq!(pair[0].prompt, pair[1].prompt);
            assert_eq!((pair[0].seed, pair[1].seed), (5, 3));
        }
    }
}
