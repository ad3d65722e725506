"""Native SSIM against scikit-image's gaussian SSIM, on one thread, in the same run."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from skimage.metrics import structural_similarity

from difftest import _native

SIDE = 1024
ROUNDS = 7


def seconds(work: Callable[[], float]) -> float:
    """The median of a few rounds, after one to warm up."""
    work()
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main() -> int:
    rng = np.random.default_rng(7)
    # Smooth, like a photograph, with a little noise on the second of the pair.
    coarse = rng.integers(0, 256, (SIDE // 32, SIDE // 32, 3)).repeat(32, 0).repeat(32, 1)
    first = coarse.astype(np.uint8)
    second = np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)

    def ours() -> float:
        return float(_native.ssim(first, second))

    def theirs() -> float:
        return float(
            structural_similarity(
                first,
                second,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                channel_axis=-1,
                data_range=255,
            )
        )

    difference = abs(ours() - theirs())
    native, peer = seconds(ours), seconds(theirs)
    print(f"ssim, {SIDE}x{SIDE} RGB, one thread, median of {ROUNDS}:")
    print(f"  difftest      {native * 1e3:8.1f} ms")
    print(f"  scikit-image  {peer * 1e3:8.1f} ms")
    print(f"  ratio         {peer / native:8.1f} x, values differ by {difference:.1e}")
    return 0 if difference < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
