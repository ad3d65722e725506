//! The one place where Rust names Python: `difftest._bridge`, and what its objects answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use difftest_core::event::Environment;
use difftest_core::metric::{Category, Direction, MetricInfo};
use difftest_core::protocol::MAX_IMAGE_SIDE;
use difftest_core::suite::{CollectionError, TestId, TestSpec};
use image::RgbImage;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::{PyAssertionError, PyKeyboardInterrupt};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde::Deserialize;

use super::error::EngineError;
use super::settings::Target;

const MODULE: &str = "difftest._bridge";
const ERRORS: &str = "difftest.errors";

/// Something that broke, for one image or one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One sentence for a person.
    pub reason: String,
    /// The traceback; none where the reason says it all.
    pub trace: Option<String>,
}

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), trace: None }
    }
}

/// How a call into Python failed.
#[derive(Debug)]
pub enum CallError {
    /// Ctrl-C: not a fault of what was called.
    Interrupted,
    Failed(Failure),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// How a test's body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyOutcome {
    Passed,
    /// An assertion did not hold: which, where, and the values in it.
    Failed(String),
    Broke(String),
}

#[derive(Deserialize)]
pub struct Collected {
    pub tests: Vec<TestSpec>,
    pub errors: Vec<CollectionError>,
}

/// An image in both worlds: Python's array for metrics, its pixels for everything native.
pub struct Picture {
    pub array: Py<PyAny>,
    pub pixels: Arc<RgbImage>,
}

pub struct Generator {
    object: Py<PyAny>,
    pub name: String,
    pub fingerprint: String,
    pub batch_size: usize,
    pub environment: Environment,
}

pub struct Metric {
    object: Py<PyAny>,
    pub info: MetricInfo,
}

pub struct Bridge<'py> {
    module: Bound<'py, PyModule>,
}

pub struct UnboundBridge {
    module: Py<PyModule>,
}

impl UnboundBridge {
    pub fn bind<'py>(&self, py: Python<'py>) -> Bridge<'py> {
        Bridge { module: self.module.bind(py).clone() }
    }
}

impl<'py> Bridge<'py> {
    pub fn connect(py: Python<'py>) -> Result<Self, EngineError> {
        Ok(Self { module: py.import(MODULE).map_err(|e| loading_error(py, e))? })
    }

    /// To be carried to where the interpreter is attached anew.
    pub fn unbind(&self) -> UnboundBridge {
        UnboundBridge { module: self.module.clone().unbind() }
    }

    pub fn collect(&self, test_dir: &Path, root: &Path) -> Result<Collected, EngineError> {
        let py = self.module.py();
        let json: String = self
            .module
            .call_method1("collect", (test_dir, root))
            .and_then(|answer| answer.extract())
            .map_err(|e| loading_error(py, e))?;
        serde_json::from_str(&json).map_err(|e| EngineError::Bridge(format!("collect: {e}")))
    }

    pub fn load_generator(&self, target: &Target) -> Result<Generator, EngineError> {
        let py = self.module.py();
        let options = serde_json::json!({
            "generator": target.settings.generator,
            "model": target.settings.model,
            "device": target.settings.device,
            "root": target.root,
            "options": target.settings.options,
            "recipe": target.settings.recipe,
            "jobs": target.jobs(),
            "image_timeout_s": target.settings.image_timeout,
            "vram_budget_bytes": target.settings.vram_budget,
        });
        let load = || -> PyResult<Generator> {
            let object = self.module.call_method1("load_generator", (options.to_string(),))?;
            let own_batch: usize = object.getattr("batch_size")?.extract()?;
            let batch_size = target.settings.batch_size.map_or(own_batch, |n| n as usize).max(1);
            let described = object.call_method0("describe")?;
            Ok(Generator {
                name: object.getattr("name")?.extract()?,
                fingerprint: object.getattr("fingerprint")?.extract()?,
                batch_size,
                environment: environment(described.cast::<PyDict>()?, target, batch_size)?,
                object: object.unbind(),
            })
        };
        load().map_err(|e| loading_error(py, e))
    }

    /// The metric of this name. A failure's reason names the nearest known one.
    pub fn load_metric(&self, name: &str) -> Result<Metric, CallError> {
        let py = self.module.py();
        let load = || -> PyResult<Metric> {
            let object = self.module.call_method1("load_metric", (name,))?;
            let info = MetricInfo {
                name: object.getattr("name")?.extract()?,
                direction: word::<Direction>(&object.getattr("direction")?)?,
                category: word::<Category>(&object.getattr("category")?)?,
                range: object.getattr("range")?.extract()?,
                margin: object.getattr("margin")?.extract()?,
                weights: None,
                min_samples: None,
            };
            Ok(Metric { object: object.unbind(), info })
        };
        load().map_err(|e| call_error(py, &e))
    }

    /// Calls a test's own body, if it has one.
    pub fn run_body(
        &self,
        test: &TestId,
        generator: &Generator,
    ) -> Result<BodyOutcome, EngineError> {
        let py = self.module.py();
        let model = generator.object.bind(py);
        let Err(error) = self.module.call_method1("run_body", (test.as_str(), model)) else {
            return Ok(BodyOutcome::Passed);
        };
        if error.is_instance_of::<PyAssertionError>(py) {
            return Ok(BodyOutcome::Failed(error.value(py).to_string()));
        }
        match call_error(py, &error) {
            CallError::Interrupted => Err(EngineError::Interrupted),
            CallError::Failed(failure) => Ok(BodyOutcome::Broke(failure.reason)),
        }
    }
}

impl Generator {
    /// One image a prompt, or why that image cannot be used. The outer error is the batch's.
    pub fn generate(
        &self,
        py: Python<'_>,
        prompts: &[&str],
        seeds: &[i64],
        negative_prompt: Option<&str>,
    ) -> Result<Vec<Result<Picture, Failure>>, CallError> {
        let call = || -> PyResult<Bound<'_, PyList>> {
            let prompts_list = PyList::new(py, prompts)?;
            let negatives = PyList::new(py, vec![negative_prompt; prompts.len()])?;
            let images = self
                .object
                .bind(py)
                .call_method1("generate", (prompts_list, PyList::new(py, seeds)?, negatives))?;
            images.try_iter()?.collect::<PyResult<Vec<_>>>().and_then(|v| PyList::new(py, v))
        };
        let images = call().map_err(|e| call_error(py, &e))?;
        if images.len() != prompts.len() {
            return Err(Failure::new(format!(
                "the generator `{}` gave {} images for {} prompts",
                self.name,
                images.len(),
                prompts.len()
            ))
            .into());
        }
        Ok(images.iter().map(|image| picture(image, &self.name)).collect())
    }
}

impl Metric {
    /// One finite score an image, in the metric's own unit.
    pub fn compute(
        &self,
        py: Python<'_>,
        images: &[&Py<PyAny>],
        prompts: &[&str],
        references: &[Option<Arc<RgbImage>>],
    ) -> Result<Vec<Result<f64, Failure>>, CallError> {
        let call = || -> PyResult<Vec<f64>> {
            let references = references
                .iter()
                .map(|r| r.as_ref().map(|pixels| array(py, pixels)).transpose())
                .collect::<PyResult<Vec<_>>>()?;
            self.object
                .bind(py)
                .call_method1(
                    "compute_batch",
                    (
                        PyList::new(py, images)?,
                        PyList::new(py, prompts)?,
                        PyList::new(py, references)?,
                    ),
                )?
                .extract()
        };
        let name = &self.info.name;
        let scores = call().map_err(|e| match call_error(py, &e) {
            // An error of ours names the metric itself.
            CallError::Failed(f) if !is_ours(py, &e) => {
                Failure { reason: format!("the metric `{name}` broke: {}", f.reason), ..f }.into()
            }
            other => other,
        })?;
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
}

fn array<'py>(py: Python<'py>, pixels: &RgbImage) -> PyResult<Bound<'py, PyAny>> {
    let flat = PyArray1::from_slice(py, pixels.as_raw());
    Ok(flat.reshape([pixels.height() as usize, pixels.width() as usize, 3])?.into_any())
}

fn picture(image: Bound<'_, PyAny>, generator: &str) -> Result<Picture, Failure> {
    let wrong = |what: String| {
        Failure::new(format!(
            "the generator `{generator}` gave {what}, not a numpy array of uint8 with shape (height, width, 3)"
        ))
    };
    let Ok(array) = image.extract::<PyReadonlyArray3<'_, u8>>() else {
        let attribute = |name: &str| image.getattr(name).map(|v| v.to_string());
        return Err(wrong(match (attribute("dtype"), attribute("shape")) {
            (Ok(dtype), Ok(shape)) => format!("an array of {dtype} with shape {shape}"),
            _ => image.get_type().name().map_or("an object".into(), |n| format!("a {n}")),
        }));
    };
    let (height, width, channels) = (array.shape()[0], array.shape()[1], array.shape()[2]);
    let limit = MAX_IMAGE_SIDE as usize;
    if channels != 3 || height == 0 || width == 0 || height > limit || width > limit {
        return Err(wrong(format!("an array with shape ({height}, {width}, {channels})")));
    }
    let bytes = match array.as_slice() {
        Ok(contiguous) => contiguous.to_vec(),
        Err(_) => array.as_array().iter().copied().collect(),
    };
    let pixels = RgbImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| wrong("an array of another size than its shape says".into()))?;
    Ok(Picture { array: image.unbind(), pixels: Arc::new(pixels) })
}

/// An enum of `core` from the word that Python has for it.
fn word<T: for<'de> Deserialize<'de>>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    let text: String = value.extract()?;
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}

fn environment(
    described: &Bound<'_, PyDict>,
    target: &Target,
    batch_size: usize,
) -> PyResult<Environment> {
    let given = |key: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(described.get_item(key)?.filter(|value| !value.is_none()))
    };
    let versions: BTreeMap<String, String> = match given("versions")? {
        Some(versions) => versions.extract()?,
        None => BTreeMap::new(),
    };
    Ok(Environment {
        device: match given("device")? {
            Some(device) => device.extract()?,
            None => target.settings.device.clone(),
        },
        threads: match given("threads")? {
            Some(threads) => threads.extract()?,
            None => 1,
        },
        batch_size: u32::try_from(batch_size).unwrap_or(u32::MAX),
        versions,
    })
}

fn is_ours(py: Python<'_>, error: &PyErr) -> bool {
    py.import(ERRORS)
        .and_then(|errors| errors.getattr("DifftestError"))
        .is_ok_and(|class| error.is_instance(py, &class))
}

fn loading_error(py: Python<'_>, error: PyErr) -> EngineError {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        EngineError::Interrupted
    } else if is_ours(py, &error) {
        EngineError::Python(error.value(py).to_string())
    } else {
        EngineError::Bug(error)
    }
}

/// A message of ours as it is; anything else with its type, as Python would show it.
fn call_error(py: Python<'_>, error: &PyErr) -> CallError {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        return CallError::Interrupted;
    }
    let message = error.value(py).to_string();
    let reason = match error.get_type(py).name() {
        Ok(_) if is_ours(py, error) => message,
        Ok(name) if message.is_empty() => name.to_string(),
        Ok(name) => format!("{name}: {message}"),
        Err(_) => message,
    };
    let trace = error.traceback(py).and_then(|t| t.format().ok());
    Failure { reason, trace }.into()
}
