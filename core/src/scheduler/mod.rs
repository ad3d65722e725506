//! The registry of schedulers: one id for what diffusers, A1111/Forge and ComfyUI each name in
//! their own way.
//!
//! A scheduler is a solver (how to step) and a schedule (where the steps lie): A1111 since 1.9 and
//! ComfyUI ask for the two apart, older A1111 joins their names, diffusers has a class for the one
//! and switches for the other. The id says both, as in `dpmpp_2m_karras`; an id without a schedule
//! stands for the solver's own, which is evenly spaced timesteps for most.

mod lookup;
pub mod schedule;
pub mod solvers;

use std::fmt;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value, json};

pub use lookup::{SchedulerError, find, from_a1111, from_comfyui, from_diffusers, known};
pub use schedule::Schedule;
use solvers::{Class, Setting, Solver};

/// Kinds of models that a scheduler is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFamily {
    /// Denoising diffusion in any prediction type: SD 1 and 2, SDXL, PixArt, Kolors.
    Diffusion,
    /// Rectified flow: SD3, FLUX, Qwen-Image, Sana, Wan.
    Flow,
    /// Distilled to a few steps with an adversary: SD and SDXL Turbo, Lightning.
    Turbo,
    /// Distilled to a few steps by consistency: LCM, TCD and their LoRAs, consistency models.
    Consistency,
    /// Elucidated diffusion's own preconditioning: Playground 2.5.
    Edm,
}

/// Who is asked for a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackEnd {
    Diffusers,
    A1111,
    ComfyUi,
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Diffusers => "diffusers",
            Self::A1111 => "A1111/Forge",
            Self::ComfyUi => "ComfyUI",
        })
    }
}

/// One scheduler of the registry.
#[derive(Debug)]
pub struct Scheduler {
    /// `dpmpp_2m_karras`
    pub id: String,
    /// `DPM++ 2M Karras`
    pub name: String,
    pub solver: &'static Solver,
    pub schedule: Schedule,
}

/// A scheduler of diffusers: a class, and what its configuration must say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffusersNames {
    pub class: &'static str,
    pub config: Map<String, Value>,
}

/// A scheduler of A1111 or Forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct A1111Names {
    pub sampler: &'static str,
    /// "Schedule type", since 1.9.
    pub schedule_type: &'static str,
    /// The one name for both that versions before 1.9 know, and later ones still understand.
    pub combined: String,
    /// Whether A1111 itself lacks it.
    pub forge_only: bool,
}

/// A scheduler of ComfyUI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComfyUiNames {
    pub sampler_name: &'static str,
    pub scheduler: &'static str,
}

/// Every scheduler that at least one back end has; those of one solver are together.
pub fn all() -> &'static [Scheduler] {
    static ALL: LazyLock<Vec<Scheduler>> = LazyLock::new(|| {
        let schedules = || schedule::ALL.iter().map(|names| names.schedule);
        solvers::all()
            .flat_map(|solver| {
                // The solver's own schedule is listed first.
                let others = schedules().filter(|schedule| *schedule != solver.own);
                std::iter::once(solver.own).chain(others).map(move |s| Scheduler::of(solver, s))
            })
            .filter(Scheduler::exists)
            .collect()
    });
    &ALL
}

/// The scheduler of this id, exactly.
pub fn get(id: &str) -> Option<&'static Scheduler> {
    all().iter().find(|scheduler| scheduler.id == id)
}

impl Scheduler {
    fn of(solver: &'static Solver, schedule: Schedule) -> Self {
        let (id, name) = match (&solver.flow, schedule) {
            (Some((id, name, _)), Schedule::Simple) => ((*id).to_owned(), (*name).to_owned()),
            _ if schedule == solver.own => (solver.id.to_owned(), solver.name.to_owned()),
            _ => {
                let names = schedule.names();
                (
                    format!("{}_{}", solver.id, names.suffix),
                    format!("{} {}", solver.name, names.name),
                )
            }
        };
        Self { id, name, solver, schedule }
    }

    fn exists(&self) -> bool {
        self.diffusers().is_some() || self.a1111().is_some() || self.comfyui().is_some()
    }

    /// The kinds of models that it is made for.
    pub fn suits(&self) -> &'static [ModelFamily] {
        match (&self.solver.flow, self.schedule) {
            (Some(_), Schedule::Simple) => &[ModelFamily::Flow],
            _ => self.solver.suits,
        }
    }

    /// What is known of it beside its names: `order`, `evaluations_per_step`, `stochastic`,
    /// `schedule`.
    pub fn parameters(&self) -> Value {
        json!({
            "order": self.solver.order,
            "evaluations_per_step": self.solver.evaluations,
            "stochastic": self.solver.stochastic,
            "schedule": self.schedule.names().suffix,
        })
    }

    /// Its class in diffusers, and what the class's configuration must say beside the model's own.
    /// `timestep_spacing` stays the model's own unless the schedule is a matter of it.
    pub fn diffusers(&self) -> Option<DiffusersNames> {
        let (class, on) = match (&self.solver.flow, &self.solver.diffusers) {
            (Some((_, _, flow)), _) if self.schedule == Schedule::Simple => (flow, None),
            (_, Some(class)) if self.schedule == self.solver.own => (class, None),
            (_, Some(class)) if class.switches.contains(&self.schedule) => {
                (class, Some(self.schedule))
            }
            (_, Some(class)) if self.schedule == Schedule::SgmUniform && class.spacing => {
                (class, None)
            }
            _ => return None,
        };
        let mut config: Map<String, Value> = fixed_config(class).collect();
        // Every switch is said, so that one that the model's own scheduler had on is off.
        for schedule in class.switches {
            if let Some(switch) = schedule.diffusers_switch() {
                config.insert(switch.to_owned(), (Some(*schedule) == on).into());
            }
        }
        if self.schedule == Schedule::SgmUniform && self.schedule != self.solver.own {
            config.extend([schedule::trailing()]);
        }
        Some(DiffusersNames { class: class.class, config })
    }

    /// What A1111 and Forge call it.
    pub fn a1111(&self) -> Option<A1111Names> {
        let sampler = self.solver.a1111.as_ref()?;
        let own = self.schedule == self.solver.own;
        let schedule_type = match (sampler.scheduled, own) {
            (true, _) => self.schedule.names().a1111?,
            (false, true) => "Automatic",
            (false, false) => return None,
        };
        // Before 1.9 a name without a schedule was the evenly spaced one.
        let combined = match self.schedule {
            Schedule::Uniform => sampler.name.to_owned(),
            _ if !sampler.scheduled => sampler.name.to_owned(),
            _ => format!("{} {schedule_type}", sampler.name),
        };
        let forge_only = sampler.forge_only;
        Some(A1111Names { sampler: sampler.name, schedule_type, combined, forge_only })
    }

    /// What ComfyUI calls it.
    pub fn comfyui(&self) -> Option<ComfyUiNames> {
        let sampler_name = self.solver.comfyui?;
        let scheduler = self.schedule.names().comfyui?;
        Some(ComfyUiNames { sampler_name, scheduler })
    }

    /// Whether this back end has it.
    pub fn is_in(&self, back_end: BackEnd) -> bool {
        match back_end {
            BackEnd::Diffusers => self.diffusers().is_some(),
            BackEnd::A1111 => self.a1111().is_some(),
            BackEnd::ComfyUi => self.comfyui().is_some(),
        }
    }

    /// For a back end that does not have it, the one most like it that it has: the same solver
    /// with its own schedule, else a solver like it, with the same schedule where possible.
    pub fn nearest_in(&self, back_end: BackEnd) -> Option<&'static Scheduler> {
        // A solver's own spacing of timesteps says nothing of another's.
        let is_own_spacing = self.schedule == self.solver.own
            && matches!(self.schedule, Schedule::DdimUniform | Schedule::SgmUniform);
        let mut solver = self.solver;
        for _ in 0..solvers::all().count() {
            let first = if is_own_spacing { solver.own } else { self.schedule };
            let candidates = [first, solver.own, Schedule::Uniform];
            let found = candidates.into_iter().find_map(|schedule| {
                let of_both = |s: &&Scheduler| {
                    std::ptr::eq(s.solver, solver) && s.schedule == schedule && s.is_in(back_end)
                };
                all().iter().find(of_both)
            });
            if found.is_some() {
                return found;
            }
            solver = solvers::get(solver.near)?;
        }
        None
    }

    /// All of it, as `difftest recipe schedulers --json` shows it.
    pub fn describe(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "parameters": self.parameters(),
            "suits": self.suits(),
            "diffusers": self.diffusers(),
            "a1111": self.a1111(),
            "comfyui": self.comfyui(),
        })
    }
}

fn fixed_config(class: &Class) -> impl Iterator<Item = (String, Value)> + '_ {
    class.config.iter().map(|(key, setting)| {
        let value = match *setting {
            Setting::Flag(flag) => flag.into(),
            Setting::Number(number) => number.into(),
            Setting::Word(word) => word.into(),
        };
        ((*key).to_owned(), value)
    })
}
