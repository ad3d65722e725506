//! What a person sees while a run goes on, on standard error: a fold over its events.

use std::io::{IsTerminal, Write as _};

use difftest_core::event::{Event, LogLevel, TestOutcome};
pub use difftest_core::report::terminal::visible;
use difftest_core::result::Run;
use indicatif::{ProgressBar, ProgressStyle};

/// Live where there is a terminal, else a line a test.
pub enum Progress {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    pub fn on_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template(
                "{bar:30.green} {pos}/{len} images · {elapsed} · about {eta} left · {msg}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar());
            Self::Bar(ProgressBar::new(0).with_style(style))
        } else {
            Self::Lines
        }
    }

    /// Shows one event; `run` has it folded in already.
    pub fn show(&self, event: &Event, run: &Run) {
        match event {
            Event::RunStarted { tests, cells, generator, environment, .. } => {
                if let Self::Bar(bar) = self {
                    bar.set_length(*cells);
                }
                if *cells > 0 {
                    self.say(&format!(
                        "{} and {} with {generator} on {}",
                        count(tests.len() as u64, "test"),
                        count(*cells, "image"),
                        environment.device
                    ));
                }
            }
            Event::TestStarted { test } => {
                if let Self::Bar(bar) = self {
                    bar.set_message(test.name().to_owned());
                }
            }
            Event::CellGenerated { .. } | Event::CellFailed { .. } => {
                if let Self::Bar(bar) = self {
                    bar.set_position(run.cells_done);
                }
            }
            Event::TestFinished { test, outcome, duration_ms, .. } => {
                let images = run.test(test).map_or(0, |t| t.cells.len() as u64);
                self.say(&format!(
                    "{} {test} ({}, {:.1} s)",
                    word(*outcome),
                    count(images, "image"),
                    duration_ms / 1000.0
                ));
            }
            Event::Log { level: LogLevel::Warning | LogLevel::Error, message } => {
                self.say(&format!("warning: {message}"));
            }
            Event::RunFinished { .. } => {
                if let Self::Bar(bar) = self {
                    bar.finish_and_clear();
                }
            }
            // The summary has these.
            Event::CollectionFailed { .. }
            | Event::CellScored { .. }
            | Event::BatchScored { .. }
            | Event::RoundFinished { .. }
            | Event::VerdictChanged { .. }
            | Event::Telemetry { .. }
            | Event::Log { .. }
            | Event::Unknown => {}
        }
    }

    /// A line above the bar. That standard error is closed is no reason to end a run.
    fn say(&self, line: &str) {
        let line = visible(line);
        match self {
            Self::Bar(bar) => bar.println(line),
            Self::Lines => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }
}

pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn word(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Passed => "passed ",
        TestOutcome::Failed => "FAILED ",
        TestOutcome::Error => "ERROR  ",
        TestOutcome::NotRun => "not run",
    }
}
