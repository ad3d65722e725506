//! The poster: makes GitHub look like the store.
//!
//! Every write is safe to repeat, because a write whose answer was lost may have been done:
//! - a check run is looked for by its external id before it is made;
//! - its annotations, which GitHub adds up, are counted before more are sent;
//! - the comment is looked for by its marker and the App's authorship before it is made;
//! - an edit says the whole state, whatever was there.
//!
//! What is posted is rendered when it is posted, so that a late or repeated effect shows the
//! newest state and never an older one.

use std::sync::Arc;
use std::time::Duration;

use difftest_core::ids::ImageSha;
use difftest_core::report::comment::{MARKER, render};
use difftest_store::{Check, CheckId, CheckStatus, Effect, EffectKey, PullKey, Store, StoreError};

use crate::backoff::{self, Backoff};
use crate::fault;
use crate::github::checks::{CheckStatus as OnGitHub, CheckWrite};
use crate::github::{GitHub, GitHubError, Repository};
use crate::showing;

/// An image's address for browsers.
pub type ImageUrl = Arc<dyn Fn(&ImageSha) -> String + Send + Sync>;

const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(300) };
/// From here on a post that fails is an error in the log and tried slowly, but for ever: somebody
/// may grant the permission that is missing, and a check must not hang.
const PATIENCE: i64 = 10;
const SLOW: Duration = Duration::from_secs(15 * 60);
/// The store lends an effect for two minutes; after that another poster may begin.
const LONGEST: Duration = Duration::from_secs(100);

#[derive(Debug, thiserror::Error)]
pub enum PostError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("GitHub took longer than {} s in all", LONGEST.as_secs())]
    TooSlow,
}

#[derive(Clone)]
pub struct Poster {
    pub store: Store,
    pub github: Arc<GitHub>,
    pub image_url: ImageUrl,
}

impl Poster {
    /// Posts the next effect that is due. False where none is.
    pub async fn step(&self) -> Result<bool, StoreError> {
        let Some(effect) = self.store.next_effect().await? else { return Ok(false) };
        let key = effect.key;
        let posted =
            tokio::time::timeout(LONGEST, self.post(key)).await.unwrap_or(Err(PostError::TooSlow));
        match posted {
            Ok(()) => {
                tracing::debug!(effect = %key, "posted");
                self.store.effect_done(&effect).await?;
            }
            Err(error) => self.failed(&effect, &error).await?,
        }
        Ok(true)
    }

    async fn failed(&self, effect: &Effect, error: &PostError) -> Result<(), StoreError> {
        let (key, attempts) = (effect.key, effect.attempts);
        let wait = retry_in(error, attempts, rand::random());
        if attempts >= PATIENCE {
            tracing::error!(effect = %key, attempts, %error, ?wait, "still not posted");
        } else {
            tracing::warn!(effect = %key, attempts, %error, ?wait, "not posted");
        }
        let wait = Some(backoff::millis(wait));
        self.store.effect_failed(effect, &error.to_string(), wait).await
    }

    async fn post(&self, key: EffectKey) -> Result<(), PostError> {
        match key {
            EffectKey::Check(id) => self.post_check(id).await,
            EffectKey::Comment(pull) => self.post_comment(pull).await,
        }
    }

    async fn post_check(&self, id: CheckId) -> Result<(), PostError> {
        let Some(check) = self.store.check(id).await? else { return Ok(()) };
        let Some(pull) = self.store.pull(check.pull).await? else { return Ok(()) };
        let pull = pull.pull;
        let repository = self.github.repository(pull.installation_id, &pull.repository);
        let github_id = match check.github_id {
            Some(github_id) => github_id,
            None => self.find_or_create(&repository, &check).await?,
        };
        let annotated = match check.finding {
            Some(_) => {
                let there = repository.check(github_id).await?;
                there.output.annotations_count.unwrap_or_default()
            }
            None => 0,
        };
        for write in showing::check_writes(&check, &*self.image_url, annotated) {
            repository.update_check(github_id, &write).await?;
        }
        Ok(())
    }

    async fn find_or_create(
        &self,
        repository: &Repository<'_>,
        check: &Check,
    ) -> Result<i64, PostError> {
        let name = showing::check_name(&check.suite);
        let external_id = check.id.external_id();
        let found =
            repository.find_check(&check.head, &name, &external_id).await?.filter(|found| {
                // A completed run cannot be opened again. It bears our number from an earlier
                // database; this check needs a run of its own.
                found.status != OnGitHub::Completed || check.status == CheckStatus::Completed
            });
        let github_id = match found {
            Some(found) => found.id,
            None => {
                // Made in the state `queued` whatever follows: the update that comes next is the
                // same for a new run and for a found one.
                let write = CheckWrite {
                    name: Some(name),
                    head_sha: Some(check.head.clone()),
                    external_id: Some(external_id),
                    status: Some(OnGitHub::Queued),
                    ..CheckWrite::default()
                };
                let created = repository.create_check(&write).await?;
                fault::point("abort-after-check-before-commit");
                created
            }
        };
        self.store.set_check_github_id(check.id, github_id).await?;
        Ok(github_id)
    }

    async fn post_comment(&self, key: PullKey) -> Result<(), PostError> {
        let Some(stored) = self.store.pull(key).await? else { return Ok(()) };
        if stored.comment_deleted {
            return Ok(());
        }
        let checks = self.store.latest_checks(key).await?;
        if checks.iter().any(|check| check.finding.is_some()) {
            fault::point("abort-before-comment");
        }
        let Some(input) = showing::comment(checks) else { return Ok(()) };
        let body = render(&input, &*self.image_url);
        let pull = &stored.pull;
        let repository = self.github.repository(pull.installation_id, &pull.repository);
        let known = match stored.comment_id {
            Some(known) => Some(known),
            None => {
                let found = repository.find_comment(key.number, MARKER).await?;
                if let Some(found) = found {
                    self.store.set_comment_id(key, found).await?;
                }
                found
            }
        };
        match known {
            Some(comment) => match repository.edit_comment(comment, &body).await {
                Err(error) if error.is_not_found() => {
                    // Somebody deleted it. It is not written again.
                    tracing::info!(pull = %key, comment, "the comment was deleted; it stays so");
                    self.store.set_comment_deleted(key).await?;
                }
                edited => edited?,
            },
            None => {
                let comment = repository.create_comment(key.number, &body).await?;
                fault::point("abort-after-comment-before-commit");
                self.store.set_comment_id(key, comment).await?;
            }
        }
        Ok(())
    }
}

fn retry_in(error: &PostError, attempts: i64, jitter: f64) -> Duration {
    let wait = match attempts {
        n if n >= PATIENCE => SLOW.mul_f64(0.5 + 0.5 * jitter),
        n => BACKOFF.after(n, jitter),
    };
    match error {
        PostError::GitHub(error) => error.retry_after().map_or(wait, |asked| asked.max(wait)),
        PostError::Store(_) | PostError::TooSlow => wait,
    }
}
