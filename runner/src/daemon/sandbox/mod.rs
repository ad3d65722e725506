//! What stands between a job and the machine: the command lines, as pure values.
//!
//! The job sees a read-only system, the runner's Python environment, its own commit's files and
//! its own output folder. It sees no environment variable, file, process or network of the
//! machine's beyond that. [`probe`] finds out what a machine has and tries it.

pub mod probe;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::process::CommandLine;

/// Where the job finds its things. Not directly below `/`: a machine may keep its Python
/// environment in a folder like `/work`, which must stay visible at its own place.
pub const SOURCE: &str = "/job/source";
pub const OUT: &str = "/job/out";
pub const BASE: &str = "/job/base";

/// The first line on the child's standard output. It is printed right before the job's program is
/// started: without it, the sandbox did not come up and the job is not to blame.
pub const READY: &str = "difftest-sandbox-ready";

/// Under memory pressure the kernel ends the job before anything else on the machine
/// (proc_pid_oom_score_adj(5)); then the first line, then the job.
const START: &str = "{ echo 1000 > /proc/self/oom_score_adj; } 2>/dev/null; \
    printf '%s\\n' \"$0\" && exec \"$@\"";

/// `nobody`.
pub const JOB_UID: u32 = 65_534;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// bubblewrap run by root: root prepares the mounts, the job is a real uid 65534.
    Root,
    /// bubblewrap in a user namespace: uid 65534 inside, the runner's own user outside.
    UserNamespace,
    /// Only limits and a killed process group. For machines that are thrown away after each job.
    None,
}

/// An entry of the root folder that programs need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemEntry {
    Folder(PathBuf),
    /// `/bin` → `usr/bin` on systems with a merged `/usr`.
    Link {
        at: PathBuf,
        to: PathBuf,
    },
}

/// The interpreter that jobs run, and the folders it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonEnvironment {
    pub executable: PathBuf,
    pub folders: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of all the job's processes together, watched from outside.
    pub memory_bytes: u64,
    /// Watched from outside, and a hard limit of the kernel's where it applies.
    pub processes: u64,
    /// Of the output folder, watched from outside.
    pub output_bytes: u64,
    /// Of the private `/tmp`, and of `/dev/shm`: both are memory.
    pub tmp_bytes: u64,
}

/// What a machine has, found once at start-up.
#[derive(Debug, Clone)]
pub struct Machine {
    pub isolation: Isolation,
    pub bubblewrap: PathBuf,
    /// bubblewrap 0.8 and later.
    pub can_disable_userns: bool,
    /// bubblewrap 0.7 and later.
    pub can_size_tmpfs: bool,
    pub system: Vec<SystemEntry>,
    pub python: PythonEnvironment,
    /// Folders that the operator shows to every job, read-only: model weights.
    pub readable: Vec<PathBuf>,
    /// Device nodes that the operator gives to every job: graphics cards.
    pub devices: Vec<PathBuf>,
    /// Variables that the operator's environment passes on, from [`PASSED_ON`].
    pub passed_on: Vec<(String, OsString)>,
    pub limits: Limits,
}

/// The runner's own variables that a job sees: none can hold a secret.
pub const PASSED_ON: [&str; 8] = [
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "TORCH_HOME",
    "DIFFTEST_WEIGHTS_DIR",
    "DIFFTEST_CLIP_MODEL",
];

/// One side of a job, as the daemon sees its folders.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub source: &'a Path,
    pub out: &'a Path,
    /// The base side's output, for the head side.
    pub base: Option<&'a Path>,
    pub network: bool,
}

/// The same folders, as the job sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub source: PathBuf,
    pub out: PathBuf,
    pub base: Option<PathBuf>,
}

impl Machine {
    pub fn seen(&self, side: &Side<'_>) -> Seen {
        match self.isolation {
            Isolation::None => Seen {
                source: side.source.to_owned(),
                out: side.out.to_owned(),
                base: side.base.map(Path::to_owned),
            },
            Isolation::Root | Isolation::UserNamespace => Seen {
                source: SOURCE.into(),
                out: OUT.into(),
                base: side.base.map(|_| BASE.into()),
            },
        }
    }

    /// `program` inside the sandbox, started in the source folder.
    pub fn command(&self, side: &Side<'_>, program: Vec<OsString>) -> CommandLine {
        let mut argv = match self.isolation {
            Isolation::None => os(["setpriv", "--pdeathsig=KILL", "--no-new-privs", "--"]),
            Isolation::Root | Isolation::UserNamespace => self.bubblewrap(side),
        };
        if self.isolation == Isolation::Root {
            argv.extend(os([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--bounding-set=-all",
                "--",
            ]));
        }
        argv.extend(os(["prlimit", "--core=0"]));
        // For the job's own user or namespace; without one it would count all of this user's.
        if self.isolation != Isolation::None {
            argv.push(format!("--nproc={}", self.limits.processes).into());
        }
        argv.push(format!("--fsize={}", self.limits.output_bytes).into());
        argv.extend(os(["--", "/bin/sh", "-c", START, READY]));
        argv.extend(program);
        CommandLine {
            argv,
            env: self.environment(),
            // bubblewrap changes it for the job.
            directory: match self.isolation {
                Isolation::None => side.source.to_owned(),
                Isolation::Root | Isolation::UserNamespace => "/".into(),
            },
        }
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut path = OsString::new();
        if let Some(folder) = self.python.executable.parent() {
            path.push(folder);
            path.push(":");
        }
        path.push("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        let mut env: Vec<(OsString, OsString)> = vec![("PATH".into(), path)];
        env.extend(
            [
                ("HOME", "/tmp"),
                ("TMPDIR", "/tmp"),
                ("USER", "nobody"),
                ("LOGNAME", "nobody"),
                ("LANG", "C.UTF-8"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                // As with the console script: the repository's files never hide a library's.
                ("PYTHONSAFEPATH", "1"),
            ]
            .map(|(name, value)| (name.into(), value.into())),
        );
        env.extend(self.passed_on.iter().map(|(name, value)| (name.into(), value.clone())));
        env
    }

    fn bubblewrap(&self, side: &Side<'_>) -> Vec<OsString> {
        let mut bwrap = Bubblewrap::new(&self.bubblewrap);
        for flag in ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"] {
            bwrap.add([flag]);
        }
        if !side.network {
            bwrap.add(["--unshare-net"]);
        }
        bwrap.add(["--cap-drop", "ALL"]);
        if self.isolation == Isolation::Root {
            // Only for setpriv, which gives them up for good.
            for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
                bwrap.add(["--cap-add", capability]);
            }
        } else {
            bwrap.add(["--unshare-user", "--uid", "65534", "--gid", "65534"]);
            if self.can_disable_userns {
                bwrap.add(["--disable-userns"]);
            }
        }
        // A session of its own: it cannot push characters into the operator's terminal.
        bwrap.add(["--die-with-parent", "--new-session", "--hostname", "difftest"]);

        for entry in &self.system {
            match entry {
                SystemEntry::Folder(path) => bwrap.bind("--ro-bind", path, path),
                SystemEntry::Link { at, to } => {
                    bwrap.add([OsStr::new("--symlink"), to.as_os_str(), at.as_os_str()]);
                }
            }
        }
        // The loader's cache and Debian's choices of libraries; a network needs names and roots.
        let mut settings = vec!["/etc/ld.so.cache", "/etc/alternatives"];
        if side.network {
            settings.extend([
                "/etc/ssl",
                "/etc/pki",
                "/etc/ca-certificates",
                "/etc/resolv.conf",
                "/etc/hosts",
                "/etc/nsswitch.conf",
            ]);
        }
        for path in settings {
            bwrap.bind("--ro-bind-try", Path::new(path), Path::new(path));
        }
        bwrap.add(["--proc", "/proc", "--dev", "/dev"]);
        // Libraries count the processors there.
        let processors = Path::new("/sys/devices/system/cpu");
        bwrap.bind("--ro-bind-try", processors, processors);
        for device in &self.devices {
            bwrap.bind("--dev-bind", device, device);
        }
        for memory in ["/dev/shm", "/tmp"] {
            bwrap.add(["--perms", "1777"]);
            if self.can_size_tmpfs {
                bwrap.add(["--size".to_owned(), self.limits.tmp_bytes.to_string()]);
            }
            bwrap.add(["--tmpfs", memory]);
        }
        for folder in self.python.folders.iter().chain(&self.readable) {
            bwrap.bind("--ro-bind", folder, folder);
        }
        bwrap.bind("--ro-bind", side.source, Path::new(SOURCE));
        bwrap.bind("--bind", side.out, Path::new(OUT));
        if let Some(base) = side.base {
            bwrap.bind("--ro-bind", base, Path::new(BASE));
        }
        // The mounts' own folders, which are the job's in a user namespace.
        bwrap.add(["--remount-ro", "/dev", "--remount-ro", "/"]);
        bwrap.add(["--chdir", SOURCE, "--"]);
        bwrap.argv
    }
}

struct Bubblewrap {
    argv: Vec<OsString>,
    folders: BTreeSet<PathBuf>,
}

impl Bubblewrap {
    fn new(program: &Path) -> Self {
        Self { argv: vec![program.into()], folders: BTreeSet::new() }
    }

    fn add<T: Into<OsString>>(&mut self, arguments: impl IntoIterator<Item = T>) {
        self.argv.extend(arguments.into_iter().map(Into::into));
    }

    /// bubblewrap makes the folders above a mount for root alone (0700); here uid 65534 has to
    /// pass through them.
    fn bind(&mut self, how: &str, from: &Path, at: &Path) {
        let above: Vec<&Path> = at.ancestors().skip(1).collect();
        for folder in above.into_iter().rev().filter(|folder| *folder != Path::new("/")) {
            let mounted = folder.ancestors().any(|a| a == Path::new("/dev"));
            if !mounted && self.folders.insert(folder.to_owned()) {
                self.add([OsStr::new("--dir"), folder.as_os_str()]);
            }
        }
        self.folders.insert(at.to_owned());
        self.add([OsStr::new(how), from.as_os_str(), at.as_os_str()]);
    }
}

fn os<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.into_iter().map(Into::into).collect()
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
