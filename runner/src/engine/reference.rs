//! The image that a generated one is compared with.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use difftest_core::event::{self, CellKey, Event, ImageRef};
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
    Run(OtherRun),
    None,
}

/// Another run, which may still be under way.
pub struct OtherRun {
    dir: PathBuf,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    images: HashMap<CellKey, ImageRef>,
    /// How much of its stream is in there.
    bytes: u64,
}

impl OtherRun {
    fn open(dir: &Path) -> Result<Self, EngineError> {
        let run = Self { dir: dir.to_owned(), read: Mutex::default() };
        run.refresh()?;
        Ok(run)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads what it has said since.
    fn refresh(&self) -> Result<(), EngineError> {
        let bad = |reason: String| EngineError::BadReference { dir: self.dir.clone(), reason };
        let unread = |e: std::io::Error| bad(format!("{EVENTS_FILE}: {e}"));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = File::open(self.dir.join(EVENTS_FILE)).map_err(unread)?;
        file.seek(SeekFrom::Start(read.bytes)).map_err(unread)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unread)?;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        for event in event::read_stream(&bytes[..whole]).map_err(|e| bad(e.to_string()))? {
            if let Event::CellGenerated { cell, image, .. } = event {
                read.images.insert(cell, image);
            }
        }
        read.bytes += whole as u64;
        Ok(())
    }

    /// By its digest, never by the path in the stream: the other run may be anyone's.
    fn file(&self, cell: &CellKey) -> Option<String> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Some(format!("{IMAGES_DIR}/{}.png", read.images.get(cell)?.sha256))
    }
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
            _ => OtherRun::open(argument).map(Self::Run),
        }
    }

    /// Looks at what there is by now.
    pub fn refresh(&self) -> Result<(), EngineError> {
        match self {
            Self::Run(run) => run.refresh(),
            Self::Files(_) | Self::None => Ok(()),
        }
    }

    pub fn kind(&self) -> ReferenceKind {
        match self {
            Self::Files(_) => ReferenceKind::Baseline,
            Self::Run(_) => ReferenceKind::Run,
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
            Self::Run(run) => std::fs::read(run.dir.join(run.file(&test.cells[cell])?)).ok(),
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
            Self::Run(run) => match run.file(key) {
                Some(file) => {
                    read(&run.dir.join(&file), &file, || format!("the other run has lost {file}"))
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
        self.names(folder).find(&test.cells[cell], test.prompt_number(cell))
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
