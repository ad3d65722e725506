"""What the engine costs: against a plain Python loop, and over a bare batched loop on the shapes model.

Both sides run in one process each, on the same machine, one after the other; what is printed are ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

SIDE = 512
#: Cells of the first comparison, and how many of them the slow peer does: its time is taken as proportional.
CELLS = int(os.environ.get("DIFFTEST_BENCH_CELLS", "2000"))
PEER_CELLS = min(CELLS, 100)
#: Images of the second comparison. As many again are made before, to warm up.
SHAPES_CELLS = int(os.environ.get("DIFFTEST_BENCH_SHAPES_CELLS", "960"))
BATCH = 16
ROUNDS = 3
#: Times faster than the plain loop, and the share of a bare loop's time that the engine may add.
RATIO, OVERHEAD = 5, 0.03

#: Photograph-like pictures, made once: coarse colours that run into each other, with grain.
INSTANT = f'''
import numpy as np

_rng = np.random.default_rng(7)


def _picture():
    coarse = _rng.integers(0, 256, ({SIDE} // 64 + 1, {SIDE} // 64 + 1, 3)).astype(np.float32)
    at = np.arange({SIDE}) / 64
    low, part = at.astype(int), at - at.astype(int)
    rows = coarse[low] * (1 - part)[:, None, None] + coarse[low + 1] * part[:, None, None]
    full = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
    return np.clip(full + _rng.normal(0, 3, full.shape), 0, 255).astype(np.uint8)


PICTURES = [_picture() for _ in range(8)]


class Instant:
    """Answers at once."""

    fingerprint = "instant-1"
    batch_size = {BATCH}

    def generate(self, prompts, seeds, negative_prompts):
        return [PICTURES[seed % len(PICTURES)] for seed in seeds]


def make():
    return Instant()
'''

PEER = """
import sys, time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

import instant

out, cells = Path(sys.argv[1]), int(sys.argv[2])
out.mkdir()
generator = instant.make()
references = {
    number: np.asarray(Image.open(file).convert("RGB"))
    for number, file in enumerate(sorted(Path("golden").iterdir()))
}
started = time.perf_counter()
for seed in range(cells):
    (image,) = generator.generate(["p"], [seed], [None])
    Image.fromarray(image).save(out / f"{seed}.png")
    structural_similarity(
        image, references[0], gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        channel_axis=-1, data_range=255,
    )
print(time.perf_counter() - started)
"""

#: The shapes model, which notes when its first batch began and its last one ended.
TIMED = """
import atexit, sys, time
from pathlib import Path

from difftest.shapes.pipeline import ShapesPipeline

times = []


class Timed(ShapesPipeline):
    def generate(self, *arguments):
        times.append(time.perf_counter())
        images = super().generate(*arguments)
        times.append(time.perf_counter())
        return images


def note():
    # The first batch warms up.
    Path("took.txt").write_text(str(times[-1] - times[2]))


def make():
    atexit.register(note)
    return Timed()


if __name__ == "__main__":
    pipeline, cells, batch = make(), int(sys.argv[1]), int(sys.argv[2])
    prompt = "a large red circle , center , on a white background"
    for start in range(0, cells, batch):
        some = range(start, min(start + batch, cells))
        pipeline.generate([prompt] * len(some), list(some), [None] * len(some))
"""


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def seconds_of_images(folder: Path, name: str, *arguments: str) -> float:
    """`difftest run`, from the first test's start to the end of the run: loading is the same for both."""
    run_dir = folder / name
    started = time.perf_counter()
    run(folder, "-m", "difftest", "run", "--run-dir", str(run_dir), *arguments)
    whole = time.perf_counter() - started
    last = json.loads((run_dir / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "run_finished", last
    assert last["status"] == "passed", last
    # Everything but the interpreter's start: discovery and loading are the engine's own cost.
    return min(whole, last["duration_ms"] / 1e3)


def against_a_plain_loop(folder: Path) -> bool:
    (folder / "instant.py").write_text(INSTANT)
    (folder / "peer.py").write_text(textwrap.dedent(PEER))
    (folder / "difftest.toml").write_text('generator = "instant:make"\n')
    (folder / "tests").mkdir()
    (folder / "tests/test_instant.py").write_text(
        "import difftest\n\n"
        f'@difftest.test(prompts=["p"], metrics=["ssim"], seeds=list(range({CELLS})), '
        'reference_dir="golden")\ndef test_instant():\n    pass\n'
    )
    (folder / "golden").mkdir()
    run(
        folder, "-c",
        "import instant; from PIL import Image; Image.fromarray(instant.PICTURES[0]).save('golden/0.png')",
    )  # fmt: skip
    ours = statistics.median(seconds_of_images(folder, f"run-{n}") / CELLS for n in range(ROUNDS))
    theirs = statistics.median(
        float(run(folder, "peer.py", f"peer-{n}", str(PEER_CELLS))) / PEER_CELLS
        for n in range(ROUNDS)
    )
    print(f"{SIDE}x{SIDE}, a generator that answers at once, PNG and ssim, {os.cpu_count()} cores:")
    print(f"  difftest, {CELLS} cells              {ours * 1e3:8.2f} ms a cell, all of the run")
    print(f"  Pillow + scikit-image, {PEER_CELLS} cells  {theirs * 1e3:8.2f} ms a cell")
    print(f"  ratio                            {theirs / ours:8.1f} x  (wanted: {RATIO})")
    return theirs / ours >= RATIO


def over_a_bare_loop(folder: Path) -> bool:
    (folder / "timed.py").write_text(textwrap.dedent(TIMED))
    (folder / "difftest.toml").write_text('generator = "timed:make"\n')
    (folder / "tests").mkdir()
    (folder / "tests/test_shapes.py").write_text(
        "import difftest\n\n"
        '@difftest.test(prompts=["a large red circle , center , on a white background"], '
        f'metrics=["clip_score", "sharpness"], seeds=list(range({SHAPES_CELLS})))\n'
        "def test_shapes():\n    pass\n"
    )
    took = folder / "took.txt"
    ours, theirs = [], []
    for n in range(ROUNDS):
        run(folder, "timed.py", str(SHAPES_CELLS), str(BATCH))
        theirs.append(float(took.read_text()))
        run(folder, "-m", "difftest", "run", "--run-dir", f"run-{n}", "--batch-size", str(BATCH))
        ours.append(float(took.read_text()))
    bare, inside = statistics.median(theirs), statistics.median(ours)
    print(f"shapes, {SHAPES_CELLS} images in batches of {BATCH}, first batch to last:")
    print(f"  bare loop                        {bare:8.2f} s")
    print(f"  difftest, clip_score, sharpness  {inside:8.2f} s")
    overhead = inside / bare - 1
    print(
        f"  overhead                         {overhead * 100:8.1f} %  (wanted: {OVERHEAD * 100:.0f})"
    )
    return overhead <= OVERHEAD


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="difftest-bench-") as folder:
        fast = against_a_plain_loop(Path(folder))
    with tempfile.TemporaryDirectory(prefix="difftest-bench-") as folder:
        thin = over_a_bare_loop(Path(folder))
    if not (fast and thin):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
