//! What can be varied of a suite's runs here: from what the generator offers and this machine has
//! to the runs to make. Pure.

use std::collections::BTreeMap;

use difftest_core::audit::Source;
use difftest_core::config::Settings;
use difftest_core::event::Environment;
use serde::Deserialize;
use serde_json::Value;

/// What a generator can be told, as `difftest._bridge.generator_options` answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Offered {
    /// It runs elsewhere, and its threads, batches and devices are not ours.
    pub remote: bool,
    /// By name. None where only the generator itself knows.
    pub options: Option<BTreeMap<String, OptionFacts>>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct OptionFacts {
    pub default: Value,
    /// The words that it takes.
    pub values: Vec<String>,
}

/// What is known before a variation is planned.
pub struct Facts<'a> {
    pub settings: &'a Settings,
    pub offered: &'a Offered,
    /// That of the reference run.
    pub environment: &'a Environment,
    pub cores: u32,
    /// Cards of this machine.
    pub cards: u32,
}

/// What a run does otherwise than the reference run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Nothing,
    BatchSize(u32),
    Option {
        name: String,
        value: String,
    },
    /// By the variables that numerical libraries read when they start.
    Threads(u32),
    Device(String),
    /// What every seed is more.
    Seeds(i64),
}

/// A run to make, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    Run { setting: String, change: Change },
    NotOffered { setting: String, reason: String },
    NotHere { setting: String, reason: String },
}

/// OpenMP's, and those of the libraries that have their own.
pub const THREAD_VARIABLES: [&str; 4] =
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"];

/// The runs that say how far a source goes. Never empty.
pub fn plan(source: Source, facts: &Facts<'_>) -> Vec<Planned> {
    if source != Source::Again && facts.offered.remote {
        return vec![not_offered("it runs on a server, which this machine does not steer")];
    }
    match source {
        Source::Again => vec![run("again", Change::Nothing)],
        Source::BatchSize => batch_sizes(facts.environment.batch_size)
            .map(|size| run(&format!("batch size {size}"), Change::BatchSize(size)))
            .collect(),
        Source::Threads => vec![threads(facts)],
        Source::Dtype => words(facts, |name| name == "dtype"),
        Source::Device => vec![device(facts)],
        Source::Attention => words(facts, |name| name.starts_with("attention")),
    }
}

/// One at a time, and a number that is neither that nor the run's own.
fn batch_sizes(own: u32) -> impl Iterator<Item = u32> {
    let other = if own >= 4 { own / 2 } else { own + 1 };
    [1, other].into_iter().filter(move |size| *size != own)
}

fn threads(facts: &Facts<'_>) -> Planned {
    let own = facts.environment.threads;
    let other = if own == 1 { facts.cores.max(2) } else { 1 };
    let setting = format!("{other} thread{}", if other == 1 { "" } else { "s" });
    let option = "threads".to_owned();
    let known = facts.settings.options.contains_key(&option)
        || facts.offered.options.as_ref().is_some_and(|known| known.contains_key(&option));
    let change = match known {
        true => Change::Option { name: option, value: other.to_string() },
        false => Change::Threads(other),
    };
    run(&setting, change)
}

fn device(facts: &Facts<'_>) -> Planned {
    if facts.environment.device != "cpu" {
        return run("device cpu", Change::Device("cpu".into()));
    }
    match facts.cards {
        0 => Planned::NotHere {
            setting: "device cuda".into(),
            reason: "this machine has no NVIDIA card, or its driver does not answer".into(),
        },
        _ => run("device cuda", Change::Device("cuda".into())),
    }
}

/// The other words of every option whose name fits.
fn words(facts: &Facts<'_>, fits: impl Fn(&str) -> bool) -> Vec<Planned> {
    let given = &facts.settings.options;
    let Some(known) = &facts.offered.options else {
        let set: Vec<&str> = given.keys().map(String::as_str).filter(|key| fits(key)).collect();
        let reason = match set.first() {
            Some(name) => format!(
                "its options are its own: which other values `{name}` has is not known here"
            ),
            None => "its options are its own, and not known here".to_owned(),
        };
        return vec![not_offered(&reason)];
    };
    let planned: Vec<Planned> = known
        .iter()
        .filter(|(name, _)| fits(name))
        .flat_map(|(name, option)| {
            let own = given.get(name).unwrap_or(&option.default).as_str().map(str::to_owned);
            let others = option.values.iter().filter(move |word| own.as_ref() != Some(word));
            others.map(move |word| {
                let change = Change::Option { name: name.clone(), value: word.clone() };
                run(&format!("{name} {word}"), change)
            })
        })
        .collect();
    if planned.is_empty() {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        return vec![not_offered(&format!("its options are {}", names.join(", ")))];
    }
    planned
}

fn run(setting: &str, change: Change) -> Planned {
    Planned::Run { setting: setting.to_owned(), change }
}

fn not_offered(reason: &str) -> Planned {
    Planned::NotOffered { setting: String::new(), reason: reason.to_owned() }
}

/// Why a run whose environment is this did not do what it was told; None where it did.
pub fn ignored(change: &Change, reference: &Environment, run: &Environment) -> Option<String> {
    let threads = |asked: &str| format!("told {asked}, it still ran with {}", count(run.threads));
    match change {
        Change::Threads(wanted) if run.threads != *wanted => {
            Some(threads(&format!("{}={wanted}", THREAD_VARIABLES[0])))
        }
        Change::Option { name, value } if name == "threads" => {
            (run.threads.to_string() != *value).then(|| threads(&format!("threads={value}")))
        }
        Change::Device(wanted) if run.device == reference.device => {
            Some(format!("told to run on {wanted}, it still ran on {}", run.device))
        }
        _ => None,
    }
}

fn count(threads: u32) -> String {
    super::progress::count(u64::from(threads), "thread")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn onnx() -> Offered {
        let text = r#"{"remote": false, "options": {"threads": {"default": null, "values": []},
            "graph_optimization": {"default": "all", "values": ["basic", "all"]}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn diffusers() -> Offered {
        let text = r#"{"remote": false, "options": {
            "dtype": {"default": "float32", "values": ["float32", "float16", "bfloat16"]},
            "attention_slicing": {"default": null, "values": ["auto", "max"]}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn planned(source: Source, offered: &Offered, environment: Environment) -> Vec<Planned> {
        let settings = Settings::default();
        plan(
            source,
            &Facts { settings: &settings, offered, environment: &environment, cores: 2, cards: 0 },
        )
    }

    fn here(threads: u32, batch_size: u32) -> Environment {
        Environment { device: "cpu".into(), threads, batch_size, ..Environment::default() }
    }

    fn settings(planned: &[Planned]) -> Vec<&str> {
        planned
            .iter()
            .map(|p| match p {
                Planned::Run { setting, .. } => setting.as_str(),
                Planned::NotOffered { .. } => "not offered",
                Planned::NotHere { .. } => "not here",
            })
            .collect()
    }

    #[test]
    fn a_source_is_varied_by_what_the_generator_offers() {
        let of = |source, offered: &Offered, environment| {
            settings(&planned(source, offered, environment)).join(", ")
        };
        assert_eq!(of(Source::Again, &onnx(), here(1, 8)), "again");
        assert_eq!(of(Source::BatchSize, &onnx(), here(1, 8)), "batch size 1, batch size 4");
        assert_eq!(of(Source::BatchSize, &onnx(), here(1, 1)), "batch size 2");
        assert_eq!(of(Source::BatchSize, &onnx(), here(1, 2)), "batch size 1, batch size 3");
        assert_eq!(of(Source::Threads, &onnx(), here(1, 8)), "2 threads");
        assert_eq!(of(Source::Threads, &onnx(), here(8, 8)), "1 thread");
        assert_eq!(of(Source::Dtype, &onnx(), here(1, 8)), "not offered");
        assert_eq!(of(Source::Dtype, &diffusers(), here(1, 1)), "dtype float16, dtype bfloat16");
        assert_eq!(
            of(Source::Attention, &diffusers(), here(1, 1)),
            "attention_slicing auto, attention_slicing max"
        );
        assert_eq!(of(Source::Device, &onnx(), here(1, 8)), "not here");
        let card = Environment { device: "cuda".into(), ..here(1, 8) };
        assert_eq!(of(Source::Device, &onnx(), card), "device cpu");
    }

    #[test]
    fn a_factorys_threads_are_set_from_outside_and_a_servers_not_at_all() {
        let factory = Offered::default();
        let threads = planned(Source::Threads, &factory, here(2, 1));
        assert!(matches!(&threads[0], Planned::Run { change: Change::Threads(1), .. }));
        assert_eq!(settings(&planned(Source::Dtype, &factory, here(2, 1))), ["not offered"]);
        let server = Offered { remote: true, options: None };
        for source in Source::ALL {
            let ran = settings(&planned(source, &server, here(1, 1))) != ["not offered"];
            assert_eq!(ran, source == Source::Again);
        }
    }

    #[test]
    fn a_run_that_did_not_do_what_it_was_told_is_known() {
        let (one, two) = (here(1, 8), here(2, 8));
        assert_eq!(ignored(&Change::Threads(2), &one, &two), None);
        let said = ignored(&Change::Threads(4), &one, &one).unwrap();
        assert_eq!(said, "told OMP_NUM_THREADS=4, it still ran with 1 thread");
        assert!(ignored(&Change::Device("cuda".into()), &one, &one).is_some());
        assert_eq!(ignored(&Change::BatchSize(1), &one, &one), None);
    }
}
