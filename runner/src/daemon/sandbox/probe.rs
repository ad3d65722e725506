//! What this machine has, and whether its sandbox holds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    Isolation, JOB_UID, Limits, Machine, PASSED_ON, PythonEnvironment, READY, Side, SystemEntry,
};
use crate::daemon::process::{CommandLine, KillSwitch, Output, describe, output};

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(
        "{python}: difftest cannot be used with this interpreter: {why}. Name one that has it installed with --python."
    )]
    Python { python: PathBuf, why: String },
    #[error(
        "no sandbox: {why}\n\
         Jobs are code of pull requests, so this runner takes none. Install bubblewrap \
         (`apt-get install bubblewrap`) and allow it user namespaces or root; or, on a machine \
         that holds nothing and is thrown away after each job, pass --allow-unsandboxed."
    )]
    NoSandbox { why: String },
    #[error("{path}: cannot be shown to jobs: {source}")]
    Readable { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Choices {
    pub python: PathBuf,
    pub readable: Vec<PathBuf>,
    pub gpu: bool,
    pub limits: Limits,
    pub allow_unsandboxed: bool,
    /// An existing folder for the self-test.
    pub scratch: PathBuf,
}

#[derive(Deserialize)]
struct PythonFacts {
    executable: PathBuf,
    prefix: PathBuf,
    base_prefix: PathBuf,
    package: Vec<PathBuf>,
}

const FACTS: &str = "import importlib.util, json, sys; \
    spec = importlib.util.find_spec('difftest'); \
    print(json.dumps({'executable': sys.executable, 'prefix': sys.prefix, \
    'base_prefix': sys.base_prefix, \
    'package': list(spec.submodule_search_locations) if spec else []}))";

/// Finds what there is, and tries the strongest sandbox first. The second value says why it is
/// none, where it is none.
pub async fn probe(choices: Choices) -> Result<(Machine, Option<String>), ProbeError> {
    let python = python_environment(&choices.python).await?;
    let mut readable = Vec::new();
    for path in &choices.readable {
        let real = path.canonicalize();
        readable.push(real.map_err(|source| ProbeError::Readable { path: path.clone(), source })?);
    }
    let mut machine = Machine {
        isolation: Isolation::None,
        bubblewrap: PathBuf::new(),
        can_disable_userns: false,
        can_size_tmpfs: false,
        system: system_entries(),
        python,
        readable,
        devices: if choices.gpu { gpu_devices() } else { Vec::new() },
        passed_on: PASSED_ON
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
            .collect(),
        limits: choices.limits,
    };
    let why = match find_on_path("bwrap") {
        None => "bubblewrap (`bwrap`) is not installed.".to_owned(),
        Some(bubblewrap) => {
            let help = run(vec![bubblewrap.clone().into(), "--help".into()]).await?;
            let help = format!("{}{}", help.stdout, help.stderr);
            machine.can_disable_userns = help.contains("--disable-userns");
            machine.can_size_tmpfs = help.contains("--size ");
            machine.bubblewrap = bubblewrap;
            match strongest(&mut machine, &choices.scratch).await? {
                None => return Ok((machine, None)),
                Some(why) => why,
            }
        }
    };
    if choices.allow_unsandboxed {
        machine.isolation = Isolation::None;
        Ok((machine, Some(why)))
    } else {
        Err(ProbeError::NoSandbox { why })
    }
}

/// Sets the strongest isolation that holds; `Some` says why none does.
async fn strongest(machine: &mut Machine, scratch: &Path) -> Result<Option<String>, ProbeError> {
    let candidates: &[Isolation] = if rustix::process::geteuid().is_root() {
        &[Isolation::Root, Isolation::UserNamespace]
    } else {
        &[Isolation::UserNamespace]
    };
    let mut why = String::new();
    for isolation in candidates {
        machine.isolation = *isolation;
        match self_test(machine, scratch).await? {
            Ok(()) => return Ok(None),
            Err(failure) => why = failure,
        }
    }
    Ok(Some(format!("bubblewrap's self-test failed: {why}")))
}

/// Starts a harmless program as a job would be started, and looks at what it could do.
async fn self_test(machine: &Machine, scratch: &Path) -> Result<Result<(), String>, ProbeError> {
    let folder = tempfile::tempdir_in(scratch)?;
    let (source, out) = (folder.path().join("source"), folder.path().join("out"));
    std::fs::create_dir(&source)?;
    create_out(machine.isolation, &out)?;
    let side = Side { source: &source, out: &out, base: None, network: false };
    let script = "id -u; echo written > \"$1/probe\" || exit 1; \
        if touch probe /usr/probe 2>/dev/null; then echo 'the system is writable' >&2; exit 1; fi; \
        if [ \"$(wc -l < /proc/net/route)\" -gt 1 ]; then echo 'there is a network' >&2; exit 1; fi";
    let program: Vec<OsString> =
        ["/bin/sh", "-c", script, "sh"].into_iter().map(Into::into).collect();
    let program = [program, vec![machine.seen(&side).out.into()]].concat();
    let test = output(machine.command(&side, program), &KillSwitch::default()).await?;
    let expected = format!("{READY}\n{JOB_UID}");
    if !test.status.success() || test.stdout != expected || !out.join("probe").is_file() {
        return Ok(Err(format!("{} {}", describe(test.status), test.stderr)));
    }
    let program = [machine.python.executable.clone().into(), "-c".into(), "import difftest".into()];
    let import = output(machine.command(&side, program.to_vec()), &KillSwitch::default()).await?;
    if !import.status.success() {
        return Err(ProbeError::Python {
            python: machine.python.executable.clone(),
            why: format!("`import difftest` fails in the sandbox: {}", import.stderr),
        });
    }
    Ok(Ok(()))
}

/// Makes a folder that the job may write to.
pub fn create_out(isolation: Isolation, path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)?;
    if isolation == Isolation::Root {
        std::os::unix::fs::chown(path, Some(JOB_UID), Some(JOB_UID))?;
    }
    Ok(())
}

async fn python_environment(python: &Path) -> Result<PythonEnvironment, ProbeError> {
    let error = |why: String| ProbeError::Python { python: python.to_owned(), why };
    let executable = if python.components().count() == 1 {
        find_on_path(python).ok_or_else(|| error("it is not on the PATH".to_owned()))?
    } else {
        std::path::absolute(python)?
    };
    let told = run(vec![executable.into(), "-c".into(), FACTS.into()])
        .await
        .map_err(|e| error(e.to_string()))?;
    if !told.status.success() {
        return Err(error(told.stderr));
    }
    let facts: PythonFacts =
        serde_json::from_str(&told.stdout).map_err(|e| error(e.to_string()))?;
    if facts.package.is_empty() {
        return Err(error("the package difftest is not installed there".to_owned()));
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in [facts.prefix, facts.base_prefix].into_iter().chain(facts.package) {
        // The system's folders are there anyway, and showing more than needed is refused.
        if folder == Path::new("/") {
            return Err(error("its prefix is /".to_owned()));
        }
        if !folder.starts_with("/usr") && !folders.iter().any(|f| folder.starts_with(f)) {
            folders.push(folder);
        }
    }
    Ok(PythonEnvironment { executable: facts.executable, folders })
}

fn system_entries() -> Vec<SystemEntry> {
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"]
        .into_iter()
        .filter_map(|path| {
            let path = PathBuf::from(path);
            if let Ok(to) = std::fs::read_link(&path) {
                Some(SystemEntry::Link { at: path, to })
            } else {
                path.is_dir().then_some(SystemEntry::Folder(path))
            }
        })
        .collect()
}

/// NVIDIA's nodes and the render nodes of the others.
fn gpu_devices() -> Vec<PathBuf> {
    let listed = |folder: &str, prefixes: &[&str]| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|e| prefixes.iter().any(|p| e.file_name().to_string_lossy().starts_with(p)))
            .map(|entry| entry.path())
            .collect()
    };
    let mut devices = listed("/dev", &["nvidia", "kfd"]);
    devices.extend(listed("/dev/dri", &["renderD"]));
    devices.sort();
    devices
}

fn find_on_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program.as_ref()))
        .find(|candidate| candidate.is_absolute() && candidate.is_file())
}

async fn run(argv: Vec<OsString>) -> io::Result<Output> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let env = vec![("PATH".into(), path)];
    output(CommandLine { argv, env, directory: "/".into() }, &KillSwitch::default()).await
}
