//! The image that a generated one is compared with.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use difftest_core::event::{self, CellKey, ImageRef};
use difftest_core::result::Run;
use difftest_core::suite::TestSpec;
use image::RgbImage;

use super::error::EngineError;
use super::plan::{ReferenceKind, reference_file};
use super::png;

pub const EVENTS_FILE: &str = "events.jsonl";
pub const IMAGES_DIR: &str = "images";

/// Where references come from.
pub enum ReferenceSource {
    /// Files in the repository.
    Baseline {
        root: PathBuf,
    },
    /// The images of another run.
    Run {
        dir: PathBuf,
        images: HashMap<CellKey, ImageRef>,
    },
    None,
}

/// What was found for one cell.
#[derive(Debug)]
pub enum Found {
    Image(RgbImage),
    /// There is nothing to compare with, and that is no fault of the cell's.
    Nothing,
    /// There should have been one.
    Missing(String),
}

impl ReferenceSource {
    /// Reads `--reference`.
    pub fn open(argument: &Path, root: &Path) -> Result<Self, EngineError> {
        match argument.to_str() {
            Some("baseline") => Ok(Self::Baseline { root: root.to_owned() }),
            Some("none") => Ok(Self::None),
            _ => Self::of_run(argument),
        }
    }

    fn of_run(dir: &Path) -> Result<Self, EngineError> {
        let bad = |reason: String| EngineError::BadReference { dir: dir.to_owned(), reason };
        let file = dir.join(EVENTS_FILE);
        let bytes = std::fs::read(&file).map_err(|e| bad(format!("{EVENTS_FILE}: {e}")))?;
        let events = event::read_stream(&bytes).map_err(|e| bad(e.to_string()))?;
        let images = Run::from_events(&events)
            .tests
            .into_iter()
            .flat_map(|test| test.cells)
            .filter_map(|(key, cell)| Some((key, cell.image?)))
            .collect();
        Ok(Self::Run { dir: dir.to_owned(), images })
    }

    pub fn kind(&self) -> ReferenceKind {
        match self {
            Self::Baseline { .. } => ReferenceKind::Baseline,
            Self::Run { .. } => ReferenceKind::Run,
            Self::None => ReferenceKind::None,
        }
    }

    pub fn find(&self, spec: &TestSpec, cell: &CellKey) -> Found {
        match self {
            Self::None => Found::Nothing,
            Self::Baseline { root } => match reference_file(spec, cell) {
                Some(file) => read(&root.join(&file), &file, || {
                    format!("there is no baseline {file}; make it with `difftest baseline save`")
                }),
                None => Found::Nothing,
            },
            // By its digest, never by the path in the stream: the other run may be anyone's.
            Self::Run { dir, images } => match images.get(cell) {
                Some(image) => {
                    let file = format!("{IMAGES_DIR}/{}.png", image.sha256);
                    read(&dir.join(&file), &file, || format!("the other run has lost {file}"))
                }
                None => Found::Nothing,
            },
        }
    }
}

fn read(path: &Path, name: &str, missing: impl Fn() -> String) -> Found {
    match std::fs::read(path) {
        Ok(bytes) => match png::decode(&bytes) {
            Ok(image) => Found::Image(image),
            Err(e) => Found::Missing(format!("the reference {name} cannot be used: {e}")),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Found::Missing(missing()),
        Err(e) => Found::Missing(format!("the reference {name} cannot be read: {e}")),
    }
}
