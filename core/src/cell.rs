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

/// The file of a baseline, relative to its directory: `{test}/{sha256(prompt)[:12]}_seed{seed}.png`.
pub fn baseline_path(cell: &CellKey) -> String {
    let digest = hex::encode(Sha256::digest(cell.prompt.as_bytes()));
    format!("{}/{}_seed{}.png", cell.test.name(), &digest[..12], cell.seed)
}
