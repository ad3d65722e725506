//! A bare repository behind `git http-backend`, which asks for a token as GitHub does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use difftest_core::ids::CommitSha;
use tokio::io::AsyncWriteExt as _;

#[derive(Debug)]
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main", "work"], ".");
        repository.git(&["init", "--quiet", "--bare", "bare.git"], ".");
        repository
    }

    /// Commits these files, all there are, and returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> CommitSha {
        self.lay_out(files);
        self.committed()
    }

    /// Commits these files, and a link beside them.
    pub fn commit_link(&self, name: &str, to: &Path, files: &[(&str, &str)]) -> CommitSha {
        self.lay_out(files);
        std::os::unix::fs::symlink(to, self.folder.path().join("work").join(name)).unwrap();
        self.committed()
    }

    fn lay_out(&self, files: &[(&str, &str)]) {
        let work = self.folder.path().join("work");
        self.git(&["rm", "-rfq", "--ignore-unmatch", "."], "work");
        for (name, text) in files {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn committed(&self) -> CommitSha {
        self.git(&["add", "--all"], "work");
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "a commit"], "work");
        let commit = self.git(&["rev-parse", "HEAD"], "work");
        // Under no branch, as the head of a pull request is.
        self.git(&["push", "--quiet", "../bare.git", &format!("HEAD:refs/pull/{commit}")], "work");
        commit.parse().unwrap()
    }

    fn git(&self, arguments: &[&str], directory: &str) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(self.folder.path().join(directory))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[derive(Clone)]
struct Served {
    root: PathBuf,
    authorization: String,
}

pub fn serve(repository: &Repository, token: &str) -> Router {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
    let served = Served {
        root: repository.folder.path().to_owned(),
        authorization: format!("Basic {basic}"),
    };
    Router::new().route("/git/{*path}", any(backend)).with_state(served)
}

async fn backend(
    State(served): State<Served>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header =
        |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != served.authorization {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=git")])
            .into_response();
    }
    answer(&served.root, &method, &uri, &header, body).await
}

async fn answer(
    root: &Path,
    method: &Method,
    uri: &Uri,
    header: &impl Fn(&str) -> String,
    body: Bytes,
) -> Response {
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", uri.path().trim_start_matches("/git"))
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8_lossy(&output[..end]), output[end + 4..].to_vec());
    let mut response = Response::builder();
    for line in head.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(body.into()).unwrap()
}
