//! `difftest._native`: the command line, and what Python's tests compare the native side by.

mod cli;
mod serving;

use std::collections::BTreeMap;

use difftest_core::ssim::{self, Rgb, SsimError};
use difftest_core::template;
use numpy::{PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The mean structural similarity of two `uint8 (height, width, 3)` images of one size.
#[pyfunction]
#[pyo3(name = "ssim")]
fn native_ssim(
    py: Python<'_>,
    a: PyReadonlyArray3<'_, u8>,
    b: PyReadonlyArray3<'_, u8>,
) -> PyResult<f64> {
    let pixels = |array: &PyReadonlyArray3<'_, u8>| -> (Vec<u8>, usize, usize) {
        let bytes = match array.as_slice() {
            Ok(contiguous) => contiguous.to_vec(),
            Err(_) => array.as_array().iter().copied().collect(),
        };
        (bytes, array.shape()[1], array.shape()[0])
    };
    let ((a, a_width, a_height), (b, b_width, b_height)) = (pixels(&a), pixels(&b));
    py.detach(|| -> Result<f64, SsimError> {
        ssim::ssim(&Rgb::new(&a, a_width, a_height)?, &Rgb::new(&b, b_width, b_height)?)
    })
    .map_err(|e| PyValueError::new_err(e.to_string()))
}

/// The prompts that a template stands for.
#[pyfunction]
fn expand(template: &str, variables: BTreeMap<String, Vec<String>>) -> PyResult<Vec<String>> {
    template::expand(template, &variables).map_err(|e| PyValueError::new_err(e.to_string()))
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
    use super::{expand, native_ssim, report_page};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
