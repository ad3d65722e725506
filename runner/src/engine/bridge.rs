//! The one place where Rust names Python's module: `difftest._bridge`.

use std::path::Path;

use difftest_core::suite::{CollectionError, TestId, TestSpec};
use pyo3::exceptions::{PyAssertionError, PyConnectionError, PyKeyboardInterrupt, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use serde::Deserialize;

use super::error::EngineError;
use super::generator::Generator;
use super::python_metric::Metric;
use super::settings::Target;
use super::sources::Offered;

pub const MODULE: &str = "difftest._bridge";
const ERRORS: &str = "difftest.errors";

/// Something that broke, for one image or one test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// One sentence for a person.
    pub reason: String,
    /// The traceback; none where the reason says it all.
    pub trace: Option<String>,
    /// Attempts before the last one.
    pub retries: u32,
    /// The machine's or a service's fault, not that of what is under test.
    pub infra: bool,
}

impl Failure {
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
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

    /// What the target's generator can be told, without loading it.
    pub fn generator_options(&self, target: &Target) -> Result<Offered, EngineError> {
        let py = self.module.py();
        let json: String = self
            .module
            .call_method1("generator_options", (generator_json(target),))
            .and_then(|answer| answer.extract())
            .map_err(|e| loading_error(py, e))?;
        serde_json::from_str(&json)
            .map_err(|e| EngineError::Bridge(format!("generator_options: {e}")))
    }

    pub fn load_generator(&self, target: &Target) -> Result<Generator, EngineError> {
        let py = self.module.py();
        self.module
            .call_method1("load_generator", (generator_json(target),))
            .and_then(|object| Generator::new(&object, target))
            .map_err(|e| loading_error(py, e))
    }

    /// The metric of this name, its network computing on `device`. A failure's reason names the
    /// nearest known one.
    pub fn load_metric(&self, name: &str, device: &str) -> Result<Metric, CallError> {
        let py = self.module.py();
        self.module
            .call_method1("load_metric", (name, device))
            .and_then(|object| Metric::new(name, &object))
            .map_err(|e| call_error(py, &e))
    }

    /// Calls a test's own body, if it has one.
    pub fn run_body(
        &self,
        test: &TestId,
        generator: &Generator,
    ) -> Result<BodyOutcome, EngineError> {
        let py = self.module.py();
        let called = self.module.call_method1("run_body", (test.as_str(), generator.object(py)));
        let Err(error) = called else {
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

    /// How many functions have subscribed to the events.
    pub fn subscribers(&self) -> Result<usize, EngineError> {
        let py = self.module.py();
        self.module
            .call_method0("subscribers")
            .and_then(|count| count.extract())
            .map_err(|e| loading_error(py, e))
    }

    /// Hands lines of the stream to every subscriber; answers what went wrong in them.
    pub fn publish(&self, lines: &[String]) -> PyResult<Vec<String>> {
        self.module.call_method1("publish", (lines,))?.extract()
    }

    /// Lets a signal end what this thread waits for: when it comes, `overdue` says with what
    /// words, or that nothing is overdue. Answers whether the thread can be interrupted; only
    /// Python's main thread can.
    pub fn watch(
        &self,
        overdue: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Result<bool, EngineError> {
        let py = self.module.py();
        let ask = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| overdue();
        PyCFunction::new_closure(py, None, None, ask)
            .and_then(|ask| self.module.call_method1("watch", (ask,))?.extract())
            .map_err(|e| loading_error(py, e))
    }

    /// Puts back what [`Self::watch`] took.
    pub fn unwatch(&self) -> Result<(), EngineError> {
        let py = self.module.py();
        self.module.call_method0("unwatch").map(drop).map_err(|e| loading_error(py, e))
    }

    /// Tells the generator that no more images are wanted.
    pub fn unload(&self, generator: &Generator) -> Result<(), EngineError> {
        let py = self.module.py();
        self.module
            .call_method1("unload", (generator.object(py),))
            .map(drop)
            .map_err(|e| loading_error(py, e))
    }
}

/// The fields of `difftest.generators.Options`.
fn generator_json(target: &Target) -> String {
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
    options.to_string()
}

pub fn is_ours(py: Python<'_>, error: &PyErr) -> bool {
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
pub fn call_error(py: Python<'_>, error: &PyErr) -> CallError {
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
    // Back ends that try again say how often they did, and whose fault it was.
    let said = |name: &str| error.value(py).getattr(name).ok();
    let retries = said("retries").and_then(|r| r.extract().ok()).unwrap_or(0);
    let infra = is_infra(py, error);
    Failure { reason, trace, retries, infra }.into()
}

/// How far back a failure is followed: what wraps an error names it as its cause.
const CAUSES: usize = 8;

/// Whether the error, or one that it came from, is the machine's or a service's.
fn is_infra(py: Python<'_>, error: &PyErr) -> bool {
    let causes = std::iter::successors(Some(error.clone_ref(py)), |error| error.cause(py));
    causes.take(CAUSES).any(|error| {
        let said = error.value(py).getattr("infra").and_then(|infra| infra.extract::<bool>());
        said.unwrap_or_else(|_| is_machines(py, &error))
    })
}

/// A connection that failed or a full disk: what the operating system says of itself.
fn is_machines(py: Python<'_>, error: &PyErr) -> bool {
    let full = || {
        let number = error.value(py).getattr("errno").and_then(|n| n.extract::<i32>());
        number.is_ok_and(|n| n == rustix::io::Errno::NOSPC.raw_os_error())
    };
    error.is_instance_of::<PyConnectionError>(py)
        || (error.is_instance_of::<PyOSError>(py) && full())
}
