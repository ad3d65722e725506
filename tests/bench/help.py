"""`difftest --help` against `python -c pass`, which is the least that it can take, and `pytest --help`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 21
LIMIT_S = 0.1


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> int:
    commands = {
        "difftest --help": [str(Path(sys.executable).with_name("difftest")), "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "pytest --help": [sys.executable, "-m", "pytest", "--help"],
    }
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):  # in turns: all meet the same load of the machine
        for name, command in commands.items():
            took[name].append(seconds(command))
    median = {name: statistics.median(times) for name, times in took.items()}
    own = median["difftest --help"]
    print(f"the command line's start, median of {ROUNDS}:")
    for name, time_s in median.items():
        print(f"  {name:<16}{time_s * 1e3:8.1f} ms")
    bare, peer = median["python -c pass"], median["pytest --help"]
    print(
        f"  ratio           {peer / own:8.1f} x faster than pytest, "
        f"{(own - bare) * 1e3:.1f} ms over bare Python  (limit: {LIMIT_S * 1e3:.0f} ms)"
    )
    return 0 if own < LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
