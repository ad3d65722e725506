//! Solvers that step from the last point alone.

use super::*;

pub(super) static ALL: &[Solver] = &[
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
];
