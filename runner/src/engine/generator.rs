//! Recipes to images: the Python object that makes them, and what it answers.

use std::collections::BTreeMap;

use difftest_core::event::Environment;
use difftest_core::recipe::Recipe;
use pyo3::exceptions::{PyBaseException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};

use super::bridge::{CallError, Failure, call_error};
use super::picture::{self, Picture};
use super::settings::Target;

pub struct Generator {
    object: Py<PyAny>,
    /// `difftest._bridge.recipes`: JSON to the objects that the generator is given.
    recipes: Py<PyAny>,
    /// The class `difftest.generators.Generated`.
    generated: Py<PyAny>,
    pub name: String,
    pub fingerprint: String,
    pub batch_size: usize,
    pub environment: Environment,
}

/// What came of one recipe.
pub struct Item {
    pub image: Result<Picture, Failure>,
    pub cost_usd: Option<f64>,
    /// Attempts before the one that succeeded.
    pub retries: u32,
    /// PNG text that the back end gave with it.
    pub text: BTreeMap<String, String>,
}

impl Generator {
    pub fn new(object: &Bound<'_, PyAny>, target: &Target) -> PyResult<Self> {
        let py = object.py();
        let own_batch: usize = object.getattr("batch_size")?.extract()?;
        let batch_size = target.settings.batch_size.map_or(own_batch, |n| n as usize).max(1);
        let described = object.call_method0("describe")?;
        Ok(Self {
            recipes: py.import(super::bridge::MODULE)?.getattr("recipes")?.unbind(),
            generated: py.import("difftest.generators")?.getattr("Generated")?.unbind(),
            name: object.getattr("name")?.extract()?,
            fingerprint: object.getattr("fingerprint")?.extract()?,
            batch_size,
            environment: environment(described.cast::<PyDict>()?, target, batch_size)?,
            object: object.clone().unbind(),
        })
    }

    pub fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// Starts a batch. Its items are taken from the answer one by one, as they are made.
    pub fn start<'py>(
        &self,
        py: Python<'py>,
        recipes: &[Recipe],
    ) -> Result<Bound<'py, PyIterator>, CallError> {
        let start = || -> PyResult<Bound<'py, PyAny>> {
            let json = serde_json::to_string(recipes)
                .map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
            let recipes = self.recipes.bind(py).call1((json,))?;
            self.object.bind(py).call_method1("generate", (recipes,))
        };
        let answer = start().map_err(|e| call_error(py, &e))?;
        // Of a list, one that is too short is known before its images go to the wrong recipes.
        if let Ok(given) = answer.len()
            && given != recipes.len()
        {
            return Err(self.miscounted(&given.to_string(), recipes.len()).into());
        }
        answer.try_iter().map_err(|e| call_error(py, &e))
    }

    /// The next item of a started batch.
    pub fn next(
        &self,
        items: &mut Bound<'_, PyIterator>,
        keep_array: bool,
    ) -> Result<Option<Item>, CallError> {
        let py = items.py();
        match items.next() {
            None => Ok(None),
            Some(Err(e)) if e.is_instance_of::<PyStopIteration>(py) => Ok(None),
            Some(Err(e)) => Err(call_error(py, &e)),
            Some(Ok(item)) => self.item(item, keep_array).map(Some),
        }
    }

    fn item(&self, item: Bound<'_, PyAny>, keep_array: bool) -> Result<Item, CallError> {
        let py = item.py();
        let plain = |image, retries| Item { image, cost_usd: None, retries, text: BTreeMap::new() };
        if item.is_instance_of::<PyBaseException>() {
            return match call_error(py, &PyErr::from_value(item)) {
                CallError::Interrupted => Err(CallError::Interrupted),
                CallError::Failed(failure) => {
                    let retries = failure.retries;
                    Ok(plain(Err(failure), retries))
                }
            };
        }
        if !item.is_instance(self.generated.bind(py)).map_err(|e| call_error(py, &e))? {
            return Ok(plain(picture::take(item, &self.name, keep_array), 0));
        }
        type Facts = (Option<f64>, u32, BTreeMap<String, String>);
        let read = || -> PyResult<(Bound<'_, PyAny>, Facts)> {
            let text = PyDict::new(py);
            text.update(item.getattr("text")?.cast()?)?;
            let cost_usd = item.getattr("cost_usd")?.extract()?;
            let retries = item.getattr("retries")?.extract()?;
            Ok((item.getattr("image")?, (cost_usd, retries, text.extract()?)))
        };
        Ok(match read() {
            Ok((image, (cost_usd, retries, text))) => {
                let image = picture::take(image, &self.name, keep_array);
                Item { image, cost_usd, retries, text }
            }
            Err(e) => plain(
                Err(Failure::new(format!(
                    "the generator `{}` gave a `Generated` whose fields cannot be read: {e}",
                    self.name
                ))),
                0,
            ),
        })
    }

    /// What to say of recipes that got no image, or of images without a recipe.
    pub fn miscounted(&self, given: &str, expected: usize) -> Failure {
        Failure::new(format!(
            "the generator `{}` gave {given} images for {expected} recipes; one for each was expected, in their order",
            self.name
        ))
    }
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
