"""Every change of the bank against the base, several times, each time with other seeds.

    python -m tests.bank.bench [--only NAME …] [--repetitions N] [--outcomes FILE]

Prints how many harmful changes are detected, how many harmless ones raise a false alarm, and what that
costs in images. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from difftest.shapes.world import SCENES
from tests.bank import truth
from tests.bank.bank import named
from tests.bank.changes import BASE, Change, materialise
from tests.bank.rates import Bench, Outcome

REPETITIONS = 5
WORKERS = 2
#: Of one comparison. The full suite takes a minute on one core.
_TIMEOUT_S = 900


def compare(change: Change, repetition: int) -> Outcome:
    """One verdict, by the command line as a user has it."""
    with tempfile.TemporaryDirectory(prefix="difftest-bank-") as scratch:
        base = materialise(None, Path(scratch) / "base", repetition)
        head = materialise(change, Path(scratch) / "head", repetition)
        result = Path(scratch) / "result.json"
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "difftest", "compare", "--base", base, "--output", result],
            cwd=head,
            # One thread for each worker, unless a change says otherwise.
            env={**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        seconds = time.perf_counter() - started
        if not result.exists():
            raise SystemExit(
                f"{change.name}: difftest compare wrote no result\n{done.stdout}{done.stderr}"
            )
        return outcome(change.name, repetition, json.loads(result.read_text("utf-8")), seconds)


def outcome(change: str, repetition: int, comparison: dict[str, Any], seconds: float) -> Outcome:
    """From the comparison as it is written with --output."""
    sides = (comparison.get("base"), comparison.get("head"))
    reasons = [
        test["sentences"][0]
        for test in comparison["tests"]
        if test["decision"] == comparison["decision"] and test["sentences"]
    ]
    return Outcome(
        change=change,
        repetition=repetition,
        decision=comparison["decision"],
        images=sum(side["images"] for side in sides if side),
        pairs=sum(test["pairs"] for test in comparison["tests"]),
        seconds=round(seconds, 1),
        reason="; ".join([*reasons, *comparison["notes"]]),
    )


def full_images() -> int:
    """What both sides make where nothing stops early."""
    text = (BASE / "difftest.toml").read_text(encoding="utf-8")
    found = re.search(r"^max_pairs = (\d+)", text, re.MULTILINE)
    return 2 * min(int(found[1]) if found else len(SCENES), len(SCENES))


def run(changes: list[Change], repetitions: int) -> Iterator[Outcome]:
    """In the order of the changes, each line printed as soon as it is known."""
    # Repetition 0 has the seeds that stand in the base's own test.
    work = [(change, repetition) for change in changes for repetition in range(repetitions)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for number, done in enumerate(pool.map(lambda item: compare(*item), work), 1):
            print(
                f"{number:4}/{len(work)} {done.change:26} {done.repetition} {done.decision:13}"
                f"{done.images:5} images {done.seconds:6.1f} s",
                file=sys.stderr,
                flush=True,
            )
            yield done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N")
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="where to write them as JSON")
    asked = parser.parse_args()
    outcomes = list(run(named(asked.only), asked.repetitions))
    if asked.outcomes:
        rows = [dataclasses.asdict(outcome) for outcome in outcomes]
        asked.outcomes.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    bench = Bench(outcomes, truth.read(), full_images())
    print(bench.report())
    if bench.failures():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
