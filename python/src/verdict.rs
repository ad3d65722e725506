//! The verdict's statistics, for Python: notebooks, and whoever builds on them.

use difftest_core::config::{Method, Units};
use difftest_core::metric::Direction;
use difftest_core::verdict::paired::{self, Pair, Policy, conclude, show};
use difftest_core::verdict::sequence::{Question, Sequence as Core};
use difftest_core::verdict::welch::{Welch, cohens_d};
use difftest_core::verdict::{e_bh, group_sequential, ranking};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

fn refused(error: impl ToString) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A number that has to be positive and finite.
fn positive(name: &str, value: f64) -> PyResult<f64> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(refused(format!("`{name}` is {value}; give a positive number"))),
    }
}

/// A rate between 0 and ½.
fn rate(name: &str, value: f64) -> PyResult<f64> {
    match value > 0.0 && value < 0.5 {
        true => Ok(value),
        false => Err(refused(format!("`{name}` is {value}; give a number between 0 and 0.5"))),
    }
}

fn margin(value: f64) -> PyResult<f64> {
    match value.is_finite() && value >= 0.0 {
        true => Ok(value),
        false => Err(refused(format!("`margin` is {value}; give a number that is not negative"))),
    }
}

/// Evidence about a mean difference, unit by unit. `difftest.verdict.Sequence` documents it.
#[pyclass(module = "difftest._native")]
pub struct Sequence(Core);

#[pymethods]
impl Sequence {
    #[new]
    #[pyo3(signature = (margin_, bound, drop, share, alpha, planned))]
    fn new(
        margin_: f64,
        bound: Option<f64>,
        drop: f64,
        share: f64,
        alpha: f64,
        planned: u64,
    ) -> PyResult<Self> {
        Ok(Self(Core::new(Question {
            margin: margin(margin_)?,
            bound: bound.map(|bound| positive("bound", bound)).transpose()?,
            drop: positive("drop", drop)?,
            disasters: rate("share", share)?,
            alpha: rate("alpha", alpha)?,
            planned,
        })))
    }

    fn push(&mut self, improvements: Vec<f64>) -> PyResult<()> {
        self.0.push(&improvements).map_err(refused)
    }

    /// Units, mean, and ln of the e-values: worse, improved, not worse, no disasters.
    fn evidence(&self) -> (u64, f64, [f64; 4]) {
        let evidence = self.0.evidence();
        let ln_e =
            [evidence.worse(), evidence.improvement(), evidence.not_worse, evidence.no_disasters];
        (self.0.units().count(), self.0.units().mean(), ln_e)
    }

    fn interval(&self, py: Python<'_>, alpha: f64) -> PyResult<Option<(f64, f64)>> {
        let alpha = rate("alpha", alpha)?;
        Ok(py.detach(|| self.0.interval(alpha)))
    }

    fn units_needed(&self, alpha: f64) -> PyResult<Option<f64>> {
        Ok(self.0.units_needed(rate("alpha", alpha)?))
    }
}

/// One metric's verdict on pairs, as JSON. `difftest.verdict.paired` documents it.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "keywords on the Python side")]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the list for this call")]
pub fn paired_verdict(
    py: Python<'_>,
    pairs: Vec<(String, i64, f64, f64)>,
    margin_: f64,
    higher_is_better: bool,
    range: Option<(f64, f64)>,
    drop: f64,
    share: f64,
    alpha: f64,
    by_image: bool,
    group_sequential: bool,
    planned: Option<u64>,
    looks: Vec<u64>,
) -> PyResult<String> {
    let margin = margin(margin_)?;
    let bound = match range {
        Some((low, high)) if low < high => Some(high - low),
        Some((low, high)) => {
            return Err(refused(format!("`range` is ({low}, {high}); give (smallest, largest)")));
        }
        None => None,
    };
    let units = if by_image { Units::Images } else { Units::Prompts };
    let made = pairs.len() as u64;
    let policy = Policy {
        direction: match higher_is_better {
            true => Direction::HigherIsBetter,
            false => Direction::LowerIsBetter,
        },
        margin,
        bound: bound.filter(|bound| *bound > margin),
        drop: positive("drop", drop)?,
        share: rate("share", share)?,
        alpha: rate("alpha", alpha)?,
        units,
        method: if group_sequential { Method::GroupSequential } else { Method::Anytime },
        planned: planned.unwrap_or(made),
        looks: &looks,
    };
    let verdict = py.detach(|| {
        let pairs: Vec<Pair<'_>> = pairs
            .iter()
            .map(|(prompt, seed, base, head)| Pair {
                prompt,
                seed: *seed,
                base: *base,
                head: *head,
            })
            .collect();
        let shown = show(&pairs, policy);
        let enough = -policy.alpha.ln();
        let standing = paired::Standing {
            regressed: shown.ln_regressed >= enough,
            improved: shown.ln_improved >= enough,
        };
        conclude(&shown, standing, policy.alpha)
    });
    serde_json::to_string(&verdict).map_err(refused)
}

/// Which claims stand among all of them.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the list for this call")]
pub fn e_bh_stand(ln_e: Vec<f64>, alpha: f64) -> PyResult<Vec<bool>> {
    Ok(e_bh::stand(&ln_e, rate("alpha", alpha)?))
}

/// z boundaries at increasing information fractions.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the list for this call")]
pub fn obrien_fleming(fractions: Vec<f64>, alpha: f64) -> PyResult<Vec<f64>> {
    group_sequential::boundaries(&fractions, rate("alpha", alpha)?)
        .ok_or_else(|| refused("`fractions` have to increase, from above 0 to at most 1"))
}

/// (estimate, standard error, degrees of freedom, t, two-sided p, Cohen's d) of head − base.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the lists for this call")]
pub fn welch_test(
    base: Vec<f64>,
    head: Vec<f64>,
) -> Option<(f64, f64, f64, f64, f64, Option<f64>)> {
    let welch = Welch::of(&base, &head)?;
    let (t, p) = (welch.t(0.0), welch.p_two_sided(0.0));
    Some((welch.estimate, welch.standard_error, welch.df, t, p, cohens_d(&base, &head)))
}

/// Mean, rank, its bounds, the chance of being best, prompts.
type Standing = (f64, usize, usize, usize, f64, usize);

/// How each model stands, or none without scores.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "pyo3 makes the lists for this call")]
pub fn rank_models(scores: Vec<Vec<Option<f64>>>, seed: u64) -> Vec<Option<Standing>> {
    ranking::rank(&scores, seed)
        .into_iter()
        .map(|standing| {
            let s = standing?;
            Some((s.mean, s.rank, s.rank_lower, s.rank_upper, s.p_best, s.prompts))
        })
        .collect()
}
