//! Schedulers by any name that somebody gives them.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};
use thiserror::Error;

use super::{BackEnd, Schedule, Scheduler, all, get, schedule, solvers};
use crate::metric::nearest;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchedulerError {
    #[error("there is no scheduler `{name}`; {}", did_you_mean(nearest))]
    Unknown { name: String, nearest: Option<String> },
    #[error("{back_end} has no scheduler `{id}`; {}", there_is(back_end, nearest))]
    Elsewhere { back_end: String, id: String, nearest: Option<String> },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(id) => format!("did you mean `{id}`?"),
        None => "`difftest recipe schedulers` lists them".to_owned(),
    }
}

fn there_is(back_end: &str, nearest: &Option<String>) -> String {
    match nearest {
        Some(id) => format!("the nearest that it has is `{id}`"),
        None => format!("it has none like it (`difftest recipe schedulers` lists {back_end}'s)"),
    }
}

/// Letters and digits alone, so that "DPM++ 2M Karras", "dpm++_2m_karras" and "DPM++ 2M karras"
/// are one. `+` counts: DPM2 is not DPM++ 2.
fn folded(name: &str) -> String {
    name.to_lowercase().replace("++", "pp").chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Every name of every scheduler, folded. Where two schedulers could be meant, the name is the
/// one's that claims it first: ids before display names before the back ends'.
fn by_name() -> &'static HashMap<String, &'static Scheduler> {
    static NAMES: LazyLock<HashMap<String, &'static Scheduler>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        let claims: [fn(&Scheduler) -> Option<String>; 6] = [
            |s| Some(s.id.clone()),
            |s| Some(s.name.clone()),
            |s| s.a1111().map(|n| n.combined),
            |s| s.a1111().map(|n| format!("{} {}", n.sampler, n.schedule_type)),
            |s| s.comfyui().map(|n| format!("{} {}", n.sampler_name, n.scheduler)),
            |s| s.comfyui().filter(|_| s.schedule == s.solver.own).map(|n| n.sampler_name.into()),
        ];
        for claim in claims {
            for scheduler in all() {
                if let Some(name) = claim(scheduler) {
                    names.entry(folded(&name)).or_insert(scheduler);
                }
            }
        }
        // A class alone is its first scheduler.
        for scheduler in all() {
            if let Some(n) = scheduler.diffusers() {
                names.entry(folded(n.class)).or_insert(scheduler);
            }
        }
        names
    });
    &NAMES
}

/// The scheduler of this name: an id, or what diffusers (the class), A1111/Forge or ComfyUI call
/// it, in any case.
pub fn find(name: &str) -> Result<&'static Scheduler, SchedulerError> {
    if let Some(found) = get(name).or_else(|| by_name().get(&folded(name)).copied()) {
        return Ok(found);
    }
    let lower = name.trim().to_lowercase().replace([' ', '-', '/'], "_").replace("++", "pp");
    let ids = all().iter().map(|s| s.id.as_str());
    let names = || all().iter().map(|s| s.name.as_str());
    let by_display = || {
        let close = nearest(name, names())?;
        all().iter().find(|s| s.name == close).map(|s| s.id.as_str())
    };
    let nearest = nearest(&lower, ids).or_else(by_display).map(str::to_owned);
    Err(SchedulerError::Unknown { name: name.to_owned(), nearest })
}

/// The scheduler of this id, where this back end has it.
pub fn known(id: &str, back_end: BackEnd) -> Result<&'static Scheduler, SchedulerError> {
    let scheduler = find(id)?;
    if scheduler.is_in(back_end) {
        return Ok(scheduler);
    }
    let nearest = scheduler.nearest_in(back_end).map(|s| s.id.clone());
    Err(SchedulerError::Elsewhere {
        back_end: back_end.to_string(),
        id: scheduler.id.clone(),
        nearest,
    })
}

/// The scheduler that A1111 or Forge calls this. Without a schedule type the name is one from
/// before 1.9, which may end with it; "Automatic" is the sampler's own.
pub fn from_a1111(sampler: &str, schedule_type: Option<&str>) -> Option<&'static Scheduler> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let Some(schedule_type) = schedule_type else {
        return all().iter().find(|s| s.a1111().is_some_and(|n| same(&n.combined, sampler)));
    };
    // As A1111 itself does: a schedule in the sampler's name outrules the one beside it.
    if !solvers::all().any(|s| s.a1111.as_ref().is_some_and(|a| same(a.name, sampler))) {
        return from_a1111(sampler, None);
    }
    let solver =
        solvers::all().find(|s| s.a1111.as_ref().is_some_and(|names| same(names.name, sampler)))?;
    let names = solver.a1111.as_ref()?;
    let wanted = if !names.scheduled {
        solver.own
    } else if same(schedule_type, "Automatic") {
        names.automatic
    } else {
        let by_label = |n: &&schedule::Names| {
            n.a1111.is_some_and(|a| same(a, schedule_type)) || same(n.suffix, schedule_type)
        };
        schedule::ALL.iter().find(by_label)?.schedule
    };
    of_solver(solver.id, wanted).filter(|s| s.a1111().is_some())
}

/// The scheduler that ComfyUI calls this.
pub fn from_comfyui(sampler_name: &str, scheduler: &str) -> Option<&'static Scheduler> {
    let solver = solvers::all()
        .find(|s| s.comfyui == Some(sampler_name) || s.comfyui_also.contains(&sampler_name))?;
    let schedule = schedule::ALL.iter().find(|n| n.comfyui == Some(scheduler))?.schedule;
    of_solver(solver.id, schedule)
}

fn of_solver(solver: &str, schedule: Schedule) -> Option<&'static Scheduler> {
    all().iter().find(|s| s.solver.id == solver && s.schedule == schedule)
}

/// The scheduler that a diffusers scheduler of this class and configuration is. What the
/// configuration leaves out is off.
pub fn from_diffusers(class: &str, config: &Map<String, Value>) -> Option<&'static Scheduler> {
    let mut best: Option<(usize, &'static Scheduler)> = None;
    for scheduler in all() {
        let Some(names) = scheduler.diffusers().filter(|n| n.class == class) else { continue };
        let agrees = |(key, wanted): (&String, &Value)| match config.get(key) {
            Some(given) => given == wanted,
            None => *wanted != Value::Bool(true) && key != "timestep_spacing",
        };
        if !names.config.iter().all(agrees) {
            continue;
        }
        let said = names.config.keys().filter(|key| config.contains_key(*key)).count();
        if best.is_none_or(|(most, _)| said > most) {
            best = Some((said, scheduler));
        }
    }
    best.map(|(_, scheduler)| scheduler)
}
