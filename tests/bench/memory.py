"""Whether a run's memory grows with its cells: the most that the process held, at 1,000 and at 10,000 of them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

CELLS = (1_000, 10_000)
SIDE = 256
#: What the result itself may take: a prompt, a digest and two scores a cell.
ALLOWED_BYTES_A_CELL = 2_500

GENERATOR = f"""
import numpy as np

PICTURE = np.tile(np.arange({SIDE}, dtype=np.uint8)[:, None, None], (1, {SIDE}, 3))


class Instant:
    fingerprint = "instant-1"
    batch_size = 16

    def generate(self, prompts, seeds, negative_prompts):
        pictures = []
        for seed in seeds:
            picture = PICTURE.copy()
            picture[0, 0] = seed % 256, seed // 256 % 256, 7
            pictures.append(picture)
        return pictures


def make():
    return Instant()
"""

TEST = """
import difftest


@difftest.metric("brightness", range=(0.0, 1.0))
def brightness(array):
    return float(array[0, 0].mean()) / 255


@difftest.test(prompts=["p"], metrics=["sharpness", "brightness"], seeds=list(range({cells})))
def test_many():
    pass
"""


def peak(cells: int) -> int:
    with tempfile.TemporaryDirectory(prefix="difftest-bench-") as name:
        folder = Path(name)
        (folder / "instant.py").write_text(GENERATOR)
        (folder / "difftest.toml").write_text('generator = "instant:make"\n')
        (folder / "tests").mkdir()
        (folder / "tests/test_many.py").write_text(TEST.format(cells=cells))
        command = [sys.executable, "-m", "difftest", "run", "--run-dir", "run"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        events = map(json.loads, (folder / "run/events.jsonl").read_text().splitlines())
        return max(e["rss_peak_bytes"] for e in events if e["event"] == "telemetry")


def main() -> None:
    few, many = (peak(cells) for cells in CELLS)
    growth = (many - few) / (CELLS[1] - CELLS[0])
    print(f"memory, {SIDE}x{SIDE}, peak of the process:")
    for cells, bytes_ in zip(CELLS, (few, many), strict=True):
        print(f"  {cells:6} cells  {bytes_ / 1e6:8.1f} MB")
    print(
        f"  ratio         {many / few:8.2f}, {growth:.0f} bytes a cell (allowed: {ALLOWED_BYTES_A_CELL})"
    )
    if growth > ALLOWED_BYTES_A_CELL:
        raise SystemExit("memory grows with the cells")


if __name__ == "__main__":
    main()
