//! The native metrics and the engine's PNG, for Python: what the tests hold against reference
//! implementations, and the benchmarks time.

use std::borrow::Cow;

use difftest_core::metric::METRICS;
use difftest_core::native;
use difftest_core::pixels::{PixelError, Rgb};
use difftest_runner::engine::{decode, png};
use numpy::ndarray::Array3;
use numpy::{IntoPyArray, PyArray3, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type Image<'py> = PyReadonlyArray3<'py, u8>;

/// The pixels of an array, borrowed where they lie by row without gaps.
struct Pixels<'a> {
    bytes: Cow<'a, [u8]>,
    width: usize,
    height: usize,
}

impl<'a> Pixels<'a> {
    fn of(array: &'a Image<'_>) -> PyResult<Self> {
        let &[height, width, channels] = array.shape() else {
            return Err(PyValueError::new_err("an image has three axes: height, width, channels"));
        };
        if channels != 3 {
            return Err(PyValueError::new_err(format!(
                "an image is (height, width, 3), red, green and blue; this one has {channels} \
                 channels: Image.convert(\"RGB\") makes three of them"
            )));
        }
        let bytes = match array.as_slice() {
            Ok(contiguous) => Cow::Borrowed(contiguous),
            Err(_) => Cow::Owned(array.as_array().iter().copied().collect()),
        };
        Ok(Self { bytes, width, height })
    }

    fn rgb(&self) -> Result<Rgb<'_>, PixelError> {
        Rgb::new(&self.bytes, self.width, self.height)
    }
}

fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The score that the native metric `name` gives an image, beside `reference` where the metric
/// compares. Images are `uint8 (height, width, 3)`.
#[pyfunction]
#[pyo3(signature = (name, image, reference=None))]
pub fn native_metric(
    py: Python<'_>,
    name: &str,
    image: Image<'_>,
    reference: Option<Image<'_>>,
) -> PyResult<f64> {
    let image = Pixels::of(&image)?;
    let reference = reference.as_ref().map(Pixels::of).transpose()?;
    py.detach(|| {
        let reference = reference.as_ref().map(Pixels::rgb).transpose()?;
        native::score(name, &image.rgb()?, reference.as_ref())
    })
    .map_err(refused)
}

/// The mean structural similarity of two `uint8 (height, width, 3)` images of one size.
#[pyfunction]
pub fn ssim(py: Python<'_>, a: Image<'_>, b: Image<'_>) -> PyResult<f64> {
    native_metric(py, "ssim", a, Some(b))
}

/// The table of the metrics that come with difftest, as JSON: a list of objects.
#[pyfunction]
pub fn builtin_metrics() -> PyResult<String> {
    serde_json::to_string(METRICS).map_err(refused)
}

/// The PNG file of a `uint8 (height, width, 3)` image, as a run writes it.
#[pyfunction]
pub fn encode_png<'py>(py: Python<'py>, image: Image<'py>) -> PyResult<Bound<'py, PyBytes>> {
    let pixels = Pixels::of(&image)?;
    let sides = [pixels.width, pixels.height].map(u32::try_from);
    let [Ok(width), Ok(height)] = sides else { return Err(refused("the image is too large")) };
    let bytes = py.detach(|| png::encode_rgb(&pixels.bytes, width, height)).map_err(refused)?;
    Ok(PyBytes::new(py, &bytes))
}

/// The pixels of a PNG, JPEG or WebP file, as a run reads a reference: `uint8 (height, width, 3)`.
#[pyfunction]
pub fn decode_image<'py>(py: Python<'py>, file: &[u8]) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let image = py.detach(|| decode::decode(file)).map_err(refused)?;
    let shape = (image.height() as usize, image.width() as usize, 3);
    Ok(Array3::from_shape_vec(shape, image.into_raw()).map_err(refused)?.into_pyarray(py))
}
