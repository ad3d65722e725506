"""How far a set of images lies from a set of references, without FID's bias: the kernel inception distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.metrics.inception_pool import InceptionMetric
from difftest.metrics.protocol import BatchScore

if TYPE_CHECKING:
    from difftest.metrics.backbone import Features

#: The kernel of all of them with each other is in memory at once: 8 bytes a pair, several times over.
_MOST_FOR_REPLICATES = 5_000


class Kid(InceptionMetric):
    """Bińkowski et al., arXiv 1801.01401, on the same features as ``fid``."""

    name = "kid"

    def score(self, found: Features, reference: Features, prompts: Sequence[str]) -> BatchScore:
        from difftest.metrics import bootstrap, kernel_distance

        value, error = kernel_distance.distance(found, reference)
        note = f"KID is unbiased at any count; of {len(found)} images it still varies by chance"
        if math.isfinite(error):
            note += f" (standard error over {kernel_distance.SUBSETS} subsets: {error:.2g})"
        replicates, refusal = bootstrap.replicates(
            prompts,
            _MOST_FOR_REPLICATES,
            lambda weights: kernel_distance.reweighted(found, reference, weights, prompts),
        )
        if refusal:
            note += f"; {refusal}"
        return BatchScore(value, len(found), note, replicates)
