//! The rules, one a file, named as their codes are. A rule takes what a file says and returns what
//! is wrong with it, where, and how to mend it.

mod malformed_placeholder;
mod placeholder_without_variable;
mod threshold_without_metric;
mod unknown_metric;
mod unknown_suite;
mod zip_of_unequal_lengths;

use std::ops::Range;

use difftest_core::template::placeholders;

use crate::decorators::SourceFile;
use crate::literal::TextLiteral;
use crate::metrics::KnownMetrics;

/// What editors show in front of the message and people write into an ignore list: stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    UnknownMetric,
    ThresholdWithoutMetric,
    PlaceholderWithoutVariable,
    MalformedPlaceholder,
    UnknownSuite,
    UnknownCombine,
    ZipOfUnequalLengths,
    Configuration,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownMetric => "unknown-metric",
            Self::ThresholdWithoutMetric => "threshold-without-metric",
            Self::PlaceholderWithoutVariable => "placeholder-without-variable",
            Self::MalformedPlaceholder => "malformed-placeholder",
            Self::UnknownSuite => "unknown-suite",
            Self::UnknownCombine => "unknown-combine",
            Self::ZipOfUnequalLengths => "zip-of-unequal-lengths",
            Self::Configuration => "configuration",
        }
    }
}

/// Something a run would stumble over. All ranges are in bytes of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    pub range: Range<usize>,
    pub message: String,
    pub fix: Option<Fix>,
}

/// One replacement that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    pub title: String,
    pub range: Range<usize>,
    pub replacement: String,
}

impl Fix {
    /// Puts `name` where a byte range of the literal's value stands. None where the two do not
    /// correspond letter by letter, or where the name would have to be escaped.
    fn name(literal: &TextLiteral, range: Range<usize>, name: &str) -> Option<Self> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':');
        let range = literal.verbatim(range).filter(|_| name.chars().all(plain))?;
        Some(Self { title: format!("Replace with `{name}`"), range, replacement: name.to_owned() })
    }
}

/// Everything that is wrong with a file, in the order of the source. `has_file` says whether a
/// relative path means a file for this source: beside it, or at its repository's root.
pub fn check(
    file: &SourceFile,
    known: &KnownMetrics,
    has_file: &dyn Fn(&str) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for found in &file.uses {
        unknown_metric::check(found, known, &mut findings);
        unknown_suite::check(found, has_file, &mut findings);
        zip_of_unequal_lengths::check(found, &mut findings);
        threshold_without_metric::check(found, &mut findings);
        for prompt in &found.prompts.literals {
            match placeholders(&prompt.value) {
                Ok(placeholders) => {
                    placeholder_without_variable::check(found, prompt, &placeholders, &mut findings)
                }
                Err(error) => malformed_placeholder::check(prompt, &error, &mut findings),
            }
        }
    }
    findings.sort_by_key(|finding| (finding.range.start, finding.range.end, finding.code));
    findings
}
