"""How benchmarks of native code are timed: medians, on one thread, ours and the peer's in turns, so
that both meet the same load of the machine; and a line for people."""

from __future__ import annotations

import os

# Before NumPy, PyTorch and the native module start their threads.
os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skimage.data

Image = npt.NDArray[np.uint8]

SIDE = 1024
#: The least that a measurement takes, so that the clock and the scheduler do not decide.
LEAST_S = 1.0
LEAST_ROUNDS, MOST_ROUNDS = 7, 401


@dataclass(frozen=True)
class Times:
    """Seconds, medians."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        return self.peer / self.ours


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], peer: Callable[[], object]) -> Times:
    """The medians of both, after one call each to warm up."""
    _seconds(ours)
    rounds = int(LEAST_S / max(_seconds(peer), 1e-6))
    rounds = max(LEAST_ROUNDS, min(rounds, MOST_ROUNDS))
    took = [(_seconds(ours), _seconds(peer)) for _ in range(rounds)]
    return Times(*(statistics.median(column) for column in zip(*took, strict=True)))


def photograph() -> Image:
    """Four photographs as one picture of 1024×1024: a face, cells, an eye, a cup."""
    data = skimage.data
    cup = data.coffee()[:, :512]
    quarters = [
        data.astronaut(),
        data.immunohistochemistry(),
        data.retina()[400:912, 400:912],
        np.concatenate([cup, cup[:112]]),
    ]
    upper, lower = np.hstack(quarters[:2]), np.hstack(quarters[2:])
    return np.ascontiguousarray(np.vstack([upper, lower]).astype(np.uint8))


def noisy(image: Image) -> Image:
    noise = np.random.default_rng(7).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def line(name: str, peer: str, times: Times, wanted: float, value: str) -> str:
    """One result as a line; an exclamation mark where it is slower than wanted."""
    mark = " " if times.ratio >= wanted else "!"
    return (
        f"{name:16}{times.ours * 1e3:9.2f} ms   {peer:24}{times.peer * 1e3:9.2f} ms   "
        f"{times.ratio:6.1f} x (wanted {wanted:g}){mark}  {value}"
    )
