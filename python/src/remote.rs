//! `difftest._native.RemoteGenerator`: generators over HTTP, as Python's engine asks for them. The
//! interpreter is detached wherever something is waited for, and Ctrl-C is looked for meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use difftest_core::recipe::Recipe;
use difftest_runner::remote::{ImageError, Item, Made, OpenError, Pace, Remote, Request};
use futures::StreamExt as _;
use numpy::{PyArray1, PyArrayMethods as _};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often Ctrl-C is looked for while an image is waited for.
const LOOK_FOR_CTRL_C: Duration = Duration::from_millis(100);
/// How long what was begun may take to be called off, beyond the back end's own limit for it.
const GRACE: Duration = Duration::from_secs(1);

/// A back end over HTTP. `options` is JSON of `difftest.generators.Options`.
#[pyclass(frozen, module = "difftest._native")]
pub struct RemoteGenerator {
    remote: Arc<Remote>,
    runtime: Arc<Runtime>,
}

#[pymethods]
impl RemoteGenerator {
    #[new]
    fn new(py: Python<'_>, options: &str) -> PyResult<Self> {
        let request: Request = serde_json::from_str(options)
            .map_err(|e| PyValueError::new_err(format!("the options are not understood: {e}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("difftest-remote")
            .enable_all()
            .build()
            .map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
        let runtime = Arc::new(runtime);
        let opened = Arc::clone(&runtime);
        let task = runtime.spawn(async move {
            let environment = |name: &str| std::env::var(name).ok();
            Remote::open(&request, &environment, Pace::default()).await
        });
        let mut task = Box::pin(task);
        let remote = loop {
            // A timer is made inside the runtime.
            let waited = py.detach(|| {
                runtime.block_on(async { tokio::time::timeout(LOOK_FOR_CTRL_C, &mut task).await })
            });
            match waited {
                Ok(Ok(opened)) => break opened.map_err(|e| open_error(py, &e))?,
                Ok(Err(broken)) => return Err(PyRuntimeError::new_err(broken.to_string())),
                Err(_) => py.check_signals()?,
            }
        };
        Ok(Self { remote: Arc::new(remote), runtime: opened })
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.remote.name()
    }

    #[getter]
    fn fingerprint(&self) -> String {
        self.remote.fingerprint()
    }

    #[getter]
    fn batch_size(&self) -> usize {
        self.remote.batch_size()
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = serde_json::Value::Object(self.remote.described()).to_string();
        py.import("json")?.call_method1("loads", (text,))
    }

    /// The images in their order, each as soon as it is there: a `Generated`, or the exception of
    /// that one image.
    fn generate(&self, recipes: &Bound<'_, PyAny>) -> PyResult<RemoteImages> {
        let recipes: Vec<Recipe> = recipes
            .try_iter()?
            .map(|recipe| {
                let text: String = recipe?.call_method0("to_json")?.extract()?;
                serde_json::from_str(&text)
                    .map_err(|e| PyValueError::new_err(format!("a recipe is not understood: {e}")))
            })
            .collect::<PyResult<_>>()?;
        let stop = CancellationToken::new();
        let (sender, items) = mpsc::channel(1);
        let (remote, stopped) = (Arc::clone(&self.remote), stop.clone());
        self.runtime.spawn(async move {
            let mut images = Box::pin(remote.images(recipes, &stopped));
            let mut is_heard = true;
            // To its end even where nobody listens any more: what was begun is to be called off.
            while let Some(item) = images.next().await {
                is_heard = is_heard && sender.send(item).await.is_ok();
            }
        });
        Ok(RemoteImages {
            items: Mutex::new(items),
            stop,
            runtime: Arc::clone(&self.runtime),
            grace: Pace::default().cancel + GRACE,
        })
    }
}

/// What `generate()` answers. Dropped before its end, it calls off what is under way.
#[pyclass(frozen, module = "difftest._native")]
pub struct RemoteImages {
    items: Mutex<mpsc::Receiver<Item>>,
    stop: CancellationToken,
    runtime: Arc<Runtime>,
    grace: Duration,
}

#[pymethods]
impl RemoteImages {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let waited = py.detach(|| {
                let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
                self.runtime
                    .block_on(async { tokio::time::timeout(LOOK_FOR_CTRL_C, items.recv()).await })
            });
            match waited {
                Ok(Some(item)) => return shown(py, item).map(Some),
                Ok(None) => return Ok(None),
                Err(_) => {
                    if let Err(interrupted) = py.check_signals() {
                        self.close(py);
                        return Err(interrupted);
                    }
                }
            }
        }
    }

    /// Calls off what is under way, and waits until the back end has heard it.
    fn close(&self, py: Python<'_>) {
        self.stop.cancel();
        py.detach(|| self.drain());
    }
}

impl RemoteImages {
    fn drain(&self) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = async { while items.recv().await.is_some() {} };
        // Late is late: the back end's own limits end the rest.
        let _ = self.runtime.block_on(async { tokio::time::timeout(self.grace, rest).await });
    }
}

impl Drop for RemoteImages {
    fn drop(&mut self) {
        let items = self.items.get_mut().unwrap_or_else(PoisonError::into_inner);
        if items.is_closed() && items.is_empty() {
            return;
        }
        self.stop.cancel();
        Python::attach(|py| py.detach(|| self.drain()));
    }
}

fn shown(py: Python<'_>, item: Item) -> PyResult<Py<PyAny>> {
    match item.result {
        Ok(made) => generated(py, made, item.retries),
        Err(error) => {
            let infra = error.is_the_services();
            let class = match error {
                ImageError::TimedOut { .. } => "TimeoutError",
                _ => "GeneratorError",
            };
            let error =
                py.import("difftest.errors")?.getattr(class)?.call1((error.to_string(),))?;
            error.setattr("retries", item.retries)?;
            error.setattr("infra", infra)?;
            Ok(error.unbind())
        }
    }
}

fn generated(py: Python<'_>, made: Made, retries: u32) -> PyResult<Py<PyAny>> {
    let (width, height) = made.picture.pixels.dimensions();
    let image = PyArray1::from_vec(py, made.picture.pixels.into_raw()).reshape([
        height as usize,
        width as usize,
        3,
    ])?;
    let fields = PyDict::new(py);
    fields.set_item("image", image)?;
    fields.set_item("cost_usd", made.cost_usd)?;
    fields.set_item("retries", retries)?;
    fields.set_item("text", made.picture.text)?;
    let class = py.import("difftest.generators")?.getattr("Generated")?;
    Ok(class.call((), Some(&fields))?.unbind())
}

fn open_error(py: Python<'_>, error: &OpenError) -> PyErr {
    let class = match error {
        OpenError::Options(_) => "ConfigurationError",
        OpenError::BackEnd(_) => "GeneratorError",
    };
    let made = py
        .import("difftest.errors")
        .and_then(|errors| errors.getattr(class)?.call1((error.to_string(),)));
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(failed) => failed,
    }
}
