//! An image in both worlds: Python's array, and pixels that need no interpreter.

use std::sync::Arc;

use difftest_core::protocol::MAX_IMAGE_SIDE;
use image::RgbImage;
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::bridge::Failure;

/// What a generator made of one recipe.
pub struct Picture {
    pub pixels: Arc<RgbImage>,
    /// The generator's own array, kept only where a metric of Python's will look at it.
    pub array: Option<Py<PyAny>>,
}

/// Takes a numpy array of uint8 with shape (height, width, 3). Its bytes are copied, once: a
/// generator may use its buffer again, and other threads read them without the interpreter.
pub fn take(
    image: Bound<'_, PyAny>,
    generator: &str,
    keep_array: bool,
) -> Result<Picture, Failure> {
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
    drop(array);
    let pixels = RgbImage::from_raw(width as u32, height as u32, bytes)
        .ok_or_else(|| wrong("an array of another size than its shape says".into()))?;
    Ok(Picture { pixels: Arc::new(pixels), array: keep_array.then(|| image.unbind()) })
}

/// The pixels as Python's metrics take them.
pub fn array<'py>(py: Python<'py>, pixels: &RgbImage) -> PyResult<Bound<'py, PyAny>> {
    let flat = PyArray1::from_slice(py, pixels.as_raw());
    Ok(flat.reshape([pixels.height() as usize, pixels.width() as usize, 3])?.into_any())
}
