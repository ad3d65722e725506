//! A runner that speaks the protocol and makes its events up.

use std::collections::BTreeMap;

use difftest_core::event::{CellKey, Environment, Event, ImageRef, RunStatus, SCHEMA, TestOutcome};
use difftest_core::ids::ImageSha;
use difftest_core::protocol::{Claim, Completion, GitToken, LEASE_HEADER, Renewal, Sandbox, Side};
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};
use reqwest::StatusCode;
use serde_json::json;

use super::{RUNNER_TOKEN, World};

pub struct Lease<'a> {
    world: &'a World,
    pub claim: Claim,
}

impl World {
    /// The next job, once there is one.
    pub async fn claim(&self) -> Lease<'_> {
        let claim = self.until("job", async || self.try_claim().await.ok_or("no job".into())).await;
        Lease { world: self, claim }
    }

    pub async fn try_claim(&self) -> Option<Claim> {
        let request = json!({ "runner": "runner-1", "labels": ["cpu"], "wait_ms": 0 });
        let answer = self
            .http
            .post(format!("{}/api/v1/runner/claim", self.app_url))
            .bearer_auth(RUNNER_TOKEN)
            .json(&request)
            .send()
            .await
            .unwrap();
        match answer.status() {
            StatusCode::OK => Some(answer.json().await.unwrap()),
            StatusCode::NO_CONTENT => None,
            other => panic!("claim: {other} {}", answer.text().await.unwrap()),
        }
    }

    /// A lease that was taken before, for instance from an App that has died since.
    pub fn resume(&self, claim: Claim) -> Lease<'_> {
        Lease { world: self, claim }
    }

    /// Runs the next job: both sides' images as given, byte for byte.
    pub async fn run_job(&self, base: &[u8], head: &[u8]) {
        let lease = self.claim().await;
        lease.renew().await.unwrap();
        lease.upload(Side::Base, base, 0.9).await;
        lease.upload(Side::Head, head, 0.9).await;
        lease.finish().await;
    }
}

impl Lease<'_> {
    fn post(&self, call: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1/runner/jobs/{}/{call}", self.world.app_url, self.claim.job);
        self.world
            .http
            .post(url)
            .bearer_auth(RUNNER_TOKEN)
            .header(LEASE_HEADER, self.claim.lease_token.expose())
    }

    /// None when the lease is lost.
    pub async fn renew(&self) -> Option<Renewal> {
        let answer = self.post("renew").send().await.unwrap();
        match answer.status() {
            StatusCode::OK => Some(answer.json().await.unwrap()),
            StatusCode::CONFLICT => None,
            other => panic!("renew: {other}"),
        }
    }

    /// A token to read the repository with.
    pub async fn git_token(&self) -> String {
        let answer: GitToken = self.post("git-token").send().await.unwrap().json().await.unwrap();
        answer.token.expose().to_owned()
    }

    /// The events of one side: one test, three prompts, the same image for each.
    pub async fn upload(&self, side: Side, image: &[u8], score: f64) {
        let lines: String =
            events(image, score).iter().map(|event| event.to_line() + "\n").collect();
        let answer = self
            .post(&format!("events/{}?offset=0", side.as_str()))
            .body(lines)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
    }

    pub async fn finish(&self) {
        self.complete(&Completion::Finished { sandbox: Sandbox::Bubblewrap }).await;
    }

    pub async fn complete(&self, completion: &Completion) {
        let answer = self.post("complete").json(completion).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{}", answer.text().await.unwrap());
    }
}

fn events(image: &[u8], score: f64) -> Vec<Event> {
    let test = TestId("tests/test_a.py::test_a".into());
    let passed = score >= 0.5;
    let prompts = ["a red cross", "a blue square", "a green disc"];
    let spec = TestSpec {
        id: test.clone(),
        place: Place { file: "tests/test_a.py".into(), line: 1 },
        kind: TestKind::Quality {
            metrics: vec!["clip_score".into()],
            thresholds: BTreeMap::from([("clip_score".to_owned(), 0.5)]),
            reference_dir: None,
        },
        prompts: prompts.map(str::to_owned).to_vec(),
        variables: BTreeMap::new(),
        combine: Combine::Product,
        negative_prompt: None,
        seeds: vec![42],
        suite: None,
    };
    let mut out = vec![Event::RunStarted {
        schema: SCHEMA,
        run: "run".into(),
        model: "shapes".into(),
        generator: "onnx".into(),
        fingerprint: "f".into(),
        environment: Environment::default(),
        tests: vec![spec],
        metrics: difftest_core::metric::builtin(),
        cells: prompts.len() as u64,
        recipe: Default::default(),
    }];
    for prompt in prompts {
        let cell = CellKey { test: test.clone(), prompt: prompt.into(), seed: 42 };
        let sha256 = ImageSha::of(image);
        let path = format!("images/{sha256}.png");
        let image = ImageRef { sha256, path, width: 32, height: 32 };
        out.push(Event::CellGenerated {
            cell: cell.clone(),
            image,
            duration_ms: 1.0,
            cost_usd: None,
            retries: 0,
            cached: false,
        });
        out.push(Event::CellScored { cell, metric: "clip_score".into(), value: score });
    }
    out.push(Event::TestFinished {
        test,
        outcome: if passed { TestOutcome::Passed } else { TestOutcome::Failed },
        reasons: if passed {
            Vec::new()
        } else {
            vec![format!("clip_score is {score}, the threshold is 0.5")]
        },
        duration_ms: 3.0,
    });
    out.push(Event::RunFinished {
        status: if passed { RunStatus::Passed } else { RunStatus::Failed },
        reason: None,
        duration_ms: 4.0,
    });
    out
}
