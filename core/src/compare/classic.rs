//! Two runs side by side without pairs: means, Welch's t and Cohen's d.

use serde::Serialize;

use crate::metric::Category;
use crate::result::{Run, Summary, TestRun};
use crate::suite::TestId;
use crate::verdict::welch::{Welch, cohens_d};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    A,
    B,
}

impl Better {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// One metric of one test in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classic {
    pub test: TestId,
    pub metric: String,
    pub a: Summary,
    pub b: Summary,
    /// Whose mean is better by the metric's own direction; none where they are equal.
    pub better: Option<Better>,
    /// Welch's t of b − a, positive where b is better. None for fewer than two scores a side.
    pub t: Option<f64>,
    /// Two-sided.
    pub p: Option<f64>,
    /// Cohen's d of b − a, positive where b is better.
    pub d: Option<f64>,
}

/// Every metric that both runs have of a test of one name. Images are taken as independent here,
/// which those of one prompt are not: the paired verdict does not assume it.
pub fn classic(a: &Run, b: &Run) -> Vec<Classic> {
    let rows = b.tests.iter().filter_map(|test| {
        let partner = a.test(&test.spec.id)?;
        let metrics = test.spec.metrics();
        Some(metrics.into_iter().filter_map(|metric| row(a, b, partner, test, &metric)).collect())
    });
    rows.flat_map(|rows: Vec<Classic>| rows).collect()
}

fn row(run_a: &Run, run_b: &Run, a: &TestRun, b: &TestRun, metric: &str) -> Option<Classic> {
    let info = run_b.metrics.get(metric).or_else(|| run_a.metrics.get(metric))?;
    let (mean_a, mean_b) = (a.summary(metric)?, b.summary(metric)?);
    let gain = info.direction.improvement(mean_a.mean, mean_b.mean);
    let sign = info.direction.improvement(0.0, 1.0);
    let scores = |run: &TestRun| run.scores(metric).map(|(_, v)| sign * v).collect::<Vec<f64>>();
    let (of_a, of_b) = (scores(a), scores(b));
    let welch = (info.category != Category::Batch).then(|| Welch::of(&of_a, &of_b)).flatten();
    Some(Classic {
        test: b.spec.id.clone(),
        metric: metric.to_owned(),
        better: match gain.total_cmp(&0.0) {
            std::cmp::Ordering::Greater => Some(Better::B),
            std::cmp::Ordering::Less => Some(Better::A),
            std::cmp::Ordering::Equal => None,
        },
        a: mean_a,
        b: mean_b,
        t: welch.as_ref().map(|w| w.t(0.0)),
        p: welch.as_ref().map(|w| w.p_two_sided(0.0)),
        d: cohens_d(&of_a, &of_b),
    })
}
