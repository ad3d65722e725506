//! What can be wrong with a recipe, or with asking a back end for it. Every message names the
//! field, its value and the mend.

use thiserror::Error;

use crate::scheduler::SchedulerError;

#[derive(Debug, Clone, PartialEq, Error)]
pub enum RecipeError {
    #[error("the recipe's `{field}` is {value}; it must be {allowed}")]
    Value { field: String, value: String, allowed: &'static str },
    #[error("a recipe has no field `{field}`; {mend}")]
    UnknownField { field: String, mend: String },
    #[error("a recipe needs a `{field}`, and this one has none")]
    Missing { field: &'static str },
    #[error("the recipe's `scheduler`: {0}")]
    Scheduler(#[from] SchedulerError),
    /// The back end cannot do what is asked.
    #[error("the recipe's `{field}` is {value}, but {back_end} {why}")]
    CannotTake { back_end: &'static str, field: &'static str, value: String, why: String },
    /// A ComfyUI workflow lacks the node that takes a field.
    #[error("the recipe sets `{field}`, but the workflow has no {node} that takes it; {mend}")]
    NoNode { field: &'static str, node: &'static str, mend: String },
    /// A ComfyUI workflow has several nodes that take a field, and they disagree.
    #[error(
        "the recipe sets `{field}`, but the workflow has several nodes that take it ({nodes}); \
         title the right one `difftest:{field}` in ComfyUI"
    )]
    Ambiguous { field: &'static str, nodes: String },
    #[error("this is not a ComfyUI workflow in API format: {0}")]
    NotAWorkflow(String),
}

impl RecipeError {
    pub(super) fn value(
        field: impl Into<String>,
        value: impl ToString,
        allowed: &'static str,
    ) -> Self {
        Self::Value { field: field.into(), value: value.to_string(), allowed }
    }
}
