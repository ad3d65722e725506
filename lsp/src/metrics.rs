//! Which metric names there are: difftest's own and the ones the workspace declares.

use std::collections::BTreeSet;

/// Whether a listing in the source could be read to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// What was read is all there is.
    #[default]
    Nothing,
    /// Something in it is only known when Python runs it; nothing follows from what is missing.
    Unreadable,
}

impl Rest {
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Self::Nothing,
            _ => Self::Unreadable,
        }
    }
}

/// The names that one file gives to `@difftest.metric`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredMetrics {
    pub names: BTreeSet<String>,
    pub rest: Rest,
}

impl DeclaredMetrics {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.rest == Rest::Nothing
    }
}

/// Every name a test may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMetrics {
    pub names: BTreeSet<String>,
    pub rest: Rest,
}

impl KnownMetrics {
    /// The built-in metrics and those of these files.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a DeclaredMetrics>) -> Self {
        let builtin = difftest_core::metric::builtin().into_iter().map(|metric| metric.name);
        let mut known = Self { names: builtin.collect(), rest: Rest::Nothing };
        for file in files {
            known.names.extend(file.names.iter().cloned());
            known.rest = known.rest.and(file.rest);
        }
        known
    }
}
