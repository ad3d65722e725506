//! One GitHub (the stand-in of `tests/github`), one App (its real binary), and the means to be the
//! people and the runners around them.

#![allow(dead_code, reason = "each test file uses its part of the harness")]

mod database;
pub mod runner;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use database::Database;
use serde_json::{Value, json};
use tempfile::TempDir;

pub const REPO: &str = "acme/imagegen";
pub const RUNNER_TOKEN: &str = "dtr_the-token-of-the-runner-in-this-test";
const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration of the repository under test.
pub const CONFIG: &str = "[suites.shapes]\ntest_dir = \"tests\"\nlabels = [\"cpu\"]\n";

/// A process that is killed with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct World {
    app: Option<Process>,
    _stand_in: Process,
    pub github: String,
    pub app_url: String,
    pub http: reqwest::Client,
    folder: TempDir,
    node: PathBuf,
    database: Database,
}

/// How the App is started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start<'a> {
    /// `DIFFTEST_FAULT`.
    pub fault: Option<&'a str>,
    pub database: Kind,
    /// `RUST_LOG`; the log then goes into a file, for [`World::log_and_secrets`].
    pub log: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Sqlite,
    Postgres,
}

fn stand_in_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/github")
}

/// The Node that runs the stand-in; None, said loudly, where there is none.
fn node() -> Option<PathBuf> {
    let folder = stand_in_folder();
    let found = Command::new("sh").arg(folder.join("node.sh")).output().unwrap();
    let node = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    if found.status.success() && folder.join("node_modules/emulate").exists() {
        return Some(node.into());
    }
    eprintln!(
        "SKIPPED (no GitHub stand-in: run `npm ci` in tests/github, with Node.js 24 or newer)"
    );
    None
}

/// The first line of a process's standard output; the rest is drained.
fn first_line(child: &mut Child) -> Value {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("`{line}`: {e}"))
}

impl World {
    /// Everything up, with one repository that has a configuration. None where it cannot be.
    pub async fn start() -> Option<Self> {
        Self::start_with(Start::default()).await
    }

    pub async fn start_with(start: Start<'_>) -> Option<Self> {
        difftest_app::install_crypto();
        let node = node()?;
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(start.database, folder.path())?;
        let seeded = Command::new(&node)
            .arg(stand_in_folder().join("seed.mjs"))
            .args([Path::new("--out"), folder.path()])
            .output()
            .unwrap();
        assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
        let mut stand_in = Command::new(&node)
            .arg(stand_in_folder().join("stand-in.mjs"))
            .args([Path::new("--seed"), &folder.path().join("seed.yaml")])
            .args([Path::new("--git-root"), &folder.path().join("git")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let github = first_line(&mut stand_in)["url"].as_str().unwrap().to_owned();
        std::fs::write(folder.path().join("runners"), format!("runner-1 {RUNNER_TOKEN}\n"))
            .unwrap();
        let mut world = Self {
            app: None,
            _stand_in: Process(stand_in),
            github,
            app_url: String::new(),
            http: reqwest::Client::new(),
            folder,
            node,
            database,
        };
        world.start_app(start).await;
        world.repository(REPO, CONFIG).await;
        Some(world)
    }

    pub async fn start_app(&mut self, start: Start<'_>) {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_difftest-app"));
        command
            .args(["--listen", "127.0.0.1:0", "--public-url", "https://difftest.example"])
            .args(["--github-url", &self.github, "--app-id", "12345"])
            .args(["--database-url", &self.database.url])
            .args([Path::new("--data-dir"), &at("data")])
            .args([Path::new("--private-key-file"), &at("app.pem")])
            .args([Path::new("--webhook-secret-file"), &at("webhook-secret")])
            .args([Path::new("--runner-token-file"), &at("runners")])
            .env_remove("DIFFTEST_FAULT")
            .env("RUST_LOG", start.log.unwrap_or("warn"))
            .stdout(Stdio::piped());
        if start.log.is_some() {
            command.stderr(std::fs::File::create(at("app.log")).unwrap());
        }
        if let Some(fault) = start.fault {
            command.env("DIFFTEST_FAULT", fault);
        }
        let mut app = command.spawn().unwrap();
        self.app_url = first_line(&mut app)["url"].as_str().unwrap().to_owned();
        self.app = Some(Process(app));
        let hook = json!({ "url": format!("{}/webhook", self.app_url) });
        self.control("POST", "/hook", hook).await;
    }

    /// Waits for the App to die of its fault.
    pub async fn app_dies(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let Some(mut app) = self.app.take() else { panic!("no App runs") };
        while app.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the App did not die");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`.
    pub fn kill_app(&mut self) {
        self.app = None;
    }

    /// A call of the stand-in's control API.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let method: reqwest::Method = method.parse().unwrap();
        let mut call =
            self.http.request(method.clone(), format!("{}/_stand-in{path}", self.github));
        if method != reqwest::Method::GET {
            call = call.json(&body);
        }
        let answer = call.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {body}");
        body
    }

    pub async fn repository(&self, repo: &str, config: &str) {
        let files = json!({ "difftest.toml": config, "tests/test_a.py": "# tests\n" });
        self.control("POST", "/repositories", json!({ "repo": repo, "files": files })).await;
        let role = json!({ "repo": repo, "login": "writer", "role": "write" });
        self.control("POST", "/collaborators", role).await;
    }

    /// Pushes to a branch and opens a pull request from it; its number and head.
    pub async fn open(&self, branch: &str, files: Value) -> (i64, String) {
        self.push(branch, files).await;
        let pull = json!({ "repo": REPO, "as": "writer", "title": branch, "head": branch });
        let pull = self.control("POST", "/pulls", pull).await;
        (pull["number"].as_i64().unwrap(), pull["head_sha"].as_str().unwrap().to_owned())
    }

    pub async fn push(&self, branch: &str, files: Value) -> String {
        let push = json!({ "repo": REPO, "as": "writer", "branch": branch, "files": files });
        let pushed = self.control("POST", "/push", push).await;
        pushed["sha"].as_str().unwrap().to_owned()
    }

    pub async fn say(&self, number: i64, login: &str, body: &str) -> i64 {
        let comment = json!({ "repo": REPO, "number": number, "as": login, "body": body });
        self.control("POST", "/comments", comment).await["id"].as_i64().unwrap()
    }

    pub async fn fault(&self, fault: Value) {
        self.control("POST", "/faults", fault).await;
    }

    /// One list of what the stand-in has of the repository.
    async fn listed(&self, what: &str) -> Vec<Value> {
        let state = self.control("GET", &format!("/state?repo={REPO}"), Value::Null).await;
        state[what].as_array().unwrap_or_else(|| panic!("no {what} in {state}")).clone()
    }

    /// The check runs of a commit, oldest first.
    pub async fn checks(&self, head: &str) -> Vec<Value> {
        let mut runs = self.listed("check_runs").await;
        runs.retain(|run| run["head_sha"] == head);
        runs.sort_by_key(|run| run["id"].as_i64());
        runs
    }

    /// Waits until a commit has this many check runs, and all of them are concluded.
    pub async fn concluded(&self, head: &str, count: usize) {
        self.until(&format!("{count} concluded check runs"), async || {
            let checks = self.checks(head).await;
            let done = checks.iter().all(|run| run["status"] == "completed");
            if done && checks.len() == count { Ok(()) } else { Err(json!(checks).to_string()) }
        })
        .await;
    }

    /// The App's check suite on a commit, as a person's browser finds it.
    pub async fn check_suite(&self, head: &str) -> i64 {
        let token = self.control("POST", "/tokens/user", json!({ "login": "writer" })).await;
        let suites = self
            .http
            .get(format!("{}/repos/{REPO}/commits/{head}/check-suites", self.github))
            .bearer_auth(token["token"].as_str().unwrap())
            .header("user-agent", "a browser")
            .send()
            .await
            .unwrap();
        let suites: Value = suites.json().await.unwrap();
        suites["check_suites"][0]["id"].as_i64().unwrap_or_else(|| panic!("{suites}"))
    }

    /// What the App has logged, and what must not be in it.
    pub fn log_and_secrets(&self) -> (String, Vec<String>) {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        let key = read("app.pem").lines().nth(1).unwrap().to_owned();
        let secrets =
            ["ghs_".into(), read("webhook-secret").trim().into(), key, RUNNER_TOKEN.into()];
        (read("app.log"), secrets.to_vec())
    }

    /// The App's comments on a pull request.
    pub async fn comments(&self, number: i64) -> Vec<Value> {
        let mut comments = self.listed("comments").await;
        comments
            .retain(|comment| comment["number"] == number && comment["user"] == "difftest[bot]");
        comments
    }

    /// How the App reacted to a comment.
    pub async fn reactions(&self, comment: i64) -> Vec<String> {
        let mut reactions = self.listed("reactions").await;
        let subject = format!("{REPO}/comments/{comment}");
        reactions.retain(|reaction| reaction["subject"] == subject.as_str());
        reactions.iter().map(|r| r["content"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until the only check run of a commit looks like this.
    pub async fn check_becomes(&self, head: &str, status: &str, conclusion: Option<&str>) -> Value {
        self.until(&format!("one check run that is {status} {conclusion:?}"), async || {
            match self.checks(head).await.as_slice() {
                [run] if run["status"] == status && run["conclusion"].as_str() == conclusion => {
                    Ok(run.clone())
                }
                other => Err(json!(other).to_string()),
            }
        })
        .await
    }

    /// Waits until the App's only comment contains this.
    pub async fn comment_says(&self, number: i64, text: &str) -> String {
        self.until(&format!("one comment that says `{text}`"), async || {
            match self.comments(number).await.as_slice() {
                [comment] if comment["body"].as_str().is_some_and(|b| b.contains(text)) => {
                    Ok(comment["body"].as_str().unwrap_or_default().to_owned())
                }
                other => Err(json!(other).to_string()),
            }
        })
        .await
    }

    pub async fn reacted(&self, comment: i64, reaction: &str) {
        self.until(&format!("reaction {reaction}"), async || {
            match self.reactions(comment).await.as_slice() {
                [only] if only == reaction => Ok(()),
                other => Err(other.join(", ")),
            }
        })
        .await;
    }

    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => assert!(Instant::now() < deadline, "no {what}; there is {seen}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Gives the App time to do what it should not do.
    pub async fn a_while(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }

    /// Nothing the App sent would have been refused by GitHub.
    pub async fn no_violations(&self) {
        let violations = self.control("GET", "/violations", Value::Null).await;
        assert_eq!(violations, json!([]));
    }

    /// Replays GitHub's recorded payloads against the App; what the replay says when it fails.
    pub fn replay(&self) -> Result<(), String> {
        let output = Command::new(&self.node)
            .arg(stand_in_folder().join("payloads/replay.mjs"))
            .args(["--url", &format!("{}/webhook", self.app_url), "--secret-file"])
            .arg(self.folder.path().join("webhook-secret"))
            .args(["--installation", "777", "--repository", REPO])
            .output()
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(());
        }
        Err(said(&output.stdout) + &said(&output.stderr))
    }
}
