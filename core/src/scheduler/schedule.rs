//! Sigma schedules: where on the way from noise to image a sampler's steps lie.

use serde_json::Value;

/// A schedule by the names that A1111 1.9 and ComfyUI give it. `suffix` is what a scheduler's id
/// ends with where the schedule is not its solver's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Schedule {
    /// Timesteps evenly spaced: A1111's "Uniform", ComfyUI's "normal".
    Uniform,
    /// Karras et al., arXiv 2206.00364, eq. 5, with ρ = 7.
    Karras,
    /// Log-sigmas evenly spaced.
    Exponential,
    /// Evenly spaced with the last one left out ("trailing"), as Stability's generative models do.
    SgmUniform,
    /// Every n-th of the model's own sigmas; what models of rectified flow are sampled with.
    Simple,
    /// Quantiles of a beta distribution (arXiv 2407.12173).
    Beta,
    /// The timesteps of DDIM ("leading").
    DdimUniform,
    /// Sabour et al., arXiv 2404.14507, section 3: the optimal one for isotropic Gaussian data.
    KlOptimal,
    /// Linear, then quadratic.
    LinearQuadratic,
    /// Sabour et al., arXiv 2404.14507: tables for SD 1.5 and SDXL.
    AlignYourSteps,
    /// Polynomial in log-sigma.
    Polyexponential,
    /// Step sizes λ of Lu et al., arXiv 2206.00927.
    Lu,
}

/// What a schedule is called.
#[derive(Debug)]
pub struct Names {
    pub schedule: Schedule,
    pub suffix: &'static str,
    pub name: &'static str,
    /// "Schedule type" of A1111 1.9 and later, and of Forge.
    pub a1111: Option<&'static str>,
    /// A member of ComfyUI's `SCHEDULER_NAMES`.
    pub comfyui: Option<&'static str>,
}

/// Every schedule, in the order in which they are listed.
pub const ALL: [Names; 12] = [
    Names::of(Schedule::Uniform, "uniform", "Uniform", Some("Uniform"), Some("normal")),
    Names::of(Schedule::Karras, "karras", "Karras", Some("Karras"), Some("karras")),
    Names::of(
        Schedule::Exponential,
        "exponential",
        "Exponential",
        Some("Exponential"),
        Some("exponential"),
    ),
    Names::of(
        Schedule::SgmUniform,
        "sgm_uniform",
        "SGM Uniform",
        Some("SGM Uniform"),
        Some("sgm_uniform"),
    ),
    Names::of(Schedule::Simple, "simple", "Simple", Some("Simple"), Some("simple")),
    Names::of(Schedule::Beta, "beta", "Beta", Some("Beta"), Some("beta")),
    Names::of(
        Schedule::DdimUniform,
        "ddim_uniform",
        "DDIM Uniform",
        Some("DDIM"),
        Some("ddim_uniform"),
    ),
    Names::of(
        Schedule::KlOptimal,
        "kl_optimal",
        "KL Optimal",
        Some("KL Optimal"),
        Some("kl_optimal"),
    ),
    Names::of(
        Schedule::LinearQuadratic,
        "linear_quadratic",
        "Linear Quadratic",
        None,
        Some("linear_quadratic"),
    ),
    Names::of(
        Schedule::AlignYourSteps,
        "align_your_steps",
        "Align Your Steps",
        Some("Align Your Steps"),
        None,
    ),
    Names::of(
        Schedule::Polyexponential,
        "polyexponential",
        "Polyexponential",
        Some("Polyexponential"),
        None,
    ),
    Names::of(Schedule::Lu, "lu", "Lu", None, None),
];

impl Names {
    const fn of(
        schedule: Schedule,
        suffix: &'static str,
        name: &'static str,
        a1111: Option<&'static str>,
        comfyui: Option<&'static str>,
    ) -> Self {
        Self { schedule, suffix, name, a1111, comfyui }
    }
}

impl Schedule {
    pub fn names(self) -> &'static Names {
        // The table is in the order of the enum; a test holds it there.
        &ALL[self as usize]
    }

    /// The switch of a diffusers scheduler that turns this schedule on, where it is one.
    pub(super) fn diffusers_switch(self) -> Option<&'static str> {
        match self {
            Self::Karras => Some("use_karras_sigmas"),
            Self::Exponential => Some("use_exponential_sigmas"),
            Self::Beta => Some("use_beta_sigmas"),
            Self::Lu => Some("use_lu_lambdas"),
            _ => None,
        }
    }
}

/// diffusers' `timestep_spacing` that is [`Schedule::SgmUniform`].
pub(super) fn trailing() -> (String, Value) {
    ("timestep_spacing".to_owned(), Value::from("trailing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, names) in ALL.iter().enumerate() {
            assert_eq!(names.schedule as usize, index, "{}", names.name);
        }
    }
}
