//! The solvers that there are, and what each back end calls them.
//!
//! Sources: diffusers' "Schedulers" overview and its classes' signatures, the sampler tables of
//! A1111 1.10 (`sd_samplers_*.py`) and Forge (`alter_samplers.py`), `KSAMPLER_NAMES` of ComfyUI.

mod comfyui;
mod distilled;
mod multistep;
mod one_step;

use super::schedule::Schedule;
use super::{ModelFamily, ModelFamily::*};

/// A value of a diffusers scheduler's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting {
    Flag(bool),
    Number(u8),
    Word(&'static str),
}

/// How a solver is made in diffusers.
#[derive(Debug)]
pub struct Class {
    pub class: &'static str,
    pub config: &'static [(&'static str, Setting)],
    /// The schedules that have a switch in its configuration.
    pub switches: &'static [Schedule],
    /// Whether it takes `timestep_spacing`.
    pub spacing: bool,
}

/// How a solver is asked for in A1111 and Forge.
#[derive(Debug)]
pub struct Sampler {
    pub name: &'static str,
    /// False where the sampler has timesteps of its own and the schedule type is left unread.
    pub scheduled: bool,
    /// What the schedule type "Automatic" stands for there.
    pub automatic: Schedule,
    /// Whether A1111 has it too, or Forge alone.
    pub forge_only: bool,
}

/// An integrator of the reverse process, before a schedule is chosen.
#[derive(Debug)]
pub struct Solver {
    pub id: &'static str,
    pub name: &'static str,
    pub order: u8,
    /// Calls of the model for each step.
    pub evaluations: u8,
    /// Whether it adds noise at every step.
    pub stochastic: bool,
    pub suits: &'static [ModelFamily],
    /// The schedule that the bare id stands for.
    pub own: Schedule,
    pub diffusers: Option<Class>,
    /// For [`Schedule::Simple`]: the id and the class for models of rectified flow.
    pub flow: Option<(&'static str, &'static str, Class)>,
    pub a1111: Option<Sampler>,
    pub comfyui: Option<&'static str>,
    /// Further ComfyUI samplers that are this one (noise drawn on the GPU).
    pub comfyui_also: &'static [&'static str],
    /// Another solver like it, for a back end that lacks this one.
    pub near: &'static str,
}

use Setting::{Flag, Number, Word};

const KEB: &[Schedule] = &[Schedule::Karras, Schedule::Exponential, Schedule::Beta];
const KEBL: &[Schedule] = &[Schedule::Karras, Schedule::Exponential, Schedule::Beta, Schedule::Lu];
const DIFFUSION: &[ModelFamily] = &[Diffusion];
const BOTH: &[ModelFamily] = &[Diffusion, Flow];
const DISTILLED: &[ModelFamily] = &[Diffusion, Flow, Turbo];

const NONE: Solver = Solver {
    id: "",
    name: "",
    order: 1,
    evaluations: 1,
    stochastic: false,
    suits: DIFFUSION,
    own: Schedule::Uniform,
    diffusers: None,
    flow: None,
    a1111: None,
    comfyui: None,
    comfyui_also: &[],
    near: "euler",
};

const fn class(
    class: &'static str,
    config: &'static [(&'static str, Setting)],
    switches: &'static [Schedule],
    spacing: bool,
) -> Option<Class> {
    Some(Class { class, config, switches, spacing })
}

const fn sampler(name: &'static str, automatic: Schedule) -> Option<Sampler> {
    Some(Sampler { name, scheduled: true, automatic, forge_only: false })
}

/// A sampler with timesteps of its own.
const fn fixed(name: &'static str, own: Schedule) -> Option<Sampler> {
    Some(Sampler { name, scheduled: false, automatic: own, forge_only: false })
}

const fn forge(name: &'static str) -> Option<Sampler> {
    Some(Sampler { name, scheduled: true, automatic: Schedule::Uniform, forge_only: true })
}

const MULTISTEP: &str = "DPMSolverMultistepScheduler";
const FLOW_CONFIG: &[(&str, Setting)] =
    &[("use_flow_sigmas", Flag(true)), ("prediction_type", Word("flow_prediction"))];

/// Every solver, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = &'static Solver> + Clone {
    [one_step::ALL, multistep::ALL, distilled::ALL, comfyui::ALL].into_iter().flatten()
}

/// The solver of this id.
pub fn get(id: &str) -> Option<&'static Solver> {
    all().find(|solver| solver.id == id)
}
