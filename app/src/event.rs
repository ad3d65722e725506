//! What a webhook says, as the one of four things difftest acts on, or as why it does not.
//!
//! An event is only a hint that something changed: the planner reads the state from GitHub
//! afterwards, so that events which come late, twice or in the wrong order lead to the same end.

use difftest_core::ids::{CommitSha, RepoName};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Pull(PullEvent),
    Comment(CommentEvent),
    Rerequested(RerequestedEvent),
    SuiteRerequested(SuiteRerequestedEvent),
}

/// Where an event happened, and whose token may speak there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub installation: i64,
    pub repository_id: i64,
    pub repository: RepoName,
}

/// A pull request was opened, pushed to, reopened, made ready or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullEvent {
    pub origin: Origin,
    pub number: i64,
}

/// Somebody wrote a comment on a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentEvent {
    pub origin: Origin,
    pub number: i64,
    pub comment: i64,
    pub author: String,
    pub body: String,
}

/// Somebody pressed "Re-run" on a check run of this App.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerequestedEvent {
    pub origin: Origin,
    /// GitHub's id of the check run.
    pub check_run: i64,
}

/// Somebody pressed "Re-run all checks": GitHub tells of the App's check suite, which is all of
/// the App's check runs on one commit, and not of the runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteRerequestedEvent {
    pub origin: Origin,
    pub head: CommitSha,
    /// The open pull requests with this head.
    pub numbers: Vec<i64>,
}

/// Why an event is left alone. A sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    #[error("{event}{} is not an event difftest acts on", dotted(.action))]
    NotOurs { event: String, action: Option<String> },
    #[error("{event} without the member difftest needs: {problem}")]
    Incomplete { event: String, problem: String },
    #[error("a comment on an issue, not on a pull request")]
    NotAPullRequest,
    #[error("a comment by {0}, which is no person")]
    ByABot(String),
    #[error("a check run of another App")]
    ForeignCheck,
}

fn dotted(action: &Option<String>) -> String {
    action.as_ref().map_or(String::new(), |action| format!(".{action}"))
}

/// A stored delivery, before it is understood.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// `X-GitHub-Event`.
    pub event: &'a str,
    pub payload: &'a Value,
    /// Ours, to tell our check runs from those of other Apps.
    pub app_id: u64,
}

#[derive(Deserialize)]
struct Common {
    installation: Id,
    repository: Repository,
}

#[derive(Deserialize)]
struct Id {
    id: i64,
}

#[derive(Deserialize)]
struct Repository {
    id: i64,
    full_name: RepoName,
}

#[derive(Deserialize)]
struct PullPayload {
    #[serde(flatten)]
    common: Common,
    pull_request: Numbered,
}

#[derive(Deserialize)]
struct Numbered {
    number: i64,
}

#[derive(Deserialize)]
struct CommentPayload {
    #[serde(flatten)]
    common: Common,
    issue: Issue,
    comment: Comment,
}

#[derive(Deserialize)]
struct Issue {
    number: i64,
    /// Only the presence counts: it marks an issue as a pull request.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Comment {
    id: i64,
    #[serde(default)]
    body: String,
    user: User,
}

#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct CheckRunPayload {
    #[serde(flatten)]
    common: Common,
    check_run: CheckRun,
}

#[derive(Deserialize)]
struct CheckRun {
    id: i64,
    app: Option<App>,
}

#[derive(Deserialize)]
struct CheckSuitePayload {
    #[serde(flatten)]
    common: Common,
    check_suite: CheckSuite,
}

#[derive(Deserialize)]
struct CheckSuite {
    head_sha: CommitSha,
    app: Option<App>,
    #[serde(default)]
    pull_requests: Vec<Numbered>,
}

#[derive(Deserialize)]
struct App {
    id: u64,
}

impl From<Common> for Origin {
    fn from(common: Common) -> Self {
        Self {
            installation: common.installation.id,
            repository_id: common.repository.id,
            repository: common.repository.full_name,
        }
    }
}

impl TryFrom<Raw<'_>> for Event {
    type Error = Ignored;

    fn try_from(raw: Raw<'_>) -> Result<Self, Ignored> {
        let action = raw.payload.get("action").and_then(Value::as_str);
        match (raw.event, action) {
            (
                "pull_request",
                Some("opened" | "synchronize" | "reopened" | "ready_for_review" | "closed"),
            ) => {
                let payload: PullPayload = raw.read()?;
                Ok(Self::Pull(PullEvent {
                    origin: payload.common.into(),
                    number: payload.pull_request.number,
                }))
            }
            ("issue_comment", Some("created")) => {
                let payload: CommentPayload = raw.read()?;
                if payload.issue.pull_request.is_none() {
                    return Err(Ignored::NotAPullRequest);
                }
                // Our own comment names the commands; two bots must not talk to each other.
                if payload.comment.user.kind == "Bot" {
                    return Err(Ignored::ByABot(payload.comment.user.login));
                }
                Ok(Self::Comment(CommentEvent {
                    origin: payload.common.into(),
                    number: payload.issue.number,
                    comment: payload.comment.id,
                    author: payload.comment.user.login,
                    body: payload.comment.body,
                }))
            }
            ("check_run", Some("rerequested")) => {
                let payload: CheckRunPayload = raw.read()?;
                if payload.check_run.app.is_some_and(|app| app.id != raw.app_id) {
                    return Err(Ignored::ForeignCheck);
                }
                Ok(Self::Rerequested(RerequestedEvent {
                    origin: payload.common.into(),
                    check_run: payload.check_run.id,
                }))
            }
            ("check_suite", Some("rerequested")) => {
                let payload: CheckSuitePayload = raw.read()?;
                let suite = payload.check_suite;
                if suite.app.is_some_and(|app| app.id != raw.app_id) {
                    return Err(Ignored::ForeignCheck);
                }
                Ok(Self::SuiteRerequested(SuiteRerequestedEvent {
                    origin: payload.common.into(),
                    head: suite.head_sha,
                    numbers: suite.pull_requests.iter().map(|pull| pull.number).collect(),
                }))
            }
            (event, action) => {
                Err(Ignored::NotOurs { event: event.into(), action: action.map(str::to_owned) })
            }
        }
    }
}

impl Raw<'_> {
    fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, Ignored> {
        T::deserialize(self.payload).map_err(|problem| Ignored::Incomplete {
            event: self.event.into(),
            problem: problem.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;

    fn read(event: &str, payload: Value) -> Result<Event, Ignored> {
        Event::try_from(Raw { event, payload: &payload, app_id: 7 })
    }

    fn with(mut payload: Value) -> Value {
        payload["installation"] = json!({ "id": 1 });
        payload["repository"] = json!({ "id": 9, "full_name": "acme/gen" });
        payload
    }

    fn origin() -> Origin {
        Origin { installation: 1, repository_id: 9, repository: "acme/gen".parse().unwrap() }
    }

    #[test]
    fn a_pull_request_event_says_where_to_look() {
        for action in ["opened", "synchronize", "reopened", "ready_for_review", "closed"] {
            let payload = with(json!({ "action": action, "pull_request": { "number": 3 } }));
            let expected = Event::Pull(PullEvent { origin: origin(), number: 3 });
            assert_eq!(read("pull_request", payload), Ok(expected), "{action}");
        }
        let labeled = with(json!({ "action": "labeled", "pull_request": { "number": 3 } }));
        assert!(matches!(read("pull_request", labeled), Err(Ignored::NotOurs { .. })));
    }

    fn comment(kind: &str, issue: Value) -> Value {
        with(json!({
            "action": "created", "issue": issue,
            "comment": { "id": 5, "body": "/difftest run", "user": { "login": "ada", "type": kind } },
        }))
    }

    #[test]
    fn a_comment_counts_on_a_pull_request_and_from_a_person() {
        let pull = json!({ "number": 3, "pull_request": { "url": "u" } });
        assert_eq!(
            read("issue_comment", comment("User", pull.clone())),
            Ok(Event::Comment(CommentEvent {
                origin: origin(),
                number: 3,
                comment: 5,
                author: "ada".into(),
                body: "/difftest run".into(),
            }))
        );
        assert_eq!(read("issue_comment", comment("Bot", pull)), Err(Ignored::ByABot("ada".into())));
        let issue = json!({ "number": 3 });
        assert_eq!(read("issue_comment", comment("User", issue)), Err(Ignored::NotAPullRequest));
    }

    #[test]
    fn only_our_own_check_runs_are_run_again() {
        let payload = |app: u64| {
            with(json!({ "action": "rerequested", "check_run": { "id": 4, "app": { "id": app } } }))
        };
        let expected = Event::Rerequested(RerequestedEvent { origin: origin(), check_run: 4 });
        assert_eq!(read("check_run", payload(7)), Ok(expected));
        assert_eq!(read("check_run", payload(8)), Err(Ignored::ForeignCheck));
        let head = "b".repeat(40);
        let suite = |app: u64| {
            let pulls = [json!({ "number": 3 })];
            let suite = json!({ "head_sha": head, "app": { "id": app }, "pull_requests": pulls });
            with(json!({ "action": "rerequested", "check_suite": suite }))
        };
        let expected = SuiteRerequestedEvent {
            origin: origin(),
            head: head.parse().unwrap(),
            numbers: vec![3],
        };
        assert_eq!(read("check_suite", suite(7)), Ok(Event::SuiteRerequested(expected)));
        assert_eq!(read("check_suite", suite(8)), Err(Ignored::ForeignCheck));
    }

    #[test]
    fn what_is_not_whole_is_ignored_with_the_member_that_is_missing() {
        let payload = json!({ "action": "opened", "pull_request": { "number": 3 } });
        let ignored = read("pull_request", payload).unwrap_err().to_string();
        assert!(ignored.contains("installation"), "{ignored}");
        assert!(read("pull_request", json!([1, 2])).is_err());
        assert!(read("no_such_event", json!({})).is_err());
    }
}
