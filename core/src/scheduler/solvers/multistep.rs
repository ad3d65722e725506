//! Solvers that step from the last points together.

use super::*;

pub(super) static ALL: &[Solver] = &[
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
            &[
                ("solver_type", Word("bh1")),
                ("use_flow_sigmas", Flag(false)),
                // Its B(h) = h (arXiv 2302.04867) is infinite where σ ends at 0: the image is NaN.
                ("final_sigmas_type", Word("sigma_min")),
            ],
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
];
