"""Discovery of 1,000 files with 10 tests each, against `pytest --collect-only` on the same files."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES, TESTS, ROUNDS = 1000, 10, 3
LIMIT_S = 2.0

#: What a team has: plain prompts, a template, thresholds.
TEST = '''

@difftest.test(
    ["a {{color}} {{shape=circle}}, case {file}-{test}"],
    metrics=["clip_score"],
    threshold=0.2,
    variables={{"color": ["red", "blue"]}},
)
def test_{file}_{test}():
    """The body is empty."""
'''


def write(root: Path) -> None:
    for file in range(FILES):
        folder = root / "tests" / f"area_{file % 20:02}"
        folder.mkdir(parents=True, exist_ok=True)
        tests = "".join(TEST.format(file=file, test=test) for test in range(TESTS))
        (folder / f"test_{file}.py").write_text(f"import difftest\n{tests}", encoding="utf-8")


def without_caches(command: list[str], root: Path) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed. Nothing is compiled before: a fresh checkout."""
    start = time.perf_counter()
    finished = subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - start, finished.stdout


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="difftest-bench-") as folder:
        root = Path(folder)
        write(root)
        ours, theirs = [], []
        difftest = str(Path(sys.executable).with_name("difftest"))
        for _ in range(ROUNDS):  # in turns: both meet the same load of the machine
            took, said = without_caches([difftest, "run", "--dry-run"], root)
            assert f"{FILES * TESTS} tests, " in said, said[-200:]
            ours.append(took)
            pytest = [
                sys.executable,
                "-m",
                "pytest",
                "--collect-only",
                "-q",
                "-p",
                "no:cacheprovider",
            ]
            took, said = without_caches([*pytest, "tests"], root)
            assert f"{FILES * TESTS} tests collected" in said, said[-200:]
            theirs.append(took)
    own, peer = statistics.median(ours), statistics.median(theirs)
    print(f"discovery, {FILES:,} files with {TESTS} tests each, median of {ROUNDS}:")
    print(f"  difftest run --dry-run {own:6.2f} s")
    print(f"  pytest --collect-only  {peer:6.2f} s")
    print(f"  ratio                  {peer / own:6.1f} x  (limit: {LIMIT_S:.0f} s)")
    return 0 if own < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
