//! The worker that turns stored deliveries into plans. One delivery at a time, at least once.

use std::time::Duration;

use difftest_store::{Applied, Check, Delivery, PlanStep, PullKey, Store, StoreError};
use serde_json::Value;

use crate::backoff;
use crate::command::{self, Command};
use crate::event::{
    CommentEvent, Event, Ignored, Origin, PullEvent, Raw, RerequestedEvent, SuiteRerequestedEvent,
};
use crate::facts;
use crate::github::pulls::Permission;
use crate::github::reactions::Reaction;
use crate::github::{GitHub, GitHubError};
use crate::plan::{Cause, Facts, plan};

/// A delivery is given up after this many tries where GitHub failed or was away (about a day), and
/// after a few where it refused: a permission may be on its way, but not for a day.
const TRIES: i64 = 100;
const TRIES_REFUSED: i64 = 6;
const BACKOFF: backoff::Backoff =
    backoff::Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(15 * 60) };

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a delivery ended.
#[derive(Debug, PartialEq, Eq)]
enum Handled {
    Applied(Applied),
    /// Nothing is to be done, and why.
    LeftAlone(String),
}

#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    pub store: &'a Store,
    pub github: &'a GitHub,
}

impl Planner<'_> {
    /// Takes the next delivery. False where none is due.
    pub async fn step(&self) -> Result<bool, StoreError> {
        let Some(delivery) = self.store.next_delivery().await? else { return Ok(false) };
        let guid = &delivery.guid;
        match self.handle(&delivery).await {
            Ok(Handled::Applied(applied)) => tracing::info!(guid, ?applied, "planned"),
            Ok(Handled::LeftAlone(why)) => {
                tracing::debug!(guid, why, "left alone");
                self.store.ignore_delivery(guid, &why).await?;
            }
            Err(error) => {
                let wait = retry_in(&error, delivery.attempts);
                tracing::warn!(guid, attempts = delivery.attempts, %error, ?wait, "not planned");
                if wait.is_none() {
                    tracing::error!(guid, %error, "a delivery is given up");
                }
                let wait = wait.map(backoff::millis);
                self.store.fail_delivery(guid, &error.to_string(), wait).await?;
            }
        }
        Ok(true)
    }

    async fn handle(&self, delivery: &Delivery) -> Result<Handled, PlanError> {
        let payload: Value = serde_json::from_str(&delivery.payload).unwrap_or_default();
        let raw = Raw { event: &delivery.event, payload: &payload, app_id: self.github.app_id() };
        match Event::try_from(raw) {
            Ok(Event::Pull(PullEvent { origin, number })) => {
                let facts = facts::read(self.github, &origin, number, &Cause::Push).await?;
                self.apply(delivery, &origin, &Cause::Push, &facts).await
            }
            Ok(Event::Comment(comment)) => self.comment(delivery, &comment).await,
            Ok(Event::Rerequested(event)) => self.rerequested(delivery, &event).await,
            Ok(Event::SuiteRerequested(event)) => self.suite_rerequested(delivery, &event).await,
            Err(ignored @ Ignored::Incomplete { .. }) => {
                tracing::warn!(guid = delivery.guid, %ignored, "an event is not understood");
                Ok(Handled::LeftAlone(ignored.to_string()))
            }
            Err(ignored) => Ok(Handled::LeftAlone(ignored.to_string())),
        }
    }

    async fn apply(
        &self,
        delivery: &Delivery,
        origin: &Origin,
        cause: &Cause,
        facts: &Facts,
    ) -> Result<Handled, PlanError> {
        let steps = plan(origin, cause, facts);
        Ok(Handled::Applied(self.store.apply_plan(&delivery.guid, &steps).await?))
    }

    async fn comment(
        &self,
        delivery: &Delivery,
        event: &CommentEvent,
    ) -> Result<Handled, PlanError> {
        let Some(parsed) = command::parse(&event.body) else {
            return Ok(Handled::LeftAlone("a comment without a command".into()));
        };
        let repository =
            self.github.repository(event.origin.installation, &event.origin.repository);
        if repository.permission(&event.author).await? != Permission::Write {
            // A reaction says it to the person; a comment could be called forth by any stranger.
            self.react(delivery, event, Reaction::Confused).await?;
            let why = format!("{} may not write to {}", event.author, event.origin.repository);
            return Ok(Handled::LeftAlone(why));
        }
        match parsed {
            Ok(Command::Run) => {
                let cause = Cause::Command { comment: event.comment };
                let facts = facts::read(self.github, &event.origin, event.number, &cause).await?;
                let steps = plan(&event.origin, &cause, &facts);
                if steps.iter().any(|step| matches!(step, PlanStep::StartCheck(_))) {
                    self.react(delivery, event, Reaction::Eyes).await?;
                } else {
                    self.react(delivery, event, Reaction::Confused).await?;
                    self.reply(event, nothing_to_run(&facts)).await?;
                }
                Ok(Handled::Applied(self.store.apply_plan(&delivery.guid, &steps).await?))
            }
            Err(mistake) => {
                self.react(delivery, event, Reaction::Confused).await?;
                self.reply(event, &mistake.to_string()).await?;
                Ok(Handled::LeftAlone(mistake.to_string()))
            }
        }
    }

    /// Acknowledges a command. The command itself does not depend on it: where the reaction is
    /// refused, for instance for want of a permission, the work goes on.
    async fn react(
        &self,
        delivery: &Delivery,
        event: &CommentEvent,
        reaction: Reaction,
    ) -> Result<(), PlanError> {
        let repository =
            self.github.repository(event.origin.installation, &event.origin.repository);
        match repository.react(event.comment, reaction).await {
            Err(error) if error.is_passing() && delivery.attempts < TRIES_REFUSED => {
                Err(error.into())
            }
            Err(error) => {
                tracing::warn!(guid = delivery.guid, %error, "a command was not acknowledged");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Answers a mistake, once: the answer carries the comment's id in a hidden marker.
    async fn reply(&self, event: &CommentEvent, text: &str) -> Result<(), PlanError> {
        let repository =
            self.github.repository(event.origin.installation, &event.origin.repository);
        let marker = format!("<!-- difftest:reply:{} -->", event.comment);
        if repository.find_comment(event.number, &marker).await?.is_none() {
            repository.create_comment(event.number, &format!("{marker}\n{text}.\n")).await?;
        }
        Ok(())
    }

    async fn rerequested(
        &self,
        delivery: &Delivery,
        event: &RerequestedEvent,
    ) -> Result<Handled, PlanError> {
        let Some(check) = self.store.check_by_github_id(event.check_run).await? else {
            return Ok(Handled::LeftAlone(format!("check run {} is unknown", event.check_run)));
        };
        let number = check.pull.number;
        let cause = rerun(check);
        let facts = facts::read(self.github, &event.origin, number, &cause).await?;
        self.apply(delivery, &event.origin, &cause, &facts).await
    }

    /// As [`Self::rerequested`] for the newest check of every suite.
    async fn suite_rerequested(
        &self,
        delivery: &Delivery,
        event: &SuiteRerequestedEvent,
    ) -> Result<Handled, PlanError> {
        let mut steps = Vec::new();
        for number in &event.numbers {
            let pull = PullKey { repo_id: event.origin.repository_id, number: *number };
            let checks = self.store.latest_checks(pull).await?;
            // What still runs need not run again.
            let ended = checks.into_iter().filter(|c| c.finding.is_some() && c.head == event.head);
            for cause in ended.map(rerun) {
                let facts = facts::read(self.github, &event.origin, *number, &cause).await?;
                steps.extend(plan(&event.origin, &cause, &facts));
            }
        }
        Ok(Handled::Applied(self.store.apply_plan(&delivery.guid, &steps).await?))
    }
}

fn rerun(check: Check) -> Cause {
    Cause::Rerun { check: check.id, suite: check.suite, head: check.head }
}

/// Why `/difftest run` started nothing.
fn nothing_to_run(facts: &Facts) -> &'static str {
    match facts.commits {
        None => "This pull request is closed, so there is nothing to run",
        Some(_) => "There is no suite to run: `difftest.toml` names none under `[suites]`",
    }
}

fn retry_in(error: &PlanError, attempts: i64) -> Option<Duration> {
    let (tries, asked) = match error {
        PlanError::GitHub(error) if error.is_passing() => (TRIES, error.retry_after()),
        PlanError::GitHub(_) => (TRIES_REFUSED, None),
        PlanError::Store(_) => (TRIES, None),
    };
    let wait = BACKOFF.after(attempts, rand::random());
    (attempts < tries).then(|| asked.map_or(wait, |asked| asked.max(wait)))
}
