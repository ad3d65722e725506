//! What a reader must know beside the tests.

use super::TestComparison;
use crate::config::{Budget, VerdictSettings};
use crate::event::{Environment, RunStatus};
use crate::result::Run;
use crate::steering::Spent;
use crate::suite::TestId;

pub(super) fn of(
    base: Option<&Run>,
    head: &Run,
    settings: &VerdictSettings,
    tests: &[TestComparison],
) -> Vec<String> {
    let mut notes = Vec::new();
    note_base(&mut notes, base, head);
    notes.extend(budget(base, head, settings.budget, tests));
    notes
}

/// Why the head's run is not a whole one.
pub(super) fn unfinished(head: &Run) -> Option<String> {
    if head.tests.is_empty() && head.collection_errors.is_empty() {
        return Some(match &head.reason {
            Some(reason) => format!("the head could not be run: {reason}"),
            None => "no test was found at the head commit".to_owned(),
        });
    }
    match (head.status, &head.reason) {
        (None, _) => {
            Some("the head's run did not finish: its process ended before its last event".into())
        }
        (Some(RunStatus::Error), Some(reason)) if head.collection_errors.is_empty() => {
            Some(reason.clone())
        }
        _ => None,
    }
}

/// A budget that ended the run before its tests were decided.
fn budget(
    base: Option<&Run>,
    head: &Run,
    budget: Option<Budget>,
    tests: &[TestComparison],
) -> Option<String> {
    let budget = budget?;
    let undecided = tests.iter().filter(|t| !t.settled).count();
    let spent = Spent::of(base.into_iter().chain([head]));
    (undecided > 0 && head.status.is_some() && !head.rounds.is_empty()).then(|| {
        format!(
            "the budget of {budget} ended the run with {undecided} of {} tests undecided; it took {spent}",
            tests.len()
        )
    })
}

fn note_base(notes: &mut Vec<String>, base: Option<&Run>, head: &Run) {
    let Some(base) = base else {
        notes.push("the base commit was not run, so nothing was compared with it".into());
        return;
    };
    for error in &base.collection_errors {
        notes.push(format!(
            "the base commit's {}:{} could not be read: {}",
            error.place.file, error.place.line, error.message
        ));
    }
    if base.tests.is_empty() && base.collection_errors.is_empty() {
        notes.push(match &base.reason {
            Some(reason) => format!("the base commit could not be run: {reason}"),
            None => "the base commit has no tests to compare with".to_owned(),
        });
    } else if base.status.is_none() {
        notes.push("the base commit's run did not finish; pairs are those it left".into());
    }
    let gone: Vec<&str> = base
        .tests
        .iter()
        .map(|t| &t.spec.id)
        .filter(|id| head.test(id).is_none())
        .map(TestId::as_str)
        .collect();
    if !gone.is_empty() && head.collection_errors.is_empty() {
        notes.push(format!("no longer there: {}", gone.join(", ")));
    }
    if !base.tests.is_empty() && !head.tests.is_empty() && base.environment != head.environment {
        notes.push(format!(
            "the two sides ran under unequal conditions ({}); a difference of a bit may come from that",
            differing(&base.environment, &head.environment)
        ));
    }
}

fn differing(base: &Environment, head: &Environment) -> String {
    let mut parts = Vec::new();
    if base.device != head.device {
        parts.push(format!("device {} and {}", base.device, head.device));
    }
    if base.threads != head.threads {
        parts.push(format!("{} and {} threads", base.threads, head.threads));
    }
    if base.batch_size != head.batch_size {
        parts.push(format!("batches of {} and {}", base.batch_size, head.batch_size));
    }
    for (library, version) in &head.versions {
        match base.versions.get(library) {
            Some(other) if other == version => {}
            other => parts
                .push(format!("{library} {} and {version}", other.map_or("none", String::as_str))),
        }
    }
    if parts.is_empty() { "other libraries".into() } else { parts.join(", ") }
}
