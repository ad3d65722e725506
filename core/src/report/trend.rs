//! How a metric of a test went over the last runs.

use crate::result::Run;
use crate::suite::TestId;

/// The last values of one metric of one test, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    pub test: TestId,
    pub metric: String,
    pub points: Vec<TrendPoint>,
}

/// What one run measured.
#[derive(Debug, Clone, PartialEq)]
pub struct TrendPoint {
    pub run: String,
    pub model: String,
    pub generator: String,
    /// The mean over the test's images, or the one score of a batch metric.
    pub mean: f64,
    /// How many images it is of.
    pub samples: u64,
    /// Milliseconds since 1970.
    pub recorded_at: i64,
}

/// What earlier runs of the same model measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Before {
    /// The mean of the runs' means.
    pub mean: f64,
    pub runs: usize,
}

impl Trend {
    /// What was measured before `run`, by runs that named the same model and generator: another
    /// model's scores are no expectation. None where there is no such run.
    pub fn before(&self, run: &Run) -> Option<Before> {
        let means: Vec<f64> = self
            .points
            .iter()
            .filter(|p| p.run != run.id && p.comparable(run))
            .map(|p| p.mean)
            .collect();
        let runs = means.len();
        (runs > 0).then(|| Before { mean: means.iter().sum::<f64>() / runs as f64, runs })
    }
}

impl TrendPoint {
    pub fn comparable(&self, run: &Run) -> bool {
        self.model == run.model && self.generator == run.generator
    }
}

/// The trend of this test and metric.
pub fn find<'a>(trends: &'a [Trend], test: &TestId, metric: &str) -> Option<&'a Trend> {
    trends.iter().find(|t| t.test == *test && t.metric == metric)
}

impl Before {
    /// `0.3312 over the last 10 runs`.
    pub fn sentence(&self) -> String {
        let mean = super::figures::score(self.mean);
        match self.runs {
            1 => format!("{mean} in the last run"),
            runs => format!("{mean} over the last {runs} runs"),
        }
    }
}
