"""Native SSIM against scikit-image's gaussian SSIM, on one thread, in the same run."""

from __future__ import annotations

import sys

import timing
from skimage.metrics import structural_similarity

from difftest import _native

WANTED, TOLERANCE = 20.0, 1e-4


def main() -> int:
    first = timing.photograph()
    second = timing.noisy(first)

    def ours() -> float:
        return _native.ssim(first, second)

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
    times = timing.compare(ours, theirs)
    print(f"SSIM of two {timing.SIDE}×{timing.SIDE} RGB images, one thread, medians:")
    value = f"values differ by {difference:.1e}"
    print(timing.line("ssim", "scikit-image", times, WANTED, value))
    return 0 if difference < TOLERANCE and times.ratio >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
