//! The solvers that there are, and what each back end calls them.
//!
//! Sources: diffusers' "Schedulers" overview and its classes' signatures, the sampler tables of
//! A1111 1.10 (`sd_samplers_*.py`) and Forge (`alter_samplers.py`), `KSAMPLER_NAMES` of ComfyUI.

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
pub static ALL: &[Solver] = &[
    Solver {
        id: "euler",
        name: "Euler",
        suits: DISTILLED,
        diffusers: class("EulerDiscreteScheduler", &[], KEB, true),
        flow: Some((
            "flow_match_euler",
            "Flow Match Euler",
            Class {
                class: "FlowMatchEulerDiscreteScheduler",
                config: &[],
                switches: KEB,
                spacing: false,
            },
        )),
        a1111: sampler("Euler", Schedule::Uniform),
        comfyui: Some("euler"),
        near: "ddim",
        ..NONE
    },
    Solver {
        id: "euler_a",
        name: "Euler a",
        stochastic: true,
        suits: DISTILLED,
        diffusers: class("EulerAncestralDiscreteScheduler", &[], &[], true),
        a1111: sampler("Euler a", Schedule::Uniform),
        comfyui: Some("euler_ancestral"),
        ..NONE
    },
    Solver {
        id: "heun",
        name: "Heun",
        order: 2,
        evaluations: 2,
        suits: BOTH,
        diffusers: class("HeunDiscreteScheduler", &[], KEB, true),
        flow: Some((
            "flow_match_heun",
            "Flow Match Heun",
            Class {
                class: "FlowMatchHeunDiscreteScheduler",
                config: &[],
                switches: &[],
                spacing: false,
            },
        )),
        a1111: sampler("Heun", Schedule::Uniform),
        comfyui: Some("heun"),
        ..NONE
    },
    Solver {
        id: "heunpp2",
        name: "HeunPP2",
        order: 2,
        evaluations: 3,
        a1111: forge("HeunPP2"),
        comfyui: Some("heunpp2"),
        near: "heun",
        ..NONE
    },
    Solver {
        id: "lms",
        name: "LMS",
        order: 4,
        diffusers: class("LMSDiscreteScheduler", &[], KEB, true),
        a1111: sampler("LMS", Schedule::Uniform),
        comfyui: Some("lms"),
        ..NONE
    },
    Solver {
        id: "ddim",
        name: "DDIM",
        own: Schedule::DdimUniform,
        diffusers: class("DDIMScheduler", &[], &[], true),
        a1111: fixed("DDIM", Schedule::DdimUniform),
        comfyui: Some("ddim"),
        ..NONE
    },
    Solver {
        id: "ddim_cfg_pp",
        name: "DDIM CFG++",
        own: Schedule::DdimUniform,
        a1111: fixed("DDIM CFG++", Schedule::DdimUniform),
        near: "euler_cfg_pp",
        ..NONE
    },
    Solver {
        id: "ddpm",
        name: "DDPM",
        stochastic: true,
        diffusers: class("DDPMScheduler", &[], &[], true),
        a1111: forge("DDPM"),
        comfyui: Some("ddpm"),
        near: "euler_a",
        ..NONE
    },
    Solver {
        id: "pndm",
        name: "PLMS",
        order: 4,
        own: Schedule::DdimUniform,
        diffusers: class("PNDMScheduler", &[("skip_prk_steps", Flag(true))], &[], true),
        a1111: fixed("PLMS", Schedule::DdimUniform),
        near: "lms",
        ..NONE
    },
    Solver {
        id: "ipndm",
        name: "IPNDM",
        order: 4,
        diffusers: class("IPNDMScheduler", &[], &[], false),
        a1111: forge("IPNDM"),
        comfyui: Some("ipndm"),
        near: "lms",
        ..NONE
    },
    Solver {
        id: "ipndm_v",
        name: "IPNDM_V",
        order: 4,
        a1111: forge("IPNDM_V"),
        comfyui: Some("ipndm_v"),
        near: "ipndm",
        ..NONE
    },
    Solver {
        id: "dpm2",
        name: "DPM2",
        order: 2,
        evaluations: 2,
        diffusers: class("KDPM2DiscreteScheduler", &[], KEB, true),
        a1111: sampler("DPM2", Schedule::Karras),
        comfyui: Some("dpm_2"),
        near: "heun",
        ..NONE
    },
    Solver {
        id: "dpm2_a",
        name: "DPM2 a",
        order: 2,
        evaluations: 2,
        stochastic: true,
        diffusers: class("KDPM2AncestralDiscreteScheduler", &[], KEB, true),
        a1111: sampler("DPM2 a", Schedule::Karras),
        comfyui: Some("dpm_2_ancestral"),
        near: "euler_a",
        ..NONE
    },
    Solver {
        id: "dpm_fast",
        name: "DPM fast",
        order: 3,
        a1111: fixed("DPM fast", Schedule::Uniform),
        comfyui: Some("dpm_fast"),
        near: "dpmpp_2s",
        ..NONE
    },
    Solver {
        id: "dpm_adaptive",
        name: "DPM adaptive",
        order: 3,
        a1111: fixed("DPM adaptive", Schedule::Uniform),
        comfyui: Some("dpm_adaptive"),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "dpmpp_2s",
        name: "DPM++ 2S",
        order: 2,
        diffusers: class(
            "DPMSolverSinglestepScheduler",
            &[
                ("algorithm_type", Word("dpmsolver++")),
                ("solver_order", Number(2)),
                ("solver_type", Word("midpoint")),
            ],
            KEB,
            false,
        ),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "dpmpp_2s_a",
        name: "DPM++ 2S a",
        order: 2,
        evaluations: 2,
        stochastic: true,
        a1111: sampler("DPM++ 2S a", Schedule::Karras),
        comfyui: Some("dpmpp_2s_ancestral"),
        near: "dpmpp_2s",
        ..NONE
    },
    Solver {
        id: "dpmpp_2m",
        name: "DPM++ 2M",
        order: 2,
        suits: BOTH,
        diffusers: class(
            MULTISTEP,
            &[
                ("algorithm_type", Word("dpmsolver++")),
                ("solver_order", Number(2)),
                ("solver_type", Word("midpoint")),
                ("use_flow_sigmas", Flag(false)),
            ],
            KEBL,
            true,
        ),
        flow: Some((
            "flow_match_dpmpp_2m",
            "Flow Match DPM++ 2M",
            Class { class: MULTISTEP, config: FLOW_CONFIG, switches: KEBL, spacing: false },
        )),
        a1111: sampler("DPM++ 2M", Schedule::Karras),
        comfyui: Some("dpmpp_2m"),
        ..NONE
    },
    Solver {
        id: "dpmpp_3m",
        name: "DPM++ 3M",
        order: 3,
        diffusers: class(
            MULTISTEP,
            &[
                ("algorithm_type", Word("dpmsolver++")),
                ("solver_order", Number(3)),
                ("use_flow_sigmas", Flag(false)),
            ],
            KEBL,
            true,
        ),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "dpmpp_sde",
        name: "DPM++ SDE",
        order: 2,
        evaluations: 2,
        stochastic: true,
        diffusers: class("DPMSolverSDEScheduler", &[], KEB, true),
        a1111: sampler("DPM++ SDE", Schedule::Karras),
        comfyui: Some("dpmpp_sde"),
        comfyui_also: &["dpmpp_sde_gpu"],
        near: "dpmpp_2m_sde",
        ..NONE
    },
    Solver {
        id: "dpmpp_2m_sde",
        name: "DPM++ 2M SDE",
        order: 2,
        stochastic: true,
        diffusers: class(
            MULTISTEP,
            &[
                ("algorithm_type", Word("sde-dpmsolver++")),
                ("solver_order", Number(2)),
                ("solver_type", Word("midpoint")),
                ("use_flow_sigmas", Flag(false)),
            ],
            KEBL,
            true,
        ),
        a1111: sampler("DPM++ 2M SDE", Schedule::Exponential),
        comfyui: Some("dpmpp_2m_sde"),
        comfyui_also: &["dpmpp_2m_sde_gpu"],
        near: "dpmpp_sde",
        ..NONE
    },
    Solver {
        id: "dpmpp_2m_sde_heun",
        name: "DPM++ 2M SDE Heun",
        order: 2,
        stochastic: true,
        diffusers: class(
            MULTISTEP,
            &[
                ("algorithm_type", Word("sde-dpmsolver++")),
                ("solver_order", Number(2)),
                ("solver_type", Word("heun")),
                ("use_flow_sigmas", Flag(false)),
            ],
            KEBL,
            true,
        ),
        a1111: sampler("DPM++ 2M SDE Heun", Schedule::Exponential),
        comfyui: Some("dpmpp_2m_sde_heun"),
        comfyui_also: &["dpmpp_2m_sde_heun_gpu"],
        near: "dpmpp_2m_sde",
        ..NONE
    },
    Solver {
        id: "dpmpp_3m_sde",
        name: "DPM++ 3M SDE",
        order: 3,
        stochastic: true,
        diffusers: class(
            MULTISTEP,
            &[
                ("algorithm_type", Word("sde-dpmsolver++")),
                ("solver_order", Number(3)),
                ("use_flow_sigmas", Flag(false)),
            ],
            KEBL,
            true,
        ),
        a1111: sampler("DPM++ 3M SDE", Schedule::Exponential),
        comfyui: Some("dpmpp_3m_sde"),
        comfyui_also: &["dpmpp_3m_sde_gpu"],
        near: "dpmpp_2m_sde",
        ..NONE
    },
    Solver {
        id: "unipc",
        name: "UniPC",
        order: 2,
        suits: BOTH,
        diffusers: class(
            "UniPCMultistepScheduler",
            &[("solver_type", Word("bh1")), ("use_flow_sigmas", Flag(false))],
            KEB,
            true,
        ),
        a1111: fixed("UniPC", Schedule::Uniform),
        comfyui: Some("uni_pc"),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "unipc_bh2",
        name: "UniPC BH2",
        order: 2,
        suits: BOTH,
        diffusers: class(
            "UniPCMultistepScheduler",
            &[("solver_type", Word("bh2")), ("use_flow_sigmas", Flag(false))],
            KEB,
            true,
        ),
        flow: Some((
            "flow_match_unipc",
            "Flow Match UniPC",
            Class {
                class: "UniPCMultistepScheduler",
                config: FLOW_CONFIG,
                switches: KEB,
                spacing: false,
            },
        )),
        comfyui: Some("uni_pc_bh2"),
        near: "unipc",
        ..NONE
    },
    Solver {
        id: "deis",
        name: "DEIS",
        order: 2,
        diffusers: class("DEISMultistepScheduler", &[("use_flow_sigmas", Flag(false))], KEB, true),
        a1111: forge("DEIS"),
        comfyui: Some("deis"),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "sa_solver",
        name: "SA Solver",
        order: 2,
        stochastic: true,
        diffusers: class("SASolverScheduler", &[("use_flow_sigmas", Flag(false))], KEB, true),
        comfyui: Some("sa_solver"),
        near: "dpmpp_2m_sde",
        ..NONE
    },
    Solver {
        id: "restart",
        name: "Restart",
        order: 2,
        evaluations: 2,
        stochastic: true,
        own: Schedule::Karras,
        a1111: sampler("Restart", Schedule::Karras),
        near: "heun",
        ..NONE
    },
    Solver {
        id: "lcm",
        name: "LCM",
        stochastic: true,
        suits: &[Consistency],
        own: Schedule::SgmUniform,
        diffusers: class("LCMScheduler", &[], &[], false),
        flow: Some((
            "flow_match_lcm",
            "Flow Match LCM",
            Class { class: "FlowMatchLCMScheduler", config: &[], switches: KEB, spacing: false },
        )),
        a1111: sampler("LCM", Schedule::Uniform),
        comfyui: Some("lcm"),
        near: "euler_a",
        ..NONE
    },
    Solver {
        id: "tcd",
        name: "TCD",
        stochastic: true,
        suits: &[Consistency],
        own: Schedule::SgmUniform,
        diffusers: class("TCDScheduler", &[], &[], false),
        near: "lcm",
        ..NONE
    },
    Solver {
        id: "cm",
        name: "Consistency Model",
        stochastic: true,
        suits: &[Consistency],
        own: Schedule::Karras,
        diffusers: class("CMStochasticIterativeScheduler", &[], &[], false),
        near: "lcm",
        ..NONE
    },
    Solver {
        id: "edm_euler",
        name: "EDM Euler",
        suits: &[Edm],
        own: Schedule::Karras,
        diffusers: class("EDMEulerScheduler", &[("sigma_schedule", Word("karras"))], &[], false),
        near: "euler",
        ..NONE
    },
    Solver {
        id: "edm_dpmpp_2m",
        name: "EDM DPM++ 2M",
        order: 2,
        suits: &[Edm],
        own: Schedule::Karras,
        diffusers: class(
            "EDMDPMSolverMultistepScheduler",
            &[
                ("algorithm_type", Word("dpmsolver++")),
                ("solver_order", Number(2)),
                ("sigma_schedule", Word("karras")),
            ],
            &[],
            false,
        ),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "res_multistep",
        name: "RES Multistep",
        order: 2,
        suits: BOTH,
        comfyui: Some("res_multistep"),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "res_multistep_a",
        name: "RES Multistep a",
        order: 2,
        stochastic: true,
        suits: BOTH,
        comfyui: Some("res_multistep_ancestral"),
        near: "dpmpp_2m_sde",
        ..NONE
    },
    Solver {
        id: "gradient_estimation",
        name: "Gradient Estimation",
        suits: BOTH,
        comfyui: Some("gradient_estimation"),
        near: "euler",
        ..NONE
    },
    Solver {
        id: "er_sde",
        name: "ER SDE",
        order: 3,
        stochastic: true,
        suits: BOTH,
        comfyui: Some("er_sde"),
        near: "dpmpp_3m_sde",
        ..NONE
    },
    Solver {
        id: "seeds_2",
        name: "SEEDS 2",
        order: 2,
        evaluations: 2,
        stochastic: true,
        suits: BOTH,
        comfyui: Some("seeds_2"),
        near: "dpmpp_sde",
        ..NONE
    },
    Solver {
        id: "seeds_3",
        name: "SEEDS 3",
        order: 3,
        evaluations: 3,
        stochastic: true,
        suits: BOTH,
        comfyui: Some("seeds_3"),
        near: "dpmpp_sde",
        ..NONE
    },
    Solver {
        id: "euler_cfg_pp",
        name: "Euler CFG++",
        comfyui: Some("euler_cfg_pp"),
        near: "euler",
        ..NONE
    },
    Solver {
        id: "euler_a_cfg_pp",
        name: "Euler a CFG++",
        stochastic: true,
        comfyui: Some("euler_ancestral_cfg_pp"),
        near: "euler_a",
        ..NONE
    },
    Solver {
        id: "dpmpp_2m_cfg_pp",
        name: "DPM++ 2M CFG++",
        order: 2,
        comfyui: Some("dpmpp_2m_cfg_pp"),
        near: "dpmpp_2m",
        ..NONE
    },
    Solver {
        id: "dpmpp_2s_a_cfg_pp",
        name: "DPM++ 2S a CFG++",
        order: 2,
        evaluations: 2,
        stochastic: true,
        comfyui: Some("dpmpp_2s_ancestral_cfg_pp"),
        near: "dpmpp_2s_a",
        ..NONE
    },
];
