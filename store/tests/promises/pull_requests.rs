//! A pull request, its pushes, and what is planned from them.

use difftest_core::config::VerdictSettings;
use difftest_core::ids::CommitSha;
use difftest_core::protocol::{Claim, Completion, JobSpec, Sandbox};
use difftest_core::report::check::Conclusion;
use difftest_store::{
    Applied, CheckId, Effect, Finding, NewCheck, PlanStep, Pull, PullKey, Said, Store, Work,
};

pub const PULL: PullKey = PullKey { repo_id: 7, number: 12 };
pub const FINISHED: Completion = Completion::Finished { sandbox: Sandbox::Bubblewrap };
/// Longer than any test takes.
pub const LONG: u64 = 600_000;

/// A commit of forty times the same digit.
pub fn commit(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

pub fn pull(head: &CommitSha, updated_at: i64) -> Pull {
    Pull {
        key: PULL,
        installation_id: 99,
        repository: "acme/image-gen".parse().unwrap(),
        base_ref: "main".into(),
        base_sha: commit('0'),
        head_sha: head.clone(),
        fork: false,
        open: true,
        draft: false,
        updated_at,
    }
}

pub fn job(head: &CommitSha, labels: &[&str]) -> Work {
    Work::Job {
        spec: JobSpec {
            repository: "acme/image-gen".parse().unwrap(),
            clone_url: "https://github.test/acme/image-gen.git".into(),
            base: commit('0'),
            head: head.clone(),
            suite: "shapes".into(),
            timeout_s: 60,
            network: false,
            verdict: VerdictSettings::default(),
        },
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        verdict: VerdictSettings::default(),
    }
}

pub fn check(effect_key: &str, head: &CommitSha, work: Work) -> PlanStep {
    PlanStep::StartCheck(NewCheck {
        effect_key: effect_key.into(),
        pull: PULL,
        suite: "shapes".into(),
        head: head.clone(),
        base: commit('0'),
        work,
    })
}

/// What a push plans: the pull request, the end of what went before, one check.
pub fn push_steps(head: &CommitSha, updated_at: i64, labels: &[&str]) -> Vec<PlanStep> {
    vec![
        PlanStep::UpsertPull(pull(head, updated_at)),
        PlanStep::CancelSuperseded { pull: PULL, keep_head: head.clone() },
        check(&format!("push:7:12:{head}:shapes"), head, job(head, labels)),
    ]
}

/// A delivery that came in and was planned.
pub async fn apply(store: &Store, guid: &str, steps: &[PlanStep]) -> Applied {
    store.record_delivery(guid, "pull_request", Some("synchronize"), "{}").await.unwrap();
    store.apply_plan(guid, steps).await.unwrap()
}

/// One push with one check and one job.
pub async fn push(store: &Store, digit: char, updated_at: i64) -> CheckId {
    let head = commit(digit);
    match apply(store, &format!("guid-{digit}"), &push_steps(&head, updated_at, &[])).await {
        Applied::Started(checks) if checks.len() == 1 => checks[0],
        other => panic!("one check was to start, not {other:?}"),
    }
}

pub async fn claim(store: &Store) -> Claim {
    store.claim_job("runner", &["cpu".into()], LONG).await.unwrap().unwrap()
}

pub async fn conclusion(store: &Store, check: CheckId) -> Option<Conclusion> {
    store.check(check).await.unwrap().unwrap().finding.map(|f| f.conclusion)
}

pub fn passed() -> Finding {
    Finding { conclusion: Conclusion::Success, said: Said::note("Passed", "All is well.") }
}

/// Everything that is due, each taken once and not answered.
pub async fn due(store: &Store) -> Vec<Effect> {
    let mut effects = Vec::new();
    while let Some(effect) = store.next_effect().await.unwrap() {
        effects.push(effect);
    }
    effects
}

/// Posts everything that is due; returns the keys that were posted.
pub async fn post_all(store: &Store) -> Vec<String> {
    let mut posted = Vec::new();
    for effect in due(store).await {
        store.effect_done(&effect).await.unwrap();
        posted.push(effect.key.to_string());
    }
    posted
}
