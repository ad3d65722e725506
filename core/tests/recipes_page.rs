//! docs/recipes.md says what the registry and the mappings say.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::path::Path;

use difftest_core::recipe::{RecipeSettings, SETTINGS};
use difftest_core::scheduler::{Schedule, all, get, schedule, solvers};

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes.md");
    std::fs::read_to_string(file).unwrap()
}

fn code(name: Option<&str>) -> String {
    name.map_or("–".to_owned(), |name| format!("`{name}`"))
}

/// A row for each solver, as it is with its own schedule.
fn solver_rows() -> Vec<String> {
    let row = |solver: &solvers::Solver| {
        let scheduler = get(solver.id).unwrap();
        let a1111 = scheduler.a1111().map(|names| {
            let star = if names.forge_only { "\\*" } else { "" };
            format!("`{}`, `{}`{star}", names.sampler, names.schedule_type)
        });
        let comfyui = scheduler
            .comfyui()
            .map(|names| format!("`{}`, `{}`", names.sampler_name, names.scheduler));
        let class = scheduler.diffusers().map(|names| names.class);
        format!(
            "| `{}` | {} | {} | {} | {} | {}{} |",
            solver.id,
            scheduler.name,
            code(class),
            a1111.unwrap_or("–".into()),
            comfyui.unwrap_or("–".into()),
            solver.evaluations,
            if solver.stochastic { ", noise" } else { "" },
        )
    };
    solvers::all().map(row).collect()
}

/// A row for each id that is neither a solver's own nor made of a solver and a suffix.
fn flow_rows() -> Vec<String> {
    let flows = all().iter().filter(|s| s.id.starts_with("flow_match_"));
    flows
        .map(|scheduler| {
            let comfyui = scheduler.comfyui().unwrap();
            let a1111 = scheduler.a1111();
            format!(
                "| `{}` | `{}` | {} | `{}`, `{}` |",
                scheduler.id,
                scheduler.diffusers().unwrap().class,
                a1111.map_or("–".into(), |n| format!("`{}`, `{}`", n.sampler, n.schedule_type)),
                comfyui.sampler_name,
                comfyui.scheduler,
            )
        })
        .collect()
}

fn schedule_rows() -> Vec<String> {
    let diffusers = |schedule| match schedule {
        Schedule::Uniform => Some("the model's own"),
        Schedule::Karras => Some("`use_karras_sigmas`"),
        Schedule::Exponential => Some("`use_exponential_sigmas`"),
        Schedule::Beta => Some("`use_beta_sigmas`"),
        Schedule::Lu => Some("`use_lu_lambdas`"),
        Schedule::SgmUniform => Some("`timestep_spacing=\"trailing\"`"),
        _ => None,
    };
    let row = |names: &schedule::Names| {
        format!(
            "| `_{}` | {} | {} | {} |",
            names.suffix,
            diffusers(names.schedule).unwrap_or("–"),
            code(names.a1111),
            code(names.comfyui)
        )
    };
    schedule::ALL.iter().map(row).collect()
}

#[test]
fn the_tables_are_the_registrys() {
    let page = page();
    for (rows, heading) in [
        (solver_rows(), "| id | name | diffusers | A1111/Forge | ComfyUI | calls a step |"),
        (flow_rows(), "| id | diffusers | A1111/Forge | ComfyUI |"),
        (schedule_rows(), "| ending | diffusers | A1111/Forge | ComfyUI |"),
    ] {
        let (_, table) = page.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
        let found: Vec<&str> =
            table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        assert_eq!(found, rows, "\n{}\n", rows.join("\n"));
    }
    let counted = format!("{} schedulers", all().len());
    assert!(page.contains(&counted), "the page does not count {counted}");
}

#[test]
fn every_field_and_every_example_is_one() {
    let page = page();
    for field in SETTINGS.iter().chain(&["prompt", "negative_prompt", "seed"]) {
        assert!(page.contains(&format!("| `{field}` |")), "{field} has no row");
    }
    let examples: Vec<&str> = page
        .split("--recipe ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '`', '\n', '\\']).next())
        .filter(|example| example.contains('='))
        .collect();
    assert!(examples.len() > 3, "{examples:?}");
    let mut settings = RecipeSettings::default();
    for example in examples {
        let (key, value) = example.split_once('=').unwrap();
        if key != "KEY" {
            settings.set_text(key, value).unwrap_or_else(|e| panic!("{example}: {e}"));
        }
    }
}
