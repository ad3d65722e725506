//! Reads from GitHub what the planner needs to know. Only reads: doing it twice is harmless.

use difftest_core::config::{self, Variables};

use crate::event::Origin;
use crate::github::pulls::PullRequest;
use crate::github::{GitHub, GitHubError, Repository};
use crate::plan::{Cause, Commits, ConfigAt, Facts, wants_run};

const PYPROJECT: &str = "pyproject.toml";

pub async fn read(
    github: &GitHub,
    origin: &Origin,
    number: i64,
    cause: &Cause,
) -> Result<Facts, GitHubError> {
    let repository = github.repository(origin.installation, &origin.repository);
    let pull = repository.pull(number).await?;
    let commits = match wants_run(cause, &pull) {
        true => Some(commits(&repository, &pull).await?),
        false => None,
    };
    Ok(Facts { pull, commits })
}

async fn commits(repository: &Repository<'_>, pull: &PullRequest) -> Result<Commits, GitHubError> {
    // By name, not by `base.sha`: GitHub does not move that with every push to the base branch.
    let base = configuration(repository, &pull.base.name).await?;
    if pull.is_fork() {
        return Ok(Commits { merge_base: None, base, head: ConfigAt::Absent });
    }
    let head = configuration(repository, pull.head.sha.as_str()).await?;
    let merge_base = match (&base, &head) {
        (ConfigAt::Absent, ConfigAt::Absent) => None,
        _ => repository.merge_base(&pull.base.name, &pull.head.sha).await?,
    };
    Ok(Commits { merge_base, base, head })
}

/// `difftest.toml`, else `[tool.difftest]` of `pyproject.toml`, as for `difftest run`.
async fn configuration(repository: &Repository<'_>, at: &str) -> Result<ConfigAt, GitHubError> {
    if let Some(text) = repository.file(config::FILE, at).await? {
        return Ok(match config::parse(&text, config::FILE, Variables::Unknown) {
            Ok(config) => ConfigAt::Read(Box::new(config)),
            Err(error) => ConfigAt::Broken(error),
        });
    }
    let Some(text) = repository.file(PYPROJECT, at).await? else { return Ok(ConfigAt::Absent) };
    Ok(match config::parse_pyproject(&text, PYPROJECT, Variables::Unknown) {
        Ok(Some(config)) => ConfigAt::Read(Box::new(config)),
        Ok(None) => ConfigAt::Absent,
        Err(error) => ConfigAt::Broken(error),
    })
}
