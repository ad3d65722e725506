//! `--base`: the working tree against a commit, a branch or a folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use difftest_core::config::VerdictSettings;
use difftest_core::protocol::Side;
use pyo3::prelude::*;

use super::child::{self, RunChild};
use super::{CompareArgs, Stored, turns};
use crate::engine::error::EngineError;
use crate::engine::history;
use crate::engine::settings::Target;

pub struct Made {
    pub base: Stored,
    pub head: Stored,
}

/// Generates both sides in turns and answers what they made. Images stay in
/// `.difftest/compare/ID`.
pub fn run(
    py: Python<'_>,
    args: &CompareArgs,
    base: &str,
    target: Target,
    verdict: &VerdictSettings,
) -> Result<Made, EngineError> {
    let root = absolute(&target.root)?;
    let folder = history::folder(&root)?.join("compare").join(uuid::Uuid::now_v7().to_string());
    std::fs::create_dir_all(&folder).map_err(EngineError::file("make", &folder))?;
    let tree = py.detach(|| Tree::of(base, &root, &folder))?;
    let select = &args.select;
    let key = select.api_key.as_deref();
    let python = child::python(py)?;
    let (sender, heard) = channel();
    let start = |side: Side, cwd: &Path, reference: OsString| {
        let mut arguments: Vec<OsString> = vec!["--steer".into(), "--run-dir".into()];
        arguments.push(folder.join(side.as_str()).into());
        arguments.extend(["--reference".into(), reference]);
        arguments.extend(select.to_args().into_iter().map(OsString::from));
        RunChild::start(&python, &arguments, cwd, key, side, sender.clone())
    };
    let children = [
        start(Side::Base, tree.root(), "none".into())?,
        start(Side::Head, &root, folder.join(Side::Base.as_str()).into())?,
    ];
    drop(sender);
    let [base_run, head_run] = turns::drive(py, verdict.clone(), children, heard)?;
    let dir = |side: Side| Some(folder.join(side.as_str()));
    Ok(Made {
        base: Stored { run: base_run, dir: dir(Side::Base) },
        head: Stored { run: head_run, dir: dir(Side::Head) },
    })
}

fn absolute(path: &Path) -> Result<PathBuf, EngineError> {
    std::fs::canonicalize(path).map_err(EngineError::file("find", path))
}

/// The base's files.
enum Tree {
    Folder(PathBuf),
    /// A checkout of our own, which goes with us, and where in it the configuration is.
    Checkout {
        folder: PathBuf,
        root: PathBuf,
    },
}

impl Tree {
    /// A folder as it is; anything else is git's to understand.
    fn of(base: &str, root: &Path, scratch: &Path) -> Result<Self, EngineError> {
        let folder = Path::new(base);
        if folder.is_dir() {
            return Ok(Self::Folder(absolute(folder)?));
        }
        let bad = |reason: String| EngineError::BadBase { name: base.to_owned(), reason };
        let git = |cwd: &Path, arguments: &[&str]| -> Result<String, EngineError> {
            let output = Command::new("git")
                .arg("-C")
                .arg(cwd)
                .args(arguments)
                .env("GIT_TERMINAL_PROMPT", "0")
                .env("LC_ALL", "C")
                .output()
                .map_err(|e| bad(format!("git cannot be run: {e}")))?;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
                false => Err(bad(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            }
        };
        if base.starts_with('-') {
            return Err(bad("no commit has a name like this".into()));
        }
        let commit =
            git(root, &["rev-parse", "--verify", "--quiet", &format!("{base}^{{commit}}")])
                .map_err(|_| {
                    bad("it is neither a folder nor a commit or branch of this repository".into())
                })?;
        let top = git(root, &["rev-parse", "--show-toplevel"])?;
        let below = git(root, &["rev-parse", "--show-prefix"])?;
        let folder = scratch.join("base-tree");
        let shown = folder.to_string_lossy().into_owned();
        // Objects are shared, not copied.
        git(root, &["clone", "--quiet", "--shared", "--no-checkout", &top, &shown])?;
        git(
            &folder,
            &["-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", &commit],
        )?;
        let root = folder.join(below);
        if !root.is_dir() {
            return Err(bad(format!("the commit has no folder {}", root.display())));
        }
        Ok(Self::Checkout { folder, root })
    }

    fn root(&self) -> &Path {
        match self {
            Self::Folder(root) | Self::Checkout { root, .. } => root,
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Self::Checkout { folder, .. } = self {
            // What is left over is below .difftest, where nothing of it is looked at.
            drop(std::fs::remove_dir_all(folder));
        }
    }
}
