//! Solvers for distilled models and for preconditionings of their own.

use super::*;

pub(super) static ALL: &[Solver] = &[
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
];
