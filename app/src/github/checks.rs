//! Check runs. <https://docs.github.com/en/rest/checks/runs>

use difftest_core::ids::CommitSha;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{MAX_PAGES, PER_PAGE, Repository};
use super::error::GitHubError;

/// GitHub takes this many annotations in one call and adds those of further calls to them.
pub const ANNOTATIONS_A_CALL: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Queued,
    InProgress,
    Completed,
    /// `waiting`, `requested`, `pending`: states that only GitHub's own Actions reach.
    #[serde(other)]
    Other,
}

/// A check run as GitHub has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    pub id: i64,
    pub status: CheckStatus,
    pub external_id: Option<String>,
    pub app: Option<CheckApp>,
    #[serde(default)]
    pub output: CheckRunOutput,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckApp {
    pub id: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct CheckRunOutput {
    #[serde(default)]
    pub annotations_count: Option<usize>,
}

/// What a check run should be. Absent members are left as they are.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckWrite {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_sha: Option<CommitSha>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<CheckStatus>,
    /// GitHub's word for it; only together with `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputWrite>,
}

#[derive(Debug, Clone, Serialize)]
pub struct OutputWrite {
    pub title: String,
    pub summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<AnnotationWrite>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnnotationWrite {
    pub path: String,
    pub start_line: u32,
    pub end_line: u32,
    /// `notice`, `warning` or `failure`.
    pub annotation_level: &'static str,
    pub title: String,
    pub message: String,
}

#[derive(Deserialize)]
struct ListAnswer {
    check_runs: Vec<CheckRun>,
}

impl Repository<'_> {
    pub async fn create_check(&self, write: &CheckWrite) -> Result<i64, GitHubError> {
        let run: CheckRun = self.post("check-runs", &json_of(write)).await?;
        Ok(run.id)
    }

    pub async fn update_check(&self, id: i64, write: &CheckWrite) -> Result<(), GitHubError> {
        let _: CheckRun = self.patch(&format!("check-runs/{id}"), &json_of(write)).await?;
        Ok(())
    }

    pub async fn check(&self, id: i64) -> Result<CheckRun, GitHubError> {
        self.get(&format!("check-runs/{id}"), &[]).await
    }

    /// This App's check run with this external id on this commit: what an earlier attempt, whose
    /// answer never arrived, may have left there.
    pub async fn find_check(
        &self,
        head: &CommitSha,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckRun>, GitHubError> {
        let app_id = self.github.app_id().to_string();
        let path = format!("commits/{head}/check-runs");
        for page in 1..=MAX_PAGES {
            let (per_page, page) = (PER_PAGE.to_string(), page.to_string());
            let query = [
                ("check_name", name),
                ("app_id", &app_id),
                ("filter", "all"),
                ("per_page", &per_page),
                ("page", &page),
            ];
            let list: ListAnswer = self.get(&path, &query).await?;
            let full = list.check_runs.len() == PER_PAGE;
            let found = list.check_runs.into_iter().find(|run| {
                run.external_id.as_deref() == Some(external_id)
                    && run.app.as_ref().is_none_or(|app| app.id == self.github.app_id())
            });
            if found.is_some() || !full {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn json_of(write: &CheckWrite) -> Value {
    // Strings, numbers and lists of them: serialisation is total.
    serde_json::to_value(write).unwrap_or_default()
}
