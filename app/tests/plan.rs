//! What the planner decides, case by case.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use difftest_app::event::Origin;
use difftest_app::github::pulls::{Branch, BranchRepository, PullRequest, PullState};
use difftest_app::github::timestamp::Timestamp;
use difftest_app::plan::{Cause, Commits, ConfigAt, Facts, plan, wants_run};
use difftest_core::config;
use difftest_core::ids::CommitSha;
use difftest_store::{CheckId, NewCheck, PlanStep, Said, Work};

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

fn origin() -> Origin {
    Origin { installation: 7, repository_id: 9, repository: "acme/gen".parse().unwrap() }
}

fn repository(id: i64) -> BranchRepository {
    BranchRepository {
        id,
        full_name: "acme/gen".parse().unwrap(),
        clone_url: "https://github.example/acme/gen.git".into(),
    }
}

fn pull() -> PullRequest {
    PullRequest {
        number: 3,
        state: PullState::Open,
        draft: false,
        updated_at: Timestamp(100),
        head: Branch { name: "feature".into(), sha: sha('b'), repo: Some(repository(9)) },
        base: Branch { name: "main".into(), sha: sha('a'), repo: repository(9) },
    }
}

fn read(text: &str) -> ConfigAt {
    match config::parse(text, config::FILE, config::Variables::Unknown) {
        Ok(config) => ConfigAt::Read(Box::new(config)),
        Err(error) => ConfigAt::Broken(error),
    }
}

const SUITE: &str = "[suites.shapes]\nlabels = [\"cpu\"]\n";

fn facts(base: ConfigAt, head: ConfigAt) -> Facts {
    Facts { pull: pull(), commits: Some(Commits { merge_base: Some(sha('c')), base, head }) }
}

fn checks(cause: &Cause, facts: &Facts) -> Vec<NewCheck> {
    plan(&origin(), cause, facts)
        .into_iter()
        .filter_map(|step| match step {
            PlanStep::StartCheck(check) => Some(check),
            PlanStep::UpsertPull(_) | PlanStep::CancelSuperseded { .. } => None,
        })
        .collect()
}

/// A plan as a person would tell it, a line a check.
fn told(cause: &Cause, facts: &Facts) -> String {
    let line = |check: NewCheck| {
        let does = match check.work {
            Work::Job { spec, labels, verdict } => format!(
                "runs {}..{} on {labels:?}, {} s, network {}, alpha {}",
                spec.base.short(),
                spec.head.short(),
                spec.timeout_s,
                spec.network,
                verdict.alpha
            ),
            Work::Concluded(finding) => match finding.said {
                Said::Note(note) => format!("{}: {}", finding.conclusion.as_str(), note.title),
                said @ Said::Verdict { .. } => panic!("{said:?}"),
            },
        };
        format!("{} [{}] {does}\n", check.suite, check.effect_key)
    };
    checks(cause, facts).into_iter().map(line).collect()
}

#[test]
fn the_pull_requests_state_comes_first_and_its_older_heads_end() {
    let steps = plan(&origin(), &Cause::Push, &facts(read(SUITE), read(SUITE)));
    insta::assert_debug_snapshot!(steps[..2]);
}

#[test]
fn each_suite_of_the_head_gets_a_check_of_its_own() {
    let two = format!("{SUITE}[suites.faces]\n");
    insta::assert_snapshot!(told(&Cause::Push, &facts(read(SUITE), read(&two))), @r#"
    faces [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:faces] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.05
    shapes [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:shapes] runs ccccccc..bbbbbbb on ["cpu"], 3600 s, network false, alpha 0.05
    "#);
}

#[test]
fn a_pull_request_cannot_loosen_its_own_limits() {
    let strict =
        "timeout = \"5m\"\nlabels = [\"safe\"]\n[suites.shapes]\n[verdict]\nalpha = 0.01\n";
    let loose = "timeout = \"9h\"\nnetwork = true\nlabels = [\"prod\"]\n[suites.shapes]\n[suites.new]\n\
                 [verdict]\nalpha = 0.4\n";
    insta::assert_snapshot!(told(&Cause::Push, &facts(read(strict), read(loose))), @r#"
    new [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:new] runs ccccccc..bbbbbbb on ["safe"], 300 s, network false, alpha 0.01
    shapes [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:shapes] runs ccccccc..bbbbbbb on ["safe"], 300 s, network false, alpha 0.01
    "#);
    // The first configuration ever: nobody has granted anything yet.
    insta::assert_snapshot!(told(&Cause::Push, &facts(ConfigAt::Absent, read(loose))), @r#"
    new [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:new] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.4
    shapes [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:shapes] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.4
    "#);
}

#[test]
fn a_configuration_that_cannot_be_used_is_one_failure_on_its_line() {
    let broken = read("[suites.shapes]\nlables = [\"cpu\"]\n");
    let checks = checks(&Cause::Push, &facts(read(SUITE), broken));
    insta::assert_debug_snapshot!(checks);
}

#[test]
fn without_a_configuration_nothing_is_said() {
    assert_eq!(told(&Cause::Push, &facts(ConfigAt::Absent, ConfigAt::Absent)), "");
    insta::assert_snapshot!(told(&Cause::Push, &facts(read(SUITE), ConfigAt::Absent)), @" [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:] neutral: No suite runs");
}

#[test]
fn without_a_common_ancestor_nothing_is_claimed() {
    let mut facts = facts(read(SUITE), read(SUITE));
    facts.commits.as_mut().unwrap().merge_base = None;
    insta::assert_snapshot!(told(&Cause::Push, &facts), @"shapes [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:shapes] failure: There is no base to compare with");
}

#[test]
fn a_forks_code_is_not_run() {
    let mut facts = facts(read(SUITE), ConfigAt::Absent);
    facts.pull.head.repo = Some(repository(10));
    insta::assert_snapshot!(told(&Cause::Push, &facts), @"shapes [push:9:3:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb:shapes] action_required: A fork's code waits for approval");
    insta::assert_snapshot!(told(&Cause::Command { comment: 5 }, &facts), @"shapes [comment:5:shapes] action_required: A fork's code waits for approval");
    // A fork that was deleted since is a fork still.
    facts.pull.head.repo = None;
    assert!(told(&Cause::Push, &facts).contains("action_required"));
}

#[test]
fn a_cause_names_its_effect() {
    let two = read(&format!("{SUITE}[suites.faces]\n"));
    let facts = facts(two.clone(), two);
    insta::assert_snapshot!(told(&Cause::Command { comment: 5 }, &facts), @r#"
    faces [comment:5:faces] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.05
    shapes [comment:5:shapes] runs ccccccc..bbbbbbb on ["cpu"], 3600 s, network false, alpha 0.05
    "#);
    let again =
        |suite: &str| Cause::Rerun { check: CheckId(4), suite: suite.into(), head: sha('b') };
    insta::assert_snapshot!(told(&again("faces"), &facts), @"faces [rerun:4] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.05");
    insta::assert_snapshot!(told(&again(""), &facts), @r#"
    faces [rerun:4:faces] runs ccccccc..bbbbbbb on [], 3600 s, network false, alpha 0.05
    shapes [rerun:4:shapes] runs ccccccc..bbbbbbb on ["cpu"], 3600 s, network false, alpha 0.05
    "#);
}

#[test]
fn a_draft_waits_unless_somebody_asks() {
    let mut draft = pull();
    draft.draft = true;
    assert!(!wants_run(&Cause::Push, &draft));
    assert!(wants_run(&Cause::Command { comment: 5 }, &draft));
    let facts = Facts { pull: draft, commits: None };
    assert_eq!(plan(&origin(), &Cause::Push, &facts).len(), 2);
}

#[test]
fn what_is_closed_or_has_moved_on_is_not_run() {
    let mut closed = pull();
    closed.state = PullState::Closed;
    assert!(!wants_run(&Cause::Command { comment: 5 }, &closed));
    let rerun =
        |digit| Cause::Rerun { check: CheckId(4), suite: "shapes".into(), head: sha(digit) };
    assert!(wants_run(&rerun('b'), &pull()));
    assert!(!wants_run(&rerun('d'), &pull()));
}
