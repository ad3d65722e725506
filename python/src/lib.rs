//! `difftest._native`: the command line, and what Python's tests compare the native side by.

mod cli;
mod native;
mod recipe;
mod remote;
mod serving;
mod suites;
mod verdict;

use std::collections::BTreeMap;

use difftest_core::suite::Combine;
use difftest_core::template;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The prompts that a template stands for; `combine` is "product" or "zip".
#[pyfunction]
#[pyo3(signature = (template, variables, combine="product"))]
fn expand(
    template: &str,
    variables: BTreeMap<String, Vec<String>>,
    combine: &str,
) -> PyResult<Vec<String>> {
    let combine = match combine {
        "product" => Combine::Product,
        "zip" => Combine::Zip,
        other => return Err(PyValueError::new_err(format!("combine is {other:?}"))),
    };
    template::expand(template, &variables, combine)
        .map_err(|e| PyValueError::new_err(e.to_string()))
}

/// A report's Markdown as an HTML page that is safe to serve.
#[pyfunction]
fn report_page(title: &str, markdown: &str) -> String {
    difftest_app::page::page(title, markdown)
}

#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use super::cli::cli_main;
    #[pymodule_export]
    use super::native::{builtin_metrics, decode_image, encode_png, native_metric, ssim};
    #[pymodule_export]
    use super::recipe::{
        check_recipe, diffusers_names, diffusers_scheduler, read_recipe, recipe_to_diffusers,
        recipe_to_onnx, schedulers, with_recipe,
    };
    #[pymodule_export]
    use super::remote::{RemoteGenerator, RemoteImages};
    #[pymodule_export]
    use super::verdict::{
        Sequence, e_bh_stand, obrien_fleming, paired_verdict, rank_models, welch_test,
    };
    #[pymodule_export]
    use super::{expand, report_page};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
