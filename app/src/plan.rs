//! From what happened and what GitHub says now to what must be done. Pure.
//!
//! Whose word counts for what:
//! - which suites run: the head's `difftest.toml`;
//! - where they run and how freely (labels, network, time limit) and what counts as worse (the
//!   verdict's settings): the base branch's `difftest.toml` as it stands now. Not the merge
//!   base's: a pull request chooses its own merge base, and could choose one from laxer times;
//! - what is compared: the merge base with the head, so that the pair differs by the pull request
//!   and by nothing else.

use difftest_core::config::{Config, ConfigError, FILE, Settings, VerdictSettings};
use difftest_core::ids::CommitSha;
use difftest_core::protocol::JobSpec;
use difftest_core::report::check::{Annotation, AnnotationLevel, CheckOutput, Conclusion};
use difftest_core::report::markdown::{code, plain, prose};
use difftest_store::{CheckId, Finding, NewCheck, PlanStep, Pull, PullKey, Said, Work};

use crate::event::Origin;
use crate::github::pulls::{PullRequest, PullState};

/// The suite of a check that speaks for the whole configuration.
pub const NO_SUITE: &str = "";

/// What set the planner going. It names the effect, so that one cause has one effect however
/// often it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The pull request or its head changed.
    Push,
    /// Somebody with the right to write asked for it.
    Command { comment: i64 },
    /// Somebody pressed "Re-run" on a check.
    Rerun { check: CheckId, suite: String, head: CommitSha },
}

/// What GitHub says now.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub pull: PullRequest,
    /// None where nothing would run: see [`wants_run`].
    pub commits: Option<Commits>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Commits {
    /// None where base and head share no history.
    pub merge_base: Option<CommitSha>,
    /// The configuration at the tip of the base branch.
    pub base: ConfigAt,
    /// The configuration at the head. Not read of a fork.
    pub head: ConfigAt,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ConfigAt {
    Absent,
    Broken(ConfigError),
    Read(Box<Config>),
}

impl ConfigAt {
    fn config(&self) -> Option<&Config> {
        match self {
            Self::Read(config) => Some(config),
            Self::Absent | Self::Broken(_) => None,
        }
    }
}

/// Whether anything runs on the pull request as it is. A draft waits until it is ready, unless
/// somebody asks.
pub fn wants_run(cause: &Cause, pull: &PullRequest) -> bool {
    let current = match cause {
        Cause::Rerun { head, .. } => *head == pull.head.sha,
        Cause::Push | Cause::Command { .. } => true,
    };
    let ready = !pull.draft || *cause != Cause::Push;
    pull.state == PullState::Open && current && ready
}

/// The steps, the pull request's own state first.
pub fn plan(origin: &Origin, cause: &Cause, facts: &Facts) -> Vec<PlanStep> {
    let planner = Planner { origin, cause, pull: &facts.pull };
    let mut steps = planner.bookkeeping();
    if let Some(commits) = &facts.commits {
        steps.extend(planner.checks(commits).into_iter().map(PlanStep::StartCheck));
    }
    steps
}

struct Planner<'a> {
    origin: &'a Origin,
    cause: &'a Cause,
    pull: &'a PullRequest,
}

impl Planner<'_> {
    fn key(&self) -> PullKey {
        PullKey { repo_id: self.origin.repository_id, number: self.pull.number }
    }

    /// A closed pull request keeps the job of its last head: its verdict belongs to the record of
    /// a merge, and GitHub's own runs end as well. Only older heads are cancelled.
    fn bookkeeping(&self) -> Vec<PlanStep> {
        let pull = self.pull;
        vec![
            PlanStep::UpsertPull(Pull {
                key: self.key(),
                installation_id: self.origin.installation,
                repository: self.origin.repository.clone(),
                base_ref: pull.base.name.clone(),
                base_sha: pull.base.sha.clone(),
                head_sha: pull.head.sha.clone(),
                fork: pull.is_fork(),
                open: pull.state == PullState::Open,
                draft: pull.draft,
                updated_at: pull.updated_at.0,
            }),
            PlanStep::CancelSuperseded { pull: self.key(), keep_head: pull.head.sha.clone() },
        ]
    }

    fn checks(&self, commits: &Commits) -> Vec<NewCheck> {
        if self.pull.is_fork() {
            // Suites as the base names them: nothing of a fork is read before it is approved.
            return self.suites(commits.base.config()).map(|suite| self.fork(suite)).collect();
        }
        let head = match (&commits.head, &commits.base) {
            (ConfigAt::Read(head), _) => head,
            (ConfigAt::Broken(error), _) => return vec![self.broken(error)],
            (ConfigAt::Absent, ConfigAt::Absent) => return Vec::new(),
            (ConfigAt::Absent, _) => return vec![self.gone()],
        };
        self.suites(Some(head))
            .map(|suite| match &commits.merge_base {
                Some(merge_base) => self.job(suite, merge_base, head, commits.base.config()),
                None => self.unrelated(suite),
            })
            .collect()
    }

    /// The suites of a configuration that the cause asks for.
    fn suites<'c>(&self, config: Option<&'c Config>) -> impl Iterator<Item = &'c str> {
        let only = match self.cause {
            Cause::Rerun { suite, .. } if suite != NO_SUITE => Some(suite.clone()),
            _ => None,
        };
        config
            .into_iter()
            .flat_map(|config| config.suites.keys())
            .map(String::as_str)
            .filter(move |suite| only.as_deref().is_none_or(|only| only == *suite))
    }

    fn job(
        &self,
        suite: &str,
        merge_base: &CommitSha,
        head: &Config,
        base: Option<&Config>,
    ) -> NewCheck {
        let none = Settings::default();
        let trusted =
            base.map_or(&none, |config| config.suites.get(suite).unwrap_or(&config.defaults));
        let verdict: &VerdictSettings = &base.unwrap_or(head).verdict;
        let spec = JobSpec {
            repository: self.origin.repository.clone(),
            clone_url: self.pull.base.repo.clone_url.clone(),
            base: merge_base.clone(),
            head: self.pull.head.sha.clone(),
            suite: suite.to_owned(),
            timeout_s: trusted.job_timeout(),
            network: trusted.network,
            verdict: verdict.clone(),
        };
        let work = Work::Job { spec, labels: trusted.labels.clone(), verdict: verdict.clone() };
        self.check(suite, merge_base.clone(), work)
    }

    fn fork(&self, suite: &str) -> NewCheck {
        self.concluded(
            suite,
            Conclusion::ActionRequired,
            "A fork's code waits for approval",
            "This pull request comes from a fork. difftest does not run a fork's code on this \
             repository's machines without approval.\n\nTo have it run, somebody with write \
             permission who has read the change can push its commits to a branch of this \
             repository and open the pull request from there."
                .into(),
        )
    }

    fn unrelated(&self, suite: &str) -> NewCheck {
        let base = code(&self.pull.base.name);
        self.concluded(
            suite,
            Conclusion::Failure,
            "There is no base to compare with",
            format!(
                "GitHub names no common ancestor of {base} and this pull request, so there is no \
                 commit that differs from it by the pull request alone. Nothing was run, and \
                 nothing is claimed.\n\nMerge or rebase onto {base}, then push."
            ),
        )
    }

    fn gone(&self) -> NewCheck {
        self.concluded(
            NO_SUITE,
            Conclusion::Neutral,
            "No suite runs",
            format!("`{FILE}` is there on the base branch, but not at this commit."),
        )
    }

    /// The configuration's mistake, on its line.
    fn broken(&self, error: &ConfigError) -> NewCheck {
        let output = CheckOutput {
            title: plain(&format!("{}:{} cannot be used", error.file, error.line), 200),
            summary: format!(
                "{}, line {}: {}\n\nNothing was run. Mend the line and push.",
                code(&error.file),
                error.line,
                prose(&error.message)
            ),
            text: None,
            annotations: vec![Annotation {
                path: error.file.clone(),
                start_line: error.line.max(1),
                end_line: error.line.max(1),
                level: AnnotationLevel::Failure,
                title: "difftest cannot use this configuration".into(),
                message: plain(&error.message, 8_000),
            }],
        };
        let finding = Finding { conclusion: Conclusion::Failure, said: Said::Note(output) };
        self.check(NO_SUITE, self.pull.base.sha.clone(), Work::Concluded(finding))
    }

    fn concluded(
        &self,
        suite: &str,
        conclusion: Conclusion,
        title: &str,
        summary: String,
    ) -> NewCheck {
        let finding = Finding { conclusion, said: Said::note(title, summary) };
        self.check(suite, self.pull.base.sha.clone(), Work::Concluded(finding))
    }

    fn check(&self, suite: &str, base: CommitSha, work: Work) -> NewCheck {
        NewCheck {
            effect_key: self.effect_key(suite),
            pull: self.key(),
            suite: suite.to_owned(),
            head: self.pull.head.sha.clone(),
            base,
            work,
        }
    }

    fn effect_key(&self, suite: &str) -> String {
        match self.cause {
            Cause::Push => format!("push:{}:{}:{suite}", self.key(), self.pull.head.sha),
            Cause::Command { comment } => format!("comment:{comment}:{suite}"),
            Cause::Rerun { check, suite: asked, .. } if asked == suite => format!("rerun:{check}"),
            Cause::Rerun { check, .. } => format!("rerun:{check}:{suite}"),
        }
    }
}
