//! The files on disk: which of them declare metrics.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::decorators::{self, LARGEST_SOURCE};
use crate::metrics::DeclaredMetrics;

/// Entries looked at below one root. A home directory opened by accident ends here.
const MOST_ENTRIES: usize = 100_000;

/// A file that marks the root of a repository or project.
const ROOT_MARKERS: [&str; 3] = [difftest_core::config::FILE, "pyproject.toml", ".git"];

/// What the files of the workspace's roots declare, where they declare anything.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    roots: Vec<PathBuf>,
    declared: HashMap<PathBuf, DeclaredMetrics>,
}

impl Workspace {
    /// Reads every Python file below a root, once.
    pub(crate) fn add_root(&mut self, root: &Path) {
        if self.holds(root) {
            return;
        }
        self.roots.push(root.to_owned());
        self.scan(WalkDir::new(root));
    }

    pub(crate) fn remove_root(&mut self, root: &Path) {
        self.roots.retain(|known| known != root);
        let roots = &self.roots;
        self.declared.retain(|path, _| roots.iter().any(|root| path.starts_with(root)));
    }

    /// Makes sure that a file's project is known, also where the editor opened the file alone.
    pub(crate) fn add_file(&mut self, file: &Path) {
        let Some(directory) = file.parent().filter(|_| !self.holds(file)) else { return };
        match project(directory) {
            Some(root) => self.add_root(root),
            // Nothing says how far the project reaches: only the file's neighbours are read.
            None => self.scan(WalkDir::new(directory).max_depth(1)),
        }
    }

    /// Reads one file again, after it changed on disk.
    pub(crate) fn read_file(&mut self, file: &Path) {
        match declared_in(file) {
            Some(declared) => self.declared.insert(file.to_owned(), declared),
            None => self.declared.remove(file),
        };
    }

    pub(crate) fn declared(&self) -> impl Iterator<Item = (&Path, &DeclaredMetrics)> {
        self.declared.iter().map(|(path, declared)| (path.as_path(), declared))
    }

    /// The folders from which a test's paths may start: the roots it lies in, and its project's.
    pub(crate) fn roots_of(&self, test: &Path) -> Vec<PathBuf> {
        let around = self.roots.iter().filter(|root| test.starts_with(root)).cloned();
        let project = test.parent().and_then(project).map(Path::to_owned);
        around.chain(project).collect()
    }

    fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    fn scan(&mut self, walk: WalkDir) {
        let entries = walk.into_iter().filter_entry(is_source).filter_map(Result::ok);
        for entry in entries.take(MOST_ENTRIES) {
            let is_python = entry.path().extension().is_some_and(|extension| extension == "py");
            if is_python && entry.file_type().is_file() {
                self.read_file(entry.path());
            }
        }
    }
}

/// The nearest folder above that is a project's root.
fn project(folder: &Path) -> Option<&Path> {
    folder
        .ancestors()
        .find(|ancestor| ROOT_MARKERS.iter().any(|marker| ancestor.join(marker).exists()))
}

/// Not a hidden directory, a virtual environment or installed packages.
fn is_source(entry: &DirEntry) -> bool {
    if entry.depth() == 0 || !entry.file_type().is_dir() {
        return true;
    }
    let name = entry.file_name().to_string_lossy();
    let skipped = ["node_modules", "__pycache__", "site-packages"];
    !(name.starts_with('.')
        || skipped.contains(&&*name)
        || entry.path().join("pyvenv.cfg").exists())
}

/// None where the file declares nothing, is too large, is not UTF-8 or cannot be read. An editor
/// has other ways to tell its user about such a file.
fn declared_in(file: &Path) -> Option<DeclaredMetrics> {
    let size = std::fs::metadata(file).ok()?.len();
    if size > LARGEST_SOURCE as u64 {
        return None;
    }
    let source = std::fs::read_to_string(file).ok()?;
    Some(decorators::read(&source).declared).filter(|declared| !declared.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    const DECLARES: &str = "import difftest\n@difftest.metric('NAME')\ndef f(image): ...\n";

    fn write(root: &Path, path: &str, metric: &str) -> PathBuf {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, DECLARES.replace("NAME", metric)).unwrap();
        file
    }

    fn names(workspace: &Workspace) -> Vec<&str> {
        let mut names: Vec<&str> = workspace
            .declared()
            .flat_map(|(_, declared)| declared.names.iter().map(String::as_str))
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn metrics_are_found_in_sources_and_not_in_environments() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "tests/deep/test_a.py", "deep");
        write(root.path(), "metrics.py", "top");
        write(root.path(), ".hidden/test_b.py", "hidden");
        write(root.path(), "env/lib/c.py", "installed");
        std::fs::write(root.path().join("env/pyvenv.cfg"), "").unwrap();
        write(root.path(), "notes.txt", "text");
        let mut workspace = Workspace::default();
        workspace.add_root(root.path());
        assert_eq!(names(&workspace), ["deep", "top"]);
        workspace.remove_root(root.path());
        assert_eq!(names(&workspace), Vec::<&str>::new());
    }

    #[test]
    fn a_file_opened_alone_brings_its_project() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("difftest.toml"), "").unwrap();
        write(root.path(), "metrics.py", "mine");
        let test = write(root.path(), "tests/test_a.py", "beside");
        let mut workspace = Workspace::default();
        workspace.add_file(&test);
        assert_eq!(names(&workspace), ["beside", "mine"]);
    }

    #[test]
    fn a_file_without_a_project_brings_its_neighbours_alone() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "elsewhere/metrics.py", "far");
        write(root.path(), "near.py", "near");
        let mut workspace = Workspace::default();
        workspace.add_file(&root.path().join("test_a.py"));
        assert_eq!(names(&workspace), ["near"]);
    }

    #[test]
    fn a_file_that_changed_or_went_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let file = write(root.path(), "metrics.py", "before");
        let mut workspace = Workspace::default();
        workspace.add_root(root.path());
        write(root.path(), "metrics.py", "after");
        workspace.read_file(&file);
        assert_eq!(names(&workspace), ["after"]);
        std::fs::remove_file(&file).unwrap();
        workspace.read_file(&file);
        assert_eq!(names(&workspace), Vec::<&str>::new());
    }
}
