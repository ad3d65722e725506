//! The same, with difftest itself inside the sandbox. `DIFFTEST_TEST_PYTHON` names an interpreter
//! that has it installed.

use std::path::PathBuf;

use difftest_core::event::{Event, RunStatus};
use difftest_core::ids::CommitSha;
use difftest_core::protocol::{Completion, Sandbox};
use difftest_core::result::Run;

use crate::harness::{World, sandboxed};

const CONFIG: &str = "[suites.shapes]\ntest_dir = \"tests\"\ngenerator = \"pipeline:make\"\n";
const TESTS: &str = r#"
import difftest

@difftest.metric("edge_strength", range=(0.0, 255.0))
def edge_strength(array):
    return float(array.std())

@difftest.test(prompts=["a red circle", "a blue square"], metrics=["edge_strength"], seeds=[1, 2])
def test_sharp():
    pass

@difftest.visual_regression(prompts=["a red circle"], seeds=[1], ssim_threshold=0.99)
def test_same(model):
    pass
"#;
/// Noise, darker the smaller `SHADE` is.
const PIPELINE: &str = r#"
import numpy as np

class Pipeline:
    fingerprint = "plain-SHADE"
    batch_size = 2

    def generate(self, prompts, seeds, negative_prompts):
        noise = [np.random.default_rng(seed) for seed in seeds]
        return [n.integers(0, SHADE, (32, 32, 3)).astype(np.uint8) for n in noise]

def make():
    return Pipeline()
"#;

/// A world whose base draws brighter than its head, with these tests; none, said loudly, where there
/// is no difftest or no sandbox.
pub async fn two_shades(tests: &str) -> Option<(World, CommitSha, CommitSha)> {
    let Some(python) = std::env::var_os("DIFFTEST_TEST_PYTHON").map(PathBuf::from) else {
        eprintln!("SKIPPED (no difftest: set DIFFTEST_TEST_PYTHON to an interpreter that has it)");
        return None;
    };
    if !sandboxed() {
        return None;
    }
    let mut world = World::new().await;
    world.python = python;
    let commit = |shade: &str| {
        let pipeline = PIPELINE.replace("SHADE", shade);
        let files = [
            ("difftest.toml", CONFIG),
            ("tests/test_shapes.py", tests),
            ("pipeline.py", pipeline.as_str()),
        ];
        world.repository.commit(&files)
    };
    let (base, head) = (commit("255"), commit("100"));
    Some((world, base, head))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commits_that_draw_differently() {
    let Some((world, base, head)) = two_shades(TESTS).await else { return };
    world.app.offer(world.spec(base, head));
    world.daemon(&["--once"]).ends().await;

    let done = Completion::Finished { sandbox: Sandbox::Bubblewrap };
    assert_eq!(world.app.story().completions, [done]);
    let (base, head) = (world.app.log("base"), world.app.log("head"));
    let run = |events: &[Event]| Run::from_events(events);
    assert_eq!(run(&base).status, Some(RunStatus::Passed), "{base:#?}");
    assert_eq!(run(&head).status, Some(RunStatus::Failed), "{head:#?}");
    for run in [run(&base), run(&head)] {
        let images =
            run.tests.iter().flat_map(|t| t.cells.values()).filter_map(|c| c.image.clone());
        for image in images {
            assert!(world.app.story().images.contains(&image.sha256));
        }
    }
    // Four prompts and seeds a side: an image's file says its recipe, so equal pixels of two prompts
    // are two files.
    assert_eq!(world.app.story().images.len(), 8);
}
