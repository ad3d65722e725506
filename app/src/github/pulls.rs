//! Pull requests as they are now, the common ancestor of a pair, and who may ask for what.

use difftest_core::ids::{CommitSha, RepoName};
use serde::Deserialize;

use super::client::Repository;
use super::error::GitHubError;
use super::timestamp::Timestamp;

/// A pull request, as far as difftest looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    pub number: i64,
    pub state: PullState,
    #[serde(default)]
    pub draft: bool,
    pub updated_at: Timestamp,
    /// Its repository is None when the fork was deleted.
    pub head: Branch<Option<BranchRepository>>,
    pub base: Branch<BranchRepository>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    Open,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Branch<R> {
    #[serde(rename = "ref")]
    pub name: String,
    pub sha: CommitSha,
    pub repo: R,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BranchRepository {
    pub id: i64,
    pub full_name: RepoName,
    pub clone_url: String,
}

impl PullRequest {
    /// Whether its commits come from another repository than the one it wants to change.
    pub fn is_fork(&self) -> bool {
        self.head.repo.as_ref().is_none_or(|head| head.id != self.base.repo.id)
    }
}

/// What a person may do in a repository, coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Write,
    Less,
}

#[derive(Deserialize)]
struct PermissionAnswer {
    permission: String,
}

#[derive(Deserialize)]
struct Comparison {
    merge_base_commit: Option<Commit>,
}

#[derive(Deserialize)]
struct Commit {
    sha: CommitSha,
}

impl Repository<'_> {
    pub async fn pull(&self, number: i64) -> Result<PullRequest, GitHubError> {
        self.get(&format!("pulls/{number}"), &[]).await
    }

    /// The newest commit that both sides have; None where they share none.
    pub async fn merge_base(
        &self,
        base: &str,
        head: &CommitSha,
    ) -> Result<Option<CommitSha>, GitHubError> {
        let path = format!("compare/{}...{head}", escaped(base));
        // The files and commits of the comparison are of no interest; one a page is the least.
        let comparison: Result<Comparison, _> = self.get(&path, &[("per_page", "1")]).await;
        match comparison {
            Ok(comparison) => Ok(comparison.merge_base_commit.map(|commit| commit.sha)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What this user may do here. `maintain` answers as `write`, a stranger as `none` or 404.
    pub async fn permission(&self, login: &str) -> Result<Permission, GitHubError> {
        let path = format!("collaborators/{}/permission", escaped(login));
        let answer: Result<PermissionAnswer, _> = self.get(&path, &[]).await;
        match answer {
            Ok(answer) => Ok(match answer.permission.as_str() {
                "admin" | "write" => Permission::Write,
                _ => Permission::Less,
            }),
            Err(error) if error.is_not_found() => Ok(Permission::Less),
            Err(error) => Err(error),
        }
    }
}

/// A branch's or a user's name as one part of a path: a branch may be called `a?b#c`. Slashes stay,
/// as GitHub has them in branch names.
fn escaped(name: &str) -> String {
    name.split('/')
        .map(|part| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>())
        .map(|part| part.replace('+', "%20"))
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(escaped("feature/new look?"), "feature/new%20look%3F");
        assert_eq!(escaped("dependabot[bot]"), "dependabot%5Bbot%5D");
    }
}
