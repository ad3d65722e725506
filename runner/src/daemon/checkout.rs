//! Fetches exactly a job's two commits and lays out their files.
//!
//! git gets its whole configuration, the read token included, through its environment: nothing is
//! in its arguments (every process on a machine may read those) and nothing is left in a file. The
//! files that a job sees have no `.git` beside them. Hooks, submodules and filters (Git LFS among
//! them) do not run.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use difftest_core::ids::CommitSha;
use difftest_core::protocol::{JobSpec, Secret, Side};
use url::Url;

use super::client::{CallError, JobClient, is_loopback};
use super::process::{CommandLine, KillSwitch, Output, describe, output};

#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("{0} is not an address to clone from: only https, or http on this machine, is")]
    Address(String),
    #[error("no read token for the repository: {0}")]
    Token(#[from] CallError),
    #[error("git {what} ended with {how}: {message}")]
    Git { what: &'static str, how: String, message: String },
    #[error("the repository could not be laid out: {0}")]
    Io(#[from] io::Error),
}

/// Where each side's files were laid out, and what a reader of the run should know about them.
#[derive(Debug)]
pub struct Sources {
    pub base: Source,
    pub head: Source,
}

#[derive(Debug)]
pub struct Source {
    pub folder: PathBuf,
    pub notes: Vec<String>,
}

impl Sources {
    pub fn of(&self, side: Side) -> &Source {
        match side {
            Side::Base => &self.base,
            Side::Head => &self.head,
        }
    }
}

/// The runner's own environment variables that git may need to reach a host.
const PASSED_ON: [&str; 6] =
    ["PATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"];

/// One bare repository for each that this runner has worked for: commits are fetched once.
#[derive(Debug, Clone)]
pub struct GitCache {
    folder: PathBuf,
}

impl GitCache {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Lays both commits out as `base` and `head` in the existing folder `job`.
    pub async fn check_out(
        &self,
        client: &JobClient,
        spec: &JobSpec,
        job: &Path,
        switch: &KillSwitch,
    ) -> Result<Sources, CheckoutError> {
        let url = clone_address(&spec.clone_url)?;
        let git = Git {
            repository: self.folder.join(cache_name(spec)),
            job: job.to_owned(),
            switch: switch.clone(),
        };
        if !git.repository.join("HEAD").exists() {
            std::fs::create_dir_all(&git.repository)?;
            git.run("init", &["init", "--bare", "--quiet", "--template="], vec![], None).await?;
        }
        let mut missing = Vec::new();
        for commit in [&spec.base, &spec.head] {
            if !git.has(commit).await? && !missing.contains(commit) {
                missing.push(commit.clone());
            }
        }
        if !missing.is_empty() {
            let token = client.git_token().await?.token;
            git.fetch(&url, &token, &missing).await?;
        }
        Ok(Sources {
            base: git.lay_out(&spec.base, Side::Base).await?,
            head: git.lay_out(&spec.head, Side::Head).await?,
        })
    }
}

struct Git {
    repository: PathBuf,
    job: PathBuf,
    switch: KillSwitch,
}

impl Git {
    /// Whether the commit was fetched whole: its name here is written last.
    async fn has(&self, commit: &CommitSha) -> Result<bool, CheckoutError> {
        let name = kept_as(commit);
        let asked = ["show-ref", "--verify", "--quiet", &name];
        Ok(self.try_run(&asked, vec![], None).await?.status.success())
    }

    async fn fetch(
        &self,
        url: &Url,
        token: &Secret,
        commits: &[CommitSha],
    ) -> Result<(), CheckoutError> {
        // Left by a fetch that was killed. Nobody else works here: the daemon holds its folder.
        for commit in commits {
            remove_if_there(&self.repository.join(format!("{}.lock", kept_as(commit))))?;
        }
        remove_if_there(&self.repository.join("shallow.lock"))?;
        let mut arguments = vec![
            "fetch".to_owned(),
            "--quiet".to_owned(),
            "--no-tags".to_owned(),
            "--no-write-fetch-head".to_owned(),
            "--no-recurse-submodules".to_owned(),
            "--depth=1".to_owned(),
            url.to_string(),
        ];
        // Named, so that the next fetch can build on them.
        arguments.extend(commits.iter().map(|c| format!("+{c}:{}", kept_as(c))));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run("fetch", &arguments, credentials(url, token), None).await
    }

    async fn lay_out(&self, commit: &CommitSha, side: Side) -> Result<Source, CheckoutError> {
        let folder = self.job.join(side.as_str());
        std::fs::create_dir(&folder)?;
        self.run("read-tree", &["read-tree", commit.as_str()], vec![], Some(side)).await?;
        let lay_out = ["checkout-index", "--all", "--force", "--quiet"];
        self.run("checkout-index", &lay_out, vec![], Some(side)).await?;
        std::fs::remove_file(self.index(side))?;

        let mut notes = Vec::new();
        let modules = format!("{commit}:.gitmodules");
        if self.try_run(&["cat-file", "-e", &modules], vec![], None).await?.status.success() {
            notes.push("This runner does not fetch submodules: their folders are empty.".into());
        }
        let attributes = "*.gitattributes";
        let lfs = ["grep", "-q", "-F", "filter=lfs", commit.as_str(), "--", attributes];
        if self.try_run(&lfs, vec![], None).await?.status.success() {
            notes.push(
                "This runner does not fetch Git LFS files: they are pointers of a few lines."
                    .into(),
            );
        }
        Ok(Source { folder, notes })
    }

    fn index(&self, side: Side) -> PathBuf {
        self.job.join(format!("index-{}", side.as_str()))
    }

    async fn run(
        &self,
        what: &'static str,
        arguments: &[&str],
        secret: Vec<(String, String)>,
        side: Option<Side>,
    ) -> Result<(), CheckoutError> {
        let ended = self.try_run(arguments, secret, side).await?;
        if ended.status.success() {
            Ok(())
        } else {
            let how = describe(ended.status);
            Err(CheckoutError::Git { what, how, message: ended.stderr })
        }
    }

    async fn try_run(
        &self,
        arguments: &[&str],
        secret: Vec<(String, String)>,
        side: Option<Side>,
    ) -> io::Result<Output> {
        let argv: Vec<OsString> =
            ["git"].iter().chain(arguments).map(|word| OsString::from(*word)).collect();
        let mut env: Vec<(OsString, OsString)> = PASSED_ON
            .iter()
            .filter_map(|name| Some((OsString::from(*name), std::env::var_os(name)?)))
            .collect();
        let mut set = |name: &str, value: OsString| env.push((name.into(), value));
        set("GIT_DIR", self.repository.clone().into());
        // No one's settings, helpers or identity.
        set("HOME", self.job.clone().into());
        set("GIT_CONFIG_NOSYSTEM", "1".into());
        set("GIT_CONFIG_GLOBAL", "/dev/null".into());
        set("GIT_ATTR_NOSYSTEM", "1".into());
        set("GIT_TERMINAL_PROMPT", "0".into());
        set("LC_ALL", "C".into());
        if let Some(side) = side {
            set("GIT_WORK_TREE", self.job.join(side.as_str()).into());
            set("GIT_INDEX_FILE", self.index(side).into());
        }
        let config: Vec<(String, String)> = SETTINGS
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .chain(secret)
            .collect();
        set("GIT_CONFIG_COUNT", config.len().to_string().into());
        for (index, (key, value)) in config.into_iter().enumerate() {
            set(&format!("GIT_CONFIG_KEY_{index}"), key.into());
            set(&format!("GIT_CONFIG_VALUE_{index}"), value.into());
        }
        output(CommandLine { argv, env, directory: self.job.clone() }, &self.switch).await
    }
}

const SETTINGS: [(&str, &str); 10] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.autocrlf", "false"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    // An answer that points elsewhere must not take the token there.
    ("http.followRedirects", "false"),
];

/// What only the fetch gets: the token, for this host alone.
fn credentials(url: &Url, token: &Secret) -> Vec<(String, String)> {
    let basic = base64::engine::general_purpose::STANDARD
        .encode(format!("x-access-token:{}", token.expose()));
    let host = url.origin().ascii_serialization();
    let mut settings =
        vec![(format!("http.{host}/.extraHeader"), format!("Authorization: Basic {basic}"))];
    if url.scheme() == "http" {
        settings.push(("protocol.http.allow".to_owned(), "always".to_owned()));
    }
    settings
}

/// `https` anywhere, `http` on this machine, nothing else: a path or `ext::` would run or read
/// what the runner can.
fn clone_address(address: &str) -> Result<Url, CheckoutError> {
    let error = || CheckoutError::Address(address.chars().take(200).collect());
    let url = Url::parse(address).map_err(|_| error())?;
    let named = !url.username().is_empty() || url.password().is_some();
    match url.scheme() {
        _ if named => Err(error()),
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(error()),
    }
}

/// One folder for each address, with the repository's name in it for people.
fn cache_name(spec: &JobSpec) -> String {
    use sha2::Digest as _;
    let digest = hex::encode(sha2::Sha256::digest(spec.clone_url.as_bytes()));
    format!("{}-{}.git", spec.repository.as_str().replace('/', "~"), &digest[..16])
}

fn kept_as(commit: &CommitSha) -> String {
    format!("refs/difftest/{commit}")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_cloned_from() {
        for good in [
            "https://github.com/acme/x.git",
            "http://127.0.0.1:81/x",
            "http://[::1]/x",
            "http://localhost/x",
        ] {
            assert!(clone_address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://github.com/acme/x.git",
            "file:///etc",
            "/etc",
            "ext::sh -c id",
            "ssh://git@github.com/acme/x",
            "--upload-pack=id",
            "https://user:password@github.com/acme/x",
        ] {
            assert!(clone_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_token_is_for_one_host() {
        let url = Url::parse("https://github.com/acme/x.git");
        let settings = url.map(|url| credentials(&url, &Secret::new("t"))).unwrap_or_default();
        let expected = (
            "http.https://github.com/.extraHeader".to_owned(),
            "Authorization: Basic eC1hY2Nlc3MtdG9rZW46dA==".to_owned(),
        );
        assert_eq!(settings, [expected]);
    }
}
