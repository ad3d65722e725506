//! Metrics that Python computes: a batch of images to scores, or a whole test's to one.

use std::sync::Arc;

use difftest_core::event::BatchScore;
use difftest_core::metric::{Category, Direction, MetricInfo};
use image::RgbImage;
use pyo3::prelude::*;
use pyo3::types::PyList;
use serde::Deserialize;

use super::bridge::{CallError, Failure, call_error, is_ours};
use super::picture;

pub struct Metric {
    object: Py<PyAny>,
    pub info: MetricInfo,
}

/// A batch metric's state over one test's images.
pub struct Accumulator(Py<PyAny>);

/// One image as a metric is given it.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    pub array: &'a Py<PyAny>,
    pub prompt: &'a str,
    pub reference: Option<&'a Arc<RgbImage>>,
}

impl Metric {
    pub fn new(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let optional = |attribute: &str| object.getattr_opt(attribute);
        let info = MetricInfo {
            name: name.to_owned(),
            direction: word::<Direction>(&object.getattr("direction")?)?,
            category: word::<Category>(&object.getattr("category")?)?,
            range: object.getattr("range")?.extract()?,
            margin: object.getattr("margin")?.extract()?,
            weights: optional("weights")?.map(|w| w.extract()).transpose()?.flatten(),
            min_samples: optional("min_samples")?.map(|n| n.extract()).transpose()?.flatten(),
        };
        Ok(Self { object: object.clone().unbind(), info })
    }

    /// One finite score an image, in the metric's own unit.
    pub fn compute(
        &self,
        py: Python<'_>,
        images: &[Shown<'_>],
    ) -> Result<Vec<Result<f64, Failure>>, CallError> {
        let call = || -> PyResult<Vec<f64>> {
            let (arrays, prompts, references) = lists(py, images)?;
            self.object
                .bind(py)
                .call_method1("compute_batch", (arrays, prompts, references))?
                .extract()
        };
        let name = &self.info.name;
        let scores = call().map_err(|e| self.broken(py, &e))?;
        if scores.len() != images.len() {
            return Err(Failure::new(format!(
                "the metric `{name}` gave {} scores for {} images",
                scores.len(),
                images.len()
            ))
            .into());
        }
        Ok(scores
            .into_iter()
            .map(|score| match score.is_finite() {
                true => Ok(score),
                false => Err(Failure::new(format!("the metric `{name}` gave {score}"))),
            })
            .collect())
    }

    /// Begins a test of a batch metric.
    pub fn begin(
        &self,
        py: Python<'_>,
        reference_dir: Option<&str>,
    ) -> Result<Accumulator, CallError> {
        let begun = self.object.bind(py).call_method1("begin", (reference_dir,));
        Ok(Accumulator(begun.map_err(|e| self.broken(py, &e))?.unbind()))
    }

    pub fn update(
        &self,
        py: Python<'_>,
        test: &Accumulator,
        images: &[Shown<'_>],
    ) -> Result<(), CallError> {
        let call = || -> PyResult<()> {
            let lists = lists(py, images)?;
            test.0.bind(py).call_method1("update", lists).map(drop)
        };
        call().map_err(|e| self.broken(py, &e))
    }

    /// The one score of all that came.
    pub fn value(&self, py: Python<'_>, test: &Accumulator) -> Result<BatchScore, CallError> {
        let call = || -> PyResult<BatchScore> {
            let score = test.0.bind(py).call_method0("value")?;
            // A plug-in may answer an object of its own.
            let replicates = score.getattr_opt("replicates")?.map(|r| r.extract()).transpose()?;
            Ok(BatchScore {
                value: score.getattr("value")?.extract()?,
                samples: score.getattr("samples")?.extract()?,
                note: score.getattr("note")?.extract()?,
                replicates: replicates.flatten().unwrap_or_default(),
            })
        };
        let score = only_complete(call().map_err(|e| self.broken(py, &e))?);
        let name = &self.info.name;
        if !score.value.is_finite() {
            let why = format!("the metric `{name}` gave {}", score.value);
            return Err(Failure::new(why).into());
        }
        match self.info.min_samples {
            Some(least) if score.samples < least as usize => Err(Failure::new(format!(
                "the metric `{name}` needs at least {least} images, and {} were scored; add prompts or seeds",
                score.samples
            ))
            .into()),
            _ => Ok(score),
        }
    }

    /// An error of ours names the metric itself.
    fn broken(&self, py: Python<'_>, error: &PyErr) -> CallError {
        match call_error(py, error) {
            CallError::Failed(f) if !is_ours(py, error) => CallError::Failed(Failure {
                reason: format!("the metric `{}` broke: {}", self.info.name, f.reason),
                ..f
            }),
            other => other,
        }
    }
}

/// Without its replicates where one is no number: what remained would no longer be pairs.
fn only_complete(score: BatchScore) -> BatchScore {
    let Some(odd) = score.replicates.iter().find(|replicate| !replicate.is_finite()) else {
        return score;
    };
    let why = format!("no interval: one of its bootstrap replicates is {odd}");
    let note = score.note.map(|note| format!("{note}; {why}")).or(Some(why));
    BatchScore { note, replicates: Vec::new(), ..score }
}

type Lists<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

fn lists<'py>(py: Python<'py>, images: &[Shown<'_>]) -> PyResult<Lists<'py>> {
    let references = images
        .iter()
        .map(|i| i.reference.map(|pixels| picture::array(py, pixels)).transpose())
        .collect::<PyResult<Vec<_>>>()?;
    Ok((
        PyList::new(py, images.iter().map(|i| i.array))?,
        PyList::new(py, images.iter().map(|i| i.prompt))?,
        PyList::new(py, references)?,
    ))
}

/// An enum of `core` from the word that Python has for it.
fn word<T: for<'de> Deserialize<'de>>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    let text: String = value.extract()?;
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}
