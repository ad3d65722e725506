//! The image that a generated one is compared with.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use difftest_core::event::{self, CellKey, ImageRef};
use difftest_core::result::Run;
use difftest_core::suite::{TestKind, TestSpec};
use image::RgbImage;
use walkdir::WalkDir;

use super::decode;
use super::error::EngineError;
use super::plan::{PlannedTest, ReferenceKind, reference_file};
use super::reference_names::{Match, Names};

pub const EVENTS_FILE: &str = "events.jsonl";
pub const IMAGES_DIR: &str = "images";

/// Where references come from.
pub enum ReferenceSource {
    /// Files in the repository.
    Files(Files),
    /// The images of another run.
    Run {
        dir: PathBuf,
        images: HashMap<CellKey, ImageRef>,
    },
    None,
}

/// Baselines, and the folders that tests name.
pub struct Files {
    root: PathBuf,
    /// Each folder is listed once.
    folders: Mutex<HashMap<PathBuf, Arc<Names>>>,
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
            Some("baseline") => {
                let root = root.to_owned();
                Ok(Self::Files(Files { root, folders: Mutex::default() }))
            }
            Some("none") => Ok(Self::None),
            _ => Self::of_run(argument),
        }
    }

    fn of_run(dir: &Path) -> Result<Self, EngineError> {
        let images = read_run(dir)?
            .tests
            .into_iter()
            .flat_map(|test| test.cells)
            .filter_map(|(key, cell)| Some((key, cell.image?)))
            .collect();
        Ok(Self::Run { dir: dir.to_owned(), images })
    }

    pub fn kind(&self) -> ReferenceKind {
        match self {
            Self::Files(_) => ReferenceKind::Baseline,
            Self::Run { .. } => ReferenceKind::Run,
            Self::None => ReferenceKind::None,
        }
    }

    /// The file that a cell's image was compared with, as it is.
    pub fn file(&self, test: &PlannedTest, cell: usize) -> Option<Vec<u8>> {
        match self {
            Self::None => None,
            Self::Files(files) => match &test.spec.kind {
                TestKind::VisualRegression { .. } => {
                    let file = reference_file(&test.spec, &test.cells[cell])?;
                    std::fs::read(files.root.join(file)).ok()
                }
                TestKind::Quality { reference_dir, .. } => {
                    let folder = files.root.join(reference_dir.as_ref()?);
                    match files.find(&folder, test, cell) {
                        Match::File(file) => std::fs::read(folder.join(file)).ok(),
                        Match::Ambiguous(_) | Match::Nothing(_) => None,
                    }
                }
            },
            Self::Run { dir, images } => {
                let image = images.get(&test.cells[cell])?;
                std::fs::read(dir.join(IMAGES_DIR).join(format!("{}.png", image.sha256))).ok()
            }
        }
    }

    pub fn find(&self, test: &PlannedTest, cell: usize) -> Found {
        let key = &test.cells[cell];
        match self {
            Self::None => Found::Nothing,
            Self::Files(files) => match &test.spec.kind {
                TestKind::VisualRegression { .. } => files.baseline(&test.spec, key),
                TestKind::Quality { reference_dir: Some(dir), .. } => files.named(dir, test, cell),
                TestKind::Quality { reference_dir: None, .. } => Found::Nothing,
            },
            // By its digest, never by the path in the stream: the other run may be anyone's.
            Self::Run { dir, images } => match images.get(key) {
                Some(image) => {
                    let file = format!("{IMAGES_DIR}/{}.png", image.sha256);
                    read(&dir.join(&file), &file, || format!("the other run has lost {file}"))
                }
                None => Found::Nothing,
            },
        }
    }
}

/// What another run said, all of it.
pub fn read_run(dir: &Path) -> Result<Run, EngineError> {
    let bad = |reason: String| EngineError::BadReference { dir: dir.to_owned(), reason };
    let file = dir.join(EVENTS_FILE);
    let bytes = std::fs::read(&file).map_err(|e| bad(format!("{EVENTS_FILE}: {e}")))?;
    let events = event::read_stream(&bytes).map_err(|e| bad(e.to_string()))?;
    Ok(Run::from_events(&events))
}

impl Files {
    fn baseline(&self, spec: &TestSpec, cell: &CellKey) -> Found {
        match reference_file(spec, cell) {
            Some(file) => read(&self.root.join(&file), &file, || {
                format!("there is no baseline {file}; make it with `difftest baseline save`")
            }),
            None => Found::Nothing,
        }
    }

    fn named(&self, dir: &str, test: &PlannedTest, cell: usize) -> Found {
        let folder = self.root.join(dir);
        match self.find(&folder, test, cell) {
            Match::File(file) => {
                let name = format!("{}/{file}", dir.trim_end_matches('/'));
                read(&folder.join(&file), &name, || format!("the reference {name} is gone"))
            }
            Match::Ambiguous(files) => Found::Missing(format!(
                "{dir} has several references for this image, {}; leave one",
                files.join(" and ")
            )),
            Match::Nothing(names) => Found::Missing(format!(
                "{dir} has no reference for this image: there is none of {} (nor .jpg, .jpeg or \
                 .webp); make it with `difftest baseline save`",
                names.join(", ")
            )),
        }
    }

    fn find(&self, folder: &Path, test: &PlannedTest, cell: usize) -> Match {
        self.names(folder).find(&test.cells[cell], prompt_number(test, cell))
    }

    fn names(&self, folder: &Path) -> Arc<Names> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let names = folders.entry(folder.to_owned()).or_insert_with(|| {
            // Two levels: `difftest baseline save` makes a folder a test.
            let files = WalkDir::new(folder)
                .max_depth(2)
                .sort_by_file_name()
                .into_iter()
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_file() || entry.path_is_symlink())
                .filter_map(|entry| {
                    let file = entry.path().strip_prefix(folder).ok()?;
                    Some(file.to_str()?.to_owned())
                });
            Arc::new(Names::of(files))
        });
        Arc::clone(names)
    }
}

/// The place of a cell's prompt among the test's, in the order of expansion. Cells have prompts
/// outermost, and as many of each as there are seeds.
fn prompt_number(test: &PlannedTest, cell: usize) -> usize {
    let seeds = test.cells.iter().take_while(|c| c.prompt == test.cells[0].prompt).count();
    cell / seeds.max(1)
}

fn read(path: &Path, name: &str, missing: impl Fn() -> String) -> Found {
    match std::fs::read(path) {
        Ok(bytes) => match decode::decode(&bytes) {
            Ok(image) => Found::Image(image),
            Err(e) => Found::Missing(format!("the reference {name} cannot be used: {e}")),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Found::Missing(missing()),
        Err(e) => Found::Missing(format!("the reference {name} cannot be read: {e}")),
    }
}
