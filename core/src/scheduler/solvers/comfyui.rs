//! Solvers that ComfyUI alone has.

use super::*;

pub(super) static ALL: &[Solver] = &[
    Solver {
        id: "sa_solver_pece",
        name: "SA Solver PECE",
        order: 2,
        evaluations: 2,
        stochastic: true,
        comfyui: Some("sa_solver_pece"),
        near: "sa_solver",
        ..NONE
    },
    Solver {
        id: "exp_heun_2_x0",
        name: "Exponential Heun 2",
        order: 2,
        evaluations: 2,
        suits: BOTH,
        comfyui: Some("exp_heun_2_x0"),
        near: "heun",
        ..NONE
    },
    Solver {
        id: "exp_heun_2_x0_sde",
        name: "Exponential Heun 2 SDE",
        order: 2,
        evaluations: 2,
        stochastic: true,
        suits: BOTH,
        comfyui: Some("exp_heun_2_x0_sde"),
        near: "dpmpp_sde",
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
    Solver {
        id: "res_multistep_cfg_pp",
        name: "RES Multistep CFG++",
        order: 2,
        comfyui: Some("res_multistep_cfg_pp"),
        near: "res_multistep",
        ..NONE
    },
    Solver {
        id: "res_multistep_a_cfg_pp",
        name: "RES Multistep a CFG++",
        order: 2,
        stochastic: true,
        comfyui: Some("res_multistep_ancestral_cfg_pp"),
        near: "res_multistep_a",
        ..NONE
    },
    Solver {
        id: "gradient_estimation_cfg_pp",
        name: "Gradient Estimation CFG++",
        comfyui: Some("gradient_estimation_cfg_pp"),
        near: "gradient_estimation",
        ..NONE
    },
];
