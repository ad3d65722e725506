//! Prompts to images, in batches, on Python's thread.

use std::time::Instant;

use difftest_core::event::CellKey;
use difftest_core::suite::TestSpec;
use pyo3::prelude::*;

use super::bridge::{CallError, Failure, Generator, Picture};
use super::error::EngineError;

/// A batch of one test's cells, with what came of each.
pub struct Batch {
    pub cells: Vec<(CellKey, Result<Picture, Failure>)>,
    pub ms_per_image: f64,
}

/// Generates the cells of one batch. If the batch breaks, each of its images is tried alone, so
/// that one bad prompt does not take its neighbours.
pub fn generate(
    py: Python<'_>,
    generator: &Generator,
    spec: &TestSpec,
    cells: &[CellKey],
) -> Result<Batch, EngineError> {
    // Python delivers a signal only between its own instructions, and a generator may run few.
    py.check_signals().map_err(|_| EngineError::Interrupted)?;
    let started = Instant::now();
    let images = match attempt(py, generator, spec, cells) {
        Ok(images) => images,
        Err(CallError::Interrupted) => return Err(EngineError::Interrupted),
        Err(CallError::Failed(failure)) if cells.len() == 1 => vec![Err(failure)],
        Err(CallError::Failed(_)) => cells
            .iter()
            .map(|cell| match attempt(py, generator, spec, std::slice::from_ref(cell)) {
                Ok(mut images) => Ok(images.pop().unwrap_or_else(|| {
                    Err(Failure::new("the generator gave no image for this prompt"))
                })),
                Err(CallError::Failed(failure)) => Ok(Err(failure)),
                Err(CallError::Interrupted) => Err(EngineError::Interrupted),
            })
            .collect::<Result<_, _>>()?,
    };
    let ms_per_image = started.elapsed().as_secs_f64() * 1000.0 / cells.len().max(1) as f64;
    Ok(Batch { cells: cells.iter().cloned().zip(images).collect(), ms_per_image })
}

fn attempt(
    py: Python<'_>,
    generator: &Generator,
    spec: &TestSpec,
    cells: &[CellKey],
) -> Result<Vec<Result<Picture, Failure>>, CallError> {
    let prompts: Vec<&str> = cells.iter().map(|c| c.prompt.as_str()).collect();
    let seeds: Vec<i64> = cells.iter().map(|c| c.seed).collect();
    generator.generate(py, &prompts, &seeds, spec.negative_prompt.as_deref())
}
