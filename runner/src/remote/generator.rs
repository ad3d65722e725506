//! Recipes in, images out, in their order: as many at a time as may be, each with its own limit of
//! time, and none left running at the back end when nobody waits for it any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use difftest_core::recipe::Recipe;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt as _};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::a1111::A1111;
use super::comfyui::ComfyUi;
use super::custom::Custom;
use super::describe::Facts;
use super::fal::Fal;
use super::fault::{ImageError, OpenError};
use super::openai::OpenAi;
use super::options::{Environment, Provider, Request};
use super::replicate::Replicate;
use super::retry::Pace;
use super::work::{Made, Work};

/// How long one image may take where nothing else is said.
const IMAGE_TIMEOUT: Duration = Duration::from_secs(300);
/// A batch keeps every slot busy although its images end at different times.
const BATCH_OF_JOBS: usize = 4;

#[derive(Debug)]
enum BackEnd {
    ComfyUi(ComfyUi),
    A1111(A1111),
    Fal(Fal),
    Replicate(Replicate),
    OpenAi(OpenAi),
    Custom(Custom),
}

/// What came of one recipe.
#[derive(Debug, Clone)]
pub struct Item {
    pub result: Result<Made, ImageError>,
    /// Calls beyond the first of each kind.
    pub retries: u32,
}

/// A back end that was opened: it answers, and its options are in order.
#[derive(Debug)]
pub struct Remote {
    back_end: BackEnd,
    name: &'static str,
    facts: Facts,
    jobs: usize,
    slots: Arc<Semaphore>,
    image_timeout: Duration,
    pace: Pace,
}

impl Remote {
    /// Checks the options, asks the back end who it is, and maps the run's recipe once, before
    /// anything is paid for.
    pub async fn open(
        request: &Request,
        environment: Environment<'_>,
        pace: Pace,
    ) -> Result<Self, OpenError> {
        let image_timeout = image_timeout(request.image_timeout_s)?;
        let (name, (back_end, facts)) = match request.generator.as_str() {
            "comfyui" => {
                let (found, facts) = ComfyUi::open(request, environment, pace.clone()).await?;
                ("comfyui", (BackEnd::ComfyUi(found), facts))
            }
            "a1111" => {
                let (found, facts) = A1111::open(request, environment, pace.clone()).await?;
                ("a1111", (BackEnd::A1111(found), facts))
            }
            "api" => Self::open_api(request, environment, &pace, image_timeout).await?,
            other => {
                return Err(OpenError::Options(format!(
                    "there is no generator `{other}` over HTTP; there are comfyui, a1111 and api"
                )));
            }
        };
        let jobs = request.jobs.max(1);
        let remote = Self {
            back_end,
            name,
            facts,
            jobs,
            slots: Arc::new(Semaphore::new(jobs)),
            image_timeout,
            pace,
        };
        let any = Recipe {
            prompt: "a prompt".into(),
            negative_prompt: None,
            seed: 0,
            settings: request.recipe.clone(),
        };
        remote.check(&any).map_err(OpenError::Options)?;
        Ok(remote)
    }

    async fn open_api(
        request: &Request,
        environment: Environment<'_>,
        pace: &Pace,
        image_timeout: Duration,
    ) -> Result<(&'static str, (BackEnd, Facts)), OpenError> {
        let pace = pace.clone();
        Ok(match Provider::of(&request.options)? {
            Provider::Fal => {
                let (found, facts) = Fal::open(request, environment, pace).await?;
                ("api:fal", (BackEnd::Fal(found), facts))
            }
            Provider::Replicate => {
                let (found, facts) =
                    Replicate::open(request, environment, pace, image_timeout).await?;
                ("api:replicate", (BackEnd::Replicate(found), facts))
            }
            Provider::OpenAi => {
                let (found, facts) = OpenAi::open(request, environment, pace).await?;
                ("api:openai", (BackEnd::OpenAi(found), facts))
            }
            Provider::Custom => {
                let (found, facts) = Custom::open(request, environment, pace)?;
                ("api:custom", (BackEnd::Custom(found), facts))
            }
        })
    }

    /// What made the images, for people: `comfyui`, `a1111`, `api:fal` …
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Hexadecimal; see [`Facts::fingerprint`].
    pub fn fingerprint(&self) -> String {
        self.facts.fingerprint()
    }

    pub fn batch_size(&self) -> usize {
        self.jobs * BATCH_OF_JOBS
    }

    pub fn described(&self) -> Map<String, Value> {
        self.facts.described(self.batch_size())
    }

    /// Whether the back end can take this recipe; nothing is sent.
    pub fn check(&self, recipe: &Recipe) -> Result<(), String> {
        match &self.back_end {
            BackEnd::ComfyUi(b) => b.body(recipe).map(drop),
            BackEnd::A1111(b) => b.body(recipe).map(drop),
            BackEnd::Fal(b) => b.body(recipe).map(drop),
            BackEnd::Replicate(b) => b.body(recipe).map(drop),
            BackEnd::OpenAi(b) => b.body(recipe).map(drop),
            BackEnd::Custom(b) => b.body(recipe).map(drop),
        }
    }

    /// The images in the recipes' order, each as soon as it and those before it are there. `stop`
    /// ends all of them, at the back end too. To be polled within a runtime.
    pub fn images(
        self: &Arc<Self>,
        recipes: Vec<Recipe>,
        stop: &CancellationToken,
    ) -> impl Stream<Item = Item> + Send + use<> {
        let (remote, stop) = (Arc::clone(self), stop.clone());
        // On tasks of their own: a slow consumer must not stop what is under way.
        futures::stream::iter(recipes)
            .map(move |recipe| begun(Arc::clone(&remote), recipe, stop.clone()))
            .buffered(self.batch_size())
    }

    async fn one(&self, recipe: &Recipe, stop: &CancellationToken) -> Item {
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            slot = self.slots.acquire() => slot.ok(),
        };
        let Some(_slot) = slot else {
            return Item { result: Err(ImageError::Interrupted), retries: 0 };
        };
        let work = Work::default();
        let started = Instant::now();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => Err(ImageError::Interrupted),
            made = tokio::time::timeout(self.image_timeout, self.make(recipe, &work)) => {
                made.unwrap_or_else(|_| {
                    Err(ImageError::TimedOut { after: started.elapsed(), progress: work.at() })
                })
            }
        };
        if result.is_err()
            && let Some(job) = work.job()
        {
            self.call_off(&job).await;
        }
        Item { result, retries: work.tally.retries() }
    }

    async fn make(&self, recipe: &Recipe, work: &Work) -> Result<Made, ImageError> {
        match &self.back_end {
            BackEnd::ComfyUi(b) => b.make(recipe, work).await,
            BackEnd::A1111(b) => b.make(recipe, work).await,
            BackEnd::Fal(b) => b.make(recipe, work).await,
            BackEnd::Replicate(b) => b.make(recipe, work).await,
            BackEnd::OpenAi(b) => b.make(recipe, work).await,
            BackEnd::Custom(b) => b.make(recipe, work).await,
        }
    }

    /// Best effort, and short: whoever waits has given up already.
    async fn call_off(&self, job: &str) {
        let cancel = async {
            match &self.back_end {
                BackEnd::ComfyUi(b) => b.cancel(job).await,
                BackEnd::A1111(b) => b.cancel(job).await,
                BackEnd::Fal(b) => b.cancel(job).await,
                BackEnd::Replicate(b) => b.cancel(job).await,
                // They have no word for it.
                BackEnd::OpenAi(_) | BackEnd::Custom(_) => Ok(()),
            }
        };
        match tokio::time::timeout(self.pace.cancel, cancel).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an image could not be called off"),
            Err(_) => tracing::warn!("an image could not be called off in time"),
        }
    }
}

/// Already runs when it is first waited for.
fn begun(remote: Arc<Remote>, recipe: Recipe, stop: CancellationToken) -> BoxFuture<'static, Item> {
    let task = tokio::spawn(async move { remote.one(&recipe, &stop).await });
    Box::pin(async move {
        task.await.unwrap_or_else(|broken| Item {
            result: Err(ImageError::BackEnd(format!("a bug of difftest: {broken}"))),
            retries: 0,
        })
    })
}

fn image_timeout(seconds: Option<f64>) -> Result<Duration, OpenError> {
    let Some(seconds) = seconds else { return Ok(IMAGE_TIMEOUT) };
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()).ok_or_else(|| {
        OpenError::Options(format!("the image timeout is {seconds} s; write more than 0"))
    })
}
