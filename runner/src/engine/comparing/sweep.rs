//! `--models`: the suite with each of several models, every pair of them compared, and a ranking
//! that says how sure it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use difftest_core::compare::{Comparison, compare};
use difftest_core::config::VerdictSettings;
use difftest_core::ids::ImageSha;
use difftest_core::metric::{Category, MetricInfo};
use difftest_core::report::sweep::{Ranked, Ranking, Sweep, markdown, text};
use difftest_core::result::Run;
use difftest_core::verdict::ranking::Standing;
use difftest_core::verdict::{Decision, ranking};
use pyo3::prelude::*;
use serde::Serialize;

use super::child::{self, Heard, RunChild};
use super::{CompareArgs, Stored, image_url, json, say};
use crate::engine::args::SelectArgs;
use crate::engine::error::EngineError;
use crate::engine::outputs::write_file;
use crate::engine::settings::Target;
use crate::engine::{ERROR, complain, history};

const SIGNAL_CHECK: Duration = Duration::from_millis(50);
/// Of the bootstrap: one seed, so that the same runs rank the same.
const SEED: u64 = 1;

#[derive(Serialize)]
struct Document<'a> {
    ranking: &'a [Ranking],
    pairs: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Pair<'a> {
    a: &'a str,
    b: &'a str,
    comparison: &'a Comparison,
}

/// Runs each model, one after the other: they never share a card.
pub fn run(
    py: Python<'_>,
    args: &CompareArgs,
    target: &Target,
    verdict: &VerdictSettings,
    cwd: &Path,
) -> Result<i32, EngineError> {
    let models: Vec<&str> =
        args.models.iter().map(|m| m.trim()).filter(|m| !m.is_empty()).collect();
    if models.iter().collect::<BTreeSet<_>>().len() < 2 {
        return Err(EngineError::FewModels);
    }
    let root =
        std::fs::canonicalize(&target.root).map_err(EngineError::file("find", &target.root))?;
    let folder = history::folder(&root)?.join("compare").join(uuid::Uuid::now_v7().to_string());
    std::fs::create_dir_all(&folder).map_err(EngineError::file("make", &folder))?;
    let mut runs = Vec::new();
    for (number, model) in models.iter().enumerate() {
        complain(&format!("{model} ({} of {})", number + 1, models.len()));
        let dir = folder.join(number.to_string());
        let select = SelectArgs { model: Some((*model).to_owned()), ..args.select.clone() };
        let run = one(py, &select, &root, &dir)?;
        runs.push(Stored { run, dir: Some(dir) });
    }
    let verdict = VerdictSettings { budget: None, confirm: false, ..verdict.clone() };
    let mut pairs = Vec::new();
    for a in 0..runs.len() {
        for b in a + 1..runs.len() {
            pairs.push((a, b, compare(Some(&runs[a].run), &runs[b].run, &verdict)));
        }
    }
    let ranking = rank(&models, &runs);
    let sweep = Sweep { models: &models, ranking: &ranking, pairs: &pairs };
    if let Some(file) = &args.output {
        let pairs = pairs.iter();
        let pairs =
            pairs.map(|(a, b, comparison)| Pair { a: models[*a], b: models[*b], comparison });
        let document = Document { ranking: &ranking, pairs: pairs.collect() };
        write_file(&cwd.join(file), &json(&document))?;
    }
    if let Some(file) = &args.markdown {
        let file = cwd.join(file);
        let sides: Vec<&Stored> = runs.iter().collect();
        let url = |image: &ImageSha| image_url(image, &sides, &file);
        write_file(&file, &markdown(&sweep, &url))?;
    }
    say(&text(&sweep))?;
    // A model that is worse than another is what was asked for; one that did not run is not.
    let broken =
        pairs.iter().any(|(.., c)| matches!(c.decision, Decision::Error | Decision::Infra));
    Ok(if broken { ERROR } else { 0 })
}

fn one(
    py: Python<'_>,
    select: &SelectArgs,
    root: &Path,
    dir: &PathBuf,
) -> Result<Run, EngineError> {
    let python = child::python(py)?;
    let (sender, heard) = channel();
    let mut arguments: Vec<OsString> = vec!["--run-dir".into(), dir.into()];
    arguments.extend(["--reference".into(), "none".into()]);
    arguments.extend(select.to_args().into_iter().map(OsString::from));
    let key = select.api_key.as_deref();
    let mut child = RunChild::start(&python, &arguments, root, key, (), sender)?;
    let heard = Mutex::new(heard);
    let mut run = Run::default();
    loop {
        let next = py.detach(|| {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.recv_timeout(SIGNAL_CHECK)
        });
        match next {
            Ok((_, Heard::Event(event))) => run.apply(&event),
            Ok((_, Heard::Ended)) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().map_err(|_| EngineError::Interrupted)?;
            }
        }
    }
    let errors = child.last_words();
    if run.tests.is_empty() {
        let what = select.model.clone().unwrap_or_default();
        let errors = run.reason.unwrap_or(errors);
        return Err(EngineError::Child { what, errors });
    }
    Ok(run)
}

/// A ranking by each metric that all models have scores of, image by image.
fn rank(models: &[&str], runs: &[Stored]) -> Vec<Ranking> {
    let known: BTreeMap<&String, &MetricInfo> =
        runs.iter().flat_map(|stored| &stored.run.metrics).collect();
    known
        .into_values()
        .filter(|info| info.category == Category::PerSample)
        .filter_map(|info| ranking(models, runs, info))
        .collect()
}

fn ranking(models: &[&str], runs: &[Stored], info: &MetricInfo) -> Option<Ranking> {
    let sign = info.direction.improvement(0.0, 1.0);
    let means: Vec<BTreeMap<(String, String), f64>> = runs
        .iter()
        .map(|stored| {
            let mut sums = BTreeMap::<(String, String), (f64, f64)>::new();
            for test in &stored.run.tests {
                for (key, score) in test.scores(&info.name) {
                    let of = (key.test.as_str().to_owned(), key.prompt.clone());
                    let (sum, n) = sums.entry(of).or_default();
                    (*sum, *n) = (*sum + sign * score, *n + 1.0);
                }
            }
            sums.into_iter().map(|(key, (sum, n))| (key, sum / n)).collect()
        })
        .collect();
    let prompts: BTreeSet<&(String, String)> = means.iter().flat_map(BTreeMap::keys).collect();
    let scores: Vec<Vec<Option<f64>>> = means
        .iter()
        .map(|means| prompts.iter().map(|prompt| means.get(*prompt).copied()).collect())
        .collect();
    let standings = ranking::rank(&scores, SEED);
    let mut rows: Vec<Ranked> = models
        .iter()
        .zip(standings)
        .filter_map(|(model, standing)| {
            let standing = standing?;
            let mean = sign * standing.mean;
            let standing = Standing { mean, ..standing };
            Some(Ranked { model: (*model).to_owned(), standing })
        })
        .collect();
    rows.sort_by_key(|row| row.standing.rank);
    (!rows.is_empty()).then(|| Ranking { metric: info.name.clone(), rows })
}
