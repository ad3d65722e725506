//! Expansion of a test into cells: test × prompt × seed.

use crate::event::CellKey;
use crate::suite::TestSpec;
use crate::template::{self, TemplateError};
use sha2::{Digest, Sha256};

/// The cells of a test in the order they are generated: every prompt with every seed, prompts
/// outermost. Prompts that expand to the same text appear once.
pub fn expand(test: &TestSpec) -> Result<Vec<CellKey>, TemplateError> {
    let mut prompts: Vec<String> = Vec::new();
    for prompt in &test.prompts {
        for text in template::expand(prompt, &test.variables)? {
            if !prompts.contains(&text) {
                prompts.push(text);
            }
        }
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

/// The file of a baseline, relative to its directory: `{test}/{sha256(prompt)[:12]}_seed{seed}.png`.
pub fn baseline_path(cell: &CellKey) -> String {
    let digest = hex::encode(Sha256::digest(cell.prompt.as_bytes()));
    format!("{}/{}_seed{}.png", cell.test.name(), &digest[..12], cell.seed)
}
