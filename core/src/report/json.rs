//! The results as JSON: what `difftest run --output` writes. `docs/results.schema.json` describes it.

use crate::result::Run;

/// The document, its last line ended. Scores that are no numbers are `null`.
pub fn json(run: &Run) -> String {
    let mut text = serde_json::to_string_pretty(&run.report())
        // Maps have string keys and there is no other way to fail.
        .unwrap_or_else(|e| format!(r#"{{"error": "{e}"}}"#));
    text.push('\n');
    text
}
