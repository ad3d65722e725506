//! Expansion of a test into cells: test × prompt × seed.

use std::collections::HashSet;

use crate::event::CellKey;
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
}

/// The cells of a test in the order they are generated: every prompt with every seed, prompts
/// outermost. Prompts that expand to the same text appear once.
///
/// # Errors
/// A template that cannot be expanded, or more prompts or cells than a test may have.
pub fn expand(test: &TestSpec) -> Result<Vec<CellKey>, ExpandError> {
    let prompts = prompts(test)?;
    let seeds = test.seeds.len();
    if prompts.len().saturating_mul(seeds) > MOST_CELLS {
        return Err(ExpandError::TooManyCells { prompts: prompts.len(), seeds });
    }
    Ok(prompts
        .iter()
        .flat_map(|prompt| {
            test.seeds.iter().map(|seed| CellKey {
                test: test.id.clone(),
                prompt: prompt.clone(),
                seed: *seed,
            })
        })
        .collect())
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

/// The file of a baseline, relative to its directory: `{test}/{sha256(prompt)[:12]}_seed{seed}.png`.
pub fn baseline_path(cell: &CellKey) -> String {
    let digest = hex::encode(Sha256::digest(cell.prompt.as_bytes()));
    format!("{}/{}_seed{}.png", cell.test.name(), &digest[..12], cell.seed)
}
