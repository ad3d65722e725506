//! The registry of schedulers: its names are each back end's, one each, and lead back.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use difftest_core::scheduler::{
    self, BackEnd, ModelFamily, all, find, from_a1111, from_comfyui, from_diffusers, known,
};

fn unique<K: Eq + Hash + Debug>(kind: &str, key: impl Fn(&scheduler::Scheduler) -> Option<K>) {
    let mut seen: HashMap<K, &str> = HashMap::new();
    for scheduler in all() {
        let Some(key) = key(scheduler) else { continue };
        let shown = format!("{key:?}");
        if let Some(other) = seen.insert(key, &scheduler.id) {
            panic!("{kind} {shown} is both {other} and {}", scheduler.id);
        }
    }
    assert!(seen.len() > 20, "{kind}: only {} names", seen.len());
}

#[test]
fn every_name_belongs_to_one_scheduler() {
    unique("id", |s| Some(s.id.clone()));
    unique("display name", |s| Some(s.name.clone()));
    unique("diffusers", |s| s.diffusers().map(|n| format!("{} {:?}", n.class, n.config)));
    unique("A1111 split", |s| s.a1111().map(|n| (n.sampler, n.schedule_type)));
    unique("A1111 combined", |s| s.a1111().map(|n| n.combined));
    unique("ComfyUI", |s| s.comfyui().map(|n| (n.sampler_name, n.scheduler)));
}

#[test]
fn every_name_leads_back_to_its_scheduler() {
    for scheduler in all() {
        let id = scheduler.id.as_str();
        assert_eq!(find(id).unwrap().id, id);
        assert_eq!(find(&scheduler.name).unwrap().id, id, "{}", scheduler.name);
        assert_eq!(find(&scheduler.name.to_uppercase()).unwrap().id, id);
        if let Some(names) = scheduler.diffusers() {
            assert_eq!(from_diffusers(names.class, &names.config).unwrap().id, id);
        }
        if let Some(names) = scheduler.a1111() {
            assert_eq!(from_a1111(names.sampler, Some(names.schedule_type)).unwrap().id, id);
            assert_eq!(from_a1111(&names.combined, None).unwrap().id, id);
            // What A1111 1.9 does with a request in the old form.
            assert_eq!(
                from_a1111(&names.combined, Some(names.schedule_type)).unwrap().id,
                id,
                "{}",
                names.combined
            );
        }
        if let Some(names) = scheduler.comfyui() {
            assert_eq!(from_comfyui(names.sampler_name, names.scheduler).unwrap().id, id);
        }
    }
}

/// Names as the three write them in their own documentation and interfaces.
#[test]
fn the_names_are_the_back_ends() {
    let rows = [
        (
            "dpmpp_2m_karras",
            "DPM++ 2M",
            "Karras",
            "dpmpp_2m",
            "karras",
            "DPMSolverMultistepScheduler",
        ),
        ("euler", "Euler", "Uniform", "euler", "normal", "EulerDiscreteScheduler"),
        ("dpm2_karras", "DPM2", "Karras", "dpm_2", "karras", "KDPM2DiscreteScheduler"),
        (
            "dpm2_a",
            "DPM2 a",
            "Uniform",
            "dpm_2_ancestral",
            "normal",
            "KDPM2AncestralDiscreteScheduler",
        ),
        ("lms_karras", "LMS", "Karras", "lms", "karras", "LMSDiscreteScheduler"),
        ("dpmpp_sde_karras", "DPM++ SDE", "Karras", "dpmpp_sde", "karras", "DPMSolverSDEScheduler"),
        ("ddim", "DDIM", "Automatic", "ddim", "ddim_uniform", "DDIMScheduler"),
        ("unipc", "UniPC", "Automatic", "uni_pc", "normal", "UniPCMultistepScheduler"),
        ("lcm", "LCM", "SGM Uniform", "lcm", "sgm_uniform", "LCMScheduler"),
        (
            "flow_match_euler",
            "Euler",
            "Simple",
            "euler",
            "simple",
            "FlowMatchEulerDiscreteScheduler",
        ),
        ("deis", "DEIS", "Uniform", "deis", "normal", "DEISMultistepScheduler"),
    ];
    for (id, sampler, schedule_type, comfy_sampler, comfy_scheduler, class) in rows {
        let scheduler = scheduler::get(id).unwrap_or_else(|| panic!("no {id}"));
        let a1111 = scheduler.a1111().unwrap();
        assert_eq!((a1111.sampler, a1111.schedule_type), (sampler, schedule_type), "{id}");
        let comfy = scheduler.comfyui().unwrap();
        assert_eq!((comfy.sampler_name, comfy.scheduler), (comfy_sampler, comfy_scheduler), "{id}");
        assert_eq!(scheduler.diffusers().unwrap().class, class, "{id}");
    }
    let karras = scheduler::get("dpmpp_2m_karras").unwrap();
    assert_eq!(karras.a1111().unwrap().combined, "DPM++ 2M Karras");
    assert_eq!(karras.diffusers().unwrap().config["use_karras_sigmas"], true);
    let plain = scheduler::get("dpmpp_2m").unwrap();
    assert_eq!(plain.diffusers().unwrap().config["use_karras_sigmas"], false);
    assert!(!plain.diffusers().unwrap().config.contains_key("timestep_spacing"));
    let sgm = scheduler::get("dpmpp_2m_sgm_uniform").unwrap();
    assert_eq!(sgm.diffusers().unwrap().config["timestep_spacing"], "trailing");
    assert_eq!(scheduler::get("flow_match_euler").unwrap().suits(), [ModelFamily::Flow]);
    for id in [
        "ddpm",
        "pndm",
        "heun_karras",
        "dpm2_a_karras",
        "dpmpp_2s_a_karras",
        "dpm_fast",
        "dpmpp_2m_sde_exponential",
        "dpmpp_3m_sde_karras",
        "tcd",
        "edm_euler",
        "dpm_adaptive",
    ] {
        assert!(scheduler::get(id).is_some(), "{id}");
    }
}

/// A1111 1.9: "Automatic" is the sampler's own default, and the type is left unread by samplers
/// with timesteps of their own.
#[test]
fn automatic_is_the_samplers_own() {
    let id = |sampler, schedule| from_a1111(sampler, schedule).map(|s| s.id.as_str());
    assert_eq!(id("DPM++ 2M", Some("Automatic")), Some("dpmpp_2m_karras"));
    assert_eq!(id("DPM++ 2M SDE", Some("Automatic")), Some("dpmpp_2m_sde_exponential"));
    assert_eq!(id("Euler a", Some("Automatic")), Some("euler_a"));
    assert_eq!(id("DDIM", Some("Karras")), Some("ddim"));
    assert_eq!(id("DPM++ 2M", None), Some("dpmpp_2m"), "before 1.9 it was evenly spaced");
    assert_eq!(id("DPM++ 2M Karras", None), Some("dpmpp_2m_karras"));
    assert_eq!(id("Undefined", None), None);
    assert_eq!(id("Euler", Some("Turbo")), None);
}

#[test]
fn what_a_back_end_lacks_is_an_error_with_what_it_has() {
    let error = |id, back_end| known(id, back_end).unwrap_err().to_string();
    assert_eq!(
        error("tcd", BackEnd::ComfyUi),
        "ComfyUI has no scheduler `tcd`; the nearest that it has is `lcm`"
    );
    assert_eq!(
        error("dpmpp_2s_a_karras", BackEnd::Diffusers),
        "diffusers has no scheduler `dpmpp_2s_a_karras`; the nearest that it has is `dpmpp_2s_karras`"
    );
    assert_eq!(
        error("edm_dpmpp_2m", BackEnd::A1111),
        "A1111/Forge has no scheduler `edm_dpmpp_2m`; the nearest that it has is `dpmpp_2m_karras`"
    );
    for scheduler in all() {
        for back_end in [BackEnd::Diffusers, BackEnd::A1111, BackEnd::ComfyUi] {
            let nearest = scheduler.nearest_in(back_end).unwrap();
            assert!(nearest.is_in(back_end), "{} in {back_end}: {}", scheduler.id, nearest.id);
        }
    }
}

#[test]
fn a_misspelt_name_gets_the_nearest() {
    let error = |name| find(name).unwrap_err().to_string();
    assert_eq!(
        error("dpmpp_2m_karas"),
        "there is no scheduler `dpmpp_2m_karas`; did you mean `dpmpp_2m_karras`?"
    );
    assert_eq!(
        error("DPM++ 2M Karas"),
        "there is no scheduler `DPM++ 2M Karas`; did you mean `dpmpp_2m_karras`?"
    );
    assert_eq!(
        error("a sampler of the far future"),
        "there is no scheduler `a sampler of the far future`; `difftest recipe schedulers` lists them"
    );
    for (name, id) in [
        ("DPM++ 2M Karras", "dpmpp_2m_karras"),
        ("euler_ancestral", "euler_a"),
        ("Euler a", "euler_a"),
        ("EulerAncestralDiscreteScheduler", "euler_a"),
        ("dpmpp_2m_sde karras", "dpmpp_2m_sde_karras"),
        ("PLMS", "pndm"),
        ("uni_pc_bh2", "unipc_bh2"),
        ("DPM2", "dpm2"),
    ] {
        assert_eq!(find(name).unwrap().id, id, "{name}");
    }
}
