//! A daemon, its App, its repository, and an interpreter that runs the repository's `job.sh`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::Parser;
use difftest_core::config::VerdictSettings;
use difftest_core::ids::CommitSha;
use difftest_core::protocol::JobSpec;
use difftest_runner::daemon::{RunnerArgs, RunnerError, serve};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, RUNNER_TOKEN};
use crate::git::Repository;

/// Says where difftest is when asked, and is difftest when run: what it does is in the commit.
const PYTHON: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$1" in
  -c) case "$2" in
        *find_spec*) printf '{"executable":"%s","prefix":"/usr","base_prefix":"/usr","package":["%s"]}\n' "$0" "$here" ;;
      esac ;;
  -m) shift 2; exec /bin/sh ./job.sh "$@" ;;
esac
"#;

/// For `job.sh`: `started`, `image WORD`, `says TEXT`, `finished`.
const WORDS: &str = r#"
OUT=$6 REFERENCE=$8
mkdir -p "$OUT/images"
started() {
  echo '{"event":"run_started","schema":1,"run":"r","model":"m","generator":"g","fingerprint":"f","environment":{"device":"cpu","threads":1,"batch_size":1,"versions":{}},"tests":[],"metrics":[],"cells":1}'
}
cell() {
  echo '{"event":"cell_generated","test":"t.py::t","prompt":"p","seed":1,"image":{"sha256":"'"$1"'","path":"images/'"$1"'.png","width":32,"height":32},"duration_ms":1.0}'
}
picture() {
  printf '\211PNG\r\n\032\n\000\000\000\015IHDR\000\000\000\040\000\000\000\040\010\002\000\000\000%s' "$1" > "$OUT/images/new"
  sha=$(sha256sum "$OUT/images/new" | cut -c1-64)
  mv "$OUT/images/new" "$OUT/images/$sha.png"
}
image() { picture "$1"; cell "$sha"; }
says() { echo '{"event":"log","level":"info","message":"'"$1"'"}'; }
finished() { echo '{"event":"run_finished","status":"passed","duration_ms":1.0}'; }
beat() { while :; do date +%s%N > "$OUT/heartbeat"; sleep 0.1; done; }
"#;

pub fn script(body: &str) -> String {
    format!("{WORDS}\n{body}\n")
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    runner: RunnerArgs,
}

pub struct World {
    pub app: App,
    pub repository: Repository,
    pub folder: tempfile::TempDir,
    pub python: PathBuf,
}

impl World {
    pub async fn new() -> Self {
        let repository = Repository::new();
        let app = App::start(&repository).await;
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python/python");
        std::fs::create_dir(folder.path().join("python")).unwrap();
        std::fs::write(&python, PYTHON).unwrap();
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { app, repository, folder, python }
    }

    /// Offers a job whose two commits do these things.
    pub fn offer(&self, base: &str, head: &str) -> JobSpec {
        let base = self.repository.commit(&[("job.sh", &script(base))]);
        let head = self.repository.commit(&[("job.sh", &script(head)), ("head.txt", "head")]);
        let spec = self.spec(base, head);
        self.app.offer(spec.clone());
        spec
    }

    pub fn spec(&self, base: CommitSha, head: CommitSha) -> JobSpec {
        JobSpec {
            repository: "acme/images".parse().unwrap(),
            clone_url: format!("{}/git/bare.git", self.app.url()),
            base,
            head,
            suite: "shapes".into(),
            timeout_s: 60,
            network: false,
            // Its jobs are scripts that nobody steers.
            verdict: VerdictSettings { interleave: false, ..VerdictSettings::default() },
        }
    }

    pub fn work_dir(&self) -> PathBuf {
        self.folder.path().join("work-dir")
    }

    /// What the base side keeps writing while it lives.
    pub fn heartbeat(&self) -> String {
        std::fs::read_to_string(self.heartbeat_path()).unwrap_or_default()
    }

    fn heartbeat_path(&self) -> PathBuf {
        self.work_dir().join("jobs/7-1/out-base/heartbeat")
    }

    fn arguments(&self, token: &str, more: &[&str]) -> Vec<String> {
        let own = [
            "runner".to_owned(),
            format!("--url={}", self.app.url()),
            format!("--token={token}"),
            "--label=cpu".to_owned(),
            "--name=test".to_owned(),
            format!("--work-dir={}", self.work_dir().display()),
            format!("--python={}", self.python.display()),
        ];
        own.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
    }

    /// A daemon in this process.
    pub fn daemon(&self, more: &[&str]) -> Daemon {
        self.daemon_with(RUNNER_TOKEN, more)
    }

    pub fn daemon_with(&self, token: &str, more: &[&str]) -> Daemon {
        let arguments = Cli::parse_from(self.arguments(token, more)).runner;
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(arguments, stop.clone()));
        Daemon { stop, task }
    }

    /// A daemon whose one thread is blocked for `blocked` as soon as the base side lives.
    pub fn busy_daemon(&self, blocked: Duration) -> std::thread::JoinHandle<()> {
        let arguments = Cli::parse_from(self.arguments(RUNNER_TOKEN, &["--once"])).runner;
        let heartbeat = self.heartbeat_path();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::spawn(async move {
                    while !heartbeat.exists() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    std::thread::sleep(blocked);
                });
                serve(arguments, CancellationToken::new()).await.unwrap();
            });
        })
    }

    /// A daemon in a process of its own, which can be killed, with only `path` on its `PATH`.
    pub fn daemon_process(&self, more: &[&str], path: &Path) -> Child {
        let arguments = serde_json::to_string(&self.arguments(RUNNER_TOKEN, more)).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "harness::a_daemon_process", "--ignored", "--nocapture"])
            .env("DIFFTEST_TEST_DAEMON", arguments)
            .env("PATH", path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }
}

pub struct Daemon {
    pub stop: CancellationToken,
    pub task: JoinHandle<Result<(), RunnerError>>,
}

impl Daemon {
    pub async fn ends(self) {
        self.task.await.unwrap().unwrap();
    }
}

/// Not a test: what [`World::daemon_process`] starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by other tests as a process of its own"]
async fn a_daemon_process() {
    let Ok(arguments) = std::env::var("DIFFTEST_TEST_DAEMON") else { return };
    let arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    let served = serve(Cli::parse_from(arguments).runner, CancellationToken::new()).await;
    if let Err(error) = served {
        eprintln!("{error}");
        std::process::exit(2);
    }
}

/// Whether sandboxes work here; says so loudly where not.
pub fn sandboxed() -> bool {
    let works = Command::new("bwrap")
        .args(["--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED (no sandbox: install bubblewrap and allow it root or user namespaces)");
    }
    works
}
