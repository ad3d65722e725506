//! Margins from a measured null instead of guesses: the base against itself, under other seeds,
//! other batch sizes, another device. Pure; docs/calibration.md is the page.

mod edit;
mod lines;
mod null;
mod suggest;
mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{DROP_MARGINS, Units, VerdictSettings};
use crate::metric::{Category, Direction};
use crate::result::Run;

pub use edit::{EditError, Edited, Entry, Home, Kept, edit};
pub use lines::diff;
pub use null::{NotFinite, Null, QUANTILES, nulls};
pub use suggest::{Basis, MIN_UNITS, POWER, Refused, SEQUENTIAL, Suggestion, kappa, suggest};
pub use table::table;

/// A run that differs from the reference in one thing.
pub struct Variant<'a> {
    /// As a person says it: `batch size 1`.
    pub name: String,
    pub run: &'a Run,
    /// What its seeds are more than the reference's; 0 for a numerical change.
    pub seed_offset: i64,
}

/// Everything that was measured, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    pub model: String,
    pub device: String,
    /// Of each run.
    pub images: u64,
    pub alpha: f64,
    pub kappa: f64,
    pub units: Units,
    pub metrics: Vec<MetricCalibration>,
    /// What a reader must know beside the numbers.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricCalibration {
    pub name: String,
    /// What is in force now: the configuration's margin, else the metric's own.
    pub margin_now: f64,
    pub drop_now: f64,
    /// Whether the configuration says so itself.
    pub margin_given: bool,
    pub drop_given: bool,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The null under other seeds, a test each.
    pub seeds: Vec<Null>,
    /// By the variant's name.
    pub numerical: BTreeMap<String, Vec<Null>>,
    /// Of a metric that compares images: the worst score of an image against its own seed's image
    /// of the reference run, by variant.
    pub worst_reference: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Suggested(Suggestion),
    Refused(Refused),
}

/// Calibrates every metric of the reference run. `numerical` differ from it in how the same images
/// are computed, `seeds` in nothing but their seeds.
pub fn calibrate(
    reference: &Run,
    seeds: &Variant<'_>,
    numerical: &[Variant<'_>],
    settings: &VerdictSettings,
) -> Result<Calibration, NotFinite> {
    let mut metrics = Vec::new();
    for info in reference.metrics.values() {
        let name = &info.name;
        let (mut by_seeds, mut by_variant) = (Vec::new(), BTreeMap::new());
        let mut worst_reference = BTreeMap::new();
        if info.category == Category::PerSample {
            by_seeds = nulls(reference, seeds.run, info, seeds.seed_offset, settings.units)?;
            for variant in numerical {
                let found = nulls(reference, variant.run, info, 0, settings.units)?;
                by_variant.insert(variant.name.clone(), found);
            }
        }
        if info.category == Category::Reference {
            for variant in numerical {
                let worst = worst(variant.run, name, info.direction);
                worst_reference.extend(worst.map(|w| (variant.name.clone(), w)));
            }
        }
        let all: Vec<Null> = by_variant.values().flatten().cloned().collect();
        let outcome = match info.category {
            Category::PerSample => suggest(info, &by_seeds, &all, settings.alpha)
                .map_or_else(Outcome::Refused, Outcome::Suggested),
            Category::Reference => Outcome::Refused(Refused::ComparesImages),
            Category::Batch => Outcome::Refused(Refused::ScoresSets),
        };
        let margin = settings.margins.get(name).copied();
        let drop = settings.tail.drops.get(name).copied();
        let margin_now = margin.unwrap_or(info.margin);
        metrics.push(MetricCalibration {
            name: name.clone(),
            margin_now,
            drop_now: drop.unwrap_or(DROP_MARGINS * margin_now),
            margin_given: margin.is_some(),
            drop_given: drop.is_some(),
            outcome,
            seeds: by_seeds,
            numerical: by_variant,
            worst_reference,
        });
    }
    Ok(Calibration {
        model: reference.model.clone(),
        device: reference.environment.device.clone(),
        images: reference.images(),
        alpha: settings.alpha,
        kappa: kappa(settings.alpha),
        units: settings.units,
        metrics,
        notes: Vec::new(),
    })
}

fn worst(run: &Run, metric: &str, direction: Direction) -> Option<f64> {
    let scores = run.tests.iter().flat_map(|test| test.scores(metric)).map(|(_, score)| score);
    match direction {
        Direction::HigherIsBetter => scores.min_by(f64::total_cmp),
        Direction::LowerIsBetter => scores.max_by(f64::total_cmp),
    }
}

impl Calibration {
    /// What belongs into the configuration. `date` is the day of the measurement, as 2026-11-27.
    pub fn entries(&self, date: &str) -> Vec<Entry> {
        let entry = |metric: &MetricCalibration| match &metric.outcome {
            Outcome::Refused(_) => None,
            Outcome::Suggested(suggestion) => {
                let Suggestion { sd, units, .. } = suggestion;
                let unit = match self.units {
                    Units::Prompts => "prompts",
                    Units::Images => "images",
                };
                let null = format!(
                    "null: sd {} over {units} {unit}, other seeds, {date}, {}",
                    table::digits(*sd),
                    self.device
                );
                let from = |basis: Basis| match basis {
                    Basis::Seeds => null.clone(),
                    other => format!("{null}; from the {}", other.words()),
                };
                Some(Entry {
                    metric: metric.name.clone(),
                    margin: suggestion.margin,
                    margin_comment: from(suggestion.margin_basis),
                    drop: suggestion.drop,
                    drop_comment: from(suggestion.drop_basis),
                })
            }
        };
        self.metrics.iter().filter_map(entry).collect()
    }
}

/// The smallest power of ten, from a thousand, that moves every seed of a test to one that the
/// test does not have.
pub fn fresh_offset(run: &Run) -> i64 {
    let clashes = |offset: i64| {
        run.tests.iter().any(|test| {
            let seeds = &test.spec.seeds;
            seeds.iter().any(|seed| seeds.contains(&seed.wrapping_add(offset)))
        })
    };
    (3..18).map(|power| 10_i64.pow(power)).find(|offset| !clashes(*offset)).unwrap_or(i64::MAX / 2)
}
